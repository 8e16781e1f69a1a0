"""Which image of a group is kept, and taking the others away, on a collection whose groups are planted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import BadArgument
from tests import drawn
from tests.finished import Finished


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Scene 1 five times, scene 2 twice with the same bytes, and eight scenes that are alone, with a run on them."""
    home = tmp_path_factory.mktemp("dedup")
    folder = home / "photos"
    folder.mkdir()
    whole = demo.scene(1)
    cv2.imwrite(str(folder / "a_small.png"), cv2.resize(whole, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(folder / "b_squeezed.jpg"), whole, [cv2.IMWRITE_JPEG_QUALITY, 30])
    cv2.imwrite(str(folder / "c_good.png"), whole)
    cv2.imwrite(str(folder / "d_soft.jpg"), cv2.GaussianBlur(whole, (0, 0), 1.2), [cv2.IMWRITE_JPEG_QUALITY, 95])
    date = Image.Exif()
    date[0x8769] = {0x9003: "2001:02:03 04:05:06"}
    date[0x010F], date[0x0110] = "Maker", "Model 7"
    Image.fromarray(whole[..., ::-1]).save(folder / "e_dated.jpg", quality=60, exif=date)
    cv2.imwrite(str(folder / "f_twin.jpg"), demo.scene(2))
    shutil.copy(folder / "f_twin.jpg", folder / "g_twin.jpg")
    for number in range(10, 18):
        cv2.imwrite(str(folder / f"lone_{number}.jpg"), demo.scene(number))
    fastdup_db.create(home / "work", folder).run(nearest_neighbors_k=5, cc_threshold=0.95, progress=False)
    return Finished(home)


@pytest.fixture
def images(finished) -> Path:
    return finished.photos()


@pytest.fixture
def work(finished, images) -> Path:
    """The work_dir of that run, for tests that only read it."""
    return finished.work


@pytest.fixture
def own(finished, images, tmp_path) -> tuple[fastdup_db.Fastdup, Path]:
    """A copy of it and the images, for tests that take files away."""
    return fastdup_db.create(finished.work_dir(tmp_path / "work"), images), images


def _kept(frame) -> set[str]:
    return {Path(name).name for name in frame.loc[frame["keep"], "filename"]}


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("best", "c_good.png"),
        ("first", "a_small.png"),
        ("largest", "c_good.png"),
        ("least_compressed", "c_good.png"),
        ("oldest", "e_dated.jpg"),
    ],
)
def test_the_rule_decides_what_is_kept(work, rule, first):
    frame = fastdup_db.create(work).dedup(rule)
    assert _kept(frame) == {first, "f_twin.jpg"}
    assert frame.groupby("component_id")["keep"].sum().eq(1).all()
    assert set(frame.loc[frame["component_id"] == 0, "filename"].map(lambda n: Path(n).name)) == {
        "a_small.png", "b_squeezed.jpg", "c_good.png", "d_soft.jpg", "e_dated.jpg",
    }  # fmt: skip


def test_the_sharpest_is_not_the_soft_one(work):
    frame = fastdup_db.create(work).dedup("sharpest")
    group = frame[frame["component_id"] == 0]
    assert group.loc[group["keep"], "sharpness"].iloc[0] == group["sharpness"].max()
    assert Path(group["filename"].iloc[-1]).name == "d_soft.jpg"


def test_the_frame_shows_what_the_rule_saw(work):
    frame = fastdup_db.create(work).dedup()
    good = frame[frame["filename"].str.endswith("c_good.png")].iloc[0]
    assert good["pixels"] == 240 * 320 and good["bits_per_pixel"] == 8 * good["file_size"] / (240 * 320)
    others = frame[(frame["component_id"] == 0) & ~frame["keep"]]
    assert (others["keep_index"] == good["index"]).all() and (others["keep_filename"] == good["filename"]).all()
    assert others["similarity"].between(0.9, 1).all()


