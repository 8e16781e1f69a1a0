"""Adapting: near-duplicates planted in collections of every size stand out, and nothing becomes NaN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastdup_db.graph.adapt import REFITTED, Generic, Moments, Transform, fit, refit_needed
from fastdup_db.graph.metrics import metric
from fastdup_db.models.catalog import BUNDLED
from tests.benchmarks import edits

DIM = 576


@pytest.fixture(scope="module")
def generic() -> Generic:
    return Generic.load(BUNDLED["default"].statistics)


def gathered(vectors: np.ndarray) -> Moments:
    moments = Moments(dim=vectors.shape[1])
    moments.add(vectors)
    return moments


def similarities(vectors: np.ndarray, generic: Generic | None) -> np.ndarray:
    transform = fit(gathered(vectors), generic)
    adapted = transform.apply(vectors)
    assert adapted.dtype == np.float32
    assert np.isfinite(adapted).all()
    i, j = np.indices((len(vectors), len(vectors)))
    cosine = metric("cosine", calibration=transform.c2)
    return cosine.similarity(cosine.score(adapted, adapted, i.ravel(), j.ravel())).reshape(i.shape)


def photographs(generic: Generic, *, count: int, seed: int = 0) -> np.ndarray:
    """Unrelated embeddings with the statistics of diverse photographs."""
    random = np.random.default_rng(seed)
    vectors = generic.mean + random.standard_normal((count, len(generic.mean))) * np.sqrt(generic.variance)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
def test_identical_images_are_exactly_one(generic, count) -> None:
    vectors = photographs(generic, count=count)
    vectors = np.concatenate([vectors, vectors[:1]])
    assert similarities(vectors, generic)[0, -1] == 1


@pytest.mark.parametrize("count", [1, 2, 50])
@pytest.mark.parametrize("statistics", ["stored", "none"])
def test_a_collection_of_one_picture(generic, count, statistics) -> None:
    vectors = np.repeat(photographs(generic, count=1), count, axis=0)
    assert (similarities(vectors, generic if statistics == "stored" else None) == 1).all()


def test_zero_vectors_and_no_vectors(generic) -> None:
    assert np.isfinite(similarities(np.zeros((3, DIM), np.float32), generic)).all()
    assert fit(Moments(dim=DIM), generic).apply(np.empty((0, DIM), np.float32)).shape == (0, DIM)


def test_a_still_camera_keeps_its_frames_together(generic) -> None:
    """What frames share is what makes them alike; what garments share is not."""
    frame = photographs(generic, count=1)
    noise = np.random.default_rng(1).standard_normal((200, DIM)) * np.sqrt(generic.variance) * 0.1
    found = similarities((frame + noise).astype(np.float32), generic)
    assert found.min() > 0.9


def test_batches_change_no_bit(generic) -> None:
    vectors = photographs(generic, count=2500)
    pieces = Moments(dim=DIM)
    for piece in np.split(vectors, [1, 7, 1024, 1500, 2400]):
        pieces.add(piece)
    whole, parts = fit(gathered(vectors), generic), fit(pieces, generic)
    np.testing.assert_array_equal(whole.matrix, parts.matrix)
    np.testing.assert_array_equal(whole.mean, parts.mean)


def test_distances_are_from_the_mean_at_unit_length(generic) -> None:
    vectors = photographs(generic, count=1500)
    transform = fit(gathered(vectors), generic)
    found = transform.distances(vectors * 3)
    np.testing.assert_allclose(found, np.linalg.norm(vectors - transform.mean, axis=1), rtol=1e-6)
    pieces = [transform.distances(piece) for piece in np.split(vectors * 3, [1, 8, 1025])]
    np.testing.assert_array_equal(np.concatenate(pieces), found)
    zeros = transform.distances(np.zeros((1, DIM), np.float32))
    np.testing.assert_allclose(zeros, np.linalg.norm(transform.mean), rtol=1e-6)


def test_bytes_and_back(generic) -> None:
    vectors = photographs(generic, count=30)
    transform = fit(gathered(vectors), generic)
    stored = transform.to_bytes()
    back = Transform.from_bytes(stored)
    np.testing.assert_array_equal(back.apply(vectors), transform.apply(vectors))
    assert (back.n, back.shrinkage, back.c2) == (transform.n, transform.shrinkage, transform.c2)
    assert back.to_bytes() == stored
    assert len(stored) < 0.6 * transform.matrix.nbytes
    symmetric = replace(transform, matrix=transform.matrix @ transform.matrix.T)  # as earlier versions stored it
    np.testing.assert_array_equal(Transform.from_bytes(symmetric.to_bytes()).matrix, symmetric.matrix)


def test_moments_are_numpys(generic) -> None:
    vectors = photographs(generic, count=1500)
    mean, covariance = gathered(vectors).mean_and_covariance()
    np.testing.assert_allclose(mean, vectors.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(vectors.T, bias=True), atol=1e-6)


def test_the_matrix_whitens(generic) -> None:
    """Of a large collection with the stored statistics every direction gets the same variance, up to the ridge."""
    vectors = photographs(generic, count=20_000)
    transform = fit(gathered(vectors), generic)
    covariance = np.cov(((vectors - transform.mean) @ transform.matrix).T)
    assert np.linalg.eigvalsh(covariance)[-1] < 1.3
    assert transform.shrinkage == 0.5


@pytest.mark.parametrize(
    ("then", "now", "needed"),
    [(100, 100, False), (100, 200, False), (100, 201, True), (100, 50, False), (100, 49, True), (1, 1, False)],
)
def test_refitted_after_doubling_or_halving(then, now, needed) -> None:
    """Of thousands of thousands of images; see below for few."""
    transform = Transform(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), n=then * 10**6, shrinkage=0.5)
    assert refit_needed(transform, n_now=now * 10**6) is needed


def test_few_are_refitted_always() -> None:
    transform = Transform(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), n=REFITTED, shrinkage=0.5)
    assert refit_needed(transform, n_now=REFITTED) and not refit_needed(transform, n_now=REFITTED + 1)


@pytest.mark.parametrize("folder", ["imagenet-sample", "clothing"])
@pytest.mark.parametrize("count", [2, 10, 100])
def test_a_planted_near_duplicate_stands_out(real_images: Path, generic, folder, count) -> None:
    """In 2, 10 and 100 photographs a half-size and a mirrored copy of one are at the line, all others below."""
    found = similarities(_embedded(real_images / folder)[[0, 1, *range(2, count + 2)]], generic)
    copy, mirrored, rest = found[2, 0], found[2, 1], found[3:, :3]
    assert copy >= 0.9
    assert mirrored >= 0.9
    # two garments alone are at 0.889: that garments look alike is learnt from many
    assert rest.max() < min(0.9, copy - 0.05, mirrored - 0.05)


_CACHE: dict[Path, np.ndarray] = {}


def _embedded(folder: Path) -> np.ndarray:
    """Two copies of the first photograph (half the size; mirrored), then 100 photographs."""
    from fastdup_db.imaging.resize import to_input
    from fastdup_db.models.session import open_embedder

    if folder not in _CACHE:
        embedder = open_embedder()
        paths = (path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
        images = [edits.read(path) for path in edits.spread(paths, count=100)]
        images = [edits.half_size(images[0]), np.ascontiguousarray(edits.flip_horizontal(images[0])), *images]
        inputs = np.stack([to_input(image, size=embedder.input_size) for image in images])
        _CACHE[folder] = np.concatenate([embedder.embed(part) for part in np.split(inputs, range(16, 102, 16))])
    return _CACHE[folder]
