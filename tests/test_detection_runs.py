"""Runs on detected parts: faces, text, and objects of a planted YOLO model."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from test_detectors import FACES, v5, yolo_model

import fastdup_db
from fastdup_db.errors import BadArgument, BadInput


@pytest.fixture(scope="module")
def photographs(real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs with eleven faces, two landscapes without, and a broken file."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in FACES:
        shutil.copy(real_images / "coco128" / "images" / name, folder)
    for name in ("100007.jpg", "101027.jpg"):
        shutil.copy(real_images / "bsds500" / name, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no photograph")
    return folder


@pytest.fixture(scope="module")
def faces(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("faces"), photographs)
    fd.run(bounding_box="face", save_crops=True, progress=False)
    return fd


def test_every_face_is_an_instance_with_label_and_confidence(faces: fastdup_db.Fastdup) -> None:
    frame = faces.annotations()
    counted = frame.groupby(frame["filename"].map(lambda name: Path(name).name)).size()
    assert counted.to_dict() == {Path(name).name: len(points) for name, points in FACES.items()}
    assert set(frame["label"]) == {"face"}
    assert frame["confidence"].between(0.5, 1).all()
    assert faces.num_instances() == 11
    assert len(faces.embeddings()[0]) == 11
    assert len(faces.img_stats()) == 11


def test_images_without_faces_are_listed_and_broken_ones_are_invalid(faces: fastdup_db.Fastdup) -> None:
    without = faces.images_without_detections()
    assert [Path(name).name for name in without["filename"]] == ["100007.jpg", "101027.jpg"]
    invalid = faces.invalid_instances()
    assert [Path(name).name for name in invalid["filename"]] == ["broken.jpg"]
    assert invalid["error_code"].tolist() == ["ERROR_CORRUPT_IMAGE"]


def test_the_crops_are_listed_in_the_work_dir_and_kept_with_their_margin(faces: fastdup_db.Fastdup) -> None:
    crops = pd.read_csv(Path(faces.work_dir) / "atrain_crops.csv")
    names = "index filename crop_filename col_x row_y width height label confidence"
    assert crops.columns.tolist() == names.split()
    assert len(crops) == 11
    for row in crops.itertuples():
        image = cv2.imread(str(Path(faces.work_dir) / "crops" / row.crop_filename))
        whole = cv2.imread(row.filename)
        # a fifth of the face on each side, less where the photograph ends
        assert image.shape[1] <= row.width * 1.4 + 1
        assert image.shape[0] <= row.height * 1.4 + 1
        if row.col_x > row.width and row.col_x + 2 * row.width < whole.shape[1]:
            assert image.shape[1] == pytest.approx(row.width * 1.4, abs=3)


def test_detected_faces_are_the_same_on_every_run(faces: fastdup_db.Fastdup, photographs: Path, tmp_path: Path) -> None:
    again = fastdup_db.create(tmp_path, photographs)
    again.run(bounding_box="face", save_crops=True, num_threads=1, progress=False)
    pd.testing.assert_frame_equal(again.annotations(), faces.annotations())


def test_margins_exclude_each_other_and_are_checked(photographs: Path, tmp_path: Path) -> None:
    fd = fastdup_db.create(tmp_path, photographs)
    with pytest.raises(BadArgument, match="exclude each other"):
        fd.run(bounding_box="face", augmentation_horiz=0.1, augmentation_additive_margin=5)
    with pytest.raises(BadArgument, match="augmentation_vert"):
        fd.run(bounding_box="face", augmentation_vert=1.5)
    assert not any(tmp_path.iterdir())


def test_an_unknown_detector_is_refused_and_the_old_results_stay(faces: fastdup_db.Fastdup, photographs: Path) -> None:
    before = len(faces.annotations())
    with pytest.raises(BadArgument, match="face, ocr"):
        faces.run(bounding_box="dog")
    assert len(faces.annotations()) == before


def test_a_folder_without_any_face_says_so(real_images: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(real_images / "bsds500" / "100007.jpg", tmp_path / "in")
    fd = fastdup_db.create(tmp_path / "out", tmp_path / "in")
    with pytest.raises(BadInput, match="'face' found nothing in any of 1 images"):
        fd.run(bounding_box="face", progress=False)


def test_text_lines_become_instances(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    (tmp_path / "in").mkdir()
    for name, lines in {"one": ["HELLO WORLD"], "two": ["DUCKDB", "LANCE"], "none": []}.items():
        page = np.full((300, 500, 3), 255, np.uint8)
        for row, text in enumerate(lines):
            cv2.putText(page, text, (50, 100 + 120 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), page)
    fd = fastdup_db.create(tmp_path / "out", tmp_path / "in")
    fd.run(bounding_box="ocr", progress=False)
    frame = fd.annotations()
    assert [Path(name).stem for name in frame["filename"]] == ["one", "two", "two"]
    assert set(frame["label"]) == {"text"}
    assert [Path(name).stem for name in fd.images_without_detections()["filename"]] == ["none"]


def test_a_yolo_file_of_the_user_finds_its_classes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), random.integers(0, 256, (640, 640, 3), dtype=np.uint8))
    fd = fastdup_db.create(tmp_path / "out", tmp_path / "in")
    fd.run(bounding_box=str(yolo_model(tmp_path / "my.onnx", v5())), progress=False)
    frame = fd.annotations()
    assert frame["label"].tolist() == ["cat", "bus", "person"] * 2
    assert frame["col_x"].tolist() == pytest.approx([70, 71, 300] * 2, abs=1e-2)


def test_a_run_with_an_own_model_stores_its_vectors(photographs: Path, tmp_path: Path) -> None:
    from planted_models import channel_means

    model = channel_means(tmp_path / "m.onnx", dim=9, shape=("n", 3, "h", "w"))
    fd = fastdup_db.create(tmp_path / "out", photographs)
    fd.run(model_path=str(model), model_input={"mean": 0, "std": 1, "input_size": 64}, progress=False)
    assert fd.config["providers"].split(", ")[-1] == "CPUExecutionProvider"
    names, vectors = fd.embeddings()
    assert vectors.shape == (6, 9)
    first = cv2.imread(names[0])[..., ::-1].mean(axis=(0, 1)) / 255
    assert vectors[0] == pytest.approx(np.tile(first, 3), abs=0.01)
    with pytest.raises(BadArgument, match="use d=9"):
        fd.run(model_path=str(model), d=576)
