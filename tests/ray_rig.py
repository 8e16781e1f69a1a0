"""Ray clusters for tests, on loopback, gone afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import fastdup_db
from fastdup_db.threads import cores
from tests.s3_server import reach

STORE_BYTES = 150 << 20


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `two_nodes`, started with the keys of the S3 server, if there is one, in their environment.

    Of one module alone: after the tests of `test_ray_run`, jobs of other modules failed on the same cluster.
    """
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with ExitStack() as started:
        with pytest.MonkeyPatch.context() as environment:
            with suppress(pytest.skip.Exception):
                reach(request.getfixturevalue("s3_server"), environment, tmp_path_factory.mktemp("environment"))
            address = started.enter_context(two_nodes())
        yield address


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes with one core each, whose workers find this package.

    The second node says that it has a GPU; there is none.
    """
    with _cluster({"num_cpus": 1}, {"num_cpus": 1, "num_gpus": 1}) as address:
        yield address


@contextmanager
def one_node() -> Iterator[str]:
    """The address of a cluster of this machine with all its cores."""
    with _cluster({"num_cpus": cores()}) as address:
        yield address


@contextmanager
def _cluster(*nodes: dict[str, int]) -> Iterator[str]:
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(Path(fastdup_db.__file__).parents[1])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    first, *others = [{**node, "object_store_memory": STORE_BYTES} for node in nodes]
    cluster = Cluster(initialize_head=True, head_node_args={**first, "include_dashboard": False})
    try:
        for node in others:
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()


def descendants(title: str) -> list[int]:
    """Processes that this one started, however indirectly, whose command line begins with `title`."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith(title):
                found.append(process.pid)
        except psutil.Error:
            continue
    return sorted(found)


def kill(pid: int) -> None:
    """As a machine that fails: no goodbye."""
    os.kill(pid, signal.SIGKILL)
