"""One run's stay on a cluster: connect, count what there is to work with, leave nothing running that was not before."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fastdup_db import checks
from fastdup_db.config import RunConfig
from fastdup_db.engines.ray import seen
from fastdup_db.engines.stored import Stored, Writer
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.errors import BadArgument, FastdupError, MissingExtra, one_of
from fastdup_db.places import Place
from fastdup_db.threads import cores

if TYPE_CHECKING:
    import pyarrow as pa

    from fastdup_db.graph.nearest import Nearest
    from fastdup_db.models.session import Embedder

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 512 << 20
"""Object store of a cluster that a run starts for itself: what lies there at once is a few results per worker."""

THREADS = 2
"""Of a worker, by default. On a node of two cores 5,000 images took 34.1 to 36.2 s and 58.9 to 62.0 s of processor time
with one worker of two threads, 34.6 to 37.9 s and 61.8 to 67.6 s with two workers of one; more threads share one GIL
and were not measured."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run takes of a cluster: `run(engine='ray', resources={...})`.

    workers: processes that read and embed images; by default as many as the cluster has processors (or GPUs) for.
    num_cpus, num_gpus, memory: what each of them gets: threads, GPUs, bytes that Ray sets aside. Without `workers` and
    GPUs a worker has two threads where that leaves no processor unused, else one.
    object_store_memory: bytes of the object store of a cluster that the run starts for itself.
    """

    workers: int | None = None
    num_cpus: int | None = None
    num_gpus: float = 0
    memory: int | None = None
    object_store_memory: int = OBJECT_STORE_BYTES

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return self.num_cpus or 1

    @classmethod
    def of(cls, wanted: Mapping[str, Any] | None) -> Resources:
        """Checked. Raises `BadArgument`."""
        allowed = set(cls.__dataclass_fields__)
        given: dict[str, Any] = {}
        for name, value in (wanted or {}).items():
            if name not in allowed:
                raise one_of("resources", name, allowed)
            if value is None:
                continue
            if name == "num_gpus":
                given[name] = checks.between(f"resources[{name!r}]", value, 0, math.inf)
            else:
                given[name] = checks.at_least(f"resources[{name!r}]", value, 1)
        return cls(**given)


def check(config: RunConfig) -> None:
    """Raises `MissingExtra` without Ray, `BadArgument` for resources that mean nothing. Starts nothing."""
    Resources.of(config.resources)
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra("engine='ray'", "ray")


@dataclass(slots=True)
class RayEngine:
    """The engine of a cluster that this process is connected to."""

    resources: Resources
    workers: int
    """Processes for images."""
    slots: int
    """Tasks of one processor that run at once."""
    name: str = "ray"
    cpu_seconds: float = 0.0

    def check(self, spec: WorkSpec, *, folder: Place) -> None:
        """Crops are files of the work_dir that workers write: on a node that does not see it they would be lost."""
        if spec.crops_dir is not None and not self.shares(folder):
            raise BadArgument(
                f"save_crops=True with engine='ray' needs a work_dir that every node of the cluster sees; {folder.uri} "
                "is not: choose a folder on a disk that all nodes share, or leave save_crops out"
            )

    def run(
        self,
        tasks: Iterable[Task],
        spec: WorkSpec,
        *,
        total: int,
        write: Writer | None = None,
        embedder: Embedder | None = None,
    ) -> Iterator[BatchResult | Stored]:
        """Results in task order. A lost worker's unit of images is done again elsewhere."""
        from fastdup_db.engines.ray import ingest

        for done in ingest.run(tasks, spec, total=total, write=write, workers=self.workers, resources=self.resources):
            self.cpu_seconds += done.cpu_seconds
            yield from done.results

    def shares(self, folder: Place) -> bool:
        """Whether every node of the cluster sees a file that is written into `folder` now."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        see = ray.remote(num_cpus=0)(seen.sees)
        nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"]]
        with seen.probe(folder) as probe:
            answers = [
                see.options(scheduling_strategy=NodeAffinitySchedulingStrategy(n, soft=True)).remote(probe)
                for n in nodes
            ]
            return all(ray.get(answers))

    def spent(self, seconds: float) -> None:
        """Add processor time that a task reports."""
        self.cpu_seconds += seconds

    def list_join(self, folder: Place) -> Callable[..., Nearest]:
        """`graph.ivf.join` with its lists as tasks, where every node sees `folder`; else that of this machine."""
        from fastdup_db.engines.ray import join
        from fastdup_db.graph import ivf

        if not self.shares(folder):
            log.warning(
                "neighbours are looked for on this machine alone: not every node of the cluster sees %s",
                folder.uri,
            )
            return ivf.join
        return partial(join.join, scratch=folder / join.SCRATCH, slots=self.slots, spent=self.spent)

    def components(
        self, edges: Iterable[pa.Table], *, folder: Place, min_similarity: float
    ) -> Iterator[pa.Table] | None:
        """By label propagation between files in `folder`, where every node sees it."""
        from fastdup_db.engines.ray import components

        if not self.shares(folder):
            return None
        return components.components(edges, scratch=folder / components.SCRATCH, min_similarity=min_similarity)


@contextmanager
def connected(config: RunConfig) -> Iterator[RayEngine]:
    """Connected to `ray_address`, else to the cluster of this process or of `$RAY_ADDRESS`, else to one of its own.

    A cluster of its own has this machine's cores (or `num_threads`), hears only this machine, reports to nobody and
    ends with the block.
    """
    check(config)
    import ray

    wanted = Resources.of(config.resources)
    joined = not ray.is_initialized()
    if joined:
        _init(config, wanted)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus, gpus = (sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU"))
        wanted = with_threads(nodes, wanted)
        if not room(nodes, wanted):
            raise BadArgument(
                f"a worker of {wanted.threads} CPUs and {wanted.num_gpus:g} GPUs does not fit any node of the cluster, "
                f"which has {cpus:g} CPUs and {gpus:g} GPUs in all"
            )
        workers, slots = wanted.workers or room(nodes, wanted), max(1, int(cpus))
        log.info("ray: %d workers of %d threads on %d nodes", workers, wanted.threads, len(nodes))
        yield RayEngine(wanted, workers, slots)
    finally:
        if joined:
            ray.shutdown()


def _init(config: RunConfig, wanted: Resources) -> None:
    import ray

    # One bar on stderr: Ray's own lines, also those of its C++ core, stay in its session folder; but for one, at the
    # start, in which the core says that it was told so.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray 2.53 shows three lines about this unless it is set; `UnitWorker` hides the GPUs of others itself
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = config.ray_address or os.environ.get("RAY_ADDRESS")
    if address:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as exc:
            raise FastdupError(f"no Ray cluster answers at {address}: {exc}; start one: ray start --head") from exc
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=cores(config.num_threads),
        object_store_memory=wanted.object_store_memory,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        **quiet,
    )


def with_threads(nodes: Sequence[Mapping[str, float]], wanted: Resources) -> Resources:
    """The same with `num_cpus` decided: two threads share one process, one model and one start, and lose no processor.

    nodes: what each has by Ray's names: CPU, GPU, memory (bytes).
    """
    if wanted.num_cpus or wanted.workers or wanted.num_gpus:
        return replace(wanted, num_cpus=wanted.threads)
    one, more = (replace(wanted, num_cpus=n) for n in (1, THREADS))
    return more if THREADS * room(nodes, more) >= room(nodes, one) else one


def room(nodes: Sequence[Mapping[str, float]], wanted: Resources) -> int:
    """How many workers fit on the nodes: none is spread over two of them."""
    each = {"CPU": wanted.threads, "GPU": wanted.num_gpus, "memory": wanted.memory or 0}
    return sum(int(min(node.get(name, 0) / some for name, some in each.items() if some)) for node in nodes)
