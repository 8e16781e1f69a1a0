"""What an earlier run found is not taken for what this one did: neighbours, plans, clusters, models."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest
from drawn import draw_scenes
from planted_models import channel_means

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import BadArgument, NotRun, NotStored
from fastdup_db.pipeline import annotating, extract, files, neighbors
from fastdup_db.store.duck import Database
from tests.finished import Finished

ASKED = ("similarity", "outliers", "connected_components", "label_quality", "verify", "dedup")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Scenes 0 to 7, and scene 3 again as z.bmp, with a run on them: files of one size, whatever they show."""
    home = tmp_path_factory.mktemp("stale")
    draw_scenes(home / "photos", count=8)
    shutil.copy(home / "photos" / "3.bmp", home / "photos" / "z.bmp")
    fastdup_db.create(home / "work", home / "photos").run(progress=False)
    return Finished(home)


@pytest.fixture
def photos(finished: Finished) -> Path:
    return finished.photos()


@pytest.fixture
def filled(finished: Finished, photos: Path, tmp_path: Path) -> fastdup_db.Fastdup:
    return fastdup_db.create(finished.work_dir(tmp_path / "work"), photos)


def _draw(path: Path, scene: int) -> None:
    cv2.imwrite(str(path), demo.scene(scene + 20))


def _killed(*args, **kwargs):
    raise KeyboardInterrupt


def _replaced(path: Path, scene: int) -> None:
    """Another picture under the same name, with another time."""
    time = path.stat().st_mtime_ns
    _draw(path, scene)
    os.utime(path, ns=(time + 10**9, time + 10**9))


STATISTICS = {"run_stats_only": True, "overwrite": True}


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        *((change, {"run_mode": 1}) for change in ("added", "gone", "replaced")),
        ("replaced", STATISTICS),
        *(pytest.param(change, STATISTICS, marks=pytest.mark.slow) for change in ("added", "gone")),
    ],
)
def test_neighbours_of_other_images_are_no_answers(filled, photos, change, settings):
    if change == "gone":
        (photos / "z.bmp").unlink()
    elif change == "added":
        _draw(photos / "a.bmp", 40)
    else:
        _replaced(photos / "z.bmp", 40)
    filled.run(progress=False, **({"overwrite": False} | settings))
    for name in ASKED:
        if name != "label_quality":
            with pytest.raises(NotRun, match="leaves out the neighbours"):
                getattr(filled, name)()
    with pytest.raises(NotRun):
        filled.search(str(photos / "1.bmp"))
    assert len(filled.img_stats()) == filled.num_instances()
    if "run_mode" in settings:
        filled.run(progress=False, run_mode=2, adapt=False)
        fresh = fastdup_db.create(Path(filled.work_dir).parent / "fresh", photos)
        fresh.run(progress=False, adapt=False, threshold=0)
        fields = ["filename_from", "filename_to", "distance"]
        assert _sorted(filled.similarity(threshold=0)[fields]).equals(_sorted(fresh.similarity()[fields]))


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["filename_from", "filename_to"], ignore_index=True)


def test_neighbours_stay_where_nothing_changed(filled):
    pairs = filled.similarity()
    filled.run(progress=False, overwrite=False, run_mode=1)
    assert len(pairs) and filled.similarity().equals(pairs)


def test_an_updated_collection_answers_as_one_that_is_new(filled, photos, tmp_path):
    """Its vectors are adapted to what it is now: with those of before, similarities are off by hundredths."""
    for number in range(8, 12):
        _draw(photos / f"{number}.bmp", number)
    _replaced(photos / "0.bmp", 40)
    (photos / "1.bmp").unlink()
    filled.run(progress=False, overwrite=False)
    fresh = fastdup_db.create(tmp_path / "fresh", photos)
    fresh.run(progress=False)
    fields = ["filename_from", "filename_to", "distance"]
    updated, new = (_sorted(fd.similarity(threshold=0)[fields]) for fd in (filled, fresh))
    assert len(new) == 2 * fresh.num_instances()
    pd.testing.assert_frame_equal(updated, new, rtol=0, atol=1e-5)


