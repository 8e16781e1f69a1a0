"""What a run may not do before it knows that it can: give up what is stored, or touch what is not its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument, BadInput, FastdupError, NotRun, NotStored, WorkDirBusy, WorkDirDamaged
from fastdup_db.pipeline import annotating, beginning, files
from fastdup_db.places import Place
from fastdup_db.sources import folder
from fastdup_db.store import duck
from tests import drawn
from tests.finished import Finished

REPEATED = {"annotations": pd.DataFrame({"filename": ["a0.png", "./a0.png"]})}
UNFIT = {
    "subset": {"subset": ["typo.png"]},
    "regex": {"find_regex": "no such name"},
    "offset": {"min_offset": 1000},
    "repeated": REPEATED,
    "mixed": {"annotations": pd.DataFrame({"filename": ["a0.png", "a1.png"], "weight": [1, "two"]})},
    "complex": {"annotations": pd.DataFrame({"filename": ["a0.png", "a1.png"], "weight": [1j, 2]})},
    "reserved": {"annotations": pd.DataFrame({"filename": ["a0.png", "a1.png"], "Fd_Index": [1, 2]})},
    "selected": {"annotations": ["a5.png"], "num_images": 2},
}
ANSWERS = ("annotations", "invalid_instances", "img_stats", "num_instances", "embeddings", "similarity", "outliers")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Six images, two and two alike, with a run on them."""
    home = tmp_path_factory.mktemp("beginning")
    for number in range(6):
        drawn.draw(home / "photos" / f"a{number}.png", seed=number // 2)
    fastdup_db.create(home / "work", home / "photos").run(progress=False, threshold=0.5)
    return Finished(home)


@pytest.fixture
def photos(finished: Finished) -> Path:
    return finished.photos()


@pytest.fixture
def filled(finished: Finished, photos: Path, tmp_path: Path) -> fastdup_db.Fastdup:
    return fastdup_db.create(finished.work_dir(tmp_path / "work"), photos)


@pytest.mark.parametrize("unfit", UNFIT)
def test_arguments_that_do_not_fit_the_input_leave_the_results(filled, unfit):
    pairs, stats = filled.similarity(), filled.img_stats()
    assert len(pairs)
    for overwrite in (True, False):
        with pytest.raises(BadArgument):
            filled.run(progress=False, overwrite=overwrite, **UNFIT[unfit])
        pd.testing.assert_frame_equal(filled.similarity(), pairs)
        pd.testing.assert_frame_equal(filled.img_stats(), stats)
        names, vectors = filled.embeddings()
        assert len(names) == len(vectors) == 6
    filled.run(progress=False, run_mode=1, overwrite=False)
    assert filled.num_instances() == 6


@pytest.mark.parametrize("unfit", UNFIT)
def test_arguments_that_do_not_fit_the_input_leave_no_work_dir(tmp_path, photos, unfit):
    fd = fastdup_db.create(tmp_path / "new" / "work", photos)
    with pytest.raises(BadArgument):
        fd.run(progress=False, **UNFIT[unfit])
    assert list(tmp_path.iterdir()) == []


def test_a_first_run_touches_nothing_of_the_user(tmp_path, photos):
    work = tmp_path / "mine"
    mine = ["crops/a.jpg", "galleries/page.html", "lance/notes.txt", "atrain_crops.csv", "draft/text.txt"]
    for name in mine:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("mine")
    fastdup_db.create(work, photos).run(progress=False, run_mode=1)
    assert [(work / name).read_text() for name in mine] == ["mine"] * len(mine)


def test_input_in_a_folder_that_a_fresh_run_empties_is_refused(filled, photos):
    inside = Path(filled.work_dir) / "crops"
    photos.rename(inside)
    with pytest.raises(BadInput, match="crops"):
        filled.run(input_dir=[inside / f"a{number}.png" for number in range(6)], progress=False)
    assert len(list(inside.iterdir())) == 6
    assert filled.num_instances() == 6


@pytest.mark.parametrize("damage", ["no schema", "cut short", "empty"])
def test_a_database_that_never_was_whole_is_made_anew(tmp_path, photos, damage):
    work = tmp_path / "work"
    work.mkdir()
    duckdb.connect(work / "fastdup.duckdb").close()
    if damage != "no schema":
        os.truncate(work / "fastdup.duckdb", 100 if damage == "cut short" else 0)
    fd = fastdup_db.create(work, photos)
    with pytest.raises(NotRun if damage == "no schema" else WorkDirDamaged):
        fd.annotations()
    if damage != "no schema":
        with pytest.raises(WorkDirDamaged):
            fd.run(progress=False, overwrite=False)
    fd.run(progress=False, run_mode=1)
    assert fd.num_instances() == 6


def test_a_run_killed_while_it_clears_is_made_good_by_the_next(filled, photos):
    draft = Path(filled.work_dir) / ".fastdup-draft"
    draft.mkdir()
    (Path(filled.work_dir) / "fastdup.duckdb").rename(draft / "replaced.duckdb")
    (Path(filled.work_dir) / "crops").mkdir()
    filled.run(progress=False, run_mode=1)
    assert filled.num_instances() == 6
    assert not draft.exists() and not (Path(filled.work_dir) / "crops").exists()


@pytest.mark.parametrize("leaves", [True, False])
def test_who_reads_the_old_database_is_waited_for_on_windows(filled, monkeypatch, leaves):
    replace, tried = os.replace, []

    def refuse(path, target):
        tried.append(path)
        if leaves and len(tried) > 3:
            return replace(path, target)
        exc = PermissionError(13, "The process cannot access the file")
        exc.winerror = 32
        raise exc

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(beginning, "_RETRY_SECONDS", 0.01)
    if leaves:
        filled.run(progress=False, run_mode=1)
    else:
        monkeypatch.setattr(beginning, "READERS_SECONDS", 0.1)
        with pytest.raises(WorkDirBusy, match="open in another process"):
            filled.run(progress=False, run_mode=1)
    assert len(tried) > 3 and filled.num_instances() == 6


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Der Prozess kann nicht zugreifen.\nFile is already open in \nC:\\python.exe (PID 7)", WorkDirBusy),
        ("Access is denied.", FastdupError),
        ("Zugriff verweigert", FastdupError),
    ],
)
def test_a_file_that_windows_does_not_open_is_not_damaged(filled, monkeypatch, said, error):
    def refuse(*_args, **_kwargs):
        raise duckdb.IOException(f'IO Error: Cannot open file "fastdup.duckdb": {said}')

    monkeypatch.setattr(duckdb, "connect", refuse)
    with pytest.raises(error) as caught:
        filled.annotations()
    assert caught.type is error


