"""A Ray cluster for tests: two raylets on loopback, one core each, gone afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fastdup_db

STORE_BYTES = 150 << 20


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes, whose workers find this package."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(Path(fastdup_db.__file__).parents[1])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
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
