"""Whole runs on a YOLO dataset: boxes of the images that the run selects, and of no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import fastdup_db


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four images, 0.jpg to 3.jpg, with two boxes each."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i in range(4):
        rng = np.random.default_rng(i)
        drawn = cv2.resize(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (120, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.jpg"), drawn)
        (tmp_path / "labels" / f"{i}.txt").write_text("0 0.25 0.25 0.4 0.4\n1 0.7 0.7 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    return tmp_path / "data.yaml"


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ({}, "0123"),
        ({"num_images": 2}, "01"),
        ({"find_regex": r"[13]\.jpg$"}, "13"),
        ({"min_offset": 1, "max_offset": 3}, "12"),
        ({"subset": ["images/3.jpg"]}, "3"),
    ],
)
def test_only_selected_images_have_boxes(
    dataset: Path, tmp_path: Path, selection: dict[str, Any], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fd = fastdup_db.create(tmp_path / "work", dataset)
    fd.run(progress=False, **selection)
    found = fd.annotations(valid_only=False)
    assert [Path(name).stem for name in found["filename"]] == [name for name in wanted for _ in "ab"]
    assert found["label"].tolist() == ["cat", "dog"] * len(wanted)
    assert fd.sql("select count(*) as n from images")["n"][0] == len(wanted)
