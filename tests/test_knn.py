"""Neighbours: the same as by brute force, on any way, any block size, any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from fastdup_db.errors import BadArgument
from fastdup_db.graph import join, knn, lists, rows
from fastdup_db.graph.knn import KnnGraph, neighbors
from fastdup_db.graph.metrics import METRICS
from fastdup_db.graph.rows import Arrays

RNG = np.random.default_rng(4)


def clustered(n: int, *, dim: int = 32, centres: int = 20, seed: int = 0) -> np.ndarray:
    """Unit vectors around `centres` directions; row 1 repeats row 0 up to a small change, row 2 exactly."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((centres, dim))
    points = middle[rng.integers(0, centres, n)] + 0.5 * rng.standard_normal((n, dim))
    points[1] = points[0] + 0.01 * rng.standard_normal(dim)
    points[2] = points[0]
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def arrays(matrix: np.ndarray, *, start: int = 0) -> Arrays:
    return Arrays(np.arange(start, start + len(matrix), dtype=np.int64), np.asarray(matrix, dtype=np.float32))


def brute_force(matrix: np.ndarray, *, k: int) -> np.ndarray:
    """Cosine neighbours in float64 with ties by id, the slow obvious way."""
    wide = matrix.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    scores = (wide @ wide.T).round(7)
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def same(a: KnnGraph, b: KnnGraph) -> bool:
    return a.table().equals(b.table())


@pytest.mark.parametrize("k", [1, 2, 7])
def test_exact_neighbours_equal_brute_force(k: int) -> None:
    matrix = clustered(700)
    graph = neighbors(arrays(matrix), k=k)
    assert (graph.to_ids == brute_force(matrix, k=k)).all()
    assert graph.way == "exact" and len(graph) == 700 * k


def test_copies_are_each_others_first_neighbours_at_exactly_one() -> None:
    matrix = clustered(300)
    matrix[[10, 150, 299]] = matrix[10]
    graph = neighbors(arrays(matrix), k=2)
    assert graph.to_ids[[10, 150, 299]].tolist() == [[150, 299], [10, 299], [10, 150]]
    assert (graph.scores[[10, 150, 299]] == 1.0).all()
    assert graph.to_ids[1].tolist() == [0, 2] and graph.scores[1, 0] == graph.scores[1, 1] > 0.99


def test_thousands_of_copies_tie_by_id() -> None:
    matrix = np.repeat(clustered(3), [2500, 2, 1], axis=0)
    graph = neighbors(arrays(matrix), k=3)
    assert graph.to_ids[0].tolist() == [1, 2, 3] and graph.to_ids[2499].tolist() == [0, 1, 2]
    assert graph.to_ids[2500].tolist()[:1] == [2501]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_vectors_have_fewer_neighbours(n: int) -> None:
    graph = neighbors(arrays(np.eye(3, 8)[:n]), k=5)
    assert len(graph.table()) == n * max(n - 1, 0)
    assert graph.table().schema.names == ["from_id", "to_id", "similarity", "rank"]


def test_edges_are_ordered_and_ranked() -> None:
    edges = neighbors(arrays(clustered(50), start=100), k=3).table().to_pandas()
    assert edges["from_id"].tolist() == sorted(edges["from_id"]) and edges["from_id"].min() == 100
    assert edges["rank"].tolist() == [1, 2, 3] * 50
    assert (edges["from_id"] != edges["to_id"]).all()
    assert (edges.groupby("from_id")["similarity"].diff().fillna(0) <= 0).all()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_ranks_as_scipy_does(name: str) -> None:
    from scipy.spatial.distance import cdist

    matrix = np.abs(clustered(200)) if name == "jensenshannon" else clustered(200)
    graph = neighbors(arrays(matrix), k=4, metric=name, mode="Flat")
    far = cdist(matrix, matrix, {"l1": "cityblock", "linf": "chebyshev"}.get(name, name))
    np.fill_diagonal(far, np.inf)
    nearest = np.sort(far, axis=1)[:, :4]
    expected = 1 - nearest if name == "cosine" else 1 / (1 + nearest)
    found = graph.table()["similarity"].to_numpy().reshape(-1, 4)
    assert np.allclose(found, expected, atol=2e-6)
    assert (found[2, 0], graph.to_ids[2, 0]) == (1.0, 0)


