"""The zoo's wiring and users' own model files, by models whose answer is known. The real weights are not tried here."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from planted_models import channel_means

from fastdup_db.errors import BadArgument, ModelUnavailable
from fastdup_db.models.catalog import ModelSpec
from fastdup_db.models.inspection import model_input
from fastdup_db.models.session import Embedder, open_embedder
from fastdup_db.models.zoo import ALIASES, ZOO, zoo_model

# Input and output of the real files, from their providers' descriptions.
REAL_SHAPES = {
    "dinov2s": (("batch_size", "num_channels", "height", "width"), (224, 224), 384, "tokens"),
    "dinov2b": (("batch_size", "num_channels", "height", "width"), (224, 224), 768, "tokens"),
    "clip": (("batch_size", "num_channels", "height", "width"), (224, 224), 512, "vector"),
    "clip14": (("batch_size", "num_channels", "height", "width"), (224, 224), 768, "vector"),
    "clip336": (("batch_size", "num_channels", "height", "width"), (336, 336), 768, "vector"),
    "resnet50": (("N", 3, 224, 224), (224, 224), 1000, "vector"),
    "efficientnet": ((1, 224, 224, 3), (224, 224), 1000, "vector"),
}
IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
CLIP = (np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711]))
NORMALISATION = {
    **dict.fromkeys(("dinov2s", "dinov2b", "resnet50"), IMAGENET),
    **dict.fromkeys(("clip", "clip14", "clip336"), CLIP),
    "efficientnet": (np.array([127 / 255] * 3), np.array([128 / 255] * 3)),
}
COLOURS = np.array([[255, 0, 0], [10, 200, 60], [0, 0, 255]], np.uint8)


def flat(size: tuple[int, int], colours: np.ndarray = COLOURS) -> np.ndarray:
    """One picture of a single colour for each of `colours`."""
    return np.broadcast_to(colours[:, None, None, :], (len(colours), *size, 3)).copy()


def expected(dim: int, mean: np.ndarray, std: np.ndarray, colours: np.ndarray = COLOURS) -> np.ndarray:
    return ((colours / 255 - mean) / std)[:, np.arange(dim) % 3]


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDUP_DB_OFFLINE", "1")
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))


def put_in_cache(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The entry with a planted file of the real one's shapes in the cache, its checksum taken off."""
    assert spec.remote is not None
    shape, _, dim, form = REAL_SHAPES[spec.name]
    (folder / "cache").mkdir()
    channel_means(
        folder / "cache" / spec.remote.filename, dim=dim, shape=shape, form=form, output=spec.output or "output"
    )
    return replace(spec, remote=replace(spec.remote, sha256=None, size=-1))


@pytest.mark.parametrize("name", REAL_SHAPES)
def test_the_preprocessing_of_every_zoo_entry(tmp_path: Path, name: str) -> None:
    embedder = open_embedder(put_in_cache(zoo_model(name), tmp_path), dim=REAL_SHAPES[name][2])
    assert embedder.input_size == REAL_SHAPES[name][1]
    vectors = embedder.embed(flat(embedder.input_size))
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(expected(embedder.dim, *NORMALISATION[name]), abs=1e-3)


def test_every_zoo_entry_is_named_licensed_and_says_what_was_not_tried() -> None:
    assert set(ZOO) == set(REAL_SHAPES)
    assert ALIASES == {"resent50": "resnet50"}
    assert zoo_model("resent50") is ZOO["resnet50"]
    for spec in ZOO.values():
        assert spec.remote is not None
        assert spec.licence
        assert spec.remote.url.startswith("https://")
        assert "real weights" in spec.note
        assert ("not pinned" in spec.note) == (spec.remote.sha256 is None)
    assert len({spec.remote.filename for spec in ZOO.values() if spec.remote}) == len(ZOO)


@pytest.mark.parametrize("name", [*REAL_SHAPES, "resent50"])
def test_a_zoo_model_offline_says_which_file_to_put_where(tmp_path: Path, name: str) -> None:
    remote = zoo_model(name).remote
    assert remote is not None
    with pytest.raises(ModelUnavailable) as e:
        open_embedder(name)
    assert remote.url in str(e.value)
    assert str(tmp_path / "cache" / remote.filename) in str(e.value)


