"""The work on this machine: threads, since OpenCV and ONNX Runtime release the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastdup_db import sources
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.sources.reference import Load, Reference
from fastdup_db.threads import cores, mapped

if TYPE_CHECKING:
    from fastdup_db.engines.worker import Worker
    from fastdup_db.graph.nearest import Nearest
    from fastdup_db.models.session import Embedder
    from fastdup_db.places import Place

CHUNK = 16
"""Images per unit of work: enough to fill a batch of the network, few enough that threads end together."""


@dataclass(slots=True)
class Local:
    """The engine of this machine's threads."""

    threads: int | None = None
    name: str = "local"
    cpu_seconds: float = 0.0

    def check(self, spec: WorkSpec, *, folder: Place) -> None:
        """Its threads can do all of it."""

    def run(
        self,
        tasks: Iterable[Task],
        spec: WorkSpec,
        *,
        total: int,
        write: Any = None,
        embedder: Embedder | None = None,
    ) -> Iterator[BatchResult]:
        """Results in task order."""
        from fastdup_db.engines.worker import Worker

        return run(tasks, spec, threads=self.threads, worker=Worker(spec, embedder=embedder))

    def list_join(self, folder: Place) -> Callable[..., Nearest]:
        """The join of `graph` itself."""
        from fastdup_db.graph import ivf

        return ivf.join

    def components(self, edges: Any, *, folder: Place, min_similarity: float) -> None:
        """Left to SQL."""


@contextmanager
def here(*, threads: int | None = None) -> Iterator[Local]:
    """The engine, as a block; there is nothing to start or stop."""
    yield Local(threads)


def run(
    tasks: Iterable[Task],
    spec: WorkSpec,
    *,
    threads: int | None = None,
    worker: Worker | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[BatchResult]:
    """Work through the tasks; results come in task order, whatever thread made them.

    At most two chunks per thread are under way, so that memory does not grow with the collection. worker: one made
    of `spec` before, so that its model is not loaded again. pool: so many threads, to be shared with other runs.
    """
    count = cores(threads)
    if worker is None:
        from fastdup_db.engines.worker import Worker

        worker = Worker(spec)
    yield from mapped(worker.process, chunks(tasks), threads=count, depth=2 * count, pool=pool)


def opened(tasks: Iterable[Task]) -> Iterator[tuple[Task, Load]]:
    """Each task, in order, with the function that reads its image."""
    ahead: deque[Task] = deque()

    def references() -> Iterator[Reference]:
        for task in tasks:
            ahead.append(task)
            yield task.reference

    for _, load in sources.payloads(references()):
        yield ahead.popleft(), load


def chunks(tasks: Iterable[Task]) -> Iterator[list[tuple[Task, Load]]]:
    """`opened`, `CHUNK` at a time."""
    stream = opened(tasks)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk
