"""The bundled models: pinned vectors, and the same vector whatever the batch or the thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastdup_db.errors import BadArgument, ModelUnavailable
from fastdup_db.imaging.resize import to_input
from fastdup_db.models.catalog import BUNDLED
from fastdup_db.models.session import open_embedder

GOLDEN = {
    "default": {
        "slope": [-0.0397, -0.0405, 0.1694, 0.1216],
        "rings": [0.1063, 0.1094, 0.2306, 0.0384],
        "checks": [-0.0187, -0.0068, 0.1233, 0.0565],
    },
    "high_accuracy": {
        "slope": [-0.0254, -0.0453, 0.1339, 0.081],
        "rings": [0.0745, 0.0674, 0.2109, 0.0476],
        "checks": [0.0098, -0.007, 0.0625, 0.0033],
    },
}
"""First four numbers of the embedding of each drawn picture."""


def drawn(name: str) -> np.ndarray:
    """A picture of integer arithmetic alone, so that no library"s version can change a pixel of it."""
    y, x = np.mgrid[0:320, 0:320]
    red, green = x * 255 // 319, y * 255 // 319
    if name == "rings":
        red = ((x - 160) ** 2 + (y - 160) ** 2) // 40 % 256
    elif name == "checks":
        green = (x // 40 + y // 40) % 2 * 255
    return np.stack([red, green, (x + y) * 255 // 638], axis=2).astype(np.uint8)


PICTURES = ("slope", "rings", "checks")


@pytest.fixture(scope="module", params=sorted(BUNDLED))
def embedder(request):
    return open_embedder(request.param)


def batch(embedder) -> np.ndarray:
    return np.stack([to_input(drawn(name), size=embedder.input_size) for name in PICTURES])


def test_vectors_are_pinned(embedder) -> None:
    vectors = embedder.embed(batch(embedder))
    expected = [GOLDEN[embedder.spec.name][name] for name in PICTURES]
    np.testing.assert_allclose(vectors[:, :4], expected, atol=2e-3)


def test_one_unit_vector_a_picture(embedder) -> None:
    vectors = embedder.embed(batch(embedder))
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, {"default": 576, "high_accuracy": 960}[embedder.spec.name])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_neither_batch_nor_thread_changes_a_bit(embedder) -> None:
    pictures = np.concatenate([batch(embedder), batch(embedder)[:, ::-1]])
    together = embedder.embed(pictures)
    alone = np.concatenate([embedder.embed(picture[None]) for picture in pictures])
    with ThreadPoolExecutor(4) as pool:
        threaded = np.concatenate(list(pool.map(embedder.embed, np.split(pictures, 3))))
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, threaded)


def test_both_entries_share_one_small_file() -> None:
    assert {spec.file for spec in BUNDLED.values()} == {BUNDLED["default"].file}
    assert BUNDLED["default"].file.stat().st_size < 8_000_000
    assert "Apache" in (BUNDLED["default"].file.parent / "NOTICE").read_text()


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(BadArgument, match="default"):
        open_embedder("no_such_model")


def test_a_changed_file_is_refused(tmp_path) -> None:
    from dataclasses import replace

    changed = tmp_path / "changed.onnx"
    changed.write_bytes(BUNDLED["default"].file.read_bytes() + b"\0")
    with pytest.raises(ModelUnavailable, match="sha256"):
        open_embedder(replace(BUNDLED["default"], file=changed))


@pytest.mark.parametrize("shape", [(320, 320), (10, 500), (700, 640), (1500, 2100), (160, 160), (37, 11)])
def test_every_shape_becomes_the_input(shape) -> None:
    gray = np.full(shape, 77, np.uint8)
    colour = np.repeat(gray[:, :, None], 3, axis=2)
    expected = np.full((160, 160, 3), 77, np.uint8)
    np.testing.assert_array_equal(to_input(gray, size=(160, 160)), expected)
    np.testing.assert_array_equal(to_input(colour, size=(160, 160)), expected)


def test_input_is_nearly_the_area_average() -> None:
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    area = cv2.resize(smooth, (160, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(to_input(smooth, size=(160, 160)).astype(int) - area).mean() < 1.5