@pytest.mark.parametrize("images", ["one", "tested"])
def test_who_never_has_neighbours_misses_none(tmp_path, photos, images):
    """One image alone, and those that a run with test_dir compares others with."""
    settings = {"test_dir": str(photos)} if images == "tested" else {}
    others = tmp_path / "others"
    others.mkdir()
    for number in range(1 if images == "one" else 4):
        shutil.copy(photos / f"{number}.bmp", others / f"copy{number}.bmp")
    fd = fastdup_db.create(tmp_path / "work", others)
    fd.run(progress=False, **settings)
    pairs = fd.similarity()
    fd.run(progress=False, overwrite=False, run_mode=1, **settings)
    assert fd.similarity().equals(pairs) and (images == "one") == pairs.empty


def test_neighbours_of_the_images_that_were_tested_before_are_no_answers(tmp_path, photos):
    listed = tmp_path / "tested.txt"
    listed.write_text(f"{photos}/0.bmp\n{photos}/1.bmp\n")
    fd = fastdup_db.create(tmp_path / "work", photos)
    settings = {"test_dir": str(listed), "threshold": 0, "progress": False}
    fd.run(**settings)
    pairs = fd.similarity()
    fd.run(**settings, overwrite=False, run_mode=1)
    assert len(pairs) and fd.similarity().equals(pairs)
    listed.write_text(f"{photos}/2.bmp\n{photos}/1.bmp\n")
    fd.run(**settings, overwrite=False, run_mode=1)
    with pytest.raises(NotRun, match="leaves out the neighbours"):
        fd.similarity()
    fd.run(**settings, run_mode=2)
    assert {Path(name).name for name in fd.similarity()["filename_from"]} == {"1.bmp", "2.bmp"}


def test_a_test_dir_that_was_not_listed_is_not_compared_with(filled, photos, tmp_path):
    pairs, others = filled.similarity(threshold=0), tmp_path / "others"
    others.mkdir()
    _draw(others / "t.bmp", 3)
    with pytest.raises(BadArgument, match=r"test_dir=.*run_mode=3"):
        filled.run(run_mode=2, test_dir=str(others), progress=False)
    assert len(pairs) and filled.similarity(threshold=0).equals(pairs)
    filled.run(run_mode=3, test_dir=str(others), progress=False, threshold=0)
    found = filled.similarity()
    filled.run(run_mode=2, progress=False)
    filled.run(run_mode=2, test_dir=str(others), progress=False, threshold=0)
    assert len(found) and filled.similarity().equals(found)
    with pytest.raises(BadArgument, match=r"had test_dir=.*others"):
        filled.run(run_mode=2, test_dir=str(photos), progress=False)


