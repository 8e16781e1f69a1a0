"""The index that `search` uses: chosen by `nnf_mode`, built when there are enough vectors to need one.

kind = index_kind("HNSW32", param="ef_construction=200")
report = build(table, kind=kind, metric="cosine")
search = Searcher(table, metric="cosine")
ids, similarities = search(queries, k=10)
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fastdup_db.errors import BadArgument, one_of
from fastdup_db.graph.cross import cross_neighbors
from fastdup_db.graph.metrics import Matrix
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.graph.nearest import NOBODY, Ids, Nearest, Scores
from fastdup_db.graph.rows import Arrays
from fastdup_db.store import lance_index
from fastdup_db.store.lance import VectorTable

INDEX_ROWS = 50_000
"""From here an index is built. Below it a search compares with everything, exactly: 50,000 x 576 floats are 115 MB,
about 10 ms a query, which is the answering time that is wanted (an HNSW index of them takes 44 s to build)."""
SELECTIVE_ROWS = 50_000
"""A filter that leaves no more vectors than this is answered exactly, from those vectors alone."""
RECALL_ROWS = 100
WANTED_RECALL = 0.97
"""A search looks into so many lists that it finds this share of the 10 nearest (of 100 stored vectors; asked: 0.95)."""
FEWEST_PROBES = 8
DEFAULT_MODE = "HNSW32"
"""The `nnf_mode` of a run that names none, see `run_index_kind`."""
REFINE = 4
"""The index proposes this many times k by its compressed vectors; the stored vectors decide."""

BUILD_PARAMETERS: dict[str, frozenset[str]] = {
    "IVF_FLAT": frozenset({"num_partitions"}),
    "IVF_SQ": frozenset({"num_partitions"}),
    "IVF_PQ": frozenset({"num_partitions", "num_sub_vectors", "num_bits"}),
    "IVF_RQ": frozenset({"num_partitions", "num_bits"}),
    "IVF_HNSW_SQ": frozenset({"num_partitions", "m", "ef_construction", "max_level"}),
    "IVF_HNSW_PQ": frozenset({"num_partitions", "num_sub_vectors", "num_bits", "m", "ef_construction", "max_level"}),
}
SEARCH_PARAMETERS = frozenset({"nprobes", "ef", "refine_factor"})
_LANCE_METRIC = {"cosine": "cosine", "euclidean": "l2"}


@dataclass(frozen=True, slots=True)
class IndexKind:
    """What to build, and how to search it. `lance` is None for 'Flat': no index, exact."""

    mode: str
    lance: str | None
    options: dict[str, int] = field(default_factory=dict)
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was built. recall: share of the 10 nearest found for sampled vectors; 1.0 where search is exact."""

    kind: str
    bytes: int
    build_seconds: float
    recall: float


def index_kind(mode: str, *, param: str | Mapping[str, int] | None = None) -> IndexKind:
    """The index of an `nnf_mode` with its `nnf_param` ('k=v,k=v' or a mapping of whole numbers).

    'Flat', 'HNSW<m>' (IVF_HNSW_SQ with m edges a node) or one of `BUILD_PARAMETERS`. Raises BadArgument with what is
    allowed for anything else.
    """
    given = _parameters(param)
    if mode == "Flat":
        if given:
            raise BadArgument(f"nnf_param={param!r} does not apply: nnf_mode='Flat' has no parameters")
        return IndexKind(mode, None)
    hnsw = re.fullmatch(r"HNSW(\d+)", mode)
    kind = "IVF_HNSW_SQ" if hnsw else mode
    if kind not in BUILD_PARAMETERS:
        raise one_of("nnf_mode", mode, ["Flat", "HNSW<m>, such as HNSW32", *BUILD_PARAMETERS])
    for name in given:
        if name not in BUILD_PARAMETERS[kind] | SEARCH_PARAMETERS:
            raise one_of(f"nnf_param of nnf_mode={mode!r}", name, BUILD_PARAMETERS[kind] | SEARCH_PARAMETERS)
    options = {"m": int(hnsw[1])} if hnsw else {}
    options |= {name: value for name, value in given.items() if name not in SEARCH_PARAMETERS}
    return IndexKind(mode, kind, options, {name: given[name] for name in given if name in SEARCH_PARAMETERS})


def run_index_kind(mode: str, *, param: str | Mapping[str, int] | None = None) -> IndexKind:
    """What a run builds for its `nnf_mode`: `index_kind`, except that the bare default does not cost a graph.

    'HNSW32' without a building parameter is what a run says that does not care: it gets IVF_SQ, built in a thirtieth of
    the time (1.3 s against 44 s for 100,000 x 576) and, its candidates ranked anew by the stored vectors, as exact.
    'IVF_HNSW_SQ', 'HNSW<m>' of another m, or a parameter such as 'ef_construction=150' builds the graph.
    """
    kind = index_kind(mode, param=param)
    if mode == DEFAULT_MODE and kind.options == index_kind(DEFAULT_MODE).options:
        return replace(kind, lance="IVF_SQ", options={})
    return kind


