"""Where the work runs: `local` (threads), `ray` (a cluster). The same tasks give the same rows everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from fastdup_db.config import RunConfig
    from fastdup_db.engines.stored import Stored, Writer
    from fastdup_db.engines.task import BatchResult, Task, WorkSpec
    from fastdup_db.graph.nearest import Nearest
    from fastdup_db.models.session import Embedder
    from fastdup_db.places import Place


class Engine(Protocol):
    """What runs the work of one run."""

    name: str
    cpu_seconds: float
    """Processor time that other processes than this one have spent so far."""

    def check(self, spec: WorkSpec, *, folder: Place) -> None:
        """Raises `BadArgument` where workers cannot do what `spec` says. folder: the work_dir."""
        ...

    def run(
        self,
        tasks: Iterable[Task],
        spec: WorkSpec,
        *,
        total: int,
        write: Writer | None = None,
        embedder: Embedder | None = None,
    ) -> Iterator[BatchResult | Stored]:
        """Results in task order. total: how many tasks there are. write: with it, workers in other processes that see
        its place store their rows and vectors themselves and return only where these are; other workers ignore it.
        embedder: the model of `spec`, already open, for workers in this process; others open their own."""
        ...

    def list_join(self, folder: Place) -> Callable[..., Nearest]:
        """A function like `graph.ivf.join` that finds the same. folder: where rows may lie while they change hands."""
        ...

    def components(
        self, edges: Iterable[pa.Table], *, folder: Place, min_similarity: float
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
