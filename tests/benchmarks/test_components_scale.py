"""Connected components by the run's own statement: 1,000,000 nodes with 2,000,000 edges, and a chain of 100,000.

    pytest -m bench -s tests/benchmarks/test_components_scale.py
    COMPONENTS_NODES=10000000 pytest -m bench -s tests/benchmarks/test_components_scale.py     # and so many nodes

Every size runs in a process of its own at a memory limit of 8 GB and is compared with scipy, node by node.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

NODES = [1_000_000, *(int(n) for n in [os.environ.get("COMPONENTS_NODES", "")] if n)]
CODE = """
import resource, sys, time
from pathlib import Path
import numpy as np, pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from fastdup_db.store import duck

shape, n, work_dir = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
rng = np.random.default_rng(0)
if shape == "chain":
    order = rng.permutation(n)
    pairs = np.stack([order[:-1], order[1:]])
else:
    # two neighbours of every node: half of the nodes in groups of 10, the others anywhere, which makes a giant one
    own = np.repeat(np.arange(n), 2)
    near, anywhere = own // 10 * 10 + rng.integers(0, 10, 2 * n), rng.integers(n // 2, n, 2 * n)
    pairs = np.stack([own, np.where(own < n // 2, near, anywhere)])
with duck.connect(work_dir, read_only=False) as db:
    db.query("set memory_limit = '8GB'")
    db.script("views/macros")
    for start in range(0, pairs.shape[1], 1_000_000):
        part = slice(start, start + 1_000_000)
        count = pairs[0, part].size
        columns = [pairs[0, part], pairs[1, part], np.full(count, 0.99, np.float32), np.ones(count, np.int32)]
        db.execute("neighbors/insert_edges", incoming=pa.table(columns, ["from_id", "to_id", "similarity", "rank"]))
    started, cpu = time.perf_counter(), time.process_time()
    db.execute("components/rebuild", threshold=0.9)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = db.arrow("components/all")
a, b = pairs
count, label = connected_components(coo_matrix((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)
lowest = np.full(count, n)
np.minimum.at(lowest, label, np.arange(n))
ids, component = found["id"].to_numpy(), found["component_id"].to_numpy()
assert (component == lowest[label][ids]).all()
assert np.isin(np.concatenate([a, b]), ids).all()
print(f"{shape}, {n:,} nodes, {len(a):,} edges: {seconds:.1f} s, {cpu:.1f} CPU s, "
      f"peak {peak:.1f} GB, {len(np.unique(component)):,} components")
"""


def run(shape: str, n: int, work_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, shape, str(n), str(work_dir)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    print("\n" + done.stdout.strip())


@pytest.mark.parametrize("n", NODES)
def test_a_neighbour_graph(tmp_path: Path, n: int) -> None:
    run("graph", n, tmp_path)


def test_a_chain_of_100_000(tmp_path: Path) -> None:
    run("chain", 100_000, tmp_path)
