"""Captions by tiny models of random weights, saved to disk and loaded like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument, MissingExtra, ModelUnavailable, NotRun
from fastdup_db.models.captions import CAPTION_MODELS, Captioner

SPECIAL = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, "a", "cat", "dog", "on", "the", "mat", "what", "is", "this", "?", "red", "blue"]


@pytest.fixture(scope="module")
def transformers() -> Any:
    torch = pytest.importorskip("torch", reason="the extra `caption` is not installed")
    torch.set_num_threads(1)  # the models are tiny; threads that wait for each other are not
    module = pytest.importorskip("transformers", reason="the extra `caption` is not installed")
    module.set_seed(0)
    return module


@pytest.fixture(scope="module")
def tokenizer(transformers: Any) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.normalizer = normalizers.Sequence([])
    return transformers.BertTokenizerFast(  # the one that every release lets a ViltProcessor have
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


def captioned(images: list[np.ndarray], model: Path, *, batch_size: int = 8, **options: Any) -> list[str]:
    """One sentence per image, computed `batch_size` at a time."""
    captioner = Captioner(str(model), **options)
    batches = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
    return [sentence for batch in batches for sentence in captioner.caption(batch)]


def test_every_image_gets_a_sentence_of_known_words(captioning_model: Path, images: list[np.ndarray]) -> None:
    captions = captioned(images, captioning_model, batch_size=2)
    assert len(captions) == 5
    assert all(set(c.split()) <= set(WORDS[len(SPECIAL) :]) for c in captions)
    assert any(captions)


def test_captions_do_not_depend_on_the_batch_size(captioning_model: Path, images: list[np.ndarray]) -> None:
    one = captioned(images, captioning_model, batch_size=1)
    assert captioned(images, captioning_model, batch_size=5) == one


def test_kwargs_reach_the_generation(captioning_model: Path, images: list[np.ndarray]) -> None:
    captioner = Captioner(str(captioning_model), kwargs={"max_new_tokens": 1})
    assert all(len(c.split()) <= 1 for c in captioner.caption(images))


def test_a_classifier_names_its_class(classifier: Path, images: list[np.ndarray]) -> None:
    assert captioned(images, classifier) == ["20-29"] * 5


def test_a_question_is_answered(answering_model: Path, images: list[np.ndarray]) -> None:
    answers = captioned(images, answering_model, vqa_prompt="is this a cat ?", batch_size=2)
    assert answers == ["yes"] * 5


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


@pytest.fixture
def collection(tmp_path: Path, images: list[np.ndarray]) -> fastdup_db.Fastdup:
    """A run over the five images and a broken one; the second is drawn anew in `test_a_changed…`."""
    (tmp_path / "in").mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), image[..., ::-1])
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG broken")
    fd = fastdup_db.create(tmp_path / "out", tmp_path / "in")
    fd.run(progress=False)
    return fd


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each batch that reaches the model has."""
    sizes: list[int] = []
    real = Captioner.caption

    def caption(self: Captioner, pictures: Any) -> list[str]:
        sizes.append(len(pictures))
        return real(self, pictures)

    monkeypatch.setattr(Captioner, "caption", caption)
    return sizes


def test_captions_are_stored_and_only_missing_ones_computed(
    collection: fastdup_db.Fastdup,
    captioning_model: Path,
    classifier: Path,
    images: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = counted(monkeypatch)
    model = str(captioning_model)
    some = collection.caption(model, subset=["1.png", "3.png"], progress=False)
    assert [Path(name).name for name in some["filename"]] == ["1.png", "3.png"]
    frame = collection.caption(model, batch_size=2, progress=False)
    assert frame.columns.tolist() == ["filename", "caption"]
    assert frame["caption"].tolist() == captioned(images, captioning_model)
    assert sizes[:3] == [2, 2, 1]  # the two asked for first, then the three others
    before = len(sizes)
    assert collection.caption(model, progress=False).equals(frame)
    assert len(sizes) == before
    assert collection.annotations()["caption"].tolist() == frame["caption"].tolist()
    assert collection.caption(str(classifier), progress=False)["caption"].tolist() == ["20-29"] * 5
    assert collection.annotations()["caption"].tolist() == ["20-29"] * 5
    assert collection.sql("select count(*) as n from captions")["n"].tolist() == [10]


def test_captions_outlive_an_update_and_go_with_a_changed_image(
    collection: fastdup_db.Fastdup, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.caption(str(classifier), progress=False)
    sizes = counted(monkeypatch)
    changed = Path(collection.input_dir) / "1.png"
    cv2.imwrite(str(changed), np.zeros((60, 70, 3), np.uint8))
    cv2.imwrite(str(changed.with_name("new.png")), np.full((60, 70, 3), 99, np.uint8))
    collection.run(overwrite=False, progress=False)
    frame = collection.annotations()
    described = frame["caption"].notna().groupby(frame["filename"].map(lambda name: Path(name).name)).all()
    assert described.to_dict() == {f"{n}.png": n != 1 for n in range(5)} | {"new.png": False}
    assert collection.caption(str(classifier), progress=False)["caption"].tolist() == ["20-29"] * 6
    assert sum(sizes) == 2


def test_a_killed_caption_keeps_what_it_had_and_goes_on(
    collection: fastdup_db.Fastdup, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Captioner.caption, []

    def dies(self: Captioner, pictures: Any) -> list[str]:
        calls.append(len(pictures))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, pictures)

    monkeypatch.setattr(Captioner, "caption", dies)
    with pytest.raises(KeyboardInterrupt):
        collection.caption(str(classifier), batch_size=2, progress=False)
    assert collection.sql("select count(*) as n from captions")["n"].tolist() == [2]
    assert collection.caption(str(classifier), batch_size=2, progress=False)["caption"].tolist() == ["20-29"] * 5
    assert calls == [2, 2, 2, 1]


def test_an_image_that_is_gone_has_no_caption(collection: fastdup_db.Fastdup, classifier: Path) -> None:
    (Path(collection.input_dir) / "2.png").unlink()
    frame = collection.caption(str(classifier), progress=False)
    assert frame["caption"].isna().tolist() == [False, False, True, False, False]


def test_boxes_are_described_one_by_one(
    tmp_path: Path, images: list[np.ndarray], classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images[4])
    boxes = pd.DataFrame({"filename": "a.png", "col_x": [0, 5], "row_y": [3, 6], "width": [20, 30], "height": [15, 25]})
    fd = fastdup_db.create(tmp_path / "out", tmp_path)
    fd.run(annotations=boxes, progress=False)
    seen: list[tuple[int, ...]] = []
    real = Captioner.caption
    monkeypatch.setattr(
        Captioner, "caption", lambda self, pictures: (seen.extend(p.shape for p in pictures), real(self, pictures))[1]
    )
    assert fd.caption(str(classifier), progress=False)["caption"].tolist() == ["20-29"] * 2
    assert seen == [(15, 20, 3), (25, 30, 3)]


def test_caption_refuses_before_it_loads_a_model(collection: fastdup_db.Fastdup, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="model_name"):
        collection.caption("no such model")
    with pytest.raises(BadArgument, match="batch_size"):
        collection.caption(batch_size=0)
    opened = fastdup_db.create(collection.work_dir, Path(collection.input_dir))
    with pytest.raises(BadArgument, match=r"names 1 files .*'absent\.png'"):
        opened.caption("blip", subset=["0.png", "absent.png"])
    with pytest.raises(NotRun):
        fastdup_db.create(tmp_path / "never").caption("blip")


def test_importing_the_module_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, fastdup_db.models.captions; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