def is_needed(rows: int, *, kind: IndexKind, metric: str) -> bool:
    """Whether a search of that many vectors wants an index of that kind."""
    return rows >= INDEX_ROWS and kind.lance is not None and metric in _LANCE_METRIC


def build(table: VectorTable, *, kind: IndexKind, metric: str) -> IndexReport:
    """Build the index of the whole table, in place of any other, and measure it.

    Where none is wanted (`nnf_mode='Flat'`, a metric without index) an existing one is removed.
    """
    if kind.lance is None or metric not in _LANCE_METRIC:
        lance_index.drop_index(table)
        return IndexReport("Flat", 0, 0.0, 1.0)
    started = time.monotonic()
    defaults = {"num_partitions": partitions(len(table), kind=kind.lance)}
    if kind.lance.endswith("PQ"):
        defaults["num_sub_vectors"] = _sub_vectors(table.dim)
    lance_index.build_index(table, kind=kind.lance, metric=_LANCE_METRIC[metric], options=defaults | kind.options)
    return _measured(table, kind=kind, metric=metric, seconds=time.monotonic() - started)


def refresh(table: VectorTable, *, kind: IndexKind, metric: str) -> IndexReport:
    """Take the rows that were added since into the index there is, forget those that went, and measure it again.

    build_seconds is what that took.
    """
    started = time.monotonic()
    table.compact()
    return _measured(table, kind=kind, metric=metric, seconds=time.monotonic() - started)


def has_index(table: VectorTable) -> bool:
    """Whether the table has an index."""
    return lance_index.has_index(table)


def _measured(table: VectorTable, *, kind: IndexKind, metric: str, seconds: float) -> IndexReport:
    """Choose how many lists a search looks into, remember it, and say what it then finds."""
    lists, size = lance_index.index_statistics(table)
    probes = kind.search.get("nprobes", min(lists, FEWEST_PROBES))
    recall = measured_recall(table, metric=metric, search=kind.search | {"nprobes": probes})
    while recall < WANTED_RECALL and probes < lists and "nprobes" not in kind.search:
        probes = min(lists, 2 * probes)
        recall = measured_recall(table, metric=metric, search=kind.search | {"nprobes": probes})
    lance_index.remember_probes(table, probes=probes)
    return IndexReport(kind.lance or "Flat", size, seconds, recall)


def partitions(rows: int, *, kind: str) -> int:
    """IVF lists of an index: sqrt(n); with a graph inside each, lists of about 20,000."""
    return max(1, rows // 20_000 if "HNSW" in kind else int(rows**0.5))


def measured_recall(table: VectorTable, *, metric: str, search: Mapping[str, int] | None = None, k: int = 10) -> float:
    """Share of the exact k nearest (without the vector itself) of sampled vectors that a search finds."""
    ids = np.sort(table.ids())
    chosen = ids[np.linspace(0, len(ids) - 1, min(RECALL_ROWS, len(ids))).astype(int)]
    queries = table.take(chosen)
    found, _ = Searcher(table, metric=metric, search=search)(queries, k=k)
    true = cross_neighbors(Arrays(np.arange(len(chosen)), queries), table, k=k, metric=metric).to_ids
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, true, strict=True)]))


