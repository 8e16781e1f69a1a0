"""The models that `model_path` knows by name beside the bundled ones. Data only.

Every file comes from its provider on first use and stays under its licence; none is part of this package. All see the
whole picture, squeezed to the input size, where some of their papers cut out the middle: what happens at the border
of a picture counts here too.
"""

from __future__ import annotations

from pathlib import Path

from fastdup_db.errors import one_of
from fastdup_db.models.catalog import ModelSpec
from fastdup_db.models.download import RemoteFile

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""From the `preprocessor_config.json` of OpenAI's CLIP models."""

UNTRIED = "Wired from its provider's description; the real weights could not be had where this was written."

_HUB = "https://huggingface.co/{}/resolve/{}"
_ONNX_ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification/{}"


def _spec(name: str, *, remote: RemoteFile, **facts: object) -> ModelSpec:
    return ModelSpec(
        name=name,
        file=Path(remote.filename),
        remote=remote,
        licence=remote.licence,
        source=remote.url,
        note=UNTRIED if remote.sha256 else f"{UNTRIED} Its checksum is not pinned.",
        **facts,  # type: ignore[arg-type]
    )


def _dinov2(name: str, *, dim: int, remote: RemoteFile) -> ModelSpec:
    """The class token after the last norm, which is also DINOv2's pooled output."""
    return _spec(name, dim=dim, output="last_hidden_state", pooling="cls", remote=remote)


def _clip(name: str, *, dim: int, side: int = 224, remote: RemoteFile) -> ModelSpec:
    """The image embedding after projection into the space shared with text."""
    return _spec(
        name, dim=dim, height=side, width=side, mean=CLIP_MEAN, std=CLIP_STD, output="image_embeds", remote=remote
    )


ZOO: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _dinov2(
            "dinov2s",
            dim=384,
            remote=RemoteFile(
                "dinov2-small.onnx",
                _HUB.format("Xenova/dinov2-small", "c2bb04a51fab207c420665f1946016107bffc701/onnx/model.onnx"),
                "83141175ec78b4ff9a2bb58a4c7c264ba0054d1c2e122e5a8114b79a8d4179ea",
                88_459_888,
                "Apache-2.0",
            ),
        ),
        _dinov2(
            "dinov2b",
            dim=768,
            remote=RemoteFile(
                "dinov2-base.onnx",
                _HUB.format("Xenova/dinov2-base", "main/onnx/model.onnx"),
                licence="Apache-2.0",
            ),
        ),
        _clip(
            "clip",
            dim=512,
            remote=RemoteFile(
                "clip-vit-base-patch32-vision.onnx",
                _HUB.format(
                    "Xenova/clip-vit-base-patch32", "d15189d7028b43f1d3e65039190477f6af591c2a/onnx/vision_model.onnx"
                ),
                "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
                351_685_709,
                "MIT",
            ),
        ),
        _clip(
            "clip14",
            dim=768,
            remote=RemoteFile(
                "clip-vit-large-patch14-vision.onnx",
                _HUB.format("Xenova/clip-vit-large-patch14", "main/onnx/vision_model.onnx"),
                licence="MIT",
            ),
        ),
        _clip(
            "clip336",
            dim=768,
            side=336,
            remote=RemoteFile(
                "clip-vit-large-patch14-336-vision.onnx",
                _HUB.format("Xenova/clip-vit-large-patch14-336", "main/onnx/vision_model.onnx"),
                licence="MIT",
            ),
        ),
        _spec(
            "resnet50",
            dim=1000,  # class scores, not features: that is what the file gives and what fastdup used
            remote=RemoteFile(
                "resnet50-v1-12.onnx",
                _ONNX_ZOO.format("resnet/model/resnet50-v1-12.onnx"),
                "ab65bdc02c5b3123eb3cdf6dac01742438517d8635d4f233913b2be1c70db3b6",
                102_576_419,
                "Apache-2.0",
            ),
        ),
        _spec(
            "efficientnet",
            dim=1000,  # class probabilities of EfficientNet-Lite4
            layout="NHWC_F32",
            mean=(127 / 255,) * 3,  # its README: (pixel − 127) / 128
            std=(128 / 255,) * 3,
            remote=RemoteFile(
                "efficientnet-lite4-11.onnx",
                _ONNX_ZOO.format("efficientnet-lite4/model/efficientnet-lite4-11.onnx"),
                size=51_946_641,
                licence="MIT",
            ),
        ),
    )
}

ALIASES = {"resent50": "resnet50"}
"""The spelling in fastdup's documentation."""


def zoo_names() -> list[str]:
    """Every name of the zoo, sorted, aliases included."""
    return sorted([*ZOO, *ALIASES])


def zoo_model(name: str) -> ModelSpec:
    """The entry of `name`; its `file` is only a name until it is fetched. Raises `BadArgument` for an unknown one."""
    try:
        return ZOO[ALIASES.get(name, name)]
    except KeyError:
        raise one_of("model_path", name, zoo_names()) from None