def test_of_runs_started_together_one_writes_and_the_others_say_so(filled, photos):
    code = (
        "import sys, fastdup_db; from fastdup_db.errors import WorkDirBusy\n"
        "fd = fastdup_db.create(*sys.argv[1:]); sys.stdin.readline()\n"
        "try: fd.run(progress=False, run_mode=1)\n"
        "except WorkDirBusy: print('busy')\n"
        "else: print('done')"
    )
    command = [sys.executable, "-c", code, str(filled.work_dir), str(photos)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in both]
    assert "done" in said and set(said) <= {"done", "busy"}
    assert filled.num_instances() == 6 and len(filled.embeddings()[0]) == 6


def test_answers_after_a_first_run_that_broke_off_are_not_run(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"no image")
    fd = fastdup_db.create(tmp_path / "work", broken)
    with pytest.raises(BadInput, match="ERROR_CORRUPT_IMAGE"):
        fd.run(progress=False)
    for name in ANSWERS:
        with pytest.raises(NotRun):
            getattr(fd, name)()
    with pytest.raises(NotRun):
        fd[0]


def test_a_relative_work_dir_stays_where_it_was(tmp_path, photos, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fd, home = fastdup_db.create("none/../results", ["photos"]), fastdup_db.create("~/results", "photos")
    for each in (fd, home):
        each.run(progress=False, run_mode=1)
    monkeypatch.chdir("/")
    fd.run(progress=False, run_mode=1, overwrite=False)
    assert fd.num_instances() == home.num_instances() == 6
    assert fastdup_db.create(None).work_dir == fastdup_db.create().work_dir == os.path.abspath("work_dir")
    assert fd.work_dir == str(tmp_path / "results") and home.work_dir == str(tmp_path / "home" / "results")


@pytest.mark.parametrize("nothing", ["", [""], b"photos", [b"photos"]])
def test_an_empty_name_is_no_input(tmp_path, nothing):
    with pytest.raises(BadInput):
        fastdup_db.create(tmp_path / "work", nothing).run(progress=False)
    assert not (tmp_path / "work").exists()


def test_a_work_dir_that_cannot_be_written_is_said_so(tmp_path, photos):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="work_dir"):
        fastdup_db.create(tmp_path / "file" / "work", photos).run(progress=False)


