"""Exact neighbours: every block against every block, each pair of blocks multiplied once."""

from __future__ import annotations

from pathlib import Path

from fastdup_db.arrays import Ids
from fastdup_db.graph.join import blocks, self_join
from fastdup_db.graph.nearest import Nearest
from fastdup_db.graph.rows import Prepared


def join(
    vectors: Prepared, *, ids: Ids, k: int, budget: int, threads: int | None = None, folder: Path | None = None
) -> Nearest:
    """The k nearest of every vector; `ids` int64 (n,) are theirs."""
    nearest = Nearest(len(vectors), k=k)
    with vectors.rows(place=None, budget=budget, folder=folder) as rows:
        sides = blocks(len(vectors))
        tasks = [(own, sides[i:]) for i, own in enumerate(sides)]
        self_join(tasks, read=rows.read, ids=ids, metric=vectors.metric, nearest=nearest, threads=threads)
    return nearest
