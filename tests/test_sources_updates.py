"""Files that could not be read are read again by the next update, whatever their time and size say."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

import fastdup_db
from fastdup_db import demo, errors
from fastdup_db.errors import ImageError
from fastdup_db.sources import files


@pytest.mark.parametrize("code", [errors.UNREADABLE_FILE, errors.MISSING_FILE])
def test_a_file_that_was_away_is_read_by_the_next_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), demo.scene(number % 3))
    read = files.read
    closed = {str(folder / "0.png")}

    def guarded(path: str) -> bytes:
        if path in closed:
            raise ImageError(code, f"{path}: away")
        return read(path)

    monkeypatch.setattr(files, "read", guarded)
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False, nearest_neighbors_k=2)

    def batches() -> list[int]:
        return fd.sql("select images from batches order by batch_id")["images"].tolist()

    for wanted in ([4], [4, 1]):
        assert fd.invalid_instances()[["filename", "error_code"]].values.tolist() == [[str(folder / "0.png"), code]]
        assert batches() == wanted
        if len(wanted) == 1:
            fd.run(progress=False, nearest_neighbors_k=2, overwrite=False)
    closed.clear()
    fd.run(progress=False, nearest_neighbors_k=2, overwrite=False)
    assert len(fd.invalid_instances()) == 0 and batches() == [4, 1, 1]
    pairs = fd.similarity(data=False)
    assert {frozenset(pair) for pair in pairs.loc[pairs["distance"] > 0.99, ["from", "to"]].values.tolist()} == {
        frozenset((0, 3))
    }
    fd.run(progress=False, nearest_neighbors_k=2, overwrite=False)
    assert batches() == [4, 1, 1]
