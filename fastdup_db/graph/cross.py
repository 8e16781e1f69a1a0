"""The graph between two sets of vectors, and a stored graph brought up to date: time in the new vectors, not the old.

leak = cross_neighbors(test_set, stored, k=2)              # neighbours of one set in another, nothing is merged
change = updated(stored, edges, k=2, new_ids=...)
# delete from edges where from_id in change.ids or in the deleted ids; insert change.table()
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fastdup_db.arrays import Ids, Matrix
from fastdup_db.errors import BadArgument
from fastdup_db.graph.join import blocks, cross_join
from fastdup_db.graph.knn import KnnGraph
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.graph.nearest import NOBODY, Nearest
from fastdup_db.graph.rows import READ_ROWS, Arrays, Held, Source

REBUILD_SHARE = 0.1
"""With more touched vectors than this share of all, a fresh graph is cheaper than comparing each with all."""


def cross_neighbors(
    queries: Source,
    base: Source,
    *,
    k: int,
    metric: str = "cosine",
    calibration: float = 0.0,
    threads: int | None = None,
) -> KnnGraph:
    """For each vector of `queries` its min(k, len(base)) nearest in `base`: exact, best first, ties by lower id.

    The ids of the two sets are unrelated: equal ids are not the same vector. `queries` are held in memory, `base` is
    streamed once: m n products for m queries and n stored vectors.
    """
    if k < 1:
        raise BadArgument(f"k={k} is too small; it is the number of neighbours of each image, at least 1")
    measure = metric_named(metric, calibration=calibration)
    ids, matrix = _read(queries, metric=measure)
    nearest = _against(matrix, base, k=min(k, len(base)), metric=measure, threads=threads)
    return KnnGraph(ids, nearest.ids, nearest.scores, measure)


def nearest_in(queries: Matrix, base: Arrays, *, k: int, metric: Metric, threads: int | None = None) -> Nearest:
    """For each prepared vector (m, d) its k nearest among prepared ones in memory: exact, best first, ties by lower id.

    k: at most as many as there are.
    """
    nearest = Nearest(len(queries), k=k)
    if k and len(queries):
        _join(queries, base.matrix, ids=base.ids, metric=metric, nearest=nearest, threads=threads)
    return nearest


def updated(
    vectors: Held,
    edges: pa.Table,
    *,
    k: int,
    new_ids: Ids,
    metric: str = "cosine",
    calibration: float = 0.0,
    threads: int | None = None,
) -> KnnGraph:
    """The edges of every vector whose neighbours change, equal to those of a fresh exact graph.

    vectors: all that are stored now, new ones included, deleted ones not. edges: the stored ones (from_id, to_id,
    similarity, rank) of the vectors that were there before and still are, with their full list of neighbours.
    new_ids: ids that have been added, whose vector has changed, or that have lost a neighbour, because it was deleted
    or changed. They are compared with all (time in m n). Every other stored vector keeps its list, in which these take
    the places they deserve.

    The result holds the vectors whose list differs, with their whole new list; the others keep their edges.
    """
    measure = metric_named(metric, calibration=calibration)
    total = len(vectors)
    k = min(k, max(total - 1, 0))
    asked = np.unique(np.asarray(new_ids, np.int64))
    before = _Stored.read(edges, metric=measure, k=k)
    # Lists that were cut short by the number of vectors there were must grow with it.
    asked = np.union1d(asked, before.ids[before.scores[:, k - 1] == -np.inf]) if k else asked
    ids, matrix = _pick(vectors, asked, metric=measure)
    new = np.isin(ids, np.asarray(new_ids, np.int64))

    nearest = Nearest(len(ids), k=k + 1)  # one more: each finds itself
    fresh = Nearest(len(before.ids), k=max(k, 1))
    for some_ids, batch in vectors.batches(rows=READ_ROWS):
        prepared = measure.prepare(batch)
        _join(matrix, prepared, ids=some_ids, metric=measure, nearest=nearest, threads=threads)
        if new.any() and k:
            before.meet(some_ids, prepared, ids[new], matrix[new], metric=measure, nearest=fresh, threads=threads)
    to_ids, scores = _without_self(nearest, ids, k=k)
    hit_ids, hit_to, hit_scores = before.merged(fresh, vectors, without=ids, metric=measure, k=k)
    all_ids = np.concatenate([ids, hit_ids])
    order = np.argsort(all_ids, kind="stable")
    return KnnGraph(
        all_ids[order], np.concatenate([to_ids, hit_to])[order], np.concatenate([scores, hit_scores])[order], measure
    )


def rebuild_is_cheaper(touched: int, *, total: int) -> bool:
    """Whether so many new vectors among `total` are better served by a fresh graph."""
    return touched > REBUILD_SHARE * total


class _Stored:
    """The stored lists as arrays: ids int64 (n,) ascending, to_ids int64 (n, k), scores float32 (n, k)."""

    def __init__(self, ids: Ids, to_ids: Ids, scores: Matrix) -> None:
        self.ids, self.to_ids, self.scores = ids, to_ids, scores

    @classmethod
    def read(cls, edges: pa.Table, *, metric: Metric, k: int) -> _Stored:
        """From edges in any order; neighbours beyond rank k are left out."""
        from_ids = edges["from_id"].to_numpy()
        rank = edges["rank"].to_numpy().astype(np.int64)
        ids, at = np.unique(from_ids, return_inverse=True)
        to_ids = np.full((len(ids), max(k, 1)), NOBODY, dtype=np.int64)
        scores = np.full((len(ids), max(k, 1)), -np.inf, dtype=np.float32)
        use = rank <= k
        to_ids[at[use], rank[use] - 1] = edges["to_id"].to_numpy()[use]
        scores[at[use], rank[use] - 1] = metric.score_of(edges["similarity"].to_numpy())[use]
        return cls(ids, to_ids, scores)

    def meet(
        self,
        ids: Ids,
        matrix: Matrix,
        new_ids: Ids,
        new: Matrix,
        *,
        metric: Metric,
        nearest: Nearest,
        threads: int | None,
    ) -> None:
        """Offer the new vectors to those rows of a batch that have a list, if they may beat its last."""
        at = np.minimum(np.searchsorted(self.ids, ids), max(len(self.ids) - 1, 0))
        mine = np.flatnonzero(self.ids[at] == ids) if len(self.ids) else np.empty(0, np.int64)
        if not len(mine):
            return
        rows = matrix[mine]
        local = Nearest(len(mine), k=nearest.k)
        # A similarity is stored in float32: its score is known to a few units in the last place, so aim a bit lower.
        last = self.scores[at[mine], -1]
        local.scores[:] = (last - np.float32(1e-5) * (1 + np.abs(last)))[:, None]
        _join(rows, new, ids=new_ids, metric=metric, nearest=local, threads=threads)
        nearest.ids[at[mine]] = local.ids
        nearest.scores[at[mine]] = local.scores

    def merged(
        self, nearest: Nearest, vectors: Held, *, without: Ids, metric: Metric, k: int
    ) -> tuple[Ids, Ids, Matrix]:
        """(ids, to_ids, scores) of the lists that a new vector has entered; `without` are done already."""
        hit = np.flatnonzero((nearest.ids != NOBODY).any(axis=1) & ~np.isin(self.ids, without))
        best = Nearest(len(hit), k=max(k, 1))
        if len(hit):
            wanted = np.unique(np.concatenate([self.ids[hit], self.to_ids[hit].ravel()]))
            wanted, matrix = _pick(vectors, wanted[wanted != NOBODY], metric=metric)
            row, slot = np.nonzero(self.to_ids[hit] != NOBODY)
            to_ids = self.to_ids[hit][row, slot]
            here, there = np.searchsorted(wanted, self.ids[hit][row]), np.searchsorted(wanted, to_ids)
            best.offer(row, to_ids, metric.score(matrix, matrix, here, there))
            row, slot = np.nonzero(nearest.ids[hit] != NOBODY)
            best.offer(row, nearest.ids[hit][row, slot], nearest.scores[hit][row, slot])
        changed = (best.ids != self.to_ids[hit]).any(axis=1)
        return self.ids[hit][changed], best.ids[changed][:, :k], best.scores[changed][:, :k]


def _join(a: Matrix, b: Matrix, *, ids: Ids, metric: Metric, nearest: Nearest, threads: int | None) -> None:
    """Offer rows of `b`, whose ids are `ids`, to the rows of `a`."""
    cross_join(
        [(own, [other]) for other in blocks(len(b)) for own in blocks(len(a))],
        read=lambda block: a[block.start : block.stop],
        read_other=lambda block: b[block.start : block.stop],
        other_ids=ids,
        metric=metric,
        nearest=nearest,
        threads=threads,
    )


def _against(matrix: Matrix, base: Source, *, k: int, metric: Metric, threads: int | None) -> Nearest:
    nearest = Nearest(len(matrix), k=k)
    if k and len(matrix):
        for ids, batch in base.batches(rows=READ_ROWS):
            _join(matrix, metric.prepare(batch), ids=ids, metric=metric, nearest=nearest, threads=threads)
    return nearest


def _without_self(nearest: Nearest, ids: Ids, *, k: int) -> tuple[Ids, Matrix]:
    """The first k of k + 1 neighbours that are not the row itself."""
    others = nearest.ids != ids[:, None]
    others[others.all(axis=1), -1] = False
    keep = np.argsort(~others, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(nearest.ids, keep, axis=1), np.take_along_axis(nearest.scores, keep, axis=1)


def _read(source: Source, *, metric: Metric) -> tuple[Ids, Matrix]:
    parts = [(ids, metric.prepare(matrix)) for ids, matrix in source.batches(rows=READ_ROWS)]
    if not parts:
        return np.empty(0, np.int64), np.empty((0, 1), np.float32)
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([matrix for _, matrix in parts])


def _pick(source: Held, ids: Ids, *, metric: Metric) -> tuple[Ids, Matrix]:
    """(ids ascending, prepared vectors) of the wanted ids that are stored."""
    found, matrix = source.pick(np.unique(ids))
    return found, metric.prepare(matrix)
