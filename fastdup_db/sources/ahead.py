"""Iterators that are worked on before they are asked."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")

_END = object()


def ahead(items: Iterable[T], *, depth: int) -> Iterator[T]:
    """The same items in the same order, made by a thread of their own, at most `depth` of them waiting.

    Inflating and video decoding release the GIL, so they overlap with the caller's work. An exception of `items`
    is raised where its item would have come. Closing the iterator stops the thread after the item in hand.
    """
    waiting: queue.Queue[object] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - carried to the consumer's thread and raised there
            failure.append(error)
        put(_END)

    thread = threading.Thread(target=work, name="fastdup-ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
    if failure:
        raise failure[0]


def mapped(work: Callable[[S], T], items: Iterable[S], *, threads: int) -> Iterator[T]:
    """`map` by several threads, in order, a bounded number of items ahead; the first exception ends it."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