def test_results_are_those_of_the_new_input_alone(filled, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for number in range(3):
        drawn.draw(other / f"b{number}.png", seed=number + 50)
    filled.run(input_dir=other, progress=False)
    assert filled.num_instances() == 3
    names, vectors = filled.embeddings()
    assert [Path(name).name for name in names] == ["b0.png", "b1.png", "b2.png"]
    assert np.isfinite(vectors).all()


def test_an_update_that_breaks_off_after_its_listing_is_not_over(filled, photos, monkeypatch):
    (photos / "a0.png").unlink()
    drawn.draw(photos / "a3.png", seed=77)
    drawn.draw(photos / "b0.png", seed=78)

    def breaks_off(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(annotating, "store_layout", breaks_off)
        filled.run(progress=False, overwrite=False)
    for name in ANSWERS:
        with pytest.raises(NotRun):
            getattr(filled, name)()
    filled.run(progress=False, overwrite=False, threshold=0.5)
    fresh = fastdup_db.create(Path(filled.work_dir).parent / "fresh", photos)
    fresh.run(progress=False, threshold=0.5)
    assert sorted(filled.embeddings()[0]) == sorted(fresh.embeddings()[0])
    columns = ["filename_from", "filename_to"]
    pairs = [set(map(frozenset, fd.similarity()[columns].to_numpy().tolist())) for fd in (filled, fresh)]
    assert pairs[0] == pairs[1] and pairs[0]


def test_a_run_waits_for_those_who_read(filled):
    code = (
        "import sys, fastdup_db\n"
        "for number in range(sys.maxsize):\n"
        "    try: fastdup_db.create(sys.argv[1]).annotations()\n"
        "    except fastdup_db.FastdupError: pass\n"
        "    if not number: print('reading', flush=True)"
    )
    command = [sys.executable, "-c", code, str(filled.work_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "reading\n"
        for _ in range(2):
            filled.run(progress=False, run_mode=1)
        assert reader.poll() is None, "it read all the time"
        reader.kill()
    assert filled.num_instances() == 6


def test_a_run_waits_for_threads_that_read(filled):
    """DuckDB has one file open in one way in a process."""
    ended, found = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            try:
                found.append(filled.num_instances())
            except WorkDirBusy as exc:
                assert "in this process" in str(exc)
            time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(2):
            filled.run(progress=False, run_mode=1, overwrite=False)
    finally:
        ended.set()
        reader.join()
    assert set(found) == {6}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_of_a_process_that_made_a_run_answers_and_makes_none(tmp_path, photos):
    """Without the refusal it waits for Lance's threads, which it does not have, or crashes."""
    code = (
        "import os, sys, warnings, fastdup_db\n"
        "warnings.simplefilter('ignore')\n"
        "fd = fastdup_db.create(sys.argv[1], sys.argv[2])\n"
        "fd.run(progress=False)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    print(fd.num_instances(), flush=True)\n"
        "    try: fastdup_db.create(sys.argv[3], sys.argv[2]).run(progress=False)\n"
        "    except fastdup_db.FastdupError as exc: print(exc, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "one"), str(photos), str(tmp_path / "two")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    assert said[0] == "6" and "spawn" in said[1] and not (tmp_path / "two").exists()


def test_asking_without_a_run_makes_nothing_that_a_run_would_clear(tmp_path, photos):
    work = tmp_path / "mine"
    (work / "crops").mkdir(parents=True)
    (work / "crops" / "mine.txt").write_text("mine")
    fd = fastdup_db.create(work, photos)
    with pytest.raises(NotRun, match="no run has been made"):
        fd.verify()
    assert [path.name for path in work.iterdir()] == ["crops"]
    duckdb.connect(work / "fastdup.duckdb").close()
    fd.run(progress=False, run_mode=1)
    assert (work / "crops" / "mine.txt").read_text() == "mine"
    with pytest.raises(NotRun):
        fastdup_db.create(tmp_path / "none").verify()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("unfit", ["float16 lists", "far durations"])
def test_columns_that_the_database_refuses_leave_the_results(filled, unfit):
    values = [[np.float16(1)]] * 6 if unfit == "float16 lists" else np.full(6, 2**61, "timedelta64[s]")
    pairs = filled.similarity()
    frame = pd.DataFrame({"filename": [f"a{number}.png" for number in range(6)], "odd": values})
    for overwrite in (True, False):
        with pytest.raises(BadArgument):
            filled.run(annotations=frame, progress=False, overwrite=overwrite)
        pd.testing.assert_frame_equal(filled.similarity(), pairs)


def test_intervals_are_text(filled):
    bins = {f"of {count}": pd.cut(range(6), count) for count in (2, 3, 5)}
    frame = pd.DataFrame({"filename": [f"a{number}.png" for number in range(6)]} | bins)
    filled.run(annotations=frame, progress=False, run_mode=1)
    found = filled.annotations()
    assert all(found[name].tolist() == frame[name].astype(str).tolist() for name in bins)


def test_what_a_killed_run_left_of_its_draft_goes(filled):
    draft = Path(filled.work_dir) / ".fastdup-draft"
    for overwrite in (False, True):
        draft.mkdir()
        (draft / "replaced.duckdb").write_bytes(b"old")
        filled.run(progress=False, run_mode=1, overwrite=overwrite)
        assert not draft.exists()


def test_a_table_killed_while_it_is_removed_is_not_there(filled, monkeypatch):
    """A folder goes in one step, under another name."""
    vectors = Path(filled.work_dir) / "lance" / "vectors.lance"
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # as if killed before anything was removed
        Place.of(vectors).delete()
    assert not vectors.exists()
    filled.run(progress=False, overwrite=False, nearest_neighbors_k=3)
    assert len(filled.similarity(threshold=-1)) == 6 * 3
    assert [path.name for path in vectors.parent.iterdir() if path.name.startswith(".")] == []


def test_vectors_of_another_width_change_nothing(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    names = [f"image_{number}" for number in range(5)]
    fd.run(annotations=names, embeddings=np.eye(5, 8, dtype=np.float32), progress=False)
    with pytest.raises(BadArgument, match="d=8, and these have d=12"):
        fd.run(
            annotations=[*names, "more"], embeddings=np.eye(6, 12, dtype=np.float32), progress=False, overwrite=False
        )
    assert fd.embeddings()[1].shape == (5, 8) and fd.num_instances() == 5


def test_annotations_are_not_lost_by_an_update_without_any(tmp_path, photos):
    fd = fastdup_db.create(tmp_path / "work", photos)
    said = pd.DataFrame({"filename": [f"a{number}.png" for number in range(6)], "label": list("xxyyzz")})
    fd.run(annotations=said, progress=False, run_mode=1)
    with pytest.raises(BadArgument, match="annotations of this work_dir would be lost"):
        fd.run(progress=False, overwrite=False)
    assert fd.annotations()["label"].tolist() == list("xxyyzz")
    fd.run(annotations=said.assign(label="w"), progress=False, run_mode=1, overwrite=False)
    assert set(fd.annotations()["label"]) == {"w"}


def test_the_input_is_a_text_given_and_stored(tmp_path, filled, photos):
    given, again = fastdup_db.create(tmp_path / "new", photos), fastdup_db.create(filled.work_dir)
    assert given.input_dir == filled.input_dir == again.input_dir == str(photos)
    filled.run(photos, progress=False, overwrite=False)
    assert filled.input_dir == str(photos)
    filled.run(again.input_dir, progress=False, overwrite=False)
    for other in ([photos, "more"], ["photos"], "s3://bucket/photos", "photos", None):
        assert fastdup_db.create(tmp_path / "new", other).input_dir == other


def test_looking_at_the_input_does_not_choose_it(tmp_path, filled):
    again = fastdup_db.create(filled.work_dir)
    assert again.input_dir == filled.input_dir
    with pytest.raises(BadInput, match="input_dir is missing"):
        again.run(progress=False)


def test_given_vectors_need_not_be_given_for_other_neighbours(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    vectors = np.random.default_rng(0).standard_normal((9, 8)).astype(np.float32)
    names = [f"image_{number}" for number in range(9)]
    fd.run(annotations=names, embeddings=vectors, progress=False, run_mode=1)
    fd.run(progress=False, run_mode=2, nearest_neighbors_k=4)
    whole = fastdup_db.create(tmp_path / "whole")
    whole.run(annotations=names, embeddings=vectors, progress=False, nearest_neighbors_k=4)
    assert fd.sql("from edges order by all").equals(whole.sql("from edges order by all"))
    fd.run(annotations=names, embeddings=vectors, progress=False, subset=names[:5])
    assert fd.annotations()["filename"].tolist() == names[:5]


def test_another_work_dir_in_the_input_is_none_of_it(photos):
    """Its crops and thumbnails are copies; a folder in it that is the input itself is walked."""
    names = [f"{photos}/a{number}.png" for number in range(6)]
    boxes = pd.DataFrame({"filename": names, "col_x": 0, "row_y": 0, "width": 20, "height": 20})
    first = fastdup_db.create(photos / "w1", photos)
    first.run(annotations=boxes, save_crops=True, progress=False, run_mode=1)
    first.vis.stats_gallery(show=False)
    second = fastdup_db.create(photos / "w2", photos)
    second.run(progress=False, run_mode=1)
    assert sorted(second.annotations()["filename"]) == names
    third = fastdup_db.create(photos.parent / "w3", photos / "w1" / "crops")
    third.run(progress=False, run_mode=1)
    assert third.num_instances() == 6
    (photos / "w1" / folder.WORK_DIR[0]).unlink()  # not a work_dir
    second.run(progress=False, run_mode=1)
    assert second.num_instances() > 6
    assert set(folder.WORK_DIR) == {files.LOCK, duck.FILE_NAME}


@pytest.mark.parametrize("lost", ["lance", "lance/embeddings.lance"])
def test_lost_vectors_are_said_and_made_anew(filled, photos, lost):
    pairs, runs = filled.similarity(), filled.sql("from runs")
    shutil.rmtree(Path(filled.work_dir) / lost)
    with pytest.raises(WorkDirDamaged, match=r"embeddings\.lance .*overwrite=True"):
        filled.embeddings()
    if lost == "lance":
        with pytest.raises(WorkDirDamaged, match=r"vectors\.lance .*overwrite=True"):
            filled.search(str(photos / "a0.png"))
    drawn.draw(photos / "b.png", seed=9)
    for settings in ({"overwrite": False}, {"run_mode": 2}, {"run_mode": 1, "overwrite": False}):
        with pytest.raises(WorkDirDamaged, match=r"embeddings\.lance .*overwrite=True"):
            filled.run(progress=False, **settings)
        assert filled.sql("from runs").equals(runs) and filled.similarity().equals(pairs)
    filled.run(progress=False)
    assert len(filled.embeddings()[0]) == filled.num_instances() == 7


def test_an_older_database_beside_newer_vectors_is_of_its_own(filled, photos, tmp_path):
    for number in range(6, 12):
        drawn.draw(photos / f"a{number}.png", seed=number)
    filled.run(progress=False, adapt=False)
    kept = shutil.copy(Path(filled.work_dir) / "fastdup.duckdb", tmp_path / "kept.duckdb")
    drawn.draw(photos / "b.png", seed=20)
    filled.run(progress=False, overwrite=False, adapt=False)
    shutil.copy(kept, Path(filled.work_dir) / "fastdup.duckdb")
    filled.verify("all", progress=False)
    assert len(filled.embeddings()[0]) == filled.num_instances() == 12
    filled.run(progress=False, overwrite=False)
    assert len(filled.embeddings()[0]) == filled.num_instances() == 13


@pytest.mark.parametrize("fails", ["checkpoint", "commit"])
def test_a_full_disk_leaves_what_was_there(filled, photos, monkeypatch, fails):
    """The moments at which DuckDB finds no room: as seen on a small disk, where `close` says nothing."""
    drawn.draw(photos / "b.png", seed=9)
    execute = duckdb.DuckDBPyConnection.execute

    def full(self, query, *arguments, **named):
        if query == fails:
            raise duckdb.IOException("Could not write all bytes to file: No space left on device")
        return execute(self, query, *arguments, **named)

    monkeypatch.setattr(duckdb.DuckDBPyConnection, "execute", full)
    with pytest.raises(NotStored, match="No space left"):
        filled.run(progress=False, run_mode=1)
    monkeypatch.undo()
    assert filled.num_instances() == 6
    filled.run(progress=False, run_mode=1)
    assert filled.num_instances() == 7
