"""`planning` against two measured sizes: CPU time within a quarter. `pytest -m bench -s` shows the numbers."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

import fastdup_db
from fastdup_db.config import RunConfig
from fastdup_db.graph.knn import neighbors
from fastdup_db.places import Place
from fastdup_db.planning import estimate
from fastdup_db.store.lance import VECTORS, VectorTable
from fastdup_db.threads import cores
from tests import ray_rig
from tests.benchmarks.test_ray_speed import DIM, grouped

pytestmark = pytest.mark.bench

SIZES = tuple(int(n) for n in os.environ.get("FASTDUP_DB_BENCH_SIZES", "1000,4000").split(","))
ROWS = tuple(int(n) for n in os.environ.get("FASTDUP_DB_BENCH_JOINS", "150000,200000").split(","))
ALLOWED = 0.25


@pytest.fixture(scope="module")
def address():
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with ray_rig.one_node() as found:
        yield found


def compare(what: str, planned: float, measured: float) -> bool:
    """Say how far off the plan is, and whether that is little enough."""
    error = planned / measured - 1
    print(f"\n{what}: planned {planned:.4g}, measured {measured:.4g}, error {error:+.0%}")
    return abs(error) <= ALLOWED


@pytest.mark.parametrize("count", SIZES)
def test_images(address, real_images, tmp_path, count):
    photographs = sorted((real_images / "imagenet-sample").iterdir())
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(count):
        source = photographs[number % len(photographs)]
        (folder / f"{number:06d}{source.suffix}").symlink_to(source)
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False, run_mode=1, engine="ray", ray_address=address)
    planned = estimate(count, cores_per_worker=cores())
    measured = float(fd.sql("from costs")["cpu_hours"].iloc[0]) * 3600
    lance = sum(f.stat().st_size for f in (tmp_path / "work" / "lance").rglob("*") if f.is_file())
    rows = (tmp_path / "work" / "fastdup.duckdb").stat().st_size
    print(f"\n{count} images: {rows / count:.0f} bytes of rows, {lance / count:.0f} of embeddings each")
    assert compare(f"{count} images, CPU seconds", planned.ingest_cpu, measured)


@pytest.mark.parametrize("rows", ROWS)
def test_joins(address, tmp_path, rows):
    from fastdup_db.engines.ray import session

    table = VectorTable(tmp_path, name=VECTORS[0], column=VECTORS[1])
    table.create([(np.arange(rows), grouped(rows))], dim=DIM)
    with session.connected(RunConfig(engine="ray", ray_address=address)) as engine:
        begun = time.process_time()
        graph = neighbors(table, k=2, list_join=engine.list_join(Place.of(tmp_path)), folder=tmp_path)
        here, there = time.process_time() - begun, engine.cpu_seconds
    parts, _, probes = (int(word) for word in graph.way.replace("x", "").replace(",", "").split() if word.isdigit())
    planned = estimate(rows, partitions=parts, probes=probes)
    print(f"\n{rows} vectors, {graph.way}: driver {here:.1f} CPU s, tasks {there:.1f} CPU s")
    assert compare(f"{rows} vectors, CPU seconds", planned.join_cpu + planned.serial_cpu, here + there)
