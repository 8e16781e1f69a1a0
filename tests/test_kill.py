"""A run killed at any moment goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import fastdup_db
from fastdup_db import demo
from fastdup_db.engines import local
from fastdup_db.pipeline import extract
from fastdup_db.store.lance import VectorTable

IMAGES, COMMITTED = 48, 8
TABLES = ("listing", "images", "instances", "stats", "edges", "components")

# kills itself with SIGKILL at the n-th passage of a place in the stream
SCRIPT = """
import os, signal, sys
import fastdup_db
from fastdup_db.engines import local
from fastdup_db.pipeline import extract, neighbors, run
from fastdup_db.store.duck import Database

work_dir, images, place, passage = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
extract.COMMIT_INSTANCES = local.CHUNK = int(sys.argv[5])
seen = 0

def kill_at(name, statement):
    global seen
    if name == statement:
        seen += 1
        if seen == passage:
            os.kill(os.getpid(), signal.SIGKILL)

def traced(method):
    original = getattr(Database, method)
    def wrapper(self, name, **parameters):
        if place.startswith("before:"):
            kill_at(name, place.removeprefix("before:"))
        result = original(self, name, **parameters)
        if place.startswith("after:"):
            kill_at(name, place.removeprefix("after:"))
        return result
    setattr(Database, method, wrapper)

traced("execute")
fastdup_db.create(work_dir, images).run(progress=False, num_threads=2)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "images"
    folder.mkdir()
    for number in range(IMAGES):
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), demo.scene(number % 90))
    return folder


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("whole"), images)
    fd.run(progress=False)
    return fd


@pytest.mark.parametrize(
    ("place", "passage"),
    [
        ("after:run/insert_run", 1),
        ("before:run/set_listed", 1),
        ("before:ingest/insert_images", 1),  # while the first vectors are being written
        ("before:ingest/insert_images", 4),
        ("before:run/set_embeddings_version", 1),  # the first vectors are there, rows and marker not yet
        pytest.param("before:run/set_embeddings_version", 3, marks=pytest.mark.slow),  # as the fifth
        ("after:run/set_embeddings_version", 5),
        ("before:neighbors/clear_edges", 1),  # search vectors written, no edges
        pytest.param("after:components/rebuild", 1, marks=pytest.mark.slow),  # as before set_finished
        ("before:run/set_finished", 1),
    ],
)
def test_a_killed_run_ends_like_a_whole_one(images, whole, tmp_path, place, passage):
    work_dir = tmp_path / "work"
    command = [sys.executable, "-c", SCRIPT, str(work_dir), str(images), place, str(passage), str(COMMITTED)]
    env = {**os.environ, "PYTHONPATH": str(Path(fastdup_db.__file__).parents[1])}
    died = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    fd = fastdup_db.create(work_dir, images)
    with pytest.raises(fastdup_db.NotRun, match="run"):
        fd.similarity()
    if passage > 1:  # something was committed before
        lost = fd.sql("select count(*) as n from embeddings where id not in (select id from instances)")
        assert lost["n"].tolist() == [0], "vectors without rows are not seen"
    fd.run(progress=False)
    for table in TABLES:
        assert fd.sql(f"from {table} order by all").equals(whole.sql(f"from {table} order by all")), table
    assert (fd.embeddings()[1] == whole.embeddings()[1]).all()
    read = fd.sql("select sum(images) as n from batches")["n"].iloc[0]
    assert read == IMAGES, "nothing lost, nothing read twice into the tables"


def test_rows_whose_vectors_cannot_be_written_are_not_there(images, whole, tmp_path, monkeypatch):
    append, batches = VectorTable.append, 0

    def fails_at_the_third(self, ids, matrix):
        nonlocal batches
        batches += 1
        if batches == 3:
            raise OSError("no space left on device")
        return append(self, ids, matrix)

    monkeypatch.setattr(extract, "COMMIT_INSTANCES", COMMITTED)
    monkeypatch.setattr(local, "CHUNK", COMMITTED)
    monkeypatch.setattr(VectorTable, "append", fails_at_the_third)
    fd = fastdup_db.create(tmp_path / "work", images)
    with pytest.raises(OSError, match="no space left"):
        fd.run(progress=False)
    assert fd.sql("select count(*) as n from images")["n"].iloc[0] == 2 * COMMITTED
    assert fd.sql("select sum(images) as n from batches")["n"].iloc[0] == 2 * COMMITTED
    fd.run(progress=False)
    for table in TABLES:
        assert fd.sql(f"from {table} order by all").equals(whole.sql(f"from {table} order by all")), table
