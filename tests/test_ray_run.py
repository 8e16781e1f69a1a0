"""The same run on a real Ray cluster: the same tables, whatever dies on the way."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastdup_db
from fastdup_db import demo, sources
from fastdup_db.config import RunConfig
from fastdup_db.engines import check_engine, local, stored
from fastdup_db.engines.stored import Writer
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.errors import BadArgument, FastdupError, MissingExtra
from fastdup_db.pipeline import extract, neighbors
from fastdup_db.pipeline import run as pipeline_run
from fastdup_db.places import Place
from tests import ray_rig

TABLES = ("listing", "images", "instances", "stats", "advanced_stats", "edges", "components")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The planted problems."""
    demo.draw(folder := tmp_path_factory.mktemp("planted") / "images")
    return folder


@pytest.fixture(scope="module")
def here(images, tmp_path_factory):
    """A run with all statistics on this machine."""
    fd = fastdup_db.create(tmp_path_factory.mktemp("here"), images)
    fd.run(progress=False, run_advanced_stats=True)
    return fd


def assert_same(one: fastdup_db.Fastdup, other: fastdup_db.Fastdup) -> None:
    for table in TABLES:
        rows = [fd.sql(f"from {table} order by all") for fd in (one, other)]
        assert rows[0].equals(rows[1]), table
    files, vectors = one.embeddings()
    other_files, other_vectors = other.embeddings()
    assert files == other_files and (vectors == other_vectors).all()


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"fastdup-db\[ray\]"):
        check_engine(RunConfig.from_arguments({"engine": "ray"}))


@pytest.mark.parametrize(
    ("resources", "said"),
    [({"gpus": 1}, "num_gpus"), ({"workers": 0}, "at least 1"), ({"num_cpus": "2"}, "a whole number")],
)
def test_resources_are_checked_before_anything_starts(resources, said):
    with pytest.raises(BadArgument, match=said):
        check_engine(RunConfig.from_arguments({"engine": "ray", "resources": resources}))


def test_resources_that_are_none_are_the_defaults():
    check_engine(RunConfig.from_arguments({"engine": "ray", "resources": {"workers": None, "num_gpus": 0.5}}))
    with pytest.raises(BadArgument, match="whole number"):
        check_engine(RunConfig.from_arguments({"engine": "ray", "resources": {"workers": 1.5}}))


def test_planted_problems_come_out_as_on_one_machine(cluster, images, here, tmp_path, monkeypatch):
    real = stored.read
    there = fastdup_db.create(tmp_path, images)
    read: list[str] = []
    monkeypatch.setattr(stored, "read", lambda parts, place: read.extend(tables := real(parts, place)) or tables)
    there.run(progress=False, run_advanced_stats=True, engine="ray", ray_address=cluster)
    assert_same(here, there)
    tables = {"images", "instances", "stats", "advanced_stats", "feature_lengths"}
    assert set(read) == tables, "rows come as Parquet parts"
    assert len(there.invalid_instances()) > 0
    assert all(finding.found for finding in demo.check(there))
    cost = there.sql("from costs").iloc[0]
    assert (cost["engine"], cost["images"]) == ("ray", there.num_instances(valid_only=False))
    assert 0 < cost["cpu_hours"] * 3600 < 4 * cost["seconds"]


@pytest.mark.slow
def test_the_command_shows_one_bar_and_what_the_run_cost(cluster, images, tmp_path):
    command = [sys.executable, "-c", "from fastdup_db.cli import main; main()", "run", str(images)]
    command += ["-w", str(tmp_path / "results"), "--engine", "ray", "--ray-address", cluster]
    screen, stderr = os.openpty()  # the bar is for people: not shown in a file
    termios.tcsetwinsize(stderr, (24, 80))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as running:
        os.close(stderr)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
            while some := os.read(screen, 4096):
                shown += some
        said = running.stdout.read().decode()
    os.close(screen)
    assert running.returncode == 0 and "Dataset Analysis Summary" in said, shown
    lines = [line for line in shown.decode().split("\r\n") if "RAY_BACKEND_LOG_LEVEL" not in line]
    assert len(lines) == 3, lines
    bar, cost, end = lines
    count = fastdup_db.create(tmp_path / "results").num_instances(valid_only=False)
    assert f"{count}/{count}" in bar and not any("image" not in state for state in bar.split("\r") if state.strip())
    assert re.fullmatch(rf"{count} images read in [\d.]+ s, 0\.\d{{4}} CPU-hours on engine 'ray'", cost) and not end


@pytest.mark.slow
def test_components_of_very_many_edges_are_grouped_by_the_cluster(cluster, images, tmp_path, monkeypatch, caplog):
    here, there = (fastdup_db.create(tmp_path / engine, images) for engine in ("local", "ray"))
    here.run(progress=False, cc_threshold=0.7, nearest_neighbors_k=5)
    monkeypatch.setattr(neighbors, "SQL_EDGES", 0)
    with caplog.at_level("INFO", "fastdup_db.engines.ray.components"):
        there.run(progress=False, cc_threshold=0.7, nearest_neighbors_k=5, engine="ray", ray_address=cluster)
    assert "rounds" in caplog.text, "SQL would find the same"
    assert len(here.sql("from components")) > 10
    assert_same(here, there)


