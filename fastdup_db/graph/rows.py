"""The prepared vectors of a join: in memory when they fit the budget, else in a scratch file read by block."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastdup_db.graph.join import Block
from fastdup_db.graph.metrics import Matrix

Positions = npt.NDArray[np.int64]


class Rows:
    """A float32 (n, d) array with `put` and `read`; a context manager, whose scratch file goes with it.

    In memory it takes 4 n d bytes where `budget` (bytes) allows; otherwise blocks lie in a file without a name in
    `folder` and the most recently read ones are kept, within the budget. The content is the same either way.
    """

    def __init__(self, shape: tuple[int, int], *, budget: int, folder: Path | None = None) -> None:
        self.shape = shape
        self._row_bytes = 4 * shape[1]
        self._budget = budget
        self._memory: Matrix | None = None
        self._file = None
        self._kept: OrderedDict[Block, Matrix] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        if shape[0] * self._row_bytes <= budget:
            self._memory = np.empty(shape, dtype=np.float32)
        else:
            self._file = tempfile.TemporaryFile(dir=folder, prefix="fastdup-db-rows-")  # noqa: SIM115
            os.ftruncate(self._file.fileno(), shape[0] * self._row_bytes)

    @property
    def in_memory(self) -> bool:
        """Whether all rows are held in memory."""
        return self._memory is not None

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def put(self, positions: Positions, matrix: Matrix) -> None:
        """Store `matrix[i]` (prepared, float32) as row `positions[i]`. All rows are put before the first is read."""
        if self._memory is not None:
            self._memory[positions] = matrix
            return
        assert self._file is not None
        order = np.argsort(positions, kind="stable")
        at, rows = positions[order], np.ascontiguousarray(matrix[order], dtype=np.float32)
        for first, last in runs(at):
            os.pwrite(self._file.fileno(), rows[first:last].data, int(at[first]) * self._row_bytes)

    def read(self, block: Block) -> Matrix:
        """float32 (len(block), d), not to be written to."""
        if self._memory is not None:
            return self._memory[block.start : block.stop]
        with self._lock:
            if block in self._kept:
                self._kept.move_to_end(block)
                return self._kept[block]
        assert self._file is not None
        data = os.pread(self._file.fileno(), len(block) * self._row_bytes, block.start * self._row_bytes)
        rows = np.frombuffer(data, dtype=np.float32).reshape(len(block), self.shape[1])
        with self._lock:
            if block not in self._kept:
                self._kept[block] = rows
                self._kept_bytes += rows.nbytes
                while self._kept_bytes > self._budget and len(self._kept) > 1:
                    self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return rows


def runs(sorted_positions: Positions) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of every stretch of consecutive positions."""
    if not len(sorted_positions):
        return
    cuts = np.flatnonzero(np.diff(sorted_positions) != 1) + 1
    yield from pairwise([0, *cuts.tolist(), len(sorted_positions)])
