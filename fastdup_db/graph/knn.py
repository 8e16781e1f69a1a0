"""The k nearest neighbours of every stored vector, by the way that is fastest at this size.

graph = neighbors(table, k=2, metric="cosine")
for batch in graph.tables():                 # Arrow: from_id, to_id, similarity, rank
    ...
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fastdup_db.arrays import Ids, Matrix, Scores
from fastdup_db.errors import BadArgument
from fastdup_db.graph import exact, ivf
from fastdup_db.graph.copies import Copies, find_copies, fingerprints
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.graph.nearest import NOBODY, Nearest
from fastdup_db.graph.rows import READ_ROWS, Prepared, Rows, Source, fits
from fastdup_db.threads import cores

EDGE_SCHEMA = pa.schema(
    [("from_id", pa.int64()), ("to_id", pa.int64()), ("similarity", pa.float32()), ("rank", pa.int32())]
)
MEMORY_BUDGET = 4 << 30
"""Bytes for vectors held in memory during a join; beyond it they lie in a scratch file."""
EXACT_ROWS = 20_000
"""Up to this many vectors the exact join is used."""
EXACT_WORK = 0.4
"""Lists that would take more than this share of n^2 products are given up for the exact join, which takes 0.5."""


@dataclass(frozen=True, slots=True)
class KnnGraph:
    """Neighbours of `ids` int64 (n,): `to_ids` int64 (n, k) and `scores` float32 (n, k), nearest first.

    Slots beyond the neighbours there are hold -1 and -inf. `way` says how they were found, `recall` is the measured
    share of true neighbours found (1.0: exact).
    """

    ids: Ids
    to_ids: Ids
    scores: Scores
    metric: Metric
    way: str = "exact"
    recall: float = 1.0

    def __len__(self) -> int:
        return int((self.to_ids != NOBODY).sum())

    def tables(self, *, rows: int = 65_536) -> Iterator[pa.Table]:
        """The edges of `rows` vectors at a time, ordered by (from_id, rank); rank 1 is the nearest."""
        k = self.to_ids.shape[1]
        for start in range(0, len(self.ids), rows):
            part = slice(start, start + rows)
            real = (self.to_ids[part] != NOBODY).ravel()
            count = len(self.ids[part])
            yield pa.table(
                [
                    np.repeat(self.ids[part], k)[real],
                    self.to_ids[part].ravel()[real],
                    self.metric.similarity(self.scores[part]).ravel()[real],
                    np.tile(np.arange(1, k + 1, dtype=np.int32), count)[real],
                ],
                schema=EDGE_SCHEMA,
            )

    def table(self) -> pa.Table:
        """All edges at once."""
        return pa.concat_tables([EDGE_SCHEMA.empty_table(), *self.tables()])


def neighbors(
    source: Source,
    *,
    k: int,
    metric: str = "cosine",
    calibration: float = 0.0,
    mode: str = "HNSW32",
    recall: float = 0.99,
    memory_budget: int = MEMORY_BUDGET,
    threads: int | None = None,
    folder: Path | None = None,
    list_join: Callable[..., Nearest] = ivf.join,
) -> KnnGraph:
    """The neighbour graph: exactly min(k, n - 1) edges per vector, self excluded, best first, ties by lower id.

    metric: one of `metrics.METRICS`; calibration: the constant of `Metric.similarity`. mode: the run's `nnf_mode`;
    'Flat' is always exact, any other lets the size decide. memory_budget: bytes for vectors in memory; what does
    not fit lies in a scratch file in `folder`. threads: all cores by default.
    list_join: what joins lists where lists are used; another engine's finds the same neighbours.
    The result does not depend on budget and threads.
    """
    if k < 1:
        raise BadArgument(f"k={k} is too small; it is the number of neighbours of each image, at least 1")
    if not 0 < recall <= 1:
        raise BadArgument(f"recall={recall} is out of range; it is a share above 0 and up to 1")
    measure = metric_named(metric, calibration=calibration)
    ids, copies, vectors = _survey(source, metric=measure, budget=memory_budget, threads=threads)
    k = min(k, max(len(ids) - 1, 0))
    if k == 0:
        nothing = np.empty((len(ids), 0))
        return KnnGraph(ids, nothing.astype(np.int64), nothing.astype(np.float32), measure)
    way, reached, nearest = "exact", 1.0, None
    joined = ids[copies.first]
    if len(vectors) > EXACT_ROWS and mode != "Flat" and not measure.flat_only and recall < 1:
        plan = ivf.plan_join(vectors, k=k, recall=recall, threads=threads)
        if plan.cost < EXACT_WORK * len(vectors):
            way, reached = str(plan), plan.recall
            nearest = list_join(
                vectors, plan=plan, ids=joined, k=k, budget=memory_budget, threads=threads, folder=folder
            )
    if nearest is None:
        nearest = exact.join(vectors, ids=joined, k=k, budget=memory_budget, threads=threads, folder=folder)
    to_ids, scores = copies.expand(nearest.ids, nearest.scores, ids=ids, best=measure.best, k=k)
    return KnnGraph(ids, to_ids, scores, measure, way, reached)


def _survey(source: Source, *, metric: Metric, budget: int, threads: int | None) -> tuple[Ids, Copies, Prepared]:
    """The ids int64 (n,), which vectors are equal, and one of each, prepared: in memory when they fit the budget."""
    ids = np.empty(len(source), dtype=np.int64)
    prints = np.empty((len(source), 2), dtype=np.uint64)
    memory: Rows | None = None

    def take(start: int, prepared: Matrix) -> None:
        prints[start : start + len(prepared)] = fingerprints(prepared)
        if memory is not None:
            memory.fill(start, prepared)

    start = 0
    with ThreadPoolExecutor(cores(threads)) as pool:
        waiting: deque[Future[None]] = deque()
        for some_ids, matrix in source.batches(rows=READ_ROWS):
            ids[start : start + len(some_ids)] = some_ids
            if start == 0:
                width = metric.prepare(matrix[:1]).shape[1]
                if fits((len(ids), width), budget=budget):
                    memory = Rows((len(ids), width), budget=budget)
            waiting.append(pool.submit(lambda first, rows: take(first, metric.prepare(rows)), start, matrix))
            start += len(some_ids)
            while len(waiting) > 2 * cores(threads):  # reading does not run ahead of memory
                waiting.popleft().result()
        for left in waiting:
            left.result()
    copies = find_copies(prints)
    if memory is not None and len(copies.first) < len(ids):
        memory.keep(copies.first)
    return ids, copies, Prepared(source, copies.first, metric, memory)