def test_groups_can_be_exact_or_verified(work, images):
    fd = fastdup_db.create(work)
    exact = fd.dedup(groups="exact")
    assert exact["filename"].tolist() == [str(images / "f_twin.jpg"), str(images / "g_twin.jpg")]
    assert fd.dedup(groups="duplicates").empty, "nothing has been verified"
    assert list(fd.dedup(groups="duplicates").columns) == list(exact.columns)


def test_exact_duplicates_and_exif(work, images):
    fd = fastdup_db.create(work)
    (group,) = fd.exact_duplicates().to_dict("records")
    assert group["files"] == [str(images / "f_twin.jpg"), str(images / "g_twin.jpg")]
    assert group["count"] == 2 and group["files_ids"] == [5, 6]
    exif = fd.img_exif().set_index("filename")
    dated = exif.loc[str(images / "e_dated.jpg")]
    assert str(dated["taken_at"]) == "2001-02-03 04:05:06"
    assert (dated["camera_make"], dated["camera_model"]) == ("Maker", "Model 7")
    assert exif["taken_at"].notna().sum() == 1
    assert exif["content_hash"].nunique() == len(exif) - 1


def test_wrong_words_are_told(work):
    fd = fastdup_db.create(work)
    with pytest.raises(BadArgument, match="least_compressed"):
        fd.dedup("nicest")
    with pytest.raises(BadArgument, match="exact"):
        fd.dedup(groups="all")
    with pytest.raises(BadArgument, match="quarantine"):
        fd.clean([], how="burn")
    with pytest.raises(BadArgument, match="not one name"):
        fd.clean("a.jpg")


def test_clean_says_first_then_moves_then_brings_back(own):
    fd, images = own
    before = {p.name: p.read_bytes() for p in images.iterdir()}
    plan = fd.dedup()
    said = fd.clean(plan)
    assert said["status"].eq("planned").all() and len(said) == 5
    assert {p.name: p.read_bytes() for p in images.iterdir()} == before
    done = fd.clean(plan, dry_run=False)
    assert done["status"].eq("moved").all()
    assert {p.name for p in images.iterdir()} == {"c_good.png", "f_twin.jpg", *(n for n in before if "lone" in n)}
    assert fd.undo()["status"].eq("restored").all()
    assert {p.name: p.read_bytes() for p in images.iterdir()} == before


def test_a_cleaned_collection_has_no_duplicates_left(own):
    fd, images = own
    fd.clean(fd.dedup(), dry_run=False, how="delete")
    assert len(list(images.iterdir())) == 10
    fd.run(nearest_neighbors_k=5, cc_threshold=0.95, progress=False, overwrite=False)
    assert fd.num_instances(valid_only=False) == 10 and fd.dedup().empty


def test_files_outside_the_input_are_refused(own, tmp_path):
    fd, images = own
    stranger = tmp_path / "stranger.jpg"
    shutil.copy(images / "f_twin.jpg", stranger)
    with pytest.raises(BadArgument, match=r"not in the input of this run, first .*stranger\.jpg"):
        fd.clean([str(images / "f_twin.jpg"), str(stranger)], dry_run=False)
    assert stranger.exists() and (images / "f_twin.jpg").exists()


def test_a_twin_that_is_the_same_file_is_not_taken(images, tmp_path):
    """A folder linked into the input shows every file twice: its twin is itself."""
    shutil.copytree(images, tmp_path / "in" / "real")
    names = [str(tmp_path / "in" / "real" / "lone_10.jpg"), str(tmp_path / "link" / "lone_10.jpg")]
    os.symlink(tmp_path / "in" / "real", tmp_path / "link")
    fd = fastdup_db.create(tmp_path / "work", names)
    fd.run(progress=False)
    done = fd.clean(fd.dedup(), dry_run=False)
    assert done["status"].tolist() == ["is also a kept image"]
    assert Path(names[0]).exists()


