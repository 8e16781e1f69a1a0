"""Images through an actor pool of Ray Data: units of tasks in, their rows out, in order.

A unit is one block of the dataset; a lost worker loses the two that it has begun, and they are done again. Ray Data
restarts actors, tries units again and holds back workers that run ahead of the parent; nothing of that is done here.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fastdup_db.engines import local
from fastdup_db.engines.ray import seen
from fastdup_db.engines.stored import Stored, Writer
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.errors import FastdupError
from fastdup_db.places import Place

if TYPE_CHECKING:
    from fastdup_db.engines.ray.session import Resources

log = logging.getLogger(__name__)

UNITS_AT_ONCE = 2
"""Units that a worker has begun: while one is being written, its threads work on the other."""
UNITS_PER_WORKER = 16
"""A small collection is cut finely enough that workers end together."""
MOST_PER_UNIT = 1024
"""Images of a unit: some seconds of work, a fragment of 2 MB and Parquet files of 0.2 MB."""
MOST_IN_SEQUENCE = 8192
"""A compressed tar or a video is read from its beginning: its images stay in one unit up to this many."""
WINDOW_PER_WORKER = 64
"""Units handed to the cluster at once: the pool is started again after these, and references wait in memory."""


@dataclass(frozen=True, slots=True)
class Done:
    """One finished unit."""

    results: Sequence[BatchResult | Stored]
    cpu_seconds: float


def run(
    tasks: Iterable[Task],
    spec: WorkSpec,
    *,
    total: int,
    write: Writer | None,
    workers: int,
    resources: Resources,
) -> Iterator[Done]:
    """Every unit's results, in task order. Workers that do not see the place of `write` hand back what they made."""
    with seen.probe(write.place) if write else nullcontext() as probe:
        yield from _run(
            tasks, total=total, workers=workers, resources=resources, arguments=(spec, write, probe, resources.threads)
        )


def _run(
    tasks: Iterable[Task], *, total: int, workers: int, resources: Resources, arguments: tuple[Any, ...]
) -> Iterator[Done]:
    import ray

    stream = units(tasks, size=unit_size(total, workers=workers))
    while window := [{"unit": unit} for unit in islice(stream, window_units(workers))]:
        # from_arrow asks for each block's schema by a task, and a process that has run a task is never made an actor:
        # two that waited stayed idle (3 s of processor time each), and the workers' had to be started
        dataset: Any = ray.data.from_items(window, override_num_blocks=len(window))
        context = dataset.context
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        asked: dict[str, Any] = {"num_cpus": resources.threads}
        asked |= {"num_gpus": resources.num_gpus} if resources.num_gpus else {}
        asked |= {"memory": resources.memory} if resources.memory else {}
        dataset = dataset.map_batches(
            UnitWorker,
            fn_constructor_args=arguments,
            batch_size=1,  # a unit is a row; with GPUs Ray wants to be told
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(window)),
                max_concurrent_calls_per_actor=UNITS_AT_ONCE,
                enable_true_multi_threading=True,
            ),
            **asked,
        )
        for batch in _batches(dataset):
            for blob in batch.column("done"):
                yield pickle.loads(blob.as_py())


def _batches(dataset: Any) -> Iterator[pa.Table]:
    """A worker's own error is raised as it was; all else that Ray could not mend is a failed run."""
    import ray

    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow")
    except ray.exceptions.RayError as exc:
        cause: BaseException | None = exc
        while cause is not None and not isinstance(cause, FastdupError):
            cause = cause.__cause__ or getattr(cause, "cause", None)
        if cause is not None:
            raise cause from exc
        raise FastdupError(f"the Ray cluster gave up: {exc}; run again, it goes on at the last checkpoint") from exc


class UnitWorker:
    """An actor: one model and its threads, which work on the units that it is called with, two at a time."""

    def __init__(self, spec: WorkSpec, write: Writer | None, probe: Place | None, threads: int) -> None:
        import ray

        from fastdup_db.engines.worker import Worker
        from fastdup_db.models.runtime import GPUS_VARIABLE

        if not ray.get_gpu_ids():  # the node's GPUs belong to others
            os.environ[GPUS_VARIABLE] = ""
        if probe is not None and not seen.sees(probe):
            log.warning("%s is not on this node: rows and vectors are handed back", probe.uri)
            write = None
        self._spec, self._write, self._threads = spec, write, threads
        self._worker = Worker(spec)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fastdup")
        self._turn, self._counting = threading.Lock(), threading.Lock()
        self._counted = 0.0  # the first unit pays for loading

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Pickled `Done` for every pickled list of tasks."""
        done = [pickle.dumps(self._one(pickle.loads(unit.as_py()))) for unit in batch.column("unit")]
        return pa.table({"done": pa.array(done, pa.large_binary())})

    def _one(self, tasks: list[Task]) -> Done:
        mine = self._in_turn(tasks)
        try:
            results = list(local.run(mine, self._spec, threads=self._threads, worker=self._worker, pool=self._pool))
        finally:
            mine.close()
        done = results if self._write is None else [self._write(results)]
        with self._counting:
            before, self._counted = self._counted, time.process_time()
            return Done(done, self._counted - before)

    def _in_turn(self, tasks: list[Task]) -> Generator[Task, None, None]:
        """The tasks of a unit, when those of the other are all with the threads: else both would end at once, and the
        threads would wait while both are written."""
        with self._turn:
            yield from tasks


def unit_size(total: int, *, workers: int) -> int:
    """Images of a unit: whole chunks of the local engine, so that the network sees the same batches."""
    return min(max(total // (UNITS_PER_WORKER * workers) // local.CHUNK, 1) * local.CHUNK, MOST_PER_UNIT)


def window_units(workers: int) -> int:
    """Units handed over at once."""
    return WINDOW_PER_WORKER * workers


def units(tasks: Iterable[Task], *, size: int) -> Iterator[bytes]:
    """Pickled lists of about `size` consecutive tasks; what is read in sequence stays together."""
    unit: list[Task] = []
    for task in tasks:
        full = len(unit) >= size and not (_in_sequence(unit[-1], task) and len(unit) < MOST_IN_SEQUENCE)
        if full:
            yield pickle.dumps(unit)
            unit = []
        unit.append(task)
    if unit:
        yield pickle.dumps(unit)


def _in_sequence(one: Task, other: Task) -> bool:
    """Whether both lie in one container that has no index: a video, a compressed tar."""
    here, there = one.reference, other.reference
    if not here.container or here.container != there.container:
        return False
    return here.frame_ms >= 0 or (here.offset < 0 and not here.container.lower().endswith(".zip"))
