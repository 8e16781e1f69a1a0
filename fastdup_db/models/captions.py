"""Sentences about images, and answers to questions about them, by `transformers` (the extra `caption`).

    captioner = Captioner("blip")
    sentences = captioner.caption(images)   # RGB, one batch

Any folder that `save_pretrained` wrote works as a model name, so everything runs without a network once it is there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdup_db.errors import BadArgument, MissingExtra, ModelUnavailable, one_of
from fastdup_db.models.download import CACHE_VARIABLE, OFFLINE_VARIABLE, cache_folder, is_offline

if TYPE_CHECKING:
    import numpy as np

MAX_NEW_TOKENS = 50
"""A caption is a sentence; without a limit a model that never ends its sentence fills its whole context."""


@dataclass(frozen=True, slots=True)
class CaptionSpec:
    """A reserved name: where its model lies on the Hugging Face hub, and what its card says of the licence."""

    hub_id: str
    licence: str
    needs_prompt: bool = False


_VIT_GPT2 = CaptionSpec("nlpconnect/vit-gpt2-image-captioning", "Apache-2.0")

CAPTION_MODELS: dict[str, CaptionSpec] = {
    "automatic": _VIT_GPT2,
    "vitgpt2": _VIT_GPT2,
    "blip": CaptionSpec("Salesforce/blip-image-captioning-large", "BSD-3-Clause"),
    "blip2": CaptionSpec("Salesforce/blip2-opt-2.7b", "MIT"),
    "git": CaptionSpec("microsoft/git-base-coco", "MIT"),
    "vqa": CaptionSpec("dandelin/vilt-b32-finetuned-vqa", "Apache-2.0", needs_prompt=True),
    "age": CaptionSpec("nateraw/vit-age-classifier", "see the model's card"),
}


class Captioner:
    """A loaded captioning, question answering or image classification model.

    model_name: a key of `CAPTION_MODELS`, a folder, or an id of the Hugging Face hub (`org/name`).
    device: 'cpu', 'gpu', or a torch device such as 'cuda:1' or 'mps'.
    vqa_prompt: the question to answer about every image; with 'automatic' the question answering model is taken.
    kwargs: arguments of `generate`, such as `num_beams`.

    Nothing is sampled: the same images give the same sentences. Raises `MissingExtra` without torch and
    transformers, `BadArgument` for an unknown name or device or a prompt the model cannot take, and
    `ModelUnavailable` when the model cannot be had.
    """

    def __init__(
        self,
        model_name: str = "automatic",
        *,
        device: str = "cpu",
        vqa_prompt: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.source = source(model_name, vqa_prompt)
        try:
            import torch
            import transformers
            from PIL import Image  # noqa: F401 - what the processors are given
        except ImportError as exc:
            raise MissingExtra("caption()", "caption") from exc
        self._torch = torch
        self._device = _torch_device(device)
        self._prompt = vqa_prompt
        self._generation = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False} | dict(kwargs or {})
        config = _load(transformers.AutoConfig, self.source)
        self._processor, self._tokenizer = _processors(config, self.source)
        self._model: Any = _load(_model_class(config), self.source).to(self._device).eval()
        if vqa_prompt and (self._tokenizer is None or config.model_type == "vision-encoder-decoder"):
            raise BadArgument(f"vqa_prompt: {model_name} cannot be asked questions; try model_name='vqa'")

    def caption(self, images: Sequence[np.ndarray]) -> list[str]:
        """A sentence for each RGB uint8 (h, w, 3) image of one batch."""
        from PIL import Image

        pictures = [Image.fromarray(image) for image in images]
        text = {"text": [self._prompt] * len(pictures), "padding": True} if self._prompt else {}
        inputs = self._processor(images=pictures, return_tensors="pt", **text).to(self._device)
        with self._torch.inference_mode():
            if not self._model.can_generate():
                best = self._model(**inputs).logits.argmax(dim=-1).tolist()
                return [str(self._model.config.id2label[i]) for i in best]
            tokens = self._model.generate(**inputs, **self._generation)
        sentences = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        # models that only decode repeat the question before they answer it
        return [s.strip().removeprefix(self._prompt or "").strip() for s in sentences]


def source(model_name: str, vqa_prompt: str | None = None) -> str:
    """Where transformers finds the model: a hub id or an absolute folder.

    Raises `BadArgument` for an unknown name, and for a question answering model without a question.
    """
    if model_name == "automatic" and vqa_prompt:
        model_name = "vqa"
    spec = CAPTION_MODELS.get(model_name)
    if spec is not None:
        if spec.needs_prompt and not vqa_prompt:
            raise BadArgument(f"model_name={model_name!r} answers a question: give it as vqa_prompt")
        return spec.hub_id
    if Path(model_name).expanduser().is_dir():
        return str(Path(model_name).expanduser().resolve())
    if model_name.count("/") == 1 and not model_name.startswith(("/", ".", "~")):
        return model_name
    raise one_of("model_name", model_name, [*CAPTION_MODELS, "a folder", "a hub id such as 'org/name'"])


def _torch_device(device: str) -> str:
    import torch

    if device == "gpu":
        if torch.cuda.is_available():
            return "cuda"
        if torch.backends.mps.is_available():
            return "mps"
        raise BadArgument("device='gpu': torch sees no GPU here; use device='cpu'")
    try:
        return str(torch.device(device))
    except RuntimeError as exc:
        raise BadArgument(f"device={device!r} is unknown; allowed: cpu, gpu, or a torch device") from exc


def _model_class(config: Any) -> Any:
    import transformers

    architecture = " ".join(config.architectures or [])
    if "ImageClassification" in architecture:
        return transformers.AutoModelForImageClassification
    if "QuestionAnswering" in architecture:
        return transformers.AutoModelForVisualQuestionAnswering
    return transformers.AutoModelForImageTextToText


def _processors(config: Any, source: str) -> tuple[Any, Any]:
    """What makes tensors of images (and a prompt), and what makes text of tokens (None for classifiers)."""
    import transformers

    if "ImageClassification" in " ".join(config.architectures or []):
        return _load(transformers.AutoImageProcessor, source), None
    if config.model_type == "vision-encoder-decoder":  # saved as two separate parts
        return _load(transformers.AutoImageProcessor, source), _load(transformers.AutoTokenizer, source)
    processor = _load(transformers.AutoProcessor, source)
    return processor, processor.tokenizer


def _load(kind: Any, source: str) -> Any:
    cache = cache_folder() / "huggingface" if os.environ.get(CACHE_VARIABLE) else None
    try:
        return kind.from_pretrained(source, cache_dir=cache, local_files_only=is_offline())
    except (OSError, ValueError, ImportError) as exc:
        first = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise ModelUnavailable(
            f"caption model {source} cannot be loaded: {first} On a machine with network get it by "
            f"`hf download {source}`, copy the folder here and give its path as model_name "
            f"({OFFLINE_VARIABLE}=1 forbids downloads)."
        ) from exc
