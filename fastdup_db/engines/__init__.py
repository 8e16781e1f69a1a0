"""Where the work runs: `local` (threads), `ray` (a cluster). The same tasks give the same rows everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from fastdup_db.config import RunConfig
    from fastdup_db.engines.task import BatchResult, Task, WorkSpec
    from fastdup_db.graph.nearest import Nearest

WriteVectors = Callable[["np.ndarray", "np.ndarray"], list[str]]
"""Writes (ids int64 (n,), float32 (n, d)), in any process, where the parent can commit them; says how to find them."""


class Engine(Protocol):
    """What runs the work of one run."""

    name: str
    cpu_seconds: float
    """Processor time that other processes than this one have spent so far."""

    def run(
        self, tasks: Iterable[Task], spec: WorkSpec, *, total: int, write: WriteVectors | None = None
    ) -> Iterator[BatchResult]:
        """Results in task order. total: how many tasks there are. write: lets workers in other processes store their
        vectors themselves; the results then name them in `fragments`. Workers of this process ignore it."""
        ...

    def shares(self, folder: Path) -> bool:
        """Whether every worker sees this folder."""
        ...

    def list_join(self, folder: Path) -> Callable[..., Nearest]:
        """A function like `graph.ivf.join` that finds the same. folder: where rows may lie while they change hands."""
        ...

    def components(
        self, edges: Iterable[pa.Table], *, folder: Path, min_similarity: float
    ) -> Iterator[pa.Table] | None:
        """Components `id, component_id` of more edges (from_id, to_id, similarity) than one machine should work on;
        None where there is nothing but this machine. folder: for files on the way."""
        ...


def check_engine(config: RunConfig) -> None:
    """Raises `MissingExtra` or `BadArgument` where the engine asked for cannot be used; starts nothing."""
    if config.engine == "ray":
        from fastdup_db.engines import ray

        ray.check(config)


def open_engine(config: RunConfig) -> AbstractContextManager[Engine]:
    """The engine a run asks for, for the length of a block."""
    if config.engine == "ray":
        from fastdup_db.engines import ray

        return ray.connected(config)
    from fastdup_db.engines import local

    return local.here(threads=config.num_threads)
