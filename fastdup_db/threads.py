"""Threads of this process: how many, and a `map` that works ahead of its caller."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def cores(threads: int | None = None) -> int:
    """The number of worker threads: as asked for, else all cores that this process may use."""
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(
    work: Callable[[S], T],
    items: Iterable[S],
    *,
    threads: int = 1,
    depth: int | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[T]:
    """`map` by `threads` threads of its own, in order, at most `depth` (four a thread) results ahead of the caller.

    The items are taken in the caller's thread: they may come from a database connection that belongs to it. With one
    thread the calls of `work` follow one another, so it may keep a place in a file. Inflating and video decoding
    release the GIL and overlap with the caller. The first exception ends it; closing the iterator waits for the
    calls under way.
    """
    with nullcontext(pool) if pool else ThreadPoolExecutor(threads, thread_name_prefix="fastdup-ahead") as running:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(running.submit(work, item))
                if len(waiting) >= (depth or 4 * threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
