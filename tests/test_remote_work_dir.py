"""A work_dir in a bucket, on a real S3 server: the same answers, from any machine, whatever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument, BadInput, NotRun, WorkDirBusy
from fastdup_db.pipeline import extract, lease
from tests.drawn import draw
from tests.s3_server import SECRET, Server, reach
from tests.test_ray_run import TABLES, assert_same

URI = "s3://results/some/run"


@pytest.fixture
def machine(s3, tmp_path, monkeypatch):
    """Makes this process another machine: one with an empty cache folder."""
    empty(s3)

    def become(name: str) -> Path:
        monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / name))
        return tmp_path / name

    become("first")
    return become


def empty(server: Server) -> None:
    """The bucket is there and holds nothing."""
    server.fill("results", {})
    for key in keys(server):
        server.client().delete_object(Bucket="results", Key=key)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("drawn") / "images", count=8)


def drawn(folder: Path, *, count: int) -> Path:
    """So many images, the last one a copy of the first, and the last but one broken."""
    paths = [draw(folder / f"{number:03d}.jpg", seed=number) for number in range(count)]
    paths[-1].write_bytes(paths[0].read_bytes())
    paths[-2].write_bytes(b"no image")
    return folder


@dataclass(frozen=True, slots=True)
class Left:
    """What a run has left: in the bucket, and in the cache of its machine."""

    objects: dict[str, bytes]
    cache: Path

    def put_back(self, server: Server, cache: Path) -> None:
        server.fill("results", self.objects)
        shutil.copytree(self.cache, cache)


def left_by(run: Callable[[], object], server: Server, folder: Path) -> Left:
    """Makes the run, with an empty bucket and an empty cache."""
    with pytest.MonkeyPatch.context() as patch:
        reach(server, patch, folder)
        patch.setenv("FASTDUP_DB_CACHE", str(folder / "cache"))
        empty(server)
        run()
    client = server.client()
    objects = {key: client.get_object(Bucket="results", Key=key)["Body"].read() for key in keys(server)}
    return Left(objects, folder / "cache")


@pytest.fixture(scope="module")
def finished(s3_server, images, tmp_path_factory) -> Left:
    """A finished run on the images."""
    return left_by(
        lambda: fastdup_db.create(URI, images).run(progress=False), s3_server, tmp_path_factory.mktemp("finished")
    )


def keys(s3) -> set[str]:
    return {item["Key"] for item in s3.client().list_objects_v2(Bucket="results").get("Contents", [])}


def test_the_same_answers_from_another_machine(finished, s3, machine, images, tmp_path):
    here = fastdup_db.create(tmp_path / "local", images)
    here.run(progress=False)
    finished.put_back(s3, machine("first"))
    there = fastdup_db.create(URI, images)
    assert_same(here, there)
    names = keys(s3)
    assert "some/run/fastdup.duckdb" in names
    assert any(name.startswith("some/run/lance/vectors.lance/data/") for name in names)
    assert not any("/parts/" in name for name in names)
    assert not (Path(there.work_dir) / "lance").exists(), "vectors lie in the bucket only"

    cache = machine("second")
    again = fastdup_db.create(URI)
    assert_same(here, again)
    assert here.similarity().equals(again.similarity())
    asked = str(images / "003.jpg")
    assert again.search(asked, k=2).equals(here.search(asked, k=2))
    for path in [*cache.rglob("*.json"), *cache.rglob("*.duckdb")]:
        assert SECRET.encode() not in path.read_bytes()


def test_what_another_machine_adds_is_seen_here(machine, images, tmp_path):
    fd = fastdup_db.create(URI, images)
    fd.run(progress=False, num_images=6)
    machine("second")
    other = fastdup_db.create(URI, images)
    other.run(progress=False, overwrite=False)
    machine("first")
    assert len(fastdup_db.create(URI).annotations()) == len(other.annotations()) > 6
    here = fastdup_db.create(tmp_path / "local", images)
    here.run(progress=False, num_images=6)
    here.run(progress=False, overwrite=False)
    assert_same(here, fastdup_db.create(URI))
    fastdup_db.create(URI, images).run(progress=False)
    machine("second")
    assert other.sql("select count(*) as n from runs")["n"].tolist() == [2], "an open object keeps what it has"
    assert fastdup_db.create(URI).sql("select count(*) as n from runs")["n"].tolist() == [1]


DRIVER = """
import os, signal, sys
import fastdup_db
from fastdup_db.engines import local
from fastdup_db.pipeline import extract, remote

