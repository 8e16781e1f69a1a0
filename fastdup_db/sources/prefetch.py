"""Loads that are run ahead of their callers, by many threads, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from fastdup_db.sources.reference import Load, Reference

THREADS = 16
MAX_BYTES = 256 << 20
UNKNOWN_SIZE = 1 << 20
"""Bytes assumed for an image whose size is not known."""
_WINDOW = 4  # references read ahead of the caller for each thread


def prefetched(
    pairs: Iterable[tuple[Reference, Load]], *, threads: int | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[Reference, Load]]:
    """The same pairs in the same order, their loads already running in `threads` threads.

    At most `max_bytes` of results wait to be asked for. A load that was not begun when it is called runs in the
    caller's thread, so callers may hold any number of pairs, in any order, without a deadlock; a pair that is dropped
    gives its bytes back. Errors are raised where the load is called.
    """
    pool = _Pool(max_bytes)
    count = threads or THREADS
    waiting: deque[tuple[Reference, _Slot]] = deque()
    for _ in range(count):
        threading.Thread(target=pool.work, name="fastdup-prefetch", daemon=True).start()
    ended = False
    try:
        for reference, load in pairs:
            slot = _Slot(pool, load, reference.file_size if reference.file_size >= 0 else UNKNOWN_SIZE)
            pool.add(slot)
            waiting.append((reference, slot))
            del slot
            if len(waiting) >= count * _WINDOW:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
        ended = True
    finally:
        pool.finish(drop=not ended)


class _Slot:
    """One load: begun by a thread of the pool or by its caller, whoever comes first."""

    __slots__ = ("_done", "_error", "_load", "_pool", "_result", "_size", "begun", "held")

    def __init__(self, pool: _Pool, load: Load, size: int) -> None:
        self._pool, self._load, self._size = pool, load, size
        self._done = threading.Event()
        self._result: bytes | np.ndarray | None = None
        self._error: BaseException | None = None
        self.begun = self.held = False

    @property
    def size(self) -> int:
        return self._size

    def run(self) -> None:
        try:
            self._result = self._load()
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._error = error
        self._done.set()

    def __call__(self) -> bytes | np.ndarray:
        if self._pool.begin(self):
            return self._load()
        self._done.wait()
        with self._pool.changed:
            result, error = self._result, self._error
            self._result = self._error = None
            self._pool.give_back(self)
        if error is not None:
            raise error
        return result if result is not None else self._load()  # a second call reads anew

    def __del__(self) -> None:
        self._pool.give_back(self)


class _Pool:
    def __init__(self, max_bytes: int) -> None:
        self.changed = threading.Condition()  # on an RLock: a slot may die while its own pool is locked
        self._max_bytes = max_bytes
        self._held = 0
        self._pending: deque[_Slot] = deque()
        self._finished = False

    def add(self, slot: _Slot) -> None:
        with self.changed:
            self._pending.append(slot)
            self.changed.notify()

    def begin(self, slot: _Slot) -> bool:
        """Claims a slot for its caller; False when a thread has it already."""
        with self.changed:
            mine = not slot.begun
            slot.begun = True
            return mine

    def give_back(self, slot: _Slot) -> None:
        with self.changed:
            if slot.held:
                slot.held = False
                self._held -= slot.size
                self.changed.notify_all()

    def finish(self, *, drop: bool) -> None:
        with self.changed:
            self._finished = True
            if drop:
                self._pending.clear()
            self.changed.notify_all()

    def work(self) -> None:
        while (slot := self._next()) is not None:
            slot.run()
            del slot  # its caller may have dropped it: then nobody else keeps its bytes

    def _next(self) -> _Slot | None:
        with self.changed:
            while True:
                while self._pending and self._pending[0].begun:
                    self._pending.popleft()
                if self._pending and (not self._held or self._held + self._pending[0].size <= self._max_bytes):
                    slot = self._pending.popleft()
                    slot.begun = slot.held = True
                    self._held += slot.size
                    return slot
                if self._finished and not self._pending:
                    return None
                self.changed.wait()
