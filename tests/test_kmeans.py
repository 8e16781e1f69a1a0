"""k-means finds planted clusters, the same ones every time, and no more than there are different vectors."""

from __future__ import annotations

import numpy as np
import pytest

from fastdup_db.graph import kmeans as module
from fastdup_db.graph.kmeans import kmeans


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    of = random.integers(0, 12, 1500)
    matrix = random.normal(size=(12, 24))[of] + random.normal(size=(1500, 24)) / 10
    return matrix.astype(np.float32), of


def test_planted_clusters_are_found(planted):
    matrix, of = planted
    found = kmeans(matrix, clusters=12, steps=20)
    assert len({*zip(of.tolist(), found.of.tolist(), strict=True)}) == 12
    means = np.stack([matrix[found.of == number].mean(axis=0) for number in range(12)])
    assert np.allclose(found.centroids, means, atol=1e-5)
    assert np.allclose(found.distance, ((matrix - means[found.of]) ** 2).sum(axis=1), atol=1e-4)


def test_every_row_is_with_its_nearest_centre_also_when_it_is_broken_off(planted):
    matrix, _ = planted
    found = kmeans(matrix, clusters=40, steps=1)
    away = ((matrix[:, None] - found.centroids) ** 2).sum(axis=2)
    assert np.allclose(away.min(axis=1), found.distance, atol=1e-4)


def test_clusters_do_not_depend_on_threads(planted, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 64)
    made = []
    for threads in (1, 3):
        monkeypatch.setattr("fastdup_db.graph.join.cores", lambda asked=None, threads=threads: threads)
        monkeypatch.setattr(module, "cores", lambda asked=None, threads=threads: threads)
        made.append(kmeans(planted[0], clusters=30, steps=5))
    assert (made[0].of == made[1].of).all() and (made[0].centroids == made[1].centroids).all()


def test_there_are_no_more_clusters_than_different_rows():
    matrix = np.repeat(np.eye(3, 5, dtype=np.float32), 50, axis=0)
    found = kmeans(matrix, clusters=10, steps=3)
    assert found.centroids.shape == (3, 5) and (found.distance == 0).all()
    assert sorted(np.bincount(found.of)) == [50, 50, 50]


def test_it_ends_when_nothing_moves_and_says_each_step(planted):
    steps = []
    kmeans(planted[0], clusters=12, steps=1000, stepped=lambda: steps.append(1))
    assert 1 <= len(steps) < 100