def test_pages_say_that_nobody_has_looked(filled, photos, tmp_path):
    _draw(photos / "a.bmp", 40)
    filled.run(progress=False, overwrite=False, run_mode=1)
    for name in ("duplicates", "outliers", "similarity", "component"):
        with pytest.raises(NotRun, match="leaves out the neighbours"):
            getattr(filled.vis, f"{name}_gallery")()
    assert filled.vis.stats_gallery().exists()
    pytest.importorskip("matplotlib")
    assert filled.vis.report().exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_an_update_that_breaks_off_in_its_graph_goes_on(filled, photos, monkeypatch, code):
    _draw(photos / "a.bmp", 40)
    filled.run(progress=False, overwrite=False)  # the database names a later version than the first
    for number in range(50, 56):
        _draw(photos / f"{number}.bmp", number)

    def full(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(neighbors, "_whole", full)
    with pytest.raises(NotStored, match="goes on where it was"):
        filled.run(progress=False, overwrite=False)
    monkeypatch.undo()
    filled.run(progress=False, overwrite=False)
    read = filled.sql("select images from costs order by run_id")["images"].tolist()
    assert read[-1] == 0 and len(filled.similarity(threshold=0)) == 2 * len(list(photos.iterdir()))


def test_a_run_is_finished_when_no_file_tells_of_the_one_before(filled, photos, monkeypatch):
    filled.export(filled.work_dir)
    exported = Path(filled.work_dir) / "similarity.csv"
    _draw(photos / "a.bmp", 40)

    def kill(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "delete_exported", kill)
    with pytest.raises(KeyboardInterrupt):
        filled.run(progress=False, overwrite=False)
    monkeypatch.undo()
    assert exported.exists()
    with pytest.raises(NotRun, match="did not end"):
        filled.similarity()
    filled.run(progress=False, overwrite=False)
    assert not exported.exists()


def _labels(photos: Path, label: str) -> pd.DataFrame:
    """One label for all of them."""
    return pd.DataFrame({"filename": sorted(path.name for path in photos.iterdir()), "label": label})


@pytest.mark.parametrize(
    ("place", "labelled"),
    [
        ("stage_rows", True),
        pytest.param("stage_rows", False, marks=pytest.mark.slow),
        pytest.param("store_rows", True, marks=pytest.mark.slow),
        ("store_rows", False),
        ("store_layout", False),
    ],
)
def test_annotations_of_a_run_that_was_killed_are_not_those_before(filled, photos, monkeypatch, labelled, place):
    after = _labels(photos, "after") if place != "store_layout" else None
    again = {"progress": False, "overwrite": False, "annotations": after}
    fd = filled
    if labelled:
        fd.run(annotations=_labels(photos, "before"), progress=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(annotating, place, _killed)
        patch.setattr(Database, "execute", _never_forgets(Database.execute))
        fd.run(**again)
    with pytest.raises(NotRun, match="still to be listed; call run"):
        fd.run(progress=False, run_mode=2)
    fd.run(**again)
    fd.run(progress=False, run_mode=2)
    assert len(fd.annotations()) == len(list(photos.iterdir()))
    assert after is None or set(fd.annotations()["label"]) == {"after"}


def test_an_update_does_not_lose_the_annotations_there_are(tmp_path, photos):
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(annotations=_labels(photos, "before"), run_mode=1, progress=False)
    with pytest.raises(BadArgument, match="would be lost"):
        fd.run(overwrite=False, progress=False)


def test_run_mode_2_finishes_a_run_on_boxes_that_was_killed(tmp_path, photos, monkeypatch):
    boxes = pd.DataFrame(
        [(f"{n}.bmp", 5, 5, 40, 40) for n in range(8)], columns="filename col_x row_y width height".split()
    )
    fd, whole = fastdup_db.create(tmp_path / "work", photos), fastdup_db.create(tmp_path / "whole", photos)
    whole.run(annotations=boxes, save_crops=True, progress=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(neighbors, "find", _killed)
        fd.run(annotations=boxes, save_crops=True, progress=False)
    for _ in range(2):
        fd.run(run_mode=2, progress=False)
        assert fd.annotations().equals(whole.annotations()) and fd.annotations()["crop_filename"].notna().all()


def _never_forgets(execute):
    """`Database.execute` that takes back no run: SIGKILL leaves no time for it."""
    return lambda self, name, **values: None if name == "run/forget" else execute(self, name, **values)


def test_vectors_of_a_run_that_broke_off_are_not_taken_for_those_before(filled, photos, monkeypatch):
    asked = str(photos / "5.bmp")
    found = filled.search(asked, k=3)

    monkeypatch.setattr(neighbors, "_whole", _killed)
    with pytest.raises(KeyboardInterrupt):
        filled.run(progress=False, overwrite=False, adapt=False)  # other vectors are written already
    monkeypatch.undo()
    filled.run(progress=False, overwrite=False)
    assert fastdup_db.create(filled.work_dir).search(asked, k=3).equals(found)


@pytest.mark.parametrize("again", ["update", "anew"])
def test_a_plan_on_paper_does_not_outlive_what_it_saw(filled, photos, tmp_path, again):
    filled.dedup("first").to_csv(tmp_path / "plan.csv", index=False)
    top = fastdup_db.find_top_components(filled.work_dir, save_path=tmp_path)
    _replaced(photos / "3.bmp", 40)
    filled.run(progress=False, overwrite=again == "anew")
    for plan in (top, pd.read_parquet(tmp_path / "top_components.parquet")):
        with pytest.raises(BadArgument, match="before the last run"):
            fastdup_db.delete_components(plan, min_distance=0.5, dry_run=False)
    done = filled.clean(pd.read_csv(tmp_path / "plan.csv"), how="delete", dry_run=False)
    assert done["status"].tolist() == ["the image to keep is missing or changed"]
    assert (photos / "z.bmp").exists()


def test_clusters_are_of_the_images_that_are_there(filled, photos):
    fastdup_db.run_kmeans_on_extracted(work_dir=filled.work_dir, num_clusters=3)
    assert len(fastdup_db.find_top_components(filled.work_dir, comp_type="cluster"))
    filled.run(progress=False, run_mode=2)
    assert len(fastdup_db.find_top_components(filled.work_dir, comp_type="cluster")), "the images are the same"
    for overwrite in (False, True):
        fastdup_db.run_kmeans_on_extracted(work_dir=filled.work_dir, num_clusters=3)
        filled.run(progress=False, overwrite=overwrite)
        with pytest.raises(NotRun, match="run_kmeans"):
            fastdup_db.find_top_components(filled.work_dir, comp_type="cluster")


def test_vectors_of_two_models_are_not_mixed(tmp_path, photos):
    model = channel_means(tmp_path / "model.onnx", dim=12)
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(progress=False, model_path=str(model))
    shutil.copy(photos / "1.bmp", photos / "y.bmp")
    vectors = fd.embeddings()[1]
    channel_means(model, dim=12, kind="U8")  # other bytes
    with pytest.raises(BadArgument, match="a model whose file has changed"):
        fd.run(progress=False, model_path=str(model), overwrite=False)
    channel_means(model, dim=12)
    fd.run(progress=False, model_path=str(model), overwrite=False)
    assert (fd.embeddings()[1][: len(vectors)] == vectors).all()


def test_names_that_are_shown_are_names_that_can_be_asked_for(tmp_path, photos):
    bad = os.fsencode(photos) + b"/bad\xff.bmp"
    shutil.copy(photos / "5.bmp", bad)
    shutil.copy(photos / "5.bmp", photos / "x\\x41.bmp")
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(progress=False)
    names = fd.annotations()["filename"].tolist()
    gone = fd.clean(fd.dedup("first"), dry_run=False)["filename"].tolist()
    assert not os.path.exists(bad) and set(gone) < set(names)
    assert fd.undo()["filename"].tolist() == gone and os.path.exists(bad)
    fd.run(progress=False, subset=names[:6])
    assert fd.annotations()["filename"].tolist() == names[:6]


def test_an_extracting_run_groups_by_its_own_threshold(filled):
    members = len(filled.connected_components()[0])
    assert members == 2
    for settings, there in (({"cc_threshold": 0.85}, 9), ({}, members), ({"run_cc": False}, 0), ({}, members)):
        filled.run(progress=False, overwrite=False, run_mode=1, **settings)
        found, info = filled.connected_components()
        assert len(found) >= there if there == 9 else len(found) == there
        assert info["count"].sum() == len(found) and len(filled.sql("from component_info")) == len(info)
        assert len(filled.dedup("first")) == len(found)
    kept = {"index_kind", "neighbors_method", "neighbors_recall"}
    assert all(filled.config[name] is not None for name in kept), "what the first run has found still answers"
    filled.run(progress=False, overwrite=False, run_mode=1, distance="euclidean")
    with pytest.raises(NotRun, match="leaves out the neighbours"):
        filled.similarity()


def test_an_old_transform_does_not_come_back(filled, photos):
    asked = str(photos / "5.bmp")
    filled.run(progress=False, overwrite=False, adapt=False)
    found = filled.search(asked, k=3)
    filled.run(progress=False, overwrite=False, adapt=False, run_mode=1)
    again = fastdup_db.create(filled.work_dir).search(asked, k=3)
    assert again.equals(found) and again["distance"].iloc[0] == pytest.approx(1)


def test_a_message_names_what_was_given(photos, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", photos)
    with pytest.raises(BadArgument, match="test_dir '/no/such' does not exist"):
        fd.run(test_dir="/no/such", progress=False)
    fd.run(run_stats_only=True, progress=False)
    fd.export(tmp_path / "out")
    with pytest.raises(BadArgument, match="holds no features"):
        fastdup_db.import_work_dir(tmp_path / "out", tmp_path / "again")


def test_a_graph_is_not_made_of_a_collection_that_is_partly_read(filled, photos, monkeypatch):
    for number in range(5):
        _replaced(photos / f"{number}.bmp", number + 40)

    monkeypatch.setattr(extract, "store_results", _killed)
    with pytest.raises(KeyboardInterrupt):
        filled.run(progress=False, overwrite=False)
    monkeypatch.undo()
    with pytest.raises(NotRun, match="5 images are still to be read"):
        filled.run(progress=False, run_mode=2)
    filled.run(progress=False, overwrite=False)
    assert filled.num_instances() == 9


def test_overwrite_begins_anew_after_an_update_that_broke_off(filled, photos, monkeypatch):
    (photos / "added.bmp").write_bytes((photos / "5.bmp").read_bytes())

    monkeypatch.setattr(neighbors, "find", _killed)
    with pytest.raises(KeyboardInterrupt):
        filled.run(progress=False, overwrite=False)
    monkeypatch.undo()
    time = (photos / "0.bmp").stat().st_mtime_ns
    _draw(photos / "0.bmp", 60)  # of equal size and time: only reading everything anew can see it
    os.utime(photos / "0.bmp", ns=(time, time))
    filled.run(progress=False)
    fresh = fastdup_db.create(Path(filled.work_dir).parent / "fresh", photos)
    fresh.run(progress=False)
    assert filled.annotations().equals(fresh.annotations())
    assert filled.similarity(threshold=-1).equals(fresh.similarity(threshold=-1))
    assert filled.sql("select count(*) as runs from runs")["runs"].item() == 1


def test_verified_pairs_have_the_similarity_of_the_vectors_there_are(tmp_path, photos):
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(progress=False, verify="all", adapt=False)
    before = fd.duplicates()["distance"].tolist()
    for number in range(60, 70):
        _draw(photos / f"{number}.bmp", number)
    cv2.imwrite(str(photos / "5b.jpg"), demo.scene(25), [cv2.IMWRITE_JPEG_QUALITY, 20])
    fd.run(progress=False, overwrite=False, verify="all", adapt=False)
    twin = fastdup_db.create(shutil.copytree(fd.work_dir, tmp_path / "twin"), photos)
    for updated, again in ((fd, {}), (twin, {"verify": "all"})):
        adapted = updated.run(progress=False, overwrite=False, **again)
        assert adapted == 0 and before == [1.0]
        names = ["filename_from", "filename_to"]
        pairs = updated.similarity(threshold=-1)[[*names, "distance"]]
        both = updated.duplicates()[[*names, "distance"]].merge(pairs, on=names)
        assert len(both) == 2 and both["distance_x"].tolist() == both["distance_y"].tolist()


def test_a_graph_alone_keeps_the_input_that_was_listed(filled, photos, tmp_path):
    (tmp_path / "other").mkdir()
    fastdup_db.create(filled.work_dir, tmp_path / "other").run(run_mode=2, progress=False)
    assert fastdup_db.create(filled.work_dir).input_dir == str(photos)


@pytest.fixture(scope="module")
def made_by_v0(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work_dir of fastdup's `run` on the photos, with its files."""
    work_dir = tmp_path_factory.mktemp("v0") / "work"
    fastdup_db.run(finished.photos(), work_dir)
    return work_dir


@pytest.fixture
def exported(made_by_v0: Path, tmp_path: Path) -> Path:
    """A copy of that which the test may change."""
    return shutil.copytree(made_by_v0, tmp_path / "exported")


def test_fastdups_files_are_of_the_last_run_or_not_there(photos, exported, tmp_path):
    work = exported
    assert fastdup_db.load_config(work)["threshold"] == 0.9
    (work / "notes.txt").write_text("mine")
    fastdup_db.run(photos, work, run_mode=1)
    fd = fastdup_db.create(work)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "similarity.csv").write_text("from,to,distance\n0,1,0.99\n")
    assert "similarity.csv" not in {path.name for path in fd.export(tmp_path / "elsewhere")}
    assert not (tmp_path / "elsewhere" / "similarity.csv").exists()
    there = {path.name for path in work.iterdir()}
    assert "similarity.csv" not in there and {"atrain_features.dat", "config.json", "notes.txt"} <= there
    fastdup_db.run(photos, work)
    for number, settings in enumerate(({"overwrite": True}, {"overwrite": False}, {"run_mode": 2})):
        again = shutil.copytree(work, tmp_path / f"again{number}")
        assert (again / "similarity.csv").exists()
        fastdup_db.create(again, photos).run(progress=False, threshold=0.5, **settings)
        assert fastdup_db.load_config(again)["threshold"] == 0.5
        assert not (again / "similarity.csv").exists() and (again / "notes.txt").exists()


def test_files_that_a_killed_export_left_go_too(photos, tmp_path, monkeypatch):
    fd = fastdup_db.create(tmp_path, photos)
    monkeypatch.setattr(Database, "write_csv", _killed)
    with pytest.raises(KeyboardInterrupt):
        fastdup_db.run(photos, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "atrain_features.dat").exists()
    (tmp_path / "fastdup.duckdb").unlink()  # nor does it need the database that they came from
    fd.run(progress=False)
    assert not list(tmp_path.glob("atrain_*")) and not (tmp_path / "config.json").exists()


def test_a_list_that_is_read_stays(photos, exported, tmp_path):
    listed = exported / "atrain_features.dat.csv"
    fd = fastdup_db.create(exported, listed)
    for overwrite in (True, False):
        fd.run(progress=False, overwrite=overwrite)
    assert listed.exists() and fd.num_instances() == 9
    (tmp_path / "other").mkdir()
    _draw(tmp_path / "other" / "60.bmp", 60)
    fastdup_db.run(tmp_path / "other", exported)
    listed.write_text(f"filename\n{photos / '1.bmp'}\n")
    fd.run(input_dir=tmp_path / "other", test_dir=listed, progress=False)
    assert listed.exists()
    with pytest.raises(BadArgument, match="another folder"):
        fastdup_db.import_work_dir(exported, exported)


def test_files_that_fastdup_made_stay(photos, tmp_path):
    (tmp_path / "config.json").write_text('{"threshold": 0.7}')
    (tmp_path / "similarity.csv").write_text("from,to,distance\n")
    fd = fastdup_db.create(tmp_path, photos)
    for overwrite in (True, False, True):
        fd.run(progress=False, overwrite=overwrite)
    assert (tmp_path / "similarity.csv").exists() and fastdup_db.load_config(tmp_path)["threshold"] == 0.7
