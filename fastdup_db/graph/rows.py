"""The prepared vectors of a join: in memory when they fit the budget, else in a scratch file read by block."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from fastdup_db.arrays import Ids, Matrix, Numbers
from fastdup_db.graph.join import Block
from fastdup_db.graph.metrics import Metric
from fastdup_db.store.lance_rows import READ_ROWS

GAP_ROWS = 8
"""Up to this many unwanted rows between two wanted ones are read too: 18 KB take no longer than a second call."""
_AT_ONCE = hasattr(os, "preadv") and hasattr(os, "pwrite")
"""Whether threads can read a file at places of their own: not on Windows, where they take turns at its one position."""


class Source(Protocol):
    """Where vectors are read from, as often as needed: `store.lance.VectorTable` or `Arrays`."""

    def __len__(self) -> int: ...

    def batches(self, *, rows: int = ...) -> Iterator[tuple[Ids, Matrix]]:
        """(ids (b,), float32 (b, d)), ids ascending over all batches."""
        ...


class Held(Source, Protocol):
    """A source that can read some vectors without the others."""

    def pick(self, ids: Ids) -> tuple[Ids, Matrix]:
        """(those of the ascending `ids` that are there (m,), their vectors float32 (m, d))."""
        ...


@dataclass(frozen=True, slots=True)
class Arrays:
    """Vectors in memory as a source. ids int64 (n,) ascending and unique, matrix float32 (n, d)."""

    ids: Ids
    matrix: Matrix

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, *, rows: int = READ_ROWS) -> Iterator[tuple[Ids, Matrix]]:
        """The rows in batches."""
        for start in range(0, len(self.ids), rows):
            yield self.ids[start : start + rows], self.matrix[start : start + rows]

    def pick(self, ids: Ids) -> tuple[Ids, Matrix]:
        """Those of the ascending `ids` that are there, and their vectors."""
        mine = np.isin(self.ids, ids)
        return self.ids[mine], self.matrix[mine]

    def part(self, start: int, stop: int) -> Matrix:
        """The rows `start` to `stop`."""
        return self.matrix[start:stop]


class Rows:
    """A float32 (n, d) array to put rows into and read them from; a context manager, whose scratch file goes with it.

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
        if fits(shape, budget=budget):
            self._memory = np.empty(shape, dtype=np.float32)
        else:
            self._file = tempfile.TemporaryFile(dir=folder, prefix="fastdup-db-rows-", buffering=0)  # noqa: SIM115
            os.ftruncate(self._file.fileno(), shape[0] * self._row_bytes)

    @property
    def in_memory(self) -> bool:
        """Whether all rows are held in memory."""
        return self._memory is not None

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the scratch file."""
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def put(self, positions: Numbers, matrix: Matrix) -> None:
        """Store `matrix[i]` (prepared, float32) as row `positions[i]`. All rows are put before the first is read."""
        if self._memory is not None:
            self._memory[positions] = matrix
            return
        order = np.argsort(positions, kind="stable")
        at, rows = positions[order], np.ascontiguousarray(matrix[order], dtype=np.float32)
        for first, last in runs(at, gap=1):
            self._write(rows[first:last].data, at=int(at[first]) * self._row_bytes)

    def fill(self, start: int, matrix: Matrix) -> None:
        """Store prepared rows one after the other from row `start` on. In memory only; from any thread."""
        assert self._memory is not None
        self._memory[start : start + len(matrix)] = matrix

    def keep(self, positions: Numbers) -> None:
        """Leave only these rows (ascending), renumbered from 0. In memory only."""
        assert self._memory is not None
        for start in range(0, len(positions), READ_ROWS):
            part = positions[start : start + READ_ROWS]
            self._memory[start : start + len(part)] = self._memory[part]  # never overtakes: positions[i] >= i
        self._memory = self._memory[: len(positions)]
        self.shape = (len(positions), self.shape[1])

    def read(self, block: Block) -> Matrix:
        """float32 (len(block), d), not to be written to."""
        if self._memory is not None:
            return self._memory[block.start : block.stop]
        with self._lock:
            if block in self._kept:
                self._kept.move_to_end(block)
                return self._kept[block]
        rows = self._pread(block.start, block.stop)
        with self._lock:
            if block not in self._kept:
                self._kept[block] = rows
                self._kept_bytes += rows.nbytes
                while self._kept_bytes > self._budget and len(self._kept) > 1:
                    self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return rows

    def gather(self, positions: Numbers) -> Matrix:
        """float32 (p, d): the rows at `positions`, ascending."""
        if self._memory is not None:
            return self._memory[positions]
        out = np.empty((len(positions), self.shape[1]), dtype=np.float32)
        for first, last in runs(positions, gap=GAP_ROWS):
            start = int(positions[first])
            out[first:last] = self._pread(start, int(positions[last - 1]) + 1)[positions[first:last] - start]
        return out

    def _pread(self, start: int, stop: int) -> Matrix:
        out = np.empty((stop - start, self.shape[1]), dtype=np.float32)
        view = memoryview(out.data).cast("B")
        done = 0
        while done < len(view):  # one call moves at most 2 GB
            done += self._read_into(view[done:], at=start * self._row_bytes + done)
        return out

    def _write(self, data: memoryview, *, at: int) -> None:
        assert self._file is not None
        if _AT_ONCE:
            os.pwrite(self._file.fileno(), data, at)
            return
        with self._lock:
            self._file.seek(at)
            self._file.write(data)

    def _read_into(self, view: memoryview, *, at: int) -> int:
        """The number of bytes that came."""
        assert self._file is not None
        if _AT_ONCE:
            return os.preadv(self._file.fileno(), [view], at)
        with self._lock:
            self._file.seek(at)
            return self._file.readinto(view)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The vectors to be joined: rows `kept` (ascending positions) of a source, prepared for a metric.

    `memory` holds them already where they fit the budget; otherwise every pass reads the source again.
    """

    source: Source
    kept: Numbers
    metric: Metric
    memory: Rows | None

    def __len__(self) -> int:
        return len(self.kept)

    def parts(self) -> Iterator[tuple[int, Matrix]]:
        """(number of the first row, float32 (b, d)) of consecutive rows, all of them, of fixed batches."""
        if self.memory is not None:
            for start in range(0, len(self.kept), READ_ROWS):
                yield start, self.memory.read(Block(start, min(start + READ_ROWS, len(self.kept))))
            return
        # The source's batches are as its files are; equal batches keep rounding the same as in memory.
        start, waiting, count = 0, [], 0
        for matrix in self._kept():
            waiting.append(matrix)
            count += len(matrix)
            while count >= READ_ROWS:
                together = np.concatenate(waiting)
                yield start, together[:READ_ROWS]
                start, waiting, count = start + READ_ROWS, [together[READ_ROWS:]], count - READ_ROWS
        if count:
            yield start, np.concatenate(waiting)

    def _kept(self) -> Iterator[Matrix]:
        seen = 0
        for ids, matrix in self.source.batches(rows=READ_ROWS):
            first, last = np.searchsorted(self.kept, [seen, seen + len(ids)])
            yield self.metric.prepare(matrix[self.kept[first:last] - seen])
            seen += len(ids)

    def take(self, rows: Numbers) -> Matrix:
        """float32 (len(rows), d): rows by number, ascending, in one pass."""
        if self.memory is not None:
            return self.memory.gather(rows)
        found = []
        for start, matrix in self.parts():
            first, last = np.searchsorted(rows, [start, start + len(matrix)])
            found.append(matrix[rows[first:last] - start])
        return np.concatenate(found)

    def rows(self, *, place: Numbers | None, budget: int, folder: Path | None) -> Rows:
        """All rows for random access: row i at `place[i]`. Where they are in memory they stay in place."""
        if self.memory is not None:
            return self.memory
        rows: Rows | None = None
        for start, matrix in self.parts():
            if rows is None:
                rows = Rows((len(self.kept), matrix.shape[1]), budget=budget, folder=folder)
            numbers = np.arange(start, start + len(matrix))
            rows.put(numbers if place is None else place[numbers], matrix)
        assert rows is not None
        return rows


def fits(shape: tuple[int, int], *, budget: int) -> bool:
    """Whether a float32 array of that shape may be held in memory."""
    return 4 * shape[0] * shape[1] <= budget


def runs(positions: Numbers, *, gap: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of every stretch of ascending positions that are at most `gap` apart."""
    if len(positions):
        cuts = np.flatnonzero(np.diff(positions) > gap) + 1
        yield from pairwise([0, *cuts.tolist(), len(positions)])
