"""Which task of a join gets which rows: bins of about equal size, however unequal the lists are.

A bin is some consecutive lists, or a piece of one list that is too large: then every two pieces meet in a task of their
own. So no task holds more than two `BIN_BYTES` of vectors, even where most of a collection lies in one list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastdup_db.arrays import Numbers

BIN_BYTES = 256 << 20
"""Vectors of a bin; a task that joins two pieces of a large list holds two, and as much again while reading."""
BINS_PER_SLOT = 4
"""Fewer rows than `BIN_BYTES` go into a bin where there would be too few bins to keep all processors busy."""
LEAST_BIN_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the rows of each list go: list l to bin `first[l]`, or spread over the `pieces[l]` bins from there on.

    first, pieces: int64 (lists,). lists: of each bin, its (first, last + 1) list.
    """

    first: Numbers
    pieces: Numbers
    lists: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.lists)

    def of(self, rows: Numbers, lists: Numbers) -> Numbers:
        """int64 (n,): the bin of row `rows[i]` where it looks into `lists[i]`."""
        return self.first[lists] + rows % self.pieces[lists]

    def tasks(self) -> Iterator[tuple[int, ...]]:
        """Bins to be joined together: each with itself, and each two pieces of one list."""
        for number, (first, _) in enumerate(self.lists):
            yield (number,)
            end = int(self.first[first] + self.pieces[first]) if self.pieces[first] > 1 else 0
            for other in range(number + 1, end):
                yield number, other


def make_bins(looking: Numbers, *, row_bytes: int, slots: int) -> Bins:
    """Bins of at most `BIN_BYTES`. looking: int64 (lists,), how many rows look into each list."""
    even = max(int(looking.sum()) // (BINS_PER_SLOT * slots), LEAST_BIN_ROWS)
    most = max(min(BIN_BYTES // row_bytes, even), 1)
    first, pieces = np.empty(len(looking), np.int64), np.ones(len(looking), np.int64)
    bins: list[tuple[int, int]] = []
    begun, rows = 0, 0
    for number, count in enumerate(looking.tolist()):
        if rows and rows + count > most:
            bins.append((begun, number))
            begun, rows = number, 0
        first[number] = len(bins)
        rows += count
        if count > most:
            pieces[number] = -(-count // most)
            bins += [(number, number + 1)] * int(pieces[number])
            begun, rows = number + 1, 0
    if rows or not bins or begun < len(looking):
        bins.append((begun, len(looking)))
    return Bins(first, pieces, tuple(bins))
