"""What Ray costs on the cores of one machine: ratios of one run. `pytest -m bench -s` shows the numbers."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

import fastdup_db
from fastdup_db.config import RunConfig
from fastdup_db.graph.knn import neighbors
from fastdup_db.places import Place
from fastdup_db.store.lance import VECTORS, VectorTable
from tests import ray_rig

pytestmark = pytest.mark.bench

IMAGES = int(os.environ.get("FASTDUP_DB_BENCH_IMAGES", "5000"))
ROWS = int(os.environ.get("FASTDUP_DB_BENCH_ROWS", "200000"))
DIM = 576


@pytest.fixture(scope="module")
def address():
    """One node with all cores, as `ray start --head` makes it."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with ray_rig.one_node() as found:
        yield found


class Watch:
    """The largest resident memory of any Ray worker while the block runs, bytes without what it shares."""

    def __enter__(self) -> Watch:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        import psutil

        while not self._stop.wait(0.3):
            for pid in ray_rig.descendants("ray::"):
                try:
                    memory = psutil.Process(pid).memory_info()
                except psutil.Error:
                    continue
                self.peak = max(self.peak, memory.rss - memory.shared)


def test_images(address, real_images, tmp_path):
    photographs = sorted((real_images / "imagenet-sample").iterdir())
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(IMAGES):
        source = photographs[number % len(photographs)]
        (folder / f"{number:06d}{source.suffix}").symlink_to(source)
    seconds, cpu = {}, {}
    for engine in ("local", "ray"):
        fd = fastdup_db.create(tmp_path / engine, folder)
        with Watch() as watch:
            begun = time.monotonic()
            fd.run(progress=False, run_mode=1, engine=engine, ray_address=address if engine == "ray" else None)
            seconds[engine] = time.monotonic() - begun
        cpu[engine] = float(fd.sql("from costs")["cpu_hours"].iloc[0]) * 3600
    print(
        f"\n{IMAGES} images: local {seconds['local']:.1f} s, Ray {seconds['ray']:.1f} s, "
        f"ratio {seconds['ray'] / seconds['local']:.2f} (limit 1.3); "
        f"CPU per image: local {1000 * cpu['local'] / IMAGES:.2f} ms, Ray {1000 * cpu['ray'] / IMAGES:.2f} ms; "
        f"largest worker {watch.peak / 2**20:.0f} MB"
    )


def grouped(rows: int) -> np.ndarray:
    """float32 (rows, DIM) unit vectors in clusters of 100 that share half of their direction."""
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((rows, DIM), dtype=np.float32)
    matrix += rng.standard_normal((rows // 100 + 1, DIM), dtype=np.float32)[rng.integers(0, rows // 100 + 1, rows)]
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix


def test_neighbours(address, tmp_path):
    from fastdup_db.engines.ray import session

    table = VectorTable(tmp_path, name=VECTORS[0], column=VECTORS[1])
    table.create([(np.arange(ROWS), grouped(ROWS))], dim=DIM)
    begun = time.monotonic()
    here = neighbors(table, k=2)
    local_seconds = time.monotonic() - begun
    with session.connected(RunConfig(engine="ray", ray_address=address)) as engine, Watch() as watch:
        join = engine.list_join(Place.of(tmp_path))
        begun = time.monotonic()
        there = neighbors(table, k=2, list_join=join, folder=tmp_path)
        ray_seconds = time.monotonic() - begun
    assert here.table().equals(there.table())
    asked = np.sort(np.random.default_rng(1).choice(ROWS, 500, replace=False))
    true = exact_scores(table, table.take(asked), k=3)[:, 2:]  # the first of the three is the row itself
    recall = float((there.scores[asked] >= true - 1e-6).mean())
    print(
        f"\n{ROWS} x {DIM} vectors, {there.way}: local {local_seconds:.1f} s, Ray {ray_seconds:.1f} s, "
        f"ratio {ray_seconds / local_seconds:.2f} (limit 1.5); recall {recall:.4f}, "
        f"largest worker {watch.peak / 2**20:.0f} MB (limit 2048)"
    )


def exact_scores(table: VectorTable, matrix: np.ndarray, *, k: int) -> np.ndarray:
    """float32 (n, k): the largest cosines of each row with the whole table, its own included, best first."""
    best = np.full((len(matrix), k), -2, np.float32)
    for _, some in table.batches():
        best = -np.sort(-np.concatenate([best, matrix @ some.T], axis=1), axis=1)[:, :k]
    return best