def test_a_worker_killed_in_the_middle_changes_nothing(cluster, real_images, tmp_path, monkeypatch):
    source = real_images / "imagenet-sample"
    here, there = (fastdup_db.create(tmp_path / engine, source) for engine in ("local", "ray"))
    here.run(progress=False, num_images=200)
    monkeypatch.setattr(extract, "COMMIT_INSTANCES", 1)  # so that the first vectors are seen at once
    killed: list[int] = []
    done = threading.Event()

    def killer() -> None:
        while not done.wait(0.2):
            if (folder := tmp_path / "ray" / "lance" / "embeddings.lance" / "data").is_dir() and any(folder.iterdir()):
                killed.extend(ray_rig.descendants("ray::UnitWorker")[:1])
                if killed:
                    return ray_rig.kill(killed[0])

    thread = threading.Thread(target=killer)
    thread.start()
    there.run(progress=False, num_images=200, engine="ray", ray_address=cluster)
    done.set()
    thread.join()
    assert killed, "the run ended before a worker could be killed"
    assert_same(here, there)


DRIVER = """
import os, signal, sys
import fastdup_db
from fastdup_db.engines import stored
from fastdup_db.pipeline import extract

work_dir, images, address, where = sys.argv[1:]
extract.COMMIT_INSTANCES = 100
calls = 0
real = getattr(stored, where)

def dying(*args, **kwargs):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(stored, where, dying)
fastdup_db.create(work_dir, images).run(progress=False, num_images=400, engine="ray", ray_address=address)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["read", "delete"], ids=["parts not in the database", "parts in it"])
def test_a_killed_driver_goes_on_at_its_last_checkpoint(cluster, real_images, tmp_path, where):
    source = real_images / "imagenet-sample"
    env = {**os.environ, "PYTHONPATH": str(Path(fastdup_db.__file__).parents[1])}
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "ray"), str(source), cluster, where]
    died = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert any((tmp_path / "ray" / stored.PARTS).iterdir()), "it left files that nobody reads any more"
    here, there = (fastdup_db.create(tmp_path / engine, source) for engine in ("local", "ray"))
    here.run(progress=False, num_images=400)
    there.run(progress=False, num_images=400, engine="ray", ray_address=cluster)
    assert_same(here, there)
    assert not (tmp_path / "ray" / stored.PARTS).exists()
    by_run = there.sql("select run_id, sum(images) as n from batches group by run_id order by run_id")["n"].tolist()
    assert len(by_run) == 2 and by_run[0] >= 200 and sum(by_run) == 400, "nothing is read twice into the tables"


@pytest.mark.slow
def test_a_work_dir_that_workers_do_not_see_gets_its_vectors_all_the_same(cluster, images, tmp_path, monkeypatch):
    from fastdup_db.engines.ray import seen

    monkeypatch.setattr(seen, "probe", lambda folder: contextlib.nullcontext(folder / "of another machine"))
    monkeypatch.setattr(stored, "read", lambda parts, place: pytest.fail("files") if list(parts) else {})
    here, there = (fastdup_db.create(tmp_path / engine, images) for engine in ("local", "ray"))
    here.run(progress=False)
    there.run(progress=False, engine="ray", ray_address=cluster)
    assert_same(here, there)


BOX = "row_y=10,col_x=10,height=40,width=40"


@pytest.mark.slow
def test_crops_are_the_same_files_where_workers_see_the_work_dir(cluster, images, tmp_path):
    here, there = (fastdup_db.create(tmp_path / engine, images) for engine in ("local", "ray"))
    here.run(progress=False, bounding_box=BOX, save_crops=True, run_mode=1)
    there.run(progress=False, bounding_box=BOX, save_crops=True, run_mode=1, engine="ray", ray_address=cluster)
    crops = [{p.name: p.read_bytes() for p in (tmp_path / engine / "crops").iterdir()} for engine in ("local", "ray")]
    assert crops[0] == crops[1] and len(crops[0]) == here.sql("from instances where crop_filename is not null").shape[0]


def test_crops_are_refused_where_workers_do_not_see_the_work_dir(cluster, images, tmp_path, monkeypatch):
    from fastdup_db.engines.ray import RayEngine

    fd = fastdup_db.create(tmp_path / "results", images)
    fd.run(progress=False, run_mode=1)
    before = fd.sql("from runs")
    monkeypatch.setattr(RayEngine, "shares", lambda self, folder: False)
    with pytest.raises(BadArgument, match="save_crops=True"):
        fd.run(progress=False, overwrite=True, bounding_box=BOX, save_crops=True, engine="ray", ray_address=cluster)
    assert fd.sql("from runs").equals(before), "nothing was begun, and what was there is there"
    assert not (tmp_path / "results" / "crops").exists()


def test_workers_that_see_the_work_dir_and_others_make_one_table(images, here, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def every_other_stores(config):
        def run(tasks, spec, *, total, write, embedder):
            for number, result in enumerate(local.run(tasks, spec)):
                yield write([result]) if number % 2 else result

        engine = local.Local()
        yield SimpleNamespace(name="mixed", cpu_seconds=0.0, run=run, check=engine.check, list_join=engine.list_join)

    there = fastdup_db.create(tmp_path, images)
    monkeypatch.setattr(pipeline_run, "open_engine", every_other_stores)
    there.run(progress=False, run_advanced_stats=True)
    assert_same(here, there)


def test_a_worker_looks_whether_it_sees_the_work_dir(images, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    from fastdup_db.engines.ray import ingest, seen

    references = sources.listing(str(images), options=sources.ListingOptions())
    tasks = [Task(n, r) for n, r in enumerate(references)]
    place = Place.of(tmp_path)
    write = Writer(place, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a worker without GPUs sets it for good
    made = {}
    with seen.probe(place) as there:
        for name, probe in (("sees", there), ("does not", place / "elsewhere")):
            made[name] = ingest.UnitWorker(WorkSpec(embed=False), write, probe, 2).work(pickle.dumps(tasks)).results
    assert not there.exists()
    assert [type(r) for r in made["sees"]] == [stored.Stored]
    assert {type(r) for r in made["does not"]} == {BatchResult}
    assert sum(len(r.images) for r in made["does not"]) == made["sees"][0].images == len(tasks)


@pytest.mark.parametrize(
    ("nodes", "resources", "workers", "threads"),
    [
        ([{"CPU": 2}], {}, 1, 2),
        ([{"CPU": 1}, {"CPU": 1, "GPU": 1}], {}, 2, 1),
        ([{"CPU": 16}, {"CPU": 8}, {"memory": 1e9}], {}, 12, 2),
        ([{"CPU": 3}], {}, 3, 1),
        ([{"CPU": 2}], {"workers": 2}, 2, 1),
        ([{"CPU": 3}, {"CPU": 3}], {"num_cpus": 2}, 2, 2),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 8}], {"num_gpus": 0.5}, 4, 1),
        ([{"CPU": 8, "GPU": 2}], {"num_gpus": 1, "num_cpus": 4}, 2, 4),
        ([{"CPU": 4, "memory": 5e9}], {"memory": 2 * 10**9}, 2, 2),
        ([{"CPU": 4, "memory": 3e9}], {"memory": 10**9}, 2, 2),
        ([{"CPU": 4}], {"num_gpus": 1}, 0, 1),
    ],
)
def test_two_threads_share_a_worker_where_no_processor_is_lost(nodes, resources, workers, threads):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    from fastdup_db.engines.ray import session

    wanted = session.with_threads(nodes, session.Resources.of(resources))
    assert (session.room(nodes, wanted), wanted.threads) == (workers, threads)


@pytest.mark.slow
def test_gpus_are_used_by_those_who_got_them(cluster):
    import ray

    from fastdup_db.engines.ray import ingest, session

    def given() -> str | None:
        ingest.UnitWorker(WorkSpec(embed=False), None, None, 1)
        return os.environ.get("CUDA_VISIBLE_DEVICES")

    settings = {"engine": "ray", "ray_address": cluster}
    with session.connected(RunConfig(**settings, resources={"num_gpus": 0.5})) as engine:
        assert engine.workers == 1, "the node with the GPU has one processor for one half of it"
        visible = ray.get([ray.remote(num_gpus=n, num_cpus=0)(given).remote() for n in (0, 0.5)])
    assert visible == ["", "0"]
    with (
        pytest.raises(BadArgument, match="2 GPUs does not fit"),
        session.connected(RunConfig(**settings, resources={"num_gpus": 2})),
    ):
        pass


def test_a_model_runs_on_gpus_where_some_are_visible(monkeypatch):
    import onnxruntime

    from fastdup_db.models.runtime import execution_providers

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider", "CUDAExecutionProvider"]
    )
    for value, wanted in (("", ["CPU"]), ("-1", ["CPU"]), ("0", ["CUDA", "CPU"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert [p.removesuffix("ExecutionProvider") for p in execution_providers()] == wanted


@pytest.mark.slow
def test_workers_with_a_gpu_give_the_same_tables(cluster, images, tmp_path):
    here, there = (fastdup_db.create(tmp_path / engine, images) for engine in ("local", "ray"))
    here.run(progress=False)
    there.run(progress=False, engine="ray", ray_address=cluster, resources={"num_gpus": 0.5, "workers": 1})
    assert_same(here, there)


@pytest.mark.slow
def test_a_unit_that_kills_every_worker_ends_the_run(cluster, images, tmp_path, monkeypatch):
    from fastdup_db.engines.ray import ingest

    class Dying(ingest.UnitWorker):
        def __init__(self, *_: object) -> None:
            pass

        def work(self, unit: bytes) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(ingest, "UnitWorker", Dying)
    fd = fastdup_db.create(tmp_path / "results", images)
    with pytest.raises(FastdupError, match="the Ray cluster gave up"):
        fd.run(progress=False, engine="ray", ray_address=cluster)
    monkeypatch.undo()
    fd.run(progress=False, overwrite=False, engine="ray", ray_address=cluster)
    assert fd.num_instances() > 0