def test_archives_are_not_taken_apart(images, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", images)
    fd = fastdup_db.create(tmp_path / "work", archive)
    fd.run(nearest_neighbors_k=5, cc_threshold=0.95, progress=False)
    plan = fd.dedup()
    assert len(plan) == 7
    with pytest.raises(BadArgument, match="archive"):
        fd.clean(plan, dry_run=False)


def test_boxes_are_no_files(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", images)
    boxes = [{"filename": f"lone_{n}.jpg", "col_x": 5, "row_y": 5, "width": 90, "height": 90} for n in (10, 11)]
    fd.run(annotations=pd.DataFrame(boxes), adapt=False, progress=False)
    with pytest.raises(BadArgument, match="boxes"):
        fd.dedup()


def test_from_the_command_line(own, tmp_path, capsys, monkeypatch):
    from fastdup_db import cli

    fd, images = own

    def call(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["fastdup-db", *words, "-w", str(fd.work_dir)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert done.value.code == 0
        return capsys.readouterr().out

    plan = tmp_path / "plan.csv"
    plan.write_text(call("dedup", "--keep", "first", "--csv"))
    assert "planned" in call("clean", str(plan)) and len(list(images.iterdir())) == 15
    assert call("clean", str(plan), "--do-it").count("moved") == 5 and len(list(images.iterdir())) == 10
    assert call("undo").count("restored") == 5 and len(list(images.iterdir())) == 15
    assert "similarity.csv" in call("export", str(tmp_path / "files"))
    monkeypatch.setattr("sys.argv", ["fastdup-db", "import", str(tmp_path / "files"), "-w", str(tmp_path / "back")])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Dataset contains 15 images" in capsys.readouterr().out


# ---- the file that is kept -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished_squeezed(tmp_path_factory) -> Finished:
    """Three scenes, each as a_*.jpg at quality 85 and as b_*.jpg at 97, and four that are alone; with a run."""
    home = tmp_path_factory.mktemp("squeezed")
    folder = home / "photos"
    folder.mkdir()
    for number in range(3):
        for name, quality in (("a", 85), ("b", 97)):
            path = folder / f"{name}_{number}.jpg"
            cv2.imwrite(str(path), demo.scene(30 + number), [cv2.IMWRITE_JPEG_QUALITY, quality])
    for number in range(40, 44):
        cv2.imwrite(str(folder / f"lone_{number}.png"), demo.scene(number))
    fastdup_db.create(home / "work", folder).run(nearest_neighbors_k=3, cc_threshold=0.95, progress=False)
    return Finished(home)


@pytest.fixture
def squeezed(finished_squeezed, tmp_path) -> tuple[fastdup_db.Fastdup, Path]:
    """Those images and a work_dir of the test's own."""
    folder = finished_squeezed.photos()
    return fastdup_db.create(finished_squeezed.work_dir(tmp_path / "work"), folder), folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("[ab]_*")}


@pytest.mark.parametrize("how", ["delete", "quarantine"])
def test_a_second_rule_without_a_new_run_leaves_the_last_copies(squeezed, how):
    fd, folder = squeezed
    assert _kept(fd.dedup("best")) == {"b_0.jpg", "b_1.jpg", "b_2.jpg"}
    assert set(fd.clean(fd.dedup("first"), how=how, dry_run=False)["status"]) <= {"deleted", "moved"}
    assert _names(folder) == {"a_0.jpg", "a_1.jpg", "a_2.jpg"}
    again = fd.dedup("best")
    assert _kept(again) == {"a_0.jpg", "a_1.jpg", "a_2.jpg"}, "what is gone is not kept"
    assert fd.clean(again, how=how, dry_run=False)["status"].tolist() == ["missing"] * 3
    assert _names(folder) == {"a_0.jpg", "a_1.jpg", "a_2.jpg"}


def _replace(path: Path) -> None:
    cv2.imwrite(str(path), demo.scene(99))


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


SPOILT = pytest.mark.parametrize("spoil", [Path.unlink, lambda p: p.write_bytes(b""), _replace, _touch])


@SPOILT
@pytest.mark.parametrize("how", ["delete", "quarantine"])
def test_without_its_keeper_a_file_stays(squeezed, spoil, how):
    fd, folder = squeezed
    plan = fd.dedup("best")
    spoil(folder / "b_1.jpg")
    for dry_run in (True, False):
        done = fd.clean(plan[~plan["keep"]], how=how, dry_run=dry_run).set_index("filename")["status"]
        assert done[str(folder / "a_1.jpg")] == "the image to keep is missing or changed"
    assert {"a_1.jpg", "b_0.jpg", "b_2.jpg"} == _names(folder) - {"b_1.jpg"}


@SPOILT
@pytest.mark.parametrize("rule", ["best", "first", "largest", "least_compressed", "oldest", "sharpest"])
def test_no_rule_keeps_a_spoilt_file(squeezed, spoil, rule):
    fd, folder = squeezed
    spoil(folder / "b_0.jpg")
    spoil(folder / "a_1.jpg")
    assert {"a_0.jpg", "b_1.jpg"} <= _kept(fd.dedup(rule))


def test_where_a_whole_group_is_spoilt_nothing_goes(squeezed):
    fd, folder = squeezed
    for path in folder.glob("[ab]_1.jpg"):
        _touch(path)
    plan = fd.dedup("best")
    assert len(plan) == 6 and "b_1.jpg" in _kept(plan)
    done = fd.clean(plan, how="delete", dry_run=False).set_index("filename")["status"]
    assert done[str(folder / "a_1.jpg")] == "changed since the run" and len(_names(folder)) == 4


def test_two_plans_that_take_each_others_keeper_take_nothing(squeezed):
    fd, folder = squeezed
    both = pd.concat([fd.dedup("first"), fd.dedup("best")])
    done = fd.clean(both[~both["keep"]], how="delete", dry_run=False)
    assert len(done) == 6 and done["status"].eq("the image to keep is missing or changed").all()
    assert len(_names(folder)) == 6


def test_a_plan_changed_by_hand_keeps_what_it_says(squeezed):
    """Rows kept by hand stand in for the rule's; all taken out, nobody is kept, and only a list of names means that."""
    fd, folder = squeezed
    plan = fd.dedup("best")
    other = plan.assign(keep=~plan["keep"])
    (folder / "a_2.jpg").unlink()
    assert set(fd.clean(plan.assign(keep=False))["status"]) == {"the image to keep is missing or changed", "missing"}
    fd.clean(other, how="delete", dry_run=False)
    assert _names(folder) == {"a_0.jpg", "a_1.jpg", "b_2.jpg"}
    names = [str(folder / name) for name in ("a_0.jpg", "b_2.jpg")]
    assert fd.clean(names, how="delete", dry_run=False)["status"].eq("deleted").all()
    assert _names(folder) == {"a_1.jpg"}


def test_a_plan_of_an_earlier_run_is_refused(squeezed, tmp_path):
    """The keeper became another picture, and the new run knows it as such."""
    fd, folder = squeezed
    plan = fd.dedup("best")
    _replace(folder / "b_0.jpg")
    fd.run(nearest_neighbors_k=3, cc_threshold=0.95, progress=False, overwrite=False)
    with pytest.raises(BadArgument, match="before the last run"):
        fd.clean(plan, how="delete", dry_run=False)
    assert len(_names(folder)) == 6
    plan.to_csv(tmp_path / "plan.csv", index=False)
    done = fd.clean(pd.read_csv(tmp_path / "plan.csv"), how="delete", dry_run=False).set_index("filename")["status"]
    assert done[str(folder / "a_0.jpg")] == "the image to keep is missing or changed"
    assert _names(folder) == {"a_0.jpg", "b_0.jpg", "b_1.jpg", "b_2.jpg"}


def test_a_keeper_that_vanishes_during_the_clean_up_saves_the_rest(squeezed, monkeypatch):
    from fastdup_db.cleaning import cleaner

    fd, folder = squeezed
    real = cleaner.manifest.write

    def write(*arguments, **options):
        (folder / "b_0.jpg").unlink()
        return real(*arguments, **options)

    monkeypatch.setattr(cleaner.manifest, "write", write)
    done = fd.clean(fd.dedup("best"), how="delete", dry_run=False).set_index("filename")["status"]
    assert done[str(folder / "a_0.jpg")] == "the image to keep is missing or changed"
    assert _names(folder) == {"a_0.jpg", "b_1.jpg", "b_2.jpg"}


def test_own_vectors_keep_a_file_that_is_there(squeezed, tmp_path):
    _, folder = squeezed
    names = sorted(str(path) for path in folder.glob("[ab]_*"))
    own = fastdup_db.create(tmp_path / "own", folder)
    own.run(annotations=names, embeddings=np.tile(np.eye(3, 8, dtype=np.float32), (2, 1)), progress=False)
    plan = own.dedup("first")
    assert _kept(plan) == {"a_0.jpg", "a_1.jpg", "a_2.jpg"}
    (folder / "a_0.jpg").unlink()
    assert _kept(own.dedup("first")) == {"b_0.jpg", "a_1.jpg", "a_2.jpg"}
    own.clean(plan, how="delete", dry_run=False)
    assert _names(folder) == {"b_0.jpg", "a_1.jpg", "a_2.jpg"}


@pytest.mark.parametrize("plan", [None, 3, [3], [None], b"a.jpg", [b"a.jpg"]])
def test_what_is_no_plan_is_told(work, plan):
    with pytest.raises(BadArgument, match=r"a frame with the column 'filename'.* or a list of file names"):
        fastdup_db.create(work).clean(plan)


def test_a_quarantine_is_a_new_folder(own, tmp_path):
    fd, images = own
    full, file, empty = tmp_path / "full", tmp_path / "file", tmp_path / "empty"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    for folder in (full, file, images):
        for dry_run in (True, False):
            with pytest.raises(BadArgument, match="does not exist yet, or an empty one"):
                fd.clean(fd.dedup(), folder=folder, dry_run=dry_run)
    assert len(list(images.iterdir())) == 15 and len(list(full.iterdir())) == 1
    empty.mkdir()
    assert fd.clean(fd.dedup(), folder=empty, dry_run=False)["status"].eq("moved").all()
    fd.undo(empty)
    assert len(list(images.iterdir())) == 15


def test_a_link_beside_its_file_does_not_keep_the_other_copies(tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.png", "b.png", "c.png"):
        drawn.draw(photos / name, seed=1)
    (photos / "0link.png").symlink_to(photos / "a.png")
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(progress=False)
    done = fd.clean(fd.dedup(keep="first"))
    assert dict(zip(done["filename"].map(os.path.basename), done["status"], strict=True)) == {
        "a.png": "is also a kept image",
        "b.png": "planned",
        "c.png": "planned",
    }


def test_a_quarantine_that_cannot_be_made_is_told_before_anything_moves(own, tmp_path):
    fd, images = own
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadArgument, match="is a file"):
        fd.clean(fd.dedup("first"), folder=tmp_path / "file" / "quarantine", dry_run=False)
    assert len(list(images.iterdir())) == 15


def test_undo_passes_over_a_clean_up_that_was_killed_before_it_had_begun(own):
    fd, images = own
    with pytest.raises(BadArgument, match="no clean-up"):
        fd.undo()
    fd.clean(fd.dedup("first"), dry_run=False)
    Path(fd.work_dir, "quarantine", "0002", "files").mkdir(parents=True)
    Path(fd.work_dir, "quarantine", "0002", "manifest.jsonl.part").write_text("")
    assert len(list(images.iterdir())) == 10
    assert fd.resume_clean()["status"].eq("moved").all()
    assert fd.undo()["status"].eq("restored").all() and len(list(images.iterdir())) == 15
