"""Captions by tiny models of random weights, saved to disk and loaded like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastdup_db.errors import BadArgument, MissingExtra, ModelUnavailable
from fastdup_db.models.captions import CAPTION_MODELS, Captioner, caption_images

SPECIAL = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, "a", "cat", "dog", "on", "the", "mat", "what", "is", "this", "?", "red", "blue"]


@pytest.fixture(scope="module")
def transformers() -> Any:
    pytest.importorskip("torch", reason="the extra `caption` is not installed")
    module = pytest.importorskip("transformers", reason="the extra `caption` is not installed")
    module.set_seed(0)
    return module


@pytest.fixture(scope="module")
def tokenizer(transformers: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def tiny_vit(transformers: Any, **more: Any) -> Any:
    return transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        **more,
    )


SIZE = {"height": 32, "width": 32}


@pytest.fixture(scope="module")
def captioning_model(transformers: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The architecture of ViT-GPT2, a millionth of its weights."""
    folder = tmp_path_factory.mktemp("vitgpt2")
    text = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(tiny_vit(transformers), text)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 1
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformers.ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The architecture of the age model; its bias makes '20-29' the answer to everything."""
    import torch

    folder = tmp_path_factory.mktemp("age")
    labels = {0: "0-2", 1: "20-29", 2: "more than 70"}
    model = transformers.ViTForImageClassification(tiny_vit(transformers, id2label=labels))
    with torch.no_grad():
        model.classifier.bias[:] = torch.tensor([0.0, 100.0, 0.0])
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def answering_model(transformers: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The architecture of ViLT; its last bias makes 'yes' the answer to everything."""
    import torch

    folder = tmp_path_factory.mktemp("vilt")
    config = transformers.ViltConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        id2label={0: "no", 1: "yes"},
    )
    model = transformers.ViltForQuestionAnswering(config)
    with torch.no_grad():
        model.classifier[-1].bias[:] = torch.tensor([0.0, 100.0])
    model.save_pretrained(folder)
    processor = transformers.ViltProcessor(
        transformers.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8), tokenizer
    )
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + 7 * i, 50, 3), dtype=np.uint8) for i in range(5)]


def test_every_image_gets_a_sentence_of_known_words(captioning_model: Path, images: list[np.ndarray]) -> None:
    captions = list(caption_images(images, model_name=str(captioning_model), batch_size=2))
    assert len(captions) == 5
    assert all(set(c.split()) <= set(WORDS[len(SPECIAL) :]) for c in captions)
    assert any(captions)


def test_captions_do_not_depend_on_the_batch_size(captioning_model: Path, images: list[np.ndarray]) -> None:
    one = list(caption_images(images, model_name=str(captioning_model), batch_size=1))
    assert list(caption_images(iter(images), model_name=str(captioning_model), batch_size=5)) == one


def test_kwargs_reach_the_generation(captioning_model: Path, images: list[np.ndarray]) -> None:
    captioner = Captioner(str(captioning_model), kwargs={"max_new_tokens": 1})
    assert all(len(c.split()) <= 1 for c in captioner.caption(images))


def test_a_classifier_names_its_class(classifier: Path, images: list[np.ndarray]) -> None:
    assert list(caption_images(images, model_name=str(classifier))) == ["20-29"] * 5


def test_a_question_is_answered(answering_model: Path, images: list[np.ndarray]) -> None:
    answers = caption_images(images, model_name=str(answering_model), vqa_prompt="is this a cat ?", batch_size=2)
    assert list(answers) == ["yes"] * 5


def test_a_question_to_a_model_that_takes_none_is_refused(captioning_model: Path, classifier: Path) -> None:
    for model in (captioning_model, classifier):
        with pytest.raises(BadArgument, match="cannot be asked"):
            Captioner(str(model), vqa_prompt="what is this?")


def test_vqa_without_a_question_is_refused() -> None:
    with pytest.raises(BadArgument, match="vqa_prompt"):
        Captioner("vqa")


def test_an_unknown_name_lists_what_is_allowed() -> None:
    with pytest.raises(BadArgument, match=r"automatic, blip, blip2, git"):
        Captioner("no such model")
    assert {"automatic", "vitgpt2", "blip", "blip2", "git", "vqa", "age"} <= set(CAPTION_MODELS)


def test_a_device_that_is_not_there_is_refused(transformers: Any, captioning_model: Path) -> None:
    import torch

    with pytest.raises(BadArgument, match="unknown"):
        Captioner(str(captioning_model), device="toaster")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        with pytest.raises(BadArgument, match="no GPU"):
            Captioner(str(captioning_model), device="gpu")


def test_offline_says_how_to_get_the_model(transformers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDUP_DB_OFFLINE", "1")
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="hf download nlpconnect/vit-gpt2-image-captioning"):
        Captioner("automatic")


def test_a_folder_without_a_model_is_refused(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        Captioner(str(tmp_path))


def test_a_missing_extra_says_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fastdup-db\[caption\]'"):
        Captioner("blip")


def test_importing_the_module_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, fastdup_db.models.captions; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
