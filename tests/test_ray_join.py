"""Neighbours and components by tasks of a real Ray cluster: the same as on one machine."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ray", reason="the extra [ray] is not installed")

from fastdup_db.config import RunConfig
from fastdup_db.engines.ray import join, session
from fastdup_db.graph import knn
from fastdup_db.graph.knn import neighbors
from fastdup_db.store.lance import VECTORS, VectorTable
from tests import ray_rig
from tests.test_knn import arrays, clustered, same


def test_bins_hold_whole_lists_and_large_lists_are_cut(monkeypatch):
    monkeypatch.setattr(join, "LEAST_BIN_ROWS", 10)
    bins = join.make_bins(np.array([4, 4, 4, 35, 0, 3, 9]), row_bytes=join.BIN_BYTES // 10, slots=1)
    assert bins.lists == ((0, 2), (2, 3), (3, 4), (3, 4), (3, 4), (3, 4), (4, 6), (6, 7))
    assert bins.first.tolist() == [0, 0, 1, 2, 6, 6, 7] and bins.pieces.tolist() == [1, 1, 1, 4, 1, 1, 1]
    assert bins.of(np.array([5, 6, 7]), np.array([3, 3, 0])).tolist() == [3, 4, 0]
    pairs = {t for t in bins.tasks() if len(t) == 2}
    assert pairs == {(a, b) for a in range(2, 6) for b in range(a + 1, 6)}
    assert [t for t in bins.tasks() if len(t) == 1] == [(n,) for n in range(8)]


@pytest.fixture(scope="module")
def engine():
    with ray_rig.two_nodes() as address, session.connected(RunConfig(engine="ray", ray_address=address)) as found:
        yield found


@pytest.fixture
def by_lists(monkeypatch):
    """Small inputs take the way of large ones."""
    monkeypatch.setattr(knn, "EXACT_ROWS", 0)
    monkeypatch.setattr(knn, "EXACT_WORK", 1.0)
    monkeypatch.setattr(join, "PART_ROWS", 2048)


@pytest.mark.slow
@pytest.mark.usefixtures("by_lists")
@pytest.mark.parametrize("name", ["cosine", "euclidean"])
@pytest.mark.parametrize("most", [1 << 30, 100], ids=["whole lists", "every list in pieces"])
def test_the_same_neighbours_as_on_one_machine(engine, tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(join, "LEAST_BIN_ROWS", most)
    monkeypatch.setattr(join, "BIN_BYTES", most * 4 * 32)
    matrix = clustered(6000, centres=60)
    matrix[4000:4040] = matrix[10]  # copies, and a gap in what is joined
    table = VectorTable(tmp_path, name=VECTORS[0], column=VECTORS[1])
    table.create([(np.arange(6000) * 3, matrix)], dim=32)
    here = neighbors(table, k=3, metric=name)
    there = neighbors(table, k=3, metric=name, list_join=engine.list_join(tmp_path), folder=tmp_path)
    assert "lists" in there.way and same(here, there)
    assert not (tmp_path / join.SCRATCH).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("by_lists")
def test_most_vectors_in_one_small_ball(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(join, "LEAST_BIN_ROWS", 200)
    rng = np.random.default_rng(2)
    blob = np.ones(32) + 0.05 * rng.standard_normal((3000, 32))
    matrix = np.concatenate([blob, rng.standard_normal((40, 32)), np.zeros((5, 32)), np.tile(blob[7], (200, 1))])
    here = neighbors(arrays(matrix), k=2)
    there = neighbors(arrays(matrix), k=2, list_join=engine.list_join(tmp_path), folder=tmp_path)
    assert same(here, there)
