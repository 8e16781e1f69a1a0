"""YOLO datasets: splits, class names, and boxes in pixels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn import draw

from fastdup_db import errors
from fastdup_db.errors import BadInput
from fastdup_db.sources import check_input, listing
from fastdup_db.sources.yolo import read_yaml, yolo_annotations


def dataset(root: Path, text: str) -> Path:
    (root / "data.yaml").write_text(text)
    return root / "data.yaml"


def image(path: Path, *, width: int = 200, height: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def label(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_coco128_equals_its_json(real_images: Path) -> None:
    folder = real_images / "coco128"
    references, boxes = yolo_annotations(folder / "coco128.yaml")
    assert [r.split for r in references] == ["train"] * 128 + ["val"] * 128
    coco = json.loads((folder / "instances_train2017.json").read_text())
    images = {i["id"]: i["file_name"] for i in coco["images"]}
    names = {c["id"]: c["name"] for c in coco["categories"]}
    wanted = pd.DataFrame(
        [(images[a["image_id"]], names[a["category_id"]], *a["bbox"]) for a in coco["annotations"]],
        columns=["filename", "label", "col_x", "row_y", "width", "height"],
    )
    train = boxes[boxes["split"] == "train"].drop(columns="split")
    train = train.assign(filename=train["filename"].map(lambda n: Path(n).name))
    assert len(train) == 929
    order = ["filename", "col_x", "row_y", "width", "height", "label"]
    pd.testing.assert_frame_equal(
        train.sort_values(order).reset_index(drop=True),
        wanted.sort_values(order).reset_index(drop=True),
        atol=0.011,
        check_dtype=False,
    )


def test_every_kind_of_line(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.bmp", "none.jpg"):
        image(tmp_path / "images" / name)
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no image")
    label(tmp_path / "labels" / "a.txt", "\ufeff0 0.5 0.5 0.2 0.4\r\n\n1\t0.25 0.25 0.1 0.1 0.9\n")
    label(tmp_path / "labels" / "b.txt", "1 0.1 0.2 0.5 0.8 0.3 0.4\n7 .5 .5 1e-1 1.\n")
    label(
        tmp_path / "labels" / "c.txt",
        "zero 0.5 0.5 0.1 0.1\n0 0.5 0.5\n0 nan 0.5 0.1 0.1\n0.7 .5 .5 .1 .1\n1e20 .5 .5 .1 .1\n",
    )
    label(tmp_path / "labels" / "broken.txt", "0 0.5 0.5 0.2 0.4\n")
    references, boxes = yolo_annotations(dataset(tmp_path, "train: images\nnames: [cat, dog]\n"))
    assert [Path(r.filename).name for r in references] == ["a.jpg", "b.png", "broken.jpg", "c.bmp", "none.jpg"]
    nan = float("nan")
    wanted = [
        ("a.jpg", "cat", 80.0, 30.0, 40.0, 40.0),
        ("a.jpg", "dog", 40.0, 20.0, 20.0, 10.0),
        ("b.png", "dog", 20.0, 20.0, 80.0, 60.0),
        ("b.png", "7", 90.0, 0.0, 20.0, 100.0),
        ("broken.jpg", "cat", nan, nan, nan, nan),
        *[("c.bmp", "", nan, nan, nan, nan)] * 5,
    ]
    found = boxes.assign(filename=boxes["filename"].map(lambda n: Path(n).name)).drop(columns="split")
    columns = ["filename", "label", "col_x", "row_y", "width", "height"]
    pd.testing.assert_frame_equal(found, pd.DataFrame(wanted, columns=columns), check_dtype=False)
    assert set(boxes["split"]) == {"train"}


def test_no_boxes_at_all_is_an_empty_frame(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    references, boxes = yolo_annotations(dataset(tmp_path, "val: images\n"))
    assert len(references) == 1
    assert list(boxes.columns) == ["filename", "label", "split", "col_x", "row_y", "width", "height"]
    assert len(boxes) == 0
    assert boxes["col_x"].dtype == np.float64
    assert boxes["label"].dtype == pd.Series(["x"], dtype="str").dtype


def test_boxes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    path = image(tmp_path / "images" / "a.jpg")  # 200 wide, 100 high, to be shown turned by 90°
    data = path.read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert cv2.imread(str(path)).shape == (200, 100, 3)
    label(tmp_path / "labels" / "a.txt", "0 0.5 0.5 1 1\n")
    _, boxes = yolo_annotations(dataset(tmp_path, "train: images\n"))
    assert boxes[["width", "height"]].values.tolist() == [[100, 200]]


def test_paths_of_all_kinds(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"
    images = [image(root / "images" / s / f"{i}.jpg") for i, s in enumerate(("one", "two", "three", "listed"))]
    (root / "list.txt").write_text(f"./images/listed/3.jpg\n{root}/gone.jpg\n")
    text = (
        "path: deep/root\ntrain: [images/one, images/two]\nval: images/three\ntest: list.txt\nnames: {0: cat, 5: dog}\n"
    )
    path = dataset(tmp_path, text)
    found = [(r.filename, r.split, r.error_code) for r in listing(path)]
    assert found == [
        *((str(p), s, "") for p, s in zip(images, ("train", "train", "val", "test"), strict=True)),
        (f"{root}/gone.jpg", "test", errors.MISSING_FILE),
    ]
    assert read_yaml(path).names == {0: "cat", 5: "dog"}
    check_input(path)
    # the layout that labelling services export
    image(tmp_path / "train" / "images" / "a.jpg")
    path = dataset(tmp_path, "train: ../train/images\n")
    assert [r.filename for r in listing(path)] == [f"{tmp_path}/train/images/a.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "no readable yaml"),
        ("just text", "train, val, test"),
        ("path: .\nnames: [a]\n", "train, val, test"),
        ("train: nowhere\n", "'nowhere' does not exist"),
        ("train: 3\n", "path or a list"),
        ("train: .\nnames: 3\n", "names must be"),
    ],
)
def test_wrong_yamls_are_refused(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "a.jpg")
    path = dataset(tmp_path, text)
    for refuse in (check_input, lambda p: listing(p)):
        with pytest.raises(BadInput, match=message):
            refuse(path)
