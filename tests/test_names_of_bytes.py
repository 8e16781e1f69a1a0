"""Folders whose names are no UTF-8, and names with a line break: they are found, stored and led back to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument
from tests import drawn

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names are text there")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Images 0.png to 3.png in a folder called by the byte FF."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/in\xff")
    try:
        os.mkdir(path)
    except OSError:
        pytest.skip("this disk takes no such name")
    for number in range(4):
        drawn.draw(Path(path) / f"{number}.png", seed=number)
    return path


def measured(fd: fastdup_db.Fastdup, **settings: object) -> list[str]:
    """The names of the images after the shortest run there is."""
    fd.run(run_stats_only=True, progress=False, **settings)
    assert fd.invalid_instances().empty
    return [Path(name).name for name in fd.annotations()["filename"]]


def test_a_folder_is_an_input_and_is_remembered(folder, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", folder)
    assert measured(fd) == ["0.png", "1.png", "2.png", "3.png"]
    again = fastdup_db.create(tmp_path / "work")
    assert again.input_dir == folder
    assert measured(again, input_dir=again.input_dir, overwrite=False) == ["0.png", "1.png", "2.png", "3.png"]
    assert fd.sql("from batches")["images"].tolist() == [4]  # the update had nothing to read
    assert fd.open_images([0]).__next__() is not None
    assert measured(fd, input_dir=[f"{folder}/2.png", f"{folder}/1.png"]) == ["2.png", "1.png"]
    assert fastdup_db.create(tmp_path / "work").input_dir == [f"{folder}/2.png", f"{folder}/1.png"]


@pytest.mark.parametrize("given", ["relative", "absolute", "shown"])
def test_names_in_such_a_folder_are_found(folder, tmp_path, given):
    start = {"relative": "", "absolute": folder + "/", "shown": str(tmp_path) + "/in\\xff/"}[given]
    names = [f"{start}1.png", f"{start}3.png"]
    fd = fastdup_db.create(tmp_path / "work")
    assert measured(fd, input_dir=folder, subset=names) == ["1.png", "3.png"]
    assert measured(fd, input_dir=folder, annotations=names) == ["1.png", "3.png"]
    if given != "relative":
        assert measured(fd, annotations=names) == ["1.png", "3.png"]
        assert fd.clean(names[:1])["status"].tolist() == ["planned"]


def test_such_images_are_searched_and_have_vectors_of_the_users(folder, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", folder)
    vectors = np.eye(4, 8, dtype=np.float32)
    fd.run(annotations=[f"{n}.png" for n in range(4)], embeddings=vectors, progress=False)
    assert fd.annotations()["filename"].tolist() == [f"{tmp_path}/in\\xff/{n}.png" for n in range(4)]
    assert not any(image is None for image in fd.open_images(range(4)))
    fd.run(progress=False)
    for name in (f"{folder}/2.png", f"{tmp_path}/in\\xff/2.png"):
        assert set(fd.search(name, k=1).iloc[0][["from", "to"]]) == {f"{tmp_path}/in\\xff/2.png"}


def test_an_input_with_a_line_break_in_its_name_is_one_input(tmp_path):
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    drawn.draw(folder / "0.png", seed=0)
    measured(fastdup_db.create(tmp_path / "work", folder))
    assert fastdup_db.create(tmp_path / "work").input_dir == str(folder)


def test_a_work_dir_that_duckdb_cannot_open_is_refused(folder, tmp_path):
    with pytest.raises(BadArgument, match=r"work_dir=.*UTF-8"):
        fastdup_db.create(f"{folder}/work", tmp_path)
    fd = fastdup_db.create(tmp_path / "work", folder)
    measured(fd)
    with pytest.raises(BadArgument, match=r"path=.*UTF-8"):
        fd.export(f"{folder}/out", "parquet")
    assert sorted(os.listdir(folder)) == ["0.png", "1.png", "2.png", "3.png"]