class Searcher:
    """Answers queries over one table, which it keeps open: by its index, or exactly where there is none.

    A table without an index is held in memory, 4 n d bytes; of one with an index the vectors that the last filter left,
    where they are few (`SELECTIVE_ROWS`).
    """

    def __init__(
        self,
        table: VectorTable,
        *,
        metric: str = "cosine",
        calibration: float = 0.0,
        search: Mapping[str, int] | None = None,
        threads: int | None = None,
    ) -> None:
        self.table = table
        self.metric = metric_named(metric, calibration=calibration)
        self._search = dict(search or {})
        self._threads = threads
        self._size = len(table)
        indexed = metric in _LANCE_METRIC and lance_index.has_index(table)
        self._reader = lance_index.IndexReader(table) if indexed else None
        self._probes = (lance_index.remembered_probes(table) if indexed else None) or FEWEST_PROBES
        self._kept: tuple[Ids, Arrays] | None = None
        self._memory = None if indexed else Arrays(*table.matrix()) if self._size else Arrays(np.empty(0, int), _EMPTY)

    def warm(self) -> None:
        """Read the index, where there is one, into memory: the first queries then take no longer than later ones."""
        if self._reader is not None:
            self._reader.warm()

    def __call__(self, queries: Matrix, *, k: int, among: Ids | None = None) -> tuple[Ids, Scores]:
        """(ids int64 (m, k), similarities float32 (m, k)) for queries (m, d) or (d,): nearest first, ties by lower id.

        among: the ids that may be found; k of them are, if there are k. Missing places hold -1 and -inf.
        """
        if k < 1:
            raise BadArgument(f"k={k} is too small; at least 1 neighbour must be asked for")
        wanted = np.atleast_2d(np.asarray(queries, dtype=np.float32))
        if self._size and wanted.shape[1] != self.table.dim:
            raise BadArgument(f"queries have {wanted.shape[1]} columns; the stored vectors have {self.table.dim}")
        prepared = self.metric.prepare(wanted)  # refuses NaN and infinity
        if among is not None:
            among = _ascending(np.asarray(among, dtype=np.int64))
        if self._reader is None or (among is not None and len(among) <= SELECTIVE_ROWS):
            ids, scores = self._exactly(wanted, k=k, among=among)
        else:
            ids, scores = self._by_index(wanted, prepared, k=k, among=among)
        similarities = np.where(ids == NOBODY, -np.inf, self.metric.similarity(scores)).astype(np.float32)
        return ids, similarities

    def _exactly(self, queries: Matrix, *, k: int, among: Ids | None) -> tuple[Ids, Scores]:
        asked = Arrays(np.arange(len(queries)), queries)
        base = self._memory if self._memory is not None else self.table
        if among is not None:
            if self._memory is not None:
                among = np.intersect1d(among, self._memory.ids)
                base = Arrays(among, self._memory.matrix[np.searchsorted(self._memory.ids, among)])
            else:
                base = self._chosen(among)
        graph = cross_neighbors(
            asked, base, k=k, metric=self.metric.name, calibration=self.metric.calibration, threads=self._threads
        )
        ids = np.full((len(queries), k), NOBODY, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids[:, : graph.to_ids.shape[1]] = graph.to_ids
        scores[:, : graph.to_ids.shape[1]] = graph.scores
        return ids, scores

    def _chosen(self, among: Ids) -> Arrays:
        """The stored vectors of `among`; the last are kept, since a filter is seldom asked only once."""
        assert self._reader is not None
        if self._kept is None or not np.array_equal(self._kept[0], among):
            self._kept = among.copy(), Arrays(*self._reader.pick(among))
        return self._kept[1]

    def _by_index(self, queries: Matrix, prepared: Matrix, *, k: int, among: Ids | None) -> tuple[Ids, Scores]:
        """By the index, more and more of it while a filter leaves too few; exact where that does not help."""
        best = Nearest(len(queries), k=k)
        share = 1.0 if among is None else len(among) / max(self._size, 1)
        for row in range(len(queries)):
            for wider in (1, 4):
                count = min(int(np.ceil(k * wider / share * (1 if among is None else 2))), self._size)
                ids, vectors = self._propose(queries[row], k=count, wider=wider)
                if among is not None:
                    may = among[np.minimum(np.searchsorted(among, ids), len(among) - 1)] == ids
                    ids, vectors = ids[may], vectors[may]
                if len(ids) >= min(k, self._size if among is None else len(among)):
                    break
            else:
                exact_ids, exact_scores = self._exactly(queries[row : row + 1], k=k, among=among)
                best.ids[row], best.scores[row] = exact_ids[0], exact_scores[0]
                continue
            stored = self.metric.prepare(vectors)
            zero = np.zeros(len(ids), dtype=np.intp)
            scores = self.metric.score(prepared[row : row + 1], stored, zero, np.arange(len(ids)))
            best.offer(np.full(len(ids), row), ids, scores)
        return best.ids, best.scores

    def _propose(self, query: Matrix, *, k: int, wider: int) -> tuple[Ids, Matrix]:
        assert self._reader is not None
        refine = self._search.get("refine_factor", REFINE)
        ef = max(self._search.get("ef", 64), k * refine)  # Lance asks for no less
        probes = self._search.get("nprobes", self._probes) * wider
        return self._reader.nearest(
            query, k=k, probes=probes, ef=ef, refine=refine, metric=_LANCE_METRIC[self.metric.name]
        )


def _ascending(ids: Ids) -> Ids:
    """The distinct ids, ascending. Those of a condition are: looking takes 0.1 ms for 100,000, sorting them 6."""
    return ids if (np.diff(ids) > 0).all() else np.unique(ids)


def _sub_vectors(dim: int) -> int:
    """Sub-vectors of product quantisation: 8 columns each where the width allows (72 of 576 columns reached recall
    0.995), fewer for narrow vectors."""
    return dim // next(width for width in (8, 4, 2, 1) if dim % width == 0 and (dim >= 32 * width or width == 1))


def _parameters(param: str | Mapping[str, int] | None) -> dict[str, int]:
    if not param:
        return {}
    try:
        pairs = param.items() if isinstance(param, Mapping) else [part.split("=") for part in param.split(",")]
        return {str(name).strip(): int(value) for name, value in pairs}
    except ValueError as exc:
        raise BadArgument(f"nnf_param={param!r} cannot be read; write 'name=1,name=2' with whole numbers") from exc


_EMPTY = np.empty((0, 1), dtype=np.float32)