uri, images, deadly = sys.argv[1:]
extract.COMMIT_INSTANCES = local.CHUNK = 4
remote.CHECKPOINT_SECONDS, remote.CHECKPOINT_SHARE = 0, 1e9  # after every commit
uploads = 0
upload = remote.upload

def dying(work_dir):
    global uploads
    upload(work_dir)
    uploads += 1
    if uploads == int(deadly):
        remote.CHECKPOINT_SECONDS = 1e9  # what is committed from here on stays on this machine

commits = 0
commit = extract.commit

def committing(*args, **kwargs):
    global commits
    commit(*args, **kwargs)
    commits += uploads >= int(deadly)
    if commits == 2:
        os.kill(os.getpid(), signal.SIGKILL)

remote.upload, extract.commit = dying, committing
fastdup_db.create(uri, images).run(progress=False, num_threads=1)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> fastdup_db.Fastdup:
    """A run on 24 images that nothing has killed."""
    folder = tmp_path_factory.mktemp("whole")
    fd = fastdup_db.create(folder / "local", drawn(folder / "images", count=24))
    fd.run(progress=False)
    return fd


@pytest.fixture(scope="module")
def killed(s3_server, whole, tmp_path_factory) -> Left:
    """A run on the same images that was killed two commits after its second checkpoint."""

    def killed() -> None:
        env = {**os.environ, "PYTHONPATH": str(Path(fastdup_db.__file__).parents[1])}
        command = [sys.executable, "-c", DRIVER, URI, whole.input_dir, "2"]
        died = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr

    return left_by(killed, s3_server, tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize("name", ["first", "second"], ids=["the same machine", "another machine"])
def test_a_killed_run_goes_on_from_its_last_checkpoint(killed, s3, machine, whole, name, monkeypatch):
    killed.put_back(s3, machine("first"))
    machine(name)
    monkeypatch.setattr(lease, "SILENT_SECONDS", 2.0)
    there = fastdup_db.create(URI, whole.input_dir)
    with pytest.raises(NotRun, match="did not end"):
        there.similarity()
    there.run(progress=False)
    assert_same(whole, there)
    by_run = there.sql("select run_id, sum(images) as n from batches group by run_id order by run_id")["n"].tolist()
    assert by_run == ([16, 8] if name == "first" else [8, 16]), "the copy of the same machine has more"


def test_a_checkpoint_stays_restorable_however_many_commits_follow(machine):
    table = remote_table()
    first = table.append(np.arange(4), np.eye(4, dtype=np.float32))
    table.hold(first)
    for number in range(1, 6):
        table.append(np.arange(4) + 4 * number, np.eye(4, dtype=np.float32))
    table.compact(keep=1)
    table.restore(first)
    assert table.ids().tolist() == [0, 1, 2, 3]
    table.hold(table.append(np.array([9]), np.ones((1, 4), np.float32)))
    assert len(table) == 5 and table.nbytes() > 0


def remote_table():
    from fastdup_db.pipeline.tables import table
    from fastdup_db.store.lance import EMBEDDINGS

    return table(Path(fastdup_db.create(URI).work_dir), EMBEDDINGS)


def test_only_one_run_at_a_time(finished, s3, machine, images, monkeypatch):
    finished.put_back(s3, machine("first"))
    fd = fastdup_db.create(URI, images)
    machine("second")
    other = fastdup_db.create(URI, images)
    commit = extract.commit

    def meanwhile(*args, **kwargs):
        commit(*args, **kwargs)
        monkeypatch.setattr(extract, "commit", commit)
        with pytest.raises(WorkDirBusy, match="another process"):
            fastdup_db.create(URI, images).run(progress=False)
        machine("first")
        with pytest.raises(WorkDirBusy, match="another machine"):
            fd.run(progress=False)
        with pytest.raises(WorkDirBusy, match="another machine"):
            fd.embeddings()
        machine("second")

    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(extract, "commit", meanwhile)
    other.run(progress=False)
    assert "some/run/fastdup.lease" not in keys(s3)
    machine("first")
    assert_same(fastdup_db.create(URI), other)


def test_a_machine_that_was_paused_too_long_does_not_write_over_another(machine, images, monkeypatch, s3):
    fd = fastdup_db.create(URI, images)
    commit = extract.commit

    def paused(*args, **kwargs):
        commit(*args, **kwargs)
        monkeypatch.setattr(extract, "commit", commit)
        monkeypatch.setattr(lease, "SILENT_SECONDS", 1.0)  # it has said nothing for so long
        machine("second")
        fastdup_db.create(URI, images).run(progress=False)
        machine("first")

    monkeypatch.setattr(lease, "BEAT_SECONDS", 1e6)
    monkeypatch.setattr(extract, "commit", paused)
    with pytest.raises(WorkDirBusy, match="another machine has taken"):
        fd.run(progress=False)
    assert "some/run/fastdup.lease" not in keys(s3)


@pytest.mark.parametrize("body", [b"", b"{}", b"no json", b"[]"])
def test_a_lock_that_names_nobody_grows_old(s3, machine, monkeypatch, body):
    s3.client().put_object(Bucket="results", Key=f"some/run/{lease.NAME}", Body=body)
    monkeypatch.setattr(lease, "SILENT_SECONDS", 1.0)
    with lease.held(URI, holder="machine"):
        lease.check(URI, holder="machine")
    assert keys(s3) == set()


def test_a_copy_of_before_there_were_locks_is_written(finished, s3, machine, images):
    finished.put_back(s3, machine("first"))
    fd = fastdup_db.create(URI, images)
    marker = Path(fd.work_dir) / "remote.json"
    said = json.loads(marker.read_text())
    del said["copy"]
    marker.write_text(json.dumps(said))
    again = fastdup_db.create(URI, images)
    assert json.loads(marker.read_text())["copy"], "the copy has a name to hold the lock by"
    again.run(progress=False)
    assert len(again.annotations()) == 7


def test_of_two_that_ask_together_one_gets_it(s3, machine):
    barrier, order = threading.Barrier(8), []

    def one(number: int) -> bool:
        barrier.wait()
        try:
            with lease.held(URI, holder=f"machine {number}"):
                order.append(number)
                time.sleep(0.5)
                order.append(number)
        except WorkDirBusy:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(one, range(8)))
    assert any(got)
    assert order[::2] == order[1::2], "nobody enters before the last one has left"
    assert keys(s3) == set()


def test_what_cannot_be_is_said_first(machine, images, s3):
    fd = fastdup_db.create(URI, images)
    with pytest.raises(NotRun):
        fd.similarity()
    for name in ("save_crops", "s3_anonymous"):
        with pytest.raises(BadArgument):
            fd.run(progress=False, **{name: True})
    with pytest.raises(BadInput, match="bucket does not exist"):
        fastdup_db.create("s3://no-such-bucket/run", images).run(progress=False)
    for path in (PurePosixPath("s3://results"), PureWindowsPath("s3://results")):
        with pytest.raises(BadArgument, match="s3://results' is a whole bucket"):
            fastdup_db.create(path)
    for wrong in ("minio://test/results/run", "s3://results", "gs://results/run"):
        with pytest.raises(BadArgument, match="s3://"):
            fastdup_db.create(wrong)
    assert keys(s3) == set()
    fd.run(progress=False)
    with pytest.raises(BadArgument, match="lies in a bucket"):
        fd.publish("s3://results/elsewhere")
    assert fastdup_db.create(Path(URI)).work_dir == fd.work_dir, "also as the command line names it"
    assert all(len(fd.sql(f"from {table}")) for table in TABLES if table not in ("advanced_stats", "components"))
