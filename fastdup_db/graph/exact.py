"""Exact neighbours: every block against every block, each pair of blocks multiplied once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastdup_db.graph.join import blocks, self_join
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.nearest import Ids, Nearest
from fastdup_db.graph.rows import Rows

if TYPE_CHECKING:
    from fastdup_db.graph.knn import Source


def join(
    source: Source,
    *,
    kept: Ids,
    ids: Ids,
    k: int,
    metric: Metric,
    budget: int,
    threads: int | None,
    folder: Path | None,
) -> Nearest:
    """The k nearest among rows `kept` (ascending positions in the source) of each of them; `ids` int64 (n,) of all."""
    nearest = Nearest(len(kept), k=k)
    with load(source, kept=kept, metric=metric, budget=budget, folder=folder) as rows:
        sides = blocks(len(kept))
        tasks = [(own, sides[i:]) for i, own in enumerate(sides)]
        self_join(tasks, read=rows.read, ids=ids[kept], metric=metric, nearest=nearest, threads=threads)
    return nearest


def load(source: Source, *, kept: Ids, metric: Metric, budget: int, folder: Path | None) -> Rows:
    """The prepared vectors of rows `kept` of the source, in that order."""
    rows: Rows | None = None
    seen = 0
    for some_ids, matrix in source.batches():
        first, last = np.searchsorted(kept, [seen, seen + len(some_ids)])
        prepared = metric.prepare(matrix[kept[first:last] - seen])
        if rows is None:
            rows = Rows((len(kept), prepared.shape[1]), budget=budget, folder=folder)
        rows.put(np.arange(first, last), prepared)
        seen += len(some_ids)
    return rows if rows is not None else Rows((0, 1), budget=budget)
