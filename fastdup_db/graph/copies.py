"""Equal vectors: joined once, answered for each.

Collections hold many byte-identical files. A thousand copies of one image are a million pairs that all tie; joining one
of them and handing its neighbours to the others is exact and cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from fastdup_db.arrays import Ids, Matrix, Numbers, Scores
from fastdup_db.graph.nearest import NOBODY

Prints = npt.NDArray[np.uint64]

EXPANDED_CELLS = 1 << 22
"""Candidate cells handled at once while expanding: about 100 MB with sorting."""


def fingerprints(matrix: Matrix) -> Prints:
    """uint64 (n, 2): XXH3 of the bytes of each row (128 bits: no collision to be expected)."""
    flat = np.ascontiguousarray(matrix + np.float32(0), dtype=np.float32)  # + 0 makes -0.0 and 0.0 one
    digest = xxhash.xxh3_128_digest
    return np.frombuffer(b"".join([digest(row) for row in flat]), dtype=np.uint64).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Copies:
    """Which rows are equal. Rows are numbered in ascending id order, groups by their lowest row."""

    group: Numbers
    """int64 (n,): the group of each row."""
    first: Numbers
    """int64 (groups,): the lowest row of each group, ascending: the one that is joined."""

    def expand(self, group_ids: Ids, group_scores: Scores, *, ids: Ids, best: float, k: int) -> tuple[Ids, Scores]:
        """(ids, scores) (n, k) of every row from those of the groups' first rows (ids int64, scores float32
        (groups, k)); `ids` int64 (n,) ascending. A row's copies come first, at score `best`, then by (score, id)."""
        if len(self.first) == len(self.group):
            return group_ids, group_scores
        members = np.argsort(self.group, kind="stable")
        sizes = np.bincount(self.group, minlength=len(self.first))
        starts = np.cumsum(sizes) - sizes
        # The first k + 1 members of each group: nobody needs more of one group (+1: a row is not its own neighbour).
        take = np.minimum(starts[:, None] + np.arange(k + 1), len(members) - 1)
        heads = np.where(np.arange(k + 1) < sizes[:, None], ids[members[take]], NOBODY)

        group_of_id = np.searchsorted(ids[self.first], np.maximum(group_ids, 0))
        group_of_id = np.minimum(group_of_id, len(self.first) - 1)
        out_ids, out_scores = group_ids[self.group], group_scores[self.group]
        many = (sizes > 1) | ((sizes[group_of_id] > 1) & (group_ids != NOBODY)).any(axis=1)
        rows = np.flatnonzero(many[self.group])
        step = max(1, EXPANDED_CELLS // ((k + 1) * (k + 1)))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            own = self.group[part]
            near = np.where((group_ids[own] != NOBODY)[:, :, None], heads[group_of_id[own]][:, :, :k], NOBODY)
            all_ids = np.concatenate([heads[own], near.reshape(len(part), k * k)], axis=1)
            scores = np.concatenate(
                [np.full((len(part), k + 1), best, np.float32), np.repeat(group_scores[own], k, axis=1)], axis=1
            )
            scores = np.where((all_ids == NOBODY) | (all_ids == ids[part][:, None]), -np.inf, scores)
            order = np.lexsort((all_ids, -scores), axis=1)[:, :k]
            out_scores[part] = np.take_along_axis(scores, order, axis=1)
            out_ids[part] = np.take_along_axis(all_ids, order, axis=1)
        out_ids[np.isneginf(out_scores)] = NOBODY
        return out_ids, out_scores


def find_copies(prints: Prints) -> Copies:
    """Rows with equal fingerprints (uint64 (n, 2), in ascending id order)."""
    order = np.lexsort((np.arange(len(prints)), prints[:, 1], prints[:, 0]))
    ordered = prints[order]
    new = np.ones(len(prints), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    lowest = order[np.flatnonzero(new)]
    first = np.sort(lowest)
    group = np.empty(len(prints), dtype=np.int64)
    group[order] = np.searchsorted(first, lowest)[np.cumsum(new) - 1]
    return Copies(group, first)
