"""Images and results in a bucket, the work on a Ray cluster: the same tables as on one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray", reason="the extra [ray] is not installed")

import fastdup_db
from fastdup_db import demo
from fastdup_db.config import RunConfig
from fastdup_db.engines.ray import join, session
from fastdup_db.graph import knn
from fastdup_db.graph.knn import neighbors
from fastdup_db.pipeline import remote
from fastdup_db.store.lance import VECTORS, VectorTable
from tests.s3_server import SECRET
from tests.test_knn import clustered, same
from tests.test_ray_run import assert_same


@pytest.fixture
def photos(s3, tmp_path):
    """Planted problems, broken files among them, on a disk and as s3://photographs/all."""
    folder = tmp_path / "images"
    demo.draw(folder)
    s3.fill("photographs", {f"all/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    s3.fill("results", {})
    return "s3://photographs/all"


def test_images_in_a_bucket(cluster, photos, tmp_path):
    here, there = (fastdup_db.create(tmp_path / engine, photos) for engine in ("local", "ray"))
    here.run(progress=False)
    there.run(progress=False, engine="ray", ray_address=cluster)
    assert_same(here, there)
    assert len(there.invalid_instances()) > 0
    sessions = Path(tempfile.gettempdir()) / "ray" / "session_latest" / "logs"
    found = [p for p in [*tmp_path.rglob("*"), *sessions.rglob("*")] if p.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in found), "no file or log holds a key"


@pytest.mark.slow
def test_results_in_a_bucket(cluster, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))
    here = fastdup_db.create(tmp_path / "local", photos)
    here.run(progress=False, run_advanced_stats=True)
    there = fastdup_db.create("s3://results/cluster", photos)
    there.run(progress=False, run_advanced_stats=True, engine="ray", ray_address=cluster)
    assert_same(here, there)
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "elsewhere"))
    assert_same(here, fastdup_db.create("s3://results/cluster"))


DRIVER = """
import os, signal, sys
import fastdup_db
from fastdup_db.engines import stored
from fastdup_db.pipeline import extract, remote

uri, images, address = sys.argv[1:]
extract.COMMIT_INSTANCES = 16
remote.CHECKPOINT_SECONDS, remote.CHECKPOINT_SHARE = 0, 1e9  # after every commit
calls = 0
delete = stored.delete

def dying(*args, **kwargs):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return delete(*args, **kwargs)

stored.delete = dying
fastdup_db.create(uri, images).run(progress=False, engine="ray", ray_address=address)
"""


@pytest.mark.slow
def test_a_killed_driver_goes_on_from_another_machine(cluster, photos, s3, tmp_path, monkeypatch):
    env = {**os.environ, "PYTHONPATH": str(Path(fastdup_db.__file__).parents[1])}
    env["FASTDUP_DB_CACHE"] = str(tmp_path / "first")
    command = [sys.executable, "-c", DRIVER, "s3://results/killed", photos, cluster]
    died = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert parts(s3), "it left files that nobody reads any more"
    here = fastdup_db.create(tmp_path / "local", photos)
    here.run(progress=False)
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "second"))
    there = fastdup_db.create("s3://results/killed", photos)
    there.run(progress=False, engine="ray", ray_address=cluster)
    assert_same(here, there)
    assert not parts(s3)
    by_run = there.sql("select run_id, sum(images) as n from batches group by run_id order by run_id")["n"].tolist()
    assert len(by_run) == 2 and min(by_run) > 0 and sum(by_run) == here.num_instances(valid_only=False)


def parts(s3) -> list[str]:
    found = s3.client().list_objects_v2(Bucket="results", Prefix="killed/parts/").get("Contents", [])
    return [item["Key"] for item in found if item["Size"]]


@pytest.mark.slow
def test_neighbours_by_tasks_that_hand_rows_on_through_a_bucket(cluster, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(knn, "EXACT_ROWS", 0)
    monkeypatch.setattr(knn, "EXACT_WORK", 1.0)
    monkeypatch.setattr(join, "PART_ROWS", 2048)
    place = remote.place(Path(fastdup_db.create("s3://results/join").work_dir), "")
    table = VectorTable(place, name=VECTORS[0], column=VECTORS[1])
    table.create([(np.arange(6000), clustered(6000, centres=60))], dim=32)
    here = neighbors(table, k=3)
    with session.connected(RunConfig(engine="ray", ray_address=cluster)) as engine:
        there = neighbors(table, k=3, list_join=engine.list_join(place))
    assert "lists" in there.way and same(here, there)
    assert not (place / join.SCRATCH).exists()
