"""The k nearest seen so far of every row, whatever order the pairs come in."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from fastdup_db.arrays import Ids, Scores

NOBODY = -1
"""The id in a slot that no neighbour has taken."""


class Nearest:
    """`ids` int64 (n, k) and `scores` float32 (n, k), best first: larger score, then lower id.

    Offers may come from several threads and in any order; the outcome depends only on the set of pairs offered.
    """

    def __init__(self, rows: int, *, k: int) -> None:
        self.k = k
        self.ids: Ids = np.full((rows, k), NOBODY, dtype=np.int64)
        self.scores: Scores = np.full((rows, k), -np.inf, dtype=np.float32)
        self._lock = threading.Lock()

    def known(self, rows: Ids, ids: Ids) -> npt.NDArray[np.bool_]:
        """bool (p,): whether `ids[i]` is among the nearest of row `rows[i]` already."""
        return (self.ids[rows] == ids[:, None]).any(axis=1)

    def offer(self, rows: Ids, ids: Ids, scores: Scores) -> None:
        """Let each neighbour `ids[p]` at `scores[p]` compete for a place in row `rows[p]`. The same pair may come
        again, at the same score."""
        if not len(rows):
            return
        with self._lock:
            touched = np.unique(rows)
            all_rows = np.concatenate([np.repeat(touched, self.k), rows])
            all_ids = np.concatenate([self.ids[touched].ravel(), ids])
            all_scores = np.concatenate([self.scores[touched].ravel(), scores])
            # Empty slots sort last within their row: their score is -inf and nothing offered is.
            order = np.lexsort((all_ids, -all_scores, all_rows))
            all_rows, all_ids, all_scores = all_rows[order], all_ids[order], all_scores[order]
            new = np.ones(len(order), dtype=bool)
            new[1:] = (all_ids[1:] != all_ids[:-1]) | (all_rows[1:] != all_rows[:-1]) | (all_ids[1:] == NOBODY)
            if not new.all():
                all_rows, all_ids, all_scores = all_rows[new], all_ids[new], all_scores[new]
            best = np.searchsorted(all_rows, touched)[:, None] + np.arange(self.k)
            self.ids[touched] = all_ids[best]
            self.scores[touched] = all_scores[best]
