"""Crops in the work_dir over updates: each has a row that names it, and each name has its file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from test_detectors import v5, yolo_model

import fastdup_db
from fastdup_db import demo
from fastdup_db.engines import cropping as making
from fastdup_db.engines import local
from fastdup_db.errors import BadArgument, NotRun
from fastdup_db.pipeline import cropping, neighbors

GLOBAL = "row_y=10,col_x=20,height=40,width=50"
NAMES = [f"{letter}.png" for letter in "abcd"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        _draw(folder / name, number)
    return folder


def _draw(path: Path, scene: int) -> None:
    cv2.imwrite(str(path), demo.scene(scene + 20))


def _boxes(names: list[str]) -> pd.DataFrame:
    """Of every image the same box twice, one of the same whole pixels, and one that is too small."""
    boxes = [(5, 5, 40, 30), (5, 5, 40, 30), (5.4, 5, 40, 30), (50, 30, 9, 30)]
    rows = [(name, *box, "thing") for name in names for box in boxes]
    return pd.DataFrame(rows, columns="filename col_x row_y width height label".split())


def _run(fd: fastdup_db.Fastdup, **settings) -> None:
    fd.run(**{"progress": False, "run_mode": 1, "adapt": False, "overwrite": False} | settings)


def _crops(fd: fastdup_db.Fastdup) -> dict[str, bytes]:
    """What lies in the folder: name → content."""
    return {path.name: path.read_bytes() for path in (Path(fd.work_dir) / "crops").iterdir()}


def _named(fd: fastdup_db.Fastdup) -> list[str]:
    found = fd.sql("select crop_filename from instances where crop_filename is not null order by crop_filename")
    return found["crop_filename"].tolist()


def _killed(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("saves", [True, False])
def test_crops_of_dropped_boxes_go_with_their_rows(photos, tmp_path, saves):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), save_crops=True, overwrite=True)
    before = _crops(fd)
    assert len(before) == 12 and sorted(before) == _named(fd)
    theirs = Path(fd.work_dir) / "crops" / "notes_1_2_3_4.jpg"
    theirs.write_bytes(b"of the user")
    (photos / "a.png").unlink()
    _draw(photos / "b.png", 40)
    os.utime(photos / "b.png", ns=(1, 1))
    given = _boxes(NAMES[1:])
    given.loc[given["filename"] == "c.png", "col_x"] += 7
    _run(fd, annotations=given, save_crops=saves)
    after = _crops(fd)
    assert after.pop(theirs.name) == b"of the user"
    kept = {name for name in before if "_d_" in name}
    assert {name for name in after if "_d_" in name} == kept and all(after[name] == before[name] for name in kept)
    assert sorted(after) == _named(fd) and len(after) == (9 if saves else 3)
    assert saves or set(after) == kept


def test_crops_whose_name_the_file_system_spells_otherwise_are_known(photos, tmp_path):
    names = ["ü 1.png", *NAMES]
    _draw(photos / names[0], 9)
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(names), save_crops=True, overwrite=True)
    for path in (Path(fd.work_dir) / "crops").glob("*ü*"):
        path.rename(path.with_name(path.name.replace("ü", "u\u0308")))
    _run(fd, annotations=_boxes(names))
    assert len(_crops(fd)) == 15


def test_crops_that_a_killed_update_left_are_removed_by_the_next(photos, tmp_path, monkeypatch):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, bounding_box=GLOBAL, save_crops=True, overwrite=True)
    (photos / "a.png").unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cropping, "_delete", _killed)
        _run(fd, bounding_box=GLOBAL, save_crops=True)
    assert len(_crops(fd)) == 4
    _run(fd, bounding_box=GLOBAL, run_mode=2)
    assert sorted(_crops(fd)) == _named(fd) and len(_named(fd)) == 3


def test_a_crop_that_cannot_be_removed_does_not_end_the_update(photos, tmp_path, monkeypatch, caplog):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, bounding_box=GLOBAL, save_crops=True, overwrite=True)
    (photos / "a.png").unlink()
    unlink = Path.unlink

    def held(path, **options):
        if path.suffix == ".jpg":
            raise PermissionError("in use")
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        _run(fd, bounding_box=GLOBAL, save_crops=True)
    assert "cannot be removed: in use" in caplog.text
    assert len(_crops(fd)) == 4 and len(_named(fd)) == 3
    _run(fd, bounding_box=GLOBAL, save_crops=True)
    assert sorted(_crops(fd)) == _named(fd)


def _settings(kind: str, names: list[str], folder: Path) -> dict:
    """Boxes of these images by each way to have some."""
    if kind == "global":
        return {"bounding_box": GLOBAL, "augmentation_additive_margin": 3}
    if kind == "detected":
        return {"bounding_box": str(yolo_model(folder / "my.onnx", v5()))}
    boxes = _boxes(names)
    if kind == "rotated":
        rows = [(name, 30, 10, 60, 20, 50, 50, 20, 40) for name in names]
        boxes = pd.DataFrame(rows, columns="filename x1 y1 x2 y2 x3 y3 x4 y4".split())
    return {"annotations": boxes, "augmentation_horiz": 0.1}


@pytest.mark.parametrize("kind", ["boxes", "rotated", "global", "detected"])
def test_an_update_makes_the_crops_that_stored_boxes_lack(photos, tmp_path, kind):
    """Those that a run with save_crops=True has from the start; nothing else is read or measured anew."""
    if kind == "detected":
        for name in NAMES:
            cv2.imwrite(str(photos / name), cv2.resize(cv2.imread(str(photos / name)), (640, 640)))
    cv2.imwrite(str(photos / "b.png"), cv2.imread(str(photos / "b.png")).astype("uint16") * 257)
    fd, whole = (fastdup_db.create(tmp_path / name, photos) for name in ("work", "whole"))
    _run(fd, overwrite=True, **_settings(kind, NAMES, tmp_path))
    before = fd.sql("from stats order by id")
    (photos / "e.png").write_bytes((photos / "a.png").read_bytes())
    settings = {**_settings(kind, [*NAMES, "e.png"], tmp_path), "save_crops": True}
    _run(fd, **settings)
    _run(whole, overwrite=True, **settings)
    made = _crops(fd)
    assert made == _crops(whole) and sorted(made) == _named(fd)
    assert len(made) == (15 if kind in ("boxes", "detected") else 5)
    assert fd.annotations().equals(whole.annotations())
    assert fd.sql("from stats order by id").iloc[: len(before)].equals(before)
    assert fd.sql("select images from batches")["images"].tolist() == [4, 1]


def test_only_images_that_lack_crops_are_read_again_and_a_killed_update_goes_on(photos, tmp_path, monkeypatch):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), overwrite=True)
    monkeypatch.setattr(local, "CHUNK", 1)
    monkeypatch.setattr(cropping, "COMMIT_INSTANCES", 1)
    monkeypatch.setattr(cropping, "IMAGES", 2)
    made, read = making._made, []

    def noted(chunk, *, spec):
        read.extend(task.image_id for task, _ in chunk)
        return made(chunk, spec=spec) if len(read) != 2 else _killed()

    monkeypatch.setattr(making, "_made", noted)
    with pytest.raises(KeyboardInterrupt):
        _run(fd, annotations=_boxes(NAMES), save_crops=True, num_threads=1)
    assert read[:2] == [0, 1] and len(_named(fd)) == 3
    with pytest.raises(NotRun, match="9 crops are still to be made; call run"):
        _run(fd, run_mode=2)
    read[:] = [-1, -1]
    _run(fd, annotations=_boxes(NAMES), save_crops=True, num_threads=1)
    assert read == [-1, -1, 1, 2, 3]
    for _ in range(2):
        _run(fd, annotations=_boxes(NAMES), save_crops=True)
        assert len(read) == 5 and sorted(_crops(fd)) == _named(fd) and len(_named(fd)) == 12


def test_a_run_on_what_is_stored_is_not_held_up_by_crops_that_it_does_not_make(photos, tmp_path, monkeypatch):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), overwrite=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(neighbors, "find", _killed)
        _run(fd, run_mode=2, save_crops=True)
    _run(fd, run_mode=2, save_crops=True)
    with pytest.raises(BadArgument, match="save_crops=True"):
        fd.img_stats(load_crops=True)


def test_a_run_that_makes_no_crops_says_so(photos, tmp_path, caplog):
    """fastdup 2.54 says nothing, and writes a list of crops without a row."""
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), overwrite=True)
    _run(fd, run_mode=2, turi_param="save_crops=1")
    assert "run_mode=2 reads no image, so 12 boxes stay without a crop" in caplog.text
    caplog.clear()
    _run(fd, annotations=_boxes(NAMES), save_crops=True)
    _run(fd, run_mode=2, save_crops=True)
    assert len(_crops(fd)) == 12 and not caplog.records, "what it advises makes them; then nothing is amiss"
    _run(fd, overwrite=True, turi_param="save_crops=1")
    assert "keeps what lies in boxes, and there are none" in caplog.text


def test_crops_whose_files_are_lost_are_made_again(photos, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), save_crops=True, overwrite=True)
    before, folder = _crops(fd), Path(fd.work_dir) / "crops"
    assert len(before) == 12
    for name in ("000000000_a_5_5_40_30_2.jpg", "000000002_c_5_5_40_30.jpg"):
        (folder / name).unlink()
    (folder / f"{'0f' * 16}.part").write_bytes(b"of a run that was killed")
    _run(fd, annotations=_boxes(NAMES), save_crops=True)
    assert _crops(fd) == before and sorted(before) == _named(fd)


def test_images_that_cannot_be_read_any_more_have_no_crops(photos, tmp_path, caplog):
    fd = fastdup_db.create(tmp_path / "work", photos)
    _run(fd, annotations=_boxes(NAMES), overwrite=True)
    state = (photos / "b.png").stat()
    (photos / "b.png").write_bytes(bytes(state.st_size))
    os.utime(photos / "b.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    _run(fd, annotations=_boxes(NAMES), save_crops=True)
    assert "3 boxes have no crop" in caplog.text
    assert sorted(_crops(fd)) == _named(fd) and len(_named(fd)) == 9
    shown = fd.annotations().set_index("filename")["crop_filename"]
    assert shown[str(photos / "b.png")].isna().all()


@pytest.mark.parametrize("labels", [None, "some"])
@pytest.mark.parametrize("box", [GLOBAL, "detected"])
def test_answers_name_the_crops_of_all_kinds_of_boxes(photos, tmp_path, box, labels):
    """They did for the user's boxes alone: load_crops=True answered without any crop."""
    said = None if labels is None else pd.DataFrame({"filename": NAMES[:3], "label": ["x", "y", "x"]})
    if box == "detected":
        if labels:
            pytest.skip("a detector gives the labels")
        random = np.random.default_rng(0)
        for name in NAMES:
            cv2.imwrite(str(photos / name), random.integers(0, 256, (640, 640, 3), dtype=np.uint8))
        box = str(yolo_model(tmp_path / "my.onnx", v5()))
    fd = fastdup_db.create(tmp_path / "work", photos)
    for settings in ({"overwrite": True}, {}, {"run_mode": 2}):
        if settings.get("run_mode") != 2:
            settings["annotations"] = said
        _run(fd, **{"run_mode": 0, "bounding_box": box, "save_crops": True} | settings)
        known = fd.sql("select id, crop_filename from instances order by id")["crop_filename"]
        shown = fd.annotations().set_index("fd_index")["crop_filename"]
        assert len(shown) == (3 if labels else len(known)) and shown.eq(known[shown.index]).all()
        pairs = fd.similarity(threshold=0, load_crops=True)
        assert len(pairs) and all(Path(f).is_file() for f in pairs["crop_filename_from"])
    (exported,) = fd.export(tmp_path / "out", "huggingface")
    lines = [json.loads(line) for line in Path(exported).read_text().splitlines()]
    assert all("objects" in line if box != GLOBAL else "crop_filename" in line for line in lines)
    _run(fd, annotations=said, bounding_box=box, overwrite=True)
    with pytest.raises(BadArgument, match="save_crops=True"):
        fd.img_stats(load_crops=True)
