"""Answers to queries over one vector table: by its index where it has one, else by comparing with everything.

search = Searcher(table, metric="cosine")
ids, similarities = search(queries, k=10)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from fastdup_db.arrays import Ids, Matrix, Scores
from fastdup_db.errors import BadArgument
from fastdup_db.graph.cross import cross_neighbors, nearest_in
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.graph.nearest import NOBODY, Nearest
from fastdup_db.graph.rows import Arrays
from fastdup_db.store import lance_index
from fastdup_db.store.lance import VectorTable

SELECTIVE_ROWS = 50_000
"""A filter that leaves no more vectors than this is answered exactly, from those vectors alone."""
FEWEST_PROBES = 8
"""Lists that a search probes unless told otherwise."""
REFINE = 4
"""The index proposes this many times k by its compressed vectors; the stored vectors decide."""
NO_VECTORS = Arrays(np.empty(0, dtype=np.int64), np.empty((0, 1), dtype=np.float32))
LANCE_METRIC = {"cosine": "cosine", "euclidean": "l2"}
"""Metrics that an index can be built for, by Lance's names."""


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
    ) -> None:
        self.table = table
        self.metric = metric_named(metric, calibration=calibration)
        self._search = dict(search or {})
        self._size = len(table)
        self._dim = table.dim if self._size else 0  # asking the table opens it anew: a fifth of a query's time
        indexed = metric in LANCE_METRIC and lance_index.has_index(table)
        self._reader = lance_index.IndexReader(table) if indexed else None
        self._probes = (lance_index.remembered_probes(table) if indexed else None) or FEWEST_PROBES
        self._kept: tuple[Ids, Arrays] | None = None
        self._memory = None if indexed else self._prepared(*table.matrix()) if self._size else NO_VECTORS

    def warm(self) -> None:
        """Read the index, where there is one, into memory: the first queries then take no longer than later ones."""
        if self._reader is not None:
            self._reader.warm()

    def asking(self, search: Mapping[str, int]) -> Searcher:
        """The same searcher with other search parameters; its open table and memory are shared."""
        other = copy.copy(self)
        other._search = dict(search)
        return other

    def __call__(self, queries: Matrix, *, k: int, among: Ids | None = None) -> tuple[Ids, Scores]:
        """(ids int64 (m, k), similarities float32 (m, k)) for queries (m, d) or (d,): nearest first, ties by lower id.

        among: the ids that may be found; k of them are, if there are k. Missing places hold -1 and -inf.
        """
        if k < 1:
            raise BadArgument(f"k={k} is too small; at least 1 neighbour must be asked for")
        wanted = np.atleast_2d(np.asarray(queries, dtype=np.float32))
        if self._size and wanted.shape[1] != self._dim:
            raise BadArgument(f"queries have {wanted.shape[1]} columns; the stored vectors have {self._dim}")
        prepared = self.metric.prepare(wanted)  # refuses NaN and infinity
        if among is not None:
            among = _ascending(np.asarray(among, dtype=np.int64))
        if self._reader is None or (among is not None and len(among) <= SELECTIVE_ROWS):
            ids, scores = self._exactly(wanted, prepared, k=k, among=among)
        else:
            ids, scores = self._by_index(wanted, prepared, k=k, among=among)
        similarities = np.where(ids == NOBODY, -np.inf, self.metric.similarity(scores)).astype(np.float32)
        return ids, similarities

    def _exactly(self, queries: Matrix, prepared: Matrix, *, k: int, among: Ids | None) -> tuple[Ids, Scores]:
        ids = np.full((len(queries), k), NOBODY, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        base = self._memory if among is None else self._chosen(among)
        if base is None:  # an index that proposes too few
            asked = Arrays(np.arange(len(queries)), queries)
            graph = cross_neighbors(asked, self.table, k=k, metric=self.metric.name)
            found_ids, found_scores = graph.to_ids, graph.scores
        else:
            nearest = nearest_in(prepared, base, k=min(k, len(base)), metric=self.metric)
            found_ids, found_scores = nearest.ids, nearest.scores
        ids[:, : found_ids.shape[1]] = found_ids
        scores[:, : found_ids.shape[1]] = found_scores
        return ids, scores

    def _chosen(self, among: Ids) -> Arrays:
        """The prepared vectors of `among`; the last are kept, since a filter is seldom asked only once."""
        if self._kept is None or not np.array_equal(self._kept[0], among):
            if self._memory is not None:
                here = np.isin(self._memory.ids, among)
                chosen = Arrays(self._memory.ids[here], self._memory.matrix[here])
            else:
                assert self._reader is not None
                chosen = self._prepared(*self._reader.pick(among))
            self._kept = among.copy(), chosen
        return self._kept[1]

    def _prepared(self, ids: Ids, matrix: Matrix) -> Arrays:
        """The vectors prepared once, instead of for every query."""
        return Arrays(ids, self.metric.prepare(matrix))

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
                one = slice(row, row + 1)
                exact_ids, exact_scores = self._exactly(queries[one], prepared[one], k=k, among=among)
                best.ids[row], best.scores[row] = exact_ids[0], exact_scores[0]
                continue
            stored = self.metric.prepare(vectors)
            zero = np.zeros(len(ids), dtype=np.intp)
            scores = self.metric.score(prepared[row : row + 1], stored, zero, np.arange(len(ids)))
            best.offer(np.full(len(ids), row), ids, scores)
        return best.ids, best.scores

    def _propose(self, query: Matrix, *, k: int, wider: int) -> tuple[Ids, Matrix]:
        assert self._reader is not None
        # Asking for all that may be among the k, vectors included, reads them once; Lance's own `refine_factor` reads
        # them to rank them and those it returns again (1,000,000 x 576, two rounds: 13.2 and 12.2 ms a query, so 13.0
        # and 10.2).
        proposed = min(k * self._search.get("refine_factor", REFINE), self._size)
        ef = max(self._search.get("ef", 64), proposed)  # Lance asks for no less
        probes = self._search.get("nprobes", self._probes) * wider
        return self._reader.nearest(query, k=proposed, probes=probes, ef=ef, metric=LANCE_METRIC[self.metric.name])


def _ascending(ids: Ids) -> Ids:
    """The distinct ids, ascending. Those of a condition are: looking takes 0.1 ms for 100,000, sorting them 6."""
    return ids if (np.diff(ids) > 0).all() else np.unique(ids)