def test_a_pinned_file_of_other_bytes_is_refused(tmp_path: Path) -> None:
    put_in_cache(zoo_model("clip"), tmp_path)
    with pytest.raises(ModelUnavailable, match="instead of"):
        open_embedder("clip")


def test_the_dimension_is_the_graph_s_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = str(channel_means(tmp_path / "m.onnx", dim=77))
    assert open_embedder(path).dim == 77
    assert open_embedder(path, dim=77).spec.dim == 77
    with pytest.raises(BadArgument, match=r"d=576: .* gives vectors of 77; use d=77"):
        open_embedder(path, dim=576)
    with pytest.raises(BadArgument, match="use d=576"):
        open_embedder("default", dim=128)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("n", 3, 96, 64), "F32"),
        (("n", 96, 64, 3), "F32"),
        ((4, 3, 96, 64), "F32"),
        (("n", 3, 96, 64), "F16"),
        ((2, 96, 64, 3), "U8"),
        (("n", 3, 96, 64), "U8"),
    ],
)
def test_layout_size_type_and_batch_are_read_from_the_graph(
    tmp_path: Path, shape: tuple[int | str, ...], kind: str
) -> None:
    embedder = open_embedder(str(channel_means(tmp_path / "m.onnx", dim=6, shape=shape, kind=kind)))
    assert embedder.input_size == (96, 64)
    pictures = flat((96, 64))
    answer = COLOURS[:, np.arange(6) % 3] if kind == "U8" else expected(6, *IMAGENET)
    for count in (1, 2, 3):
        found = embedder.embed(pictures[:count])
        assert found == pytest.approx(answer[:count], abs=0.02 if kind == "F16" else 1e-3)
    assert embedder.embed(pictures[:0]).shape == (0, 6)


def test_free_sides_are_224_unless_metadata_or_the_user_say_otherwise(tmp_path: Path) -> None:
    free = ("n", 3, "h", "w")
    path = str(channel_means(tmp_path / "a.onnx", dim=3, shape=free))
    assert open_embedder(path).input_size == (224, 224)
    assert open_embedder(path, input_size=96).input_size == (96, 96)
    assert open_embedder(path, input_size=(64, 32)).input_size == (64, 32)
    path = str(channel_means(tmp_path / "b.onnx", dim=3, shape=free, metadata={"imgsz": "[128, 160]"}))
    assert open_embedder(path).input_size == (128, 160)
    path = str(channel_means(tmp_path / "c.onnx", dim=3, shape=("n", 3, 96, 64)))
    with pytest.raises(BadArgument, match=r"takes only \(height, width\) = \(96, 64\)"):
        open_embedder(path, input_size=224)


def test_normalisation_is_imagenet_s_unless_metadata_or_the_user_say_otherwise(tmp_path: Path) -> None:
    size, half = ("n", 3, 32, 32), (np.full(3, 0.5), np.full(3, 0.5))
    plain = str(channel_means(tmp_path / "a.onnx", dim=3, shape=size))
    said = {"mean": "[0.5, 0.5, 0.5]", "std": "0.5", "names": "{0: 'cat'}"}
    told = str(channel_means(tmp_path / "b.onnx", dim=3, shape=size, metadata=said))
    pictures = flat((32, 32))
    assert open_embedder(plain).embed(pictures) == pytest.approx(expected(3, *IMAGENET), abs=1e-3)
    assert open_embedder(told).embed(pictures) == pytest.approx(expected(3, *half), abs=1e-3)
    assert open_embedder(plain, mean=0.5, std=[0.5] * 3).embed(pictures) == pytest.approx(expected(3, *half), abs=1e-3)
    unscaled = open_embedder(told, mean=0, std=1 / 255).embed(pictures)
    assert unscaled == pytest.approx(COLOURS.astype(np.float32), abs=1e-3)
    blue_first = open_embedder(plain, mean=0, std=1, channels="BGR").embed(pictures)
    assert blue_first == pytest.approx(COLOURS[:, ::-1] / 255, abs=1e-3)


@pytest.mark.parametrize("form", ["vector", "map", "extra"])
def test_extra_axes_are_pooled_away(tmp_path: Path, form: str) -> None:
    embedder = open_embedder(str(channel_means(tmp_path / "m.onnx", dim=10, shape=("n", 3, 32, 32), form=form)))
    assert embedder.embed(flat((32, 32))) == pytest.approx(expected(10, *IMAGENET), abs=1e-3)


