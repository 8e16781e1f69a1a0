"""Connected components of more pairs than one machine holds: label propagation over Parquet files, by Ray Data.

Alternating large-star and small-star of Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014: each
node hands its neighbours on to the smallest id it knows of, until every component is a star around its smallest id;
O(log² n) rounds, however long a chain is. Every round is two shuffles by node, between files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastdup_db.arrays import Ids
from fastdup_db.places import Place

log = logging.getLogger(__name__)

Pairs = dict[str, Ids]
"""Columns u and v, int64, of equal length: one pair of nodes a row."""

SCRATCH = "components-scratch"
ROWS_PER_BLOCK = 20_000_000
"""Pairs of one block: 320 MB, and about as much again while they are sorted."""


def components(edges: Iterable[pa.Table], *, scratch: Place, min_similarity: float) -> Iterator[pa.Table]:
    """Tables `id, component_id` (int64), every node of a pair once; component_id is the lowest id of its component.

    edges: tables with from_id, to_id, similarity; those with at least `min_similarity` count. scratch: a folder
    that every node sees, for this alone; gone afterwards.
    """
    import ray

    scratch.delete()
    try:
        count = _write(edges, scratch / "0", min_similarity=min_similarity)
        if not count:
            return
        blocks = max(2, -(-2 * count // ROWS_PER_BLOCK))
        before, number = None, 0
        while True:
            # A round starts and ends in files, so that no round's work hangs on that of the rounds before it.
            pairs = _by_node(_read(scratch / str(number)).map_batches(both_ways), blocks=blocks)
            stars = _by_node(pairs.map_batches(large_star, batch_size=None).map_batches(downwards), blocks=blocks)
            stars = stars.map_batches(small_star, batch_size=None)
            after_it = scratch / str(number + 1)
            stars.write_parquet(after_it.path, filesystem=after_it.files)
            (scratch / str(number)).delete()
            number += 1
            marks = _read(scratch / str(number)).map_batches(mark, batch_size=None).take_all()
            after = (sum(m["count"] for m in marks), sum(int(m["mark"]) for m in marks) % 2**64)
            if after == before:
                break
            before = after
        log.info("components: %d pairs, %d rounds", count, number)
        for ref in _by_node(_read(scratch / str(number)).map_batches(swapped), blocks=blocks).map_batches(
            members, batch_size=None
        ).to_arrow_refs():  # fmt: skip
            yield ray.get(ref)
    finally:
        scratch.delete()


def _write(edges: Iterable[pa.Table], target: Place, *, min_similarity: float) -> int:
    target.make()
    count = 0
    for number, table in enumerate(edges):
        near = table.column("similarity").to_numpy() >= np.float32(min_similarity)  # as SQL compares them
        u, v = (table.column(name).to_numpy()[near] for name in ("from_id", "to_id"))
        pq.write_table(pa.table({"u": u, "v": v}), (target / f"{number:08d}.parquet").path, filesystem=target.files)
        count += len(u)
    return count


def _read(folder: Place) -> Any:
    import ray.data  # sets up its logging

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    dataset = ray.data.read_parquet(folder.path, filesystem=folder.files)
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    return dataset


def _by_node(pairs: Any, *, blocks: int) -> Any:
    """The same pairs, all those of one `u` in one block."""
    return pairs.repartition(blocks, keys=["u"])


# ---- what is done to a block: columns u and v in, columns u and v out ------------------------------------------------


def both_ways(pairs: Pairs) -> Pairs:
    """Every pair from either side."""
    return _pairs(np.concatenate([pairs["u"], pairs["v"]]), np.concatenate([pairs["v"], pairs["u"]]))


def downwards(pairs: Pairs) -> Pairs:
    """Every pair from its larger side."""
    return _pairs(np.maximum(pairs["u"], pairs["v"]), np.minimum(pairs["u"], pairs["v"]))


def swapped(pairs: Pairs) -> Pairs:
    """Every pair from the other side."""
    return {"u": pairs["v"], "v": pairs["u"]}


def large_star(pairs: Pairs) -> Pairs:
    """All neighbours v of u (in one block): the larger ones are joined to the least of u and its neighbours."""
    u, v, least = _least(pairs)
    least = np.minimum(least, u)
    up = v > u
    return _pairs(v[up], least[up])


def small_star(pairs: Pairs) -> Pairs:
    """All smaller neighbours v of u (in one block): they and u are joined to the least of them."""
    u, v, least = _least(pairs)
    return _pairs(np.concatenate([u, v]), np.concatenate([least, least]))


def mark(pairs: Pairs) -> dict[str, Any]:
    """How many pairs, and a sum that changes when they change (splitmix64 of each pair), in any order of blocks."""
    mixed = pairs["u"].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + pairs["v"].astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return {"count": np.array([len(mixed)]), "mark": np.array([str(int(mixed.sum(dtype=np.uint64)))])}


def members(stars: Pairs) -> dict[str, Ids]:
    """Stars from their middle (all of one in one block) as rows `id, component_id`, the middle among them."""
    middle = np.unique(stars["u"])
    return {"id": np.concatenate([stars["v"], middle]), "component_id": np.concatenate([stars["u"], middle])}


def _least(pairs: Pairs) -> tuple[Ids, Ids, Ids]:
    """(u, v, the least v of that u), by u."""
    order = np.argsort(pairs["u"], kind="stable")
    u, v = pairs["u"][order], pairs["v"][order]
    if not len(u):
        return u, v, v
    starts = np.flatnonzero(np.r_[True, u[1:] != u[:-1]])
    return u, v, np.repeat(np.minimum.reduceat(v, starts), np.diff(np.r_[starts, len(u)]))


def _pairs(u: Ids, v: Ids) -> Pairs:
    """Distinct pairs of different nodes."""
    both = np.stack([u, v], axis=1)[u != v]
    both = np.unique(both, axis=0) if len(both) else both
    return {"u": both[:, 0].astype(np.int64), "v": both[:, 1].astype(np.int64)}