LARGEST = {"euclidean": 1e15, "l1": 1e34, "linf": 1e34}


@pytest.mark.parametrize("size", [7, 1024])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_ranks_at_every_scale(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times a power of two, vectors keep their digits and their neighbours."""
    from scipy.spatial.distance import cdist

    monkeypatch.setattr(join, "BLOCK_ROWS", size)
    matrix = np.random.default_rng(8).standard_normal((40, 16)).astype(np.float32)
    wide = matrix.astype(np.float64)
    if name == "jensenshannon":
        wide = np.concatenate([np.maximum(wide, 0), np.maximum(-wide, 0)], axis=1)
    far = cdist(wide, wide, {"l1": "cityblock", "linf": "chebyshev"}.get(name, name))
    np.fill_diagonal(far, np.inf)
    nearest = np.sort(far, axis=1)[:, :2]
    for scale in (1e-30, 1e-22, 1e-20, 1e-10, 1e10, LARGEST.get(name, 6e37)):
        power = np.float32(2.0 ** np.floor(np.log2(scale)))
        graph = neighbors(arrays(matrix * power), k=2, metric=name)
        assert len(graph) == 80 and (graph.to_ids != np.arange(40)[:, None]).all()
        np.testing.assert_allclose(np.take_along_axis(far, graph.to_ids, axis=1), nearest, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(LARGEST))
@pytest.mark.parametrize("value", [1e37, 3e38])
def test_vectors_too_large_for_their_distance_are_refused(name: str, value: float) -> None:
    matrix = clustered(20)
    matrix[7, 3] = value
    most = "1e\\+16" if name == "euclidean" else "1e\\+36"
    with pytest.raises(BadArgument, match=f"vector 7 of a batch .* allowed .*{name}.* at most {most}"):
        neighbors(arrays(matrix), k=2, metric=name)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_blocks_and_threads_do_not_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = clustered(500, centres=4)
    matrix[100:140] = matrix[100] + 1e-7 * RNG.standard_normal((40, 32)).astype(np.float32)  # near ties
    reference = neighbors(arrays(matrix), k=5, metric=name, threads=1)
    for size, threads in ((37, 4), (128, 1), (499, 3)):
        monkeypatch.setattr(join, "BLOCK_ROWS", size)
        assert same(neighbors(arrays(matrix), k=5, metric=name, threads=threads), reference)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_small_budget_reads_from_disk_and_changes_nothing(
    tmp_path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(rows, "_AT_ONCE", at_once)
    matrix = clustered(3000)
    far_less = neighbors(arrays(matrix), k=2, memory_budget=2048 * 32 * 4, folder=tmp_path)
    assert same(far_less, neighbors(arrays(matrix), k=2))
    assert list(tmp_path.iterdir()) == []


def test_zero_vectors_are_like_each_other_and_like_nothing_else() -> None:
    matrix = clustered(20)
    matrix[[5, 9]] = 0
    graph = neighbors(arrays(matrix), k=2)
    assert graph.to_ids[5, 0] == 9 and graph.scores[5].tolist() == [1.0, 0.0]


def test_calibration_maps_scores_to_similarities() -> None:
    graph = neighbors(arrays(clustered(40)), k=2, calibration=3.0)
    assert np.allclose(graph.table()["similarity"].to_numpy(), (graph.scores.ravel() + 3) / 4)
    assert np.allclose(graph.metric.score_of(graph.metric.similarity(graph.scores)), graph.scores, atol=1e-6)


def test_bad_arguments_say_what_is_allowed() -> None:
    with pytest.raises(BadArgument, match="at least 1"):
        neighbors(arrays(clustered(5)), k=0)
    with pytest.raises(BadArgument, match="braycurtis, canberra, cosine"):
        neighbors(arrays(clustered(5)), k=1, metric="hamming")
    with pytest.raises(BadArgument, match="finite"):
        neighbors(arrays(np.full((3, 4), np.nan)), k=1)


# ---- lists: when there are many vectors ----------------------------------------------------------------------------


@pytest.fixture
def by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small inputs take the way of large ones."""
    monkeypatch.setattr(knn, "EXACT_ROWS", 0)
    monkeypatch.setattr(knn, "EXACT_WORK", 1.0)


def share_found(graph: KnnGraph, matrix: np.ndarray) -> float:
    """Share of true neighbours found, judged by score: one of several equally near ones is as good as another."""
    true = neighbors(arrays(matrix), k=graph.to_ids.shape[1], mode="Flat")
    return float((graph.scores >= true.scores[:, -1:]).mean())


@pytest.mark.usefixtures("by_lists")
@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_lists_reach_the_recall_they_promise(name: str) -> None:
    matrix = clustered(6000, centres=60)
    graph = neighbors(arrays(matrix), k=3, metric=name, recall=0.95)
    exactly = neighbors(arrays(matrix), k=3, metric=name, mode="Flat")
    assert "lists" in graph.way and exactly.way == "exact"
    assert (graph.scores >= exactly.scores[:, -1:]).mean() >= 0.95 and graph.recall >= 0.95
    assert graph.to_ids[[0, 2]].tolist()[0][:1] == [2] and graph.to_ids[1, 0] == 0  # planted
    assert (graph.to_ids != np.arange(6000)[:, None]).all()
    assert all(len(set(row)) == 3 for row in graph.to_ids[:500].tolist())


@pytest.mark.usefixtures("by_lists")
def test_planted_near_duplicates_are_all_found() -> None:
    matrix = clustered(4000, centres=400)
    rng = np.random.default_rng(1)
    copies = matrix[:300] + 0.02 * rng.standard_normal((300, 32)).astype(np.float32)
    both = np.concatenate([matrix, copies / np.linalg.norm(copies, axis=1, keepdims=True)])
    graph = neighbors(arrays(both), k=2)
    pairs = {(a, b) for a, row in enumerate(graph.to_ids.tolist()) for b in row}
    near = neighbors(arrays(both), k=2, mode="Flat").table().to_pandas().query("similarity >= 0.9")
    assert {(a, b) for a, b in zip(near.from_id, near.to_id, strict=True)} <= pairs


@pytest.mark.usefixtures("by_lists")
def test_crowded_and_empty_lists() -> None:
    rng = np.random.default_rng(2)
    blob = np.ones(32) + 0.05 * rng.standard_normal((3000, 32))  # most vectors in one small ball
    matrix = np.concatenate([blob, rng.standard_normal((40, 32)), np.zeros((5, 32)), np.tile(blob[7], (200, 1))])
    graph = neighbors(arrays(matrix), k=2)
    assert share_found(graph, matrix.astype(np.float32)) >= 0.97
    assert graph.to_ids[3040].tolist() == [3041, 3042] and graph.to_ids[7].tolist() == [3045, 3046]


@pytest.mark.usefixtures("by_lists")
def test_lists_do_not_depend_on_threads_or_budget(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastdup_db.graph.rows.READ_ROWS", 512)
    matrix = clustered(5000, centres=50)
    matrix[4000:4040] = matrix[10]
    reference = neighbors(arrays(matrix), k=3, threads=1)
    assert same(neighbors(arrays(matrix), k=3, threads=4), reference)
    assert same(neighbors(arrays(matrix), k=3, memory_budget=100_000, folder=tmp_path), reference)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("by_lists")
def test_structureless_vectors_fall_back_to_the_exact_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "EXACT_WORK", 0.4)
    matrix = np.random.default_rng(3).standard_normal((1500, 64))
    graph = neighbors(arrays(matrix), k=2)
    assert graph.way == "exact" and (graph.to_ids == brute_force(matrix, k=2)).all()


def test_lists_are_numbered_by_nearness() -> None:
    matrix = clustered(4000, centres=40)
    found = lists.train(matrix, lists=60, unit=True).centroids
    steps = np.linalg.norm(np.diff(found, axis=0), axis=1).mean()
    shuffled = found[np.random.default_rng(0).permutation(len(found))]
    assert steps < np.linalg.norm(np.diff(shuffled, axis=0), axis=1).mean()