def test_tokens_need_a_pooling_unless_the_name_says_it(tmp_path: Path) -> None:
    tokens = str(channel_means(tmp_path / "a.onnx", dim=9, shape=("n", 3, 32, 32), form="tokens"))
    with pytest.raises(ModelUnavailable, match="5 vectors of 9 numbers per picture"):
        open_embedder(tokens)
    first, average = (open_embedder(tokens, pooling=p).embed(flat((32, 32))) for p in ("cls", "mean"))
    assert first == pytest.approx(expected(9, *IMAGENET), abs=1e-3)
    assert average == pytest.approx(first / 5, abs=1e-3)
    named = channel_means(tmp_path / "b.onnx", dim=9, shape=("n", 3, 32, 32), form="tokens", output="last_hidden_state")
    assert open_embedder(str(named)).embed(flat((32, 32))) == pytest.approx(first)


def test_an_ort_file_is_a_model_too(tmp_path: Path) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(channel_means(tmp_path / "m.onnx", dim=12)), options, providers=["CPUExecutionProvider"])
    embedder = open_embedder(str(tmp_path / "m.ort"), dim=12)
    assert embedder.embed(flat((224, 224))) == pytest.approx(expected(12, *IMAGENET), abs=1e-3)


def graph_of(path: Path, *inputs: tuple[str, list[int | str]]) -> str:
    """A model that only hands its first input on."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, inputs[0][1])
    graph = helper.make_graph([helper.make_node("Identity", [inputs[0][0]], ["out"])], "g", values, [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


def test_graphs_that_take_something_else_are_refused(tmp_path: Path) -> None:
    clip = graph_of(tmp_path / "clip.onnx", ("pixel_values", ["n", 3, 224, 224]), ("input_ids", ["n", 77]))
    with pytest.raises(ModelUnavailable, match=r"needs 2 inputs .*vision_model\.onnx"):
        open_embedder(clip)
    with pytest.raises(ModelUnavailable, match="needed are images"):
        open_embedder(graph_of(tmp_path / "text.onnx", ("input_ids", ["n", 77])))
    with pytest.raises(ModelUnavailable, match="1 channels; images have 3"):
        open_embedder(graph_of(tmp_path / "gray.onnx", ("image", ["n", 1, 28, 28])))


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no such model file"):
        open_embedder(str(tmp_path / "none.onnx"))
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="cannot load it"):
        open_embedder(str(tmp_path / "broken.onnx"))
    with pytest.raises(BadArgument, match=r"clip, clip14, .*dinov2s, .*resent50, resnet50"):
        open_embedder("dino")


@pytest.mark.parametrize(
    "given",
    [
        {"size": 224},
        {"layout": "HWC"},
        {"pooling": "max"},
        {"mean": "0.5"},
        {"std": [0.5, 0.5]},
        {"std": 0},
        {"input_size": 0},
        {"input_size": 22.5},
    ],
)
def test_a_wrong_model_input_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(BadArgument, match="model_input"):
        model_input(given)


def test_model_input_is_not_for_known_models_and_an_unknown_output_is_listed(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="model_input is for model files"):
        open_embedder("clip", mean=0.5)
    with pytest.raises(BadArgument, match="allowed: features"):
        open_embedder(str(channel_means(tmp_path / "m.onnx", dim=3)), output="logits")


def test_many_threads_get_the_same_vectors(tmp_path: Path) -> None:
    embedder = open_embedder(str(channel_means(tmp_path / "m.onnx", dim=30, shape=(4, 3, 64, 64))))
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(embedder.embed, [pictures] * 12))
    assert all(np.array_equal(f, found[0]) for f in found)


def test_the_providers_in_use_are_told(tmp_path: Path) -> None:
    import onnxruntime as ort

    embedder = open_embedder(str(channel_means(tmp_path / "m.onnx", dim=3)))
    assert isinstance(embedder, Embedder)
    assert embedder.providers[-1] == "CPUExecutionProvider"
    assert set(embedder.providers) <= set(ort.get_available_providers())


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = """
import sys, fastdup_db.models.zoo
print([m for m in ("onnxruntime", "requests", "cv2", "platformdirs", "tqdm") if m in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
