"""Disks that take several spellings for one file, as macOS and Windows have them; here the system calls are made to."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

import pandas as pd
import pytest

import fastdup_db
from fastdup_db.cleaning import cleaner
from fastdup_db.cleaning.cleaner import Known
from fastdup_db.sources import ListingOptions, listing
from fastdup_db.spelling import Spelling, real
from tests.drawn import draw

KOELN = normalize("NFD", "Köln")


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Path:
    """A folder below which a name is found in any case and any Unicode form."""
    root = tmp_path / "disk"
    root.mkdir()
    listed = os.listdir

    def found(path):
        if not isinstance(path, str | Path) or not str(path).startswith(f"{root}/"):
            return path
        place = str(root)
        for part in str(path)[len(place) + 1 :].split("/"):
            names = listed(place) if os.path.isdir(place) else []
            place += "/" + next((n for n in sorted(names, key=part.__ne__) if _folded(n) == _folded(part)), part)
        return place

    for name in ("stat", "lstat", "unlink", "open", "access", "scandir", "listdir"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path=".", *a, _call=call, **k: _call(found(path), *a, **k))
    return root


@pytest.fixture
def photos(disk) -> Path:
    folder = disk / "Photos"
    folder.mkdir()
    for number in range(4):
        draw(folder / f"IMG_{number}.JPG", seed=number)
    return folder


def test_a_path_is_spelled_as_the_disk_has_it(disk):
    (disk / "Photos").mkdir()
    (disk / "Photos" / f"{KOELN}.JPG").touch()
    (disk / "Photos" / "12.png").touch()
    spelled = Spelling()
    assert spelled(f"{disk}/photos/köln.jpg") == f"{disk}/Photos/{KOELN}.JPG"
    assert spelled(f"{disk}/PHOTOS/12.PNG") == f"{disk}/Photos/12.png"
    assert spelled(f"{disk}/photos/absent.jpg") == f"{disk}/Photos/absent.jpg"
    assert real(f"{disk}/photos") == f"{disk}/Photos"


def test_a_disk_that_tells_spellings_apart_is_taken_at_its_word(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "A.JPG").hardlink_to(tmp_path / "a.jpg")  # two names, if of one file
    spelled = Spelling()
    assert spelled(f"{tmp_path}/a.jpg") == f"{tmp_path}/a.jpg"
    assert spelled(f"{tmp_path}/A.JPG") == f"{tmp_path}/A.JPG"
    assert spelled(f"{tmp_path}/b.jpg") == f"{tmp_path}/b.jpg"


def test_annotations_in_another_spelling_are_of_the_listed_images(photos, tmp_path):
    rows = pd.DataFrame({"filename": [f"img_{number}.jpg" for number in range(4)], "label": "x"})
    fd = fastdup_db.create(tmp_path / "results", photos)
    fd.run(annotations=rows, progress=False)
    assert [Path(name).name for name in fd.annotations()["filename"]] == [f"IMG_{n}.JPG" for n in range(4)]
    assert fd.annotations(include_unannotated=True)["label"].tolist() == ["x"] * 4


def test_a_list_that_names_a_file_in_two_spellings_has_it_once(photos, tmp_path):
    fd = fastdup_db.create(tmp_path / "results", [photos, f"{photos.parent}/photos/img_0.jpg", photos / "img_1.JPG"])
    fd.run(progress=False)
    assert fd.num_instances() == 4


def test_a_work_dir_below_the_input_is_passed_over_in_any_spelling(photos):
    draw(photos / "Results" / "thumbnail.jpg", seed=9)
    options = ListingOptions(exclude=(f"{photos.parent}/photos/results",))
    assert [Path(r.filename).name for r in listing(str(photos), options=options)] == [f"IMG_{n}.JPG" for n in range(4)]


def test_the_kept_file_in_another_spelling_is_not_taken_away(photos):
    asked, kept = str(photos / "img_0.jpg"), str(photos / "IMG_0.JPG")
    assert [s.status for s in cleaner.plan([Known(asked, asked)], kept=[kept])] == [cleaner.SHARED]
    both = cleaner.plan([Known(asked, asked), Known(kept, kept)])
    assert [s.status for s in both] == [cleaner.PLANNED]


@pytest.mark.parametrize("do", [cleaner.delete, cleaner.quarantine])
def test_a_file_is_not_taken_away_where_the_kept_one_leads_to_it(tmp_path, do):
    image, kept = tmp_path / "a.jpg", tmp_path / "b.jpg"
    for path in (image, kept):
        path.write_bytes(b"one picture")
        os.utime(path, ns=(10**18, 10**18))
    plan = cleaner.plan([Known(str(image), str(image), keeper=Known(str(kept), str(kept)))])
    assert [s.status for s in plan] == [cleaner.PLANNED]
    kept.unlink()
    kept.symlink_to(image)
    assert [s.status for s in do(plan, folder=tmp_path / "q")] == [cleaner.UNKEPT]
    assert image.read_bytes() == b"one picture"
