"""Crops in the work_dir over updates: each has a row that names it, and each name has its file."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import demo
from fastdup_db.pipeline import cropping

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
    fd.run(**{"progress": False, "run_mode": 1, "overwrite": False} | settings)


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
