"""Neighbours and components by tasks of a real Ray cluster: the same as on one machine."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("ray", reason="the extra [ray] is not installed")

from fastdup_db.config import RunConfig
from fastdup_db.engines.ray import bins, components, join, session
from fastdup_db.graph import ivf, knn
from fastdup_db.graph.knn import neighbors
from fastdup_db.graph.lists import Lists
from fastdup_db.places import Place
from fastdup_db.store import duck
from fastdup_db.store.lance import VECTORS, VectorTable
from tests import ray_rig
from tests.test_knn import arrays, clustered, same


def test_bins_hold_whole_lists_and_large_lists_are_cut(monkeypatch):
    monkeypatch.setattr(bins, "LEAST_BIN_ROWS", 10)
    found = bins.make_bins(np.array([4, 4, 4, 35, 0, 3, 9]), row_bytes=bins.BIN_BYTES // 10, slots=1)
    assert found.lists == ((0, 2), (2, 3), (3, 4), (3, 4), (3, 4), (3, 4), (4, 6), (6, 7))
    assert found.first.tolist() == [0, 0, 1, 2, 6, 6, 7] and found.pieces.tolist() == [1, 1, 1, 4, 1, 1, 1]
    assert found.of(np.array([5, 6, 7]), np.array([3, 3, 0])).tolist() == [3, 4, 0]
    pairs = {t for t in found.tasks() if len(t) == 2}
    assert pairs == {(a, b) for a in range(2, 6) for b in range(a + 1, 6)}
    assert [t for t in found.tasks() if len(t) == 1] == [(n,) for n in range(8)]


@pytest.fixture(scope="module")
def engine(cluster):
    with session.connected(RunConfig(engine="ray", ray_address=cluster)) as found:
        yield found


@pytest.fixture
def by_lists(monkeypatch):
    """Small inputs take the way of large ones."""
    monkeypatch.setattr(knn, "EXACT_ROWS", 0)
    monkeypatch.setattr(knn, "EXACT_WORK", 1.0)
    monkeypatch.setattr(join, "PART_ROWS", 2048)


@pytest.mark.usefixtures("by_lists")
@pytest.mark.parametrize("name", ["cosine", pytest.param("euclidean", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "most",
    [pytest.param(1 << 30, id="whole lists"), pytest.param(100, marks=pytest.mark.slow, id="every list in pieces")],
)
def test_the_same_neighbours_as_on_one_machine(engine, tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(bins, "LEAST_BIN_ROWS", most)
    monkeypatch.setattr(bins, "BIN_BYTES", most * 4 * 32)
    matrix = clustered(6000, centres=60)
    matrix[4000:4040] = matrix[10]  # copies, and a gap in what is joined
    table = VectorTable(tmp_path, name=VECTORS[0], column=VECTORS[1])
    table.create([(np.arange(6000) * 3, matrix)], dim=32)
    here = neighbors(table, k=3, metric=name)
    there = neighbors(table, k=3, metric=name, list_join=engine.list_join(Place.of(tmp_path)), folder=tmp_path)
    assert "lists" in there.way and same(here, there)
    assert not (tmp_path / join.SCRATCH).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("by_lists")
def test_most_vectors_in_one_small_ball(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(bins, "LEAST_BIN_ROWS", 200)
    rng = np.random.default_rng(2)
    blob = np.ones(32) + 0.05 * rng.standard_normal((3000, 32))
    matrix = np.concatenate([blob, rng.standard_normal((40, 32)), np.zeros((5, 32)), np.tile(blob[7], (200, 1))])
    here = neighbors(arrays(matrix), k=2)
    there = neighbors(arrays(matrix), k=2, list_join=engine.list_join(Place.of(tmp_path)), folder=tmp_path)
    assert same(here, there)


@pytest.mark.usefixtures("by_lists")
def test_a_list_that_most_vectors_lie_in_is_joined_in_pieces(engine, tmp_path, monkeypatch):
    matrix = clustered(6000, centres=60)
    lists = Lists(np.concatenate([np.zeros((1, 32), np.float32), matrix[3:13]]))  # the first: whoever is near no other
    plan = ivf.Plan((lists,), probes=2, recall=1.0, cost=1.0)
    monkeypatch.setattr(ivf, "plan_join", lambda *_, **__: plan)
    monkeypatch.setattr(bins, "BIN_BYTES", 800 * 4 * 32)
    made: list[tuple[np.ndarray, bins.Bins]] = []
    real = bins.make_bins
    monkeypatch.setattr(
        join, "make_bins", lambda looking, **sizes: made.append((looking, real(looking, **sizes))) or made[-1][1]
    )
    here = neighbors(arrays(matrix), k=3)
    there = neighbors(arrays(matrix), k=3, list_join=engine.list_join(Place.of(tmp_path)), folder=tmp_path)
    looking, found = made[0]
    assert looking[0] > 5600 and found.pieces[0] == 8 and max(looking / found.pieces) <= 800, "no task has more rows"
    assert same(here, there)


@pytest.mark.slow
@pytest.mark.usefixtures("by_lists")
def test_a_worker_killed_in_the_join_changes_nothing(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(bins, "LEAST_BIN_ROWS", 500)
    monkeypatch.setattr(bins, "BIN_BYTES", 500 * 4 * 32)
    matrix = clustered(20_000, centres=200)
    here = neighbors(arrays(matrix), k=2)
    killed: list[int] = []
    done = threading.Event()

    def killer() -> None:
        while not done.wait(0.02) and not killed:
            killed.extend(ray_rig.descendants("ray::join_bins")[:1])
        if killed:
            ray_rig.kill(killed[0])

    thread = threading.Thread(target=killer)
    thread.start()
    there = neighbors(arrays(matrix), k=2, list_join=engine.list_join(Place.of(tmp_path)), folder=tmp_path)
    done.set()
    thread.join()
    assert killed, "the join ended before a worker could be killed"
    assert same(here, there)


def planted_graph(seed: int) -> tuple[pa.Table, dict[int, int]]:
    """Edges with similarities, and the component of every node that an edge of at least 0.9 touches."""
    rng = np.random.default_rng(seed)
    chain = np.arange(1000, 1008)  # a path through shuffled ids: the most rounds
    rng.shuffle(chain)
    star = np.stack([np.full(50, 7), np.arange(100, 150)], axis=1)
    cliques = [np.array([(a, b) for a in group for b in group if a < b]) for group in np.split(np.arange(200, 260), 10)]
    near = np.concatenate([np.stack([chain[:-1], chain[1:]], axis=1), star, *cliques])
    far = rng.integers(0, 1300, (60, 2))
    far = far[far[:, 0] != far[:, 1]]
    pairs = np.concatenate([near, far])
    pairs = np.where(rng.random((len(pairs), 1)) < 0.5, pairs, pairs[:, ::-1])
    similarity = np.r_[np.full(len(near), 0.9), np.full(len(far), 0.89)]
    order = rng.permutation(len(pairs))
    of = {int(n): 1000 for n in chain} | {7: 7} | dict.fromkeys(range(100, 150), 7)
    of |= {n: 200 + (n - 200) // 6 * 6 for n in range(200, 260)}
    edges = {"from_id": pairs[order, 0], "to_id": pairs[order, 1], "similarity": similarity[order]}
    return pa.table(edges), of


@pytest.mark.slow
def test_components_are_those_of_sql(engine, tmp_path):
    edges, planted = planted_graph(3)
    parts = [edges.slice(0, 200), edges.slice(200)]
    found = pa.concat_tables(
        components.components(parts, scratch=Place.of(tmp_path / components.SCRATCH), min_similarity=0.9)
    ).sort_by("id")
    assert dict(zip(found["id"].to_pylist(), found["component_id"].to_pylist(), strict=True)) == planted
    with duck.scratch() as db:
        db.script("views/macros")
        db.execute(
            "neighbors/insert_edges", incoming=edges.append_column("rank", pa.array([1] * len(edges), pa.int32()))
        )
        db.execute("components/rebuild", threshold=0.9)
        assert db.arrow("components/all").equals(found.cast(db.arrow("components/all").schema))
    assert (
        list(components.components([edges], scratch=Place.of(tmp_path / components.SCRATCH), min_similarity=1.0)) == []
    )
    assert not any(tmp_path.iterdir())


def test_a_long_chain_becomes_a_star_in_few_rounds():
    nodes = np.random.default_rng(0).permutation(4096)
    pairs = {"u": nodes[:-1], "v": nodes[1:]}
    for _ in range(12):
        pairs = components.small_star(components.downwards(components.large_star(components.both_ways(pairs))))
    assert (pairs["v"] == 0).all() and sorted(pairs["u"]) == list(range(1, 4096))
    assert components.mark(pairs) == components.mark({n: c[::-1] for n, c in pairs.items()})
