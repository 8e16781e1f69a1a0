"""An iterator that is worked on before it is asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

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
