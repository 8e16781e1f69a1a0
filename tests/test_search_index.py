"""Search: what is nearest comes first, with an index or without, filtered or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastdup_db.errors import BadArgument
from fastdup_db.graph import index, searcher
from fastdup_db.graph.index import BUILD_PARAMETERS, build, index_kind, is_needed
from fastdup_db.graph.searcher import Searcher
from fastdup_db.store.lance import VectorTable

DIM = 32
N = 3000


def clustered(n: int = N) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((40, DIM))[rng.integers(0, 40, n)] + 0.4 * rng.standard_normal((n, DIM))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def table(tmp_path: Path) -> VectorTable:
    table = VectorTable(tmp_path, name="vectors", column="vector")
    table.create([(np.arange(N), clustered())], dim=DIM)
    return table


@pytest.fixture
def filtered_by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher, "SELECTIVE_ROWS", 10)


@pytest.fixture(autouse=True)
def measured_by_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recall is measured on 40 vectors: the 800 searches of 200 take longer than all else here."""
    monkeypatch.setattr(index, "RECALL_ROWS", 40)


def brute_force(queries: np.ndarray, *, k: int, among: np.ndarray | None = None) -> np.ndarray:
    stored = clustered()
    allowed = np.arange(N) if among is None else among
    scores = queries.astype("f8") @ stored[allowed].T.astype("f8")
    return allowed[np.argsort(-scores.round(7), axis=1, kind="stable")[:, :k]]


@pytest.mark.parametrize("mode", ["HNSW16", *sorted(BUILD_PARAMETERS)])
def test_every_mode_finds_a_vector_and_its_neighbours(table: VectorTable, mode: str) -> None:
    report = build(table, kind=index_kind(mode), metric="cosine")
    search = Searcher(table)
    queries = clustered()[[5, 700, 2999]]
    ids, similarities = search(queries, k=10)
    assert ids[:, 0].tolist() == [5, 700, 2999] and (similarities[:, 0] == 1.0).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert report.recall >= 0.95
    assert (report.kind == "Flat") == (mode == "Flat") and (report.bytes > 0) == (mode != "Flat")


def test_search_without_index_is_exact_and_takes_one_vector_or_many(table: VectorTable) -> None:
    search = Searcher(table, calibration=3.0)
    queries = clustered()[:7] + 0.1
    ids, similarities = search(queries, k=5)
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    assert (ids == brute_force(unit, k=5)).all()
    assert (search(queries[2], k=5)[0] == ids[2:3]).all()
    assert similarities.dtype == np.float32 and similarities.min() > 0.75


@pytest.mark.parametrize("mode", ["Flat", "IVF_FLAT", "HNSW16"])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.6])
@pytest.mark.usefixtures("filtered_by_index")
def test_a_filter_leaves_k_results_when_k_exist(table: VectorTable, mode: str, share: float) -> None:
    build(table, kind=index_kind(mode), metric="cosine")
    among = np.sort(np.random.default_rng(1).choice(N, int(N * share), replace=False))
    ids, _ = Searcher(table)(clustered()[[1, 2]], k=6, among=np.append(among, N + 5))
    assert np.isin(ids, among).all() and ids.shape == (2, 6)
    if mode == "Flat":
        assert (ids == brute_force(clustered()[[1, 2]], k=6, among=among)).all()


def test_fewer_than_k_are_marked_as_missing(table: VectorTable) -> None:
    ids, similarities = Searcher(table)(clustered()[0], k=4, among=np.array([7, 8]))
    assert sorted(ids[0, :2].tolist()) == [7, 8] and ids[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(similarities[0, 2:]).all()


def test_an_index_is_kept_up_to_date(table: VectorTable) -> None:
    build(table, kind=index_kind("IVF_SQ"), metric="cosine")
    newcomer = np.ones((1, DIM), np.float32)
    table.append(np.array([N]), newcomer)
    assert Searcher(table)(newcomer, k=1)[0].tolist() == [[N]]
    table.delete(np.array([5]))
    table.compact()
    assert 5 not in Searcher(table)(clustered()[5], k=3)[0]
    assert Searcher(table)(newcomer, k=1)[0].tolist() == [[N]]


def test_euclidean_search(table: VectorTable) -> None:
    build(table, kind=index_kind("IVF_FLAT"), metric="euclidean")
    ids, similarities = Searcher(table, metric="euclidean")(clustered()[[9]], k=2)
    assert ids[0, 0] == 9 and similarities[0, 0] == 1.0 > similarities[0, 1]


def test_parameters_reach_the_index(table: VectorTable) -> None:
    kind = index_kind("HNSW32", param="ef_construction=80, nprobes=3")
    assert (kind.lance, kind.options, kind.search) == ("IVF_HNSW_SQ", {"m": 32, "ef_construction": 80}, {"nprobes": 3})
    assert index_kind("HNSW16", param="efSearch=64,efConstruction=80").search == {"ef": 64}, "as faiss calls it"
    assert index_kind("IVF_PQ", param={"num_sub_vectors": 8}).options == {"num_sub_vectors": 8}
    assert is_needed(50_000, kind=kind, metric="cosine") and not is_needed(50_000, kind=kind, metric="l1")
    assert not is_needed(49_999, kind=kind, metric="cosine")
    assert not is_needed(10**6, kind=index_kind("Flat"), metric="cosine")


@pytest.mark.parametrize(
    ("mode", "param", "message"),
    [
        ("HNSW", None, "nnf_mode='HNSW' is unknown; allowed: Flat, HNSW<m>"),
        ("IVF_PQ", "num_bits", "cannot be read"),
        ("IVF_PQ", "num_bits=many", "cannot be read"),
    ],
)
def test_unknown_modes_and_parameters_are_refused(mode: str, param: str | None, message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        index_kind(mode, param=param)


def test_bad_queries_are_refused(table: VectorTable) -> None:
    with pytest.raises(BadArgument, match="3 columns"):
        Searcher(table)(np.zeros((1, 3), np.float32), k=1)
    with pytest.raises(BadArgument, match="at least 1"):
        Searcher(table)(np.zeros((1, DIM), np.float32), k=0)
