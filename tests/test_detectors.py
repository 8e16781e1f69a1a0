"""Faces on photographs, text that was drawn, objects planted in the output of a YOLO graph."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastdup_db.detectors import detector_names, open_detector, register_detector
from fastdup_db.detectors.base import detections
from fastdup_db.detectors.ocr import merge_lines
from fastdup_db.detectors.yolo import YoloDetector, letterbox
from fastdup_db.errors import BadArgument, MissingExtra, ModelUnavailable

FACES = {  # x, y of a point inside each face, read off the photograph
    "train2017/000000000165.jpg": [(166, 92), (475, 190)],
    "train2017/000000000459.jpg": [(187, 180)],
    "train2017/000000000536.jpg": [(136, 110), (225, 110), (352, 162)],
    "val2017/000000005193.jpg": [(206, 165), (353, 222), (434, 145), (418, 262), (250, 95)],
}


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two x, y, w, h boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


@pytest.mark.parametrize("name", FACES)
def test_every_face_of_a_photograph_is_found_once(real_images: Path, name: str) -> None:
    found = open_detector("face")(read(real_images / "coco128" / "images" / name))
    assert len(found) == len(FACES[name])
    assert set(found.labels) == {"face"}
    assert found.rectangles.dtype == np.float32
    low, high = found.rectangles[:, :2], found.rectangles[:, :2] + found.rectangles[:, 2:]
    for point in FACES[name]:
        assert ((low < point) & (point < high)).all(axis=1).sum() == 1
    assert (np.diff(found.confidences) <= 0).all()


@pytest.mark.parametrize("name", ["100007", "101027", "103006"])
def test_a_landscape_has_no_face(real_images: Path, name: str) -> None:
    found = open_detector("face")(read(real_images / "bsds500" / f"{name}.jpg"))
    assert found.rectangles.shape == (0, 4)
    assert found.labels == ()


def test_a_face_lies_at_the_same_place_when_the_photograph_is_large(real_images: Path) -> None:
    detect, image = open_detector("face"), read(real_images / "coco128/images/train2017/000000000459.jpg")
    small = detect(image).rectangles[0]
    large = detect(cv2.resize(image, None, fx=4, fy=4)).rectangles[0]
    assert overlap(small, large / 4) > 0.85


def test_faces_are_the_same_from_many_threads(real_images: Path) -> None:
    detect, image = open_detector("face"), read(real_images / "coco128/images/val2017/000000005193.jpg")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detect, [image] * 8))
    assert all(np.array_equal(f.rectangles, found[0].rectangles) for f in found)


@pytest.mark.parametrize("size", [(10, 10), (1, 300), (33, 31)])
def test_an_image_smaller_than_the_network_s_step_is_no_error(size: tuple[int, int]) -> None:
    assert len(open_detector("face")(np.zeros((*size, 3), np.uint8))) == 0


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    """Black text on white at known places."""
    image = np.full((480, 640, 3), 255, np.uint8)
    cv2.putText(image, "HELLO WORLD", (60, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)
    cv2.putText(image, "fastdup", (300, 300), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (200, 0, 0), 2)
    return image


def test_drawn_text_is_found_where_it_was_drawn(page: np.ndarray) -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    found = open_detector("ocr")(page)
    assert found.labels == ("text", "text")
    by_height = found.rectangles[np.argsort(found.rectangles[:, 1])]
    for box, (text, origin, scale, thickness) in zip(
        by_height, [("HELLO WORLD", (60, 100), 1.5, 3), ("fastdup", (300, 300), 1.0, 2)], strict=True
    ):
        (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        drawn = np.array([origin[0], origin[1] - height, width, height + baseline])
        assert overlap(box, drawn) > 0.6


def test_the_confidence_belongs_to_its_box(page: np.ndarray) -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    detect, both = open_detector("ocr"), open_detector("ocr")(page)
    for line in both.rectangles.astype(int):
        alone = np.full_like(page, 255)
        x, y, w, h = line
        alone[y - 5 : y + h + 5, x - 5 : x + w + 5] = page[y - 5 : y + h + 5, x - 5 : x + w + 5]
        (confidence,) = detect(alone).confidences
        nearest = np.abs(both.confidences - confidence).argmin()
        assert (both.rectangles[nearest].astype(int) == line).all()


def test_a_blank_page_has_no_text() -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    assert len(open_detector("ocr")(np.full((200, 300, 3), 255, np.uint8))) == 0


def test_words_of_a_line_become_one_box() -> None:
    words = np.array(
        [[0, 0, 40, 20], [50, 2, 90, 22], [100, 1, 120, 19], [0, 60, 40, 80], [300, 0, 340, 20]], np.float32
    )
    merged, confidences = merge_lines(words, np.array([0.5, 0.9, 0.6, 0.7, 0.8], np.float32))
    assert merged.tolist() == [[0, 0, 120, 22], [0, 60, 40, 80], [300, 0, 340, 20]]
    assert confidences == pytest.approx([0.9, 0.7, 0.8])


# What the planted models "see": centre x, y, width, height in a 640 × 640 input, confidence, class.
PLANTED = np.array(
    [
        [100, 200, 60, 80, 0.9, 2],
        [102, 201, 60, 80, 0.8, 2],  # the same object, less sure: suppressed
        [101, 200, 60, 80, 0.7, 1],  # another class at the same place: kept
        [400, 320, 200, 100, 0.6, 0],
        [500, 500, 50, 50, 0.1, 0],  # not sure enough
    ],
    np.float32,
)


def yolo_model(
    path: Path, output: np.ndarray, *, names: str = "{0: 'person', 1: 'bus', 2: 'cat'}", dtype: int = TensorProto.FLOAT
) -> Path:
    """A model that answers `output` whatever it is shown (plus zero times its input, so that the input is read)."""
    constant = numpy_helper.from_array(output.astype(helper.tensor_dtype_to_np_dtype(dtype)), "answer")
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["peak"], keepdims=0),
        helper.make_node("Sub", ["peak", "peak"], ["zero"]),
        helper.make_node("Add", ["answer", "zero"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", dtype, [1, 3, 640, 640])],
        [helper.make_tensor_value_info("output0", dtype, list(output.shape))],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if names:
        helper.set_model_props(model, {"names": names, "stride": "32"})
    onnx.save(model, path)
    return path


def v5(classes: int = 3) -> np.ndarray:
    output = np.zeros((1, 25200, 5 + classes), np.float32)
    for row, (x, y, w, h, confidence, kind) in zip((7, 8, 9, 20000, 25199), PLANTED, strict=True):
        output[0, row, :4] = x, y, w, h
        output[0, row, 4] = 0.95
        output[0, row, 5 + int(kind)] = confidence / 0.95
    return output


def v8(classes: int = 3) -> np.ndarray:
    output = np.zeros((1, 4 + classes, 8400), np.float32)
    for row, (x, y, w, h, confidence, kind) in zip((7, 8, 9, 5000, 8399), PLANTED, strict=True):
        output[0, :4, row] = x, y, w, h
        output[0, 4 + int(kind), row] = confidence
    return output


def end_to_end() -> np.ndarray:
    output = np.zeros((1, 300, 6), np.float32)
    kept = PLANTED[[0, 2, 3, 4]]
    output[0, :4, :2] = kept[:, :2] - kept[:, 2:4] / 2
    output[0, :4, 2:4] = kept[:, :2] + kept[:, 2:4] / 2
    output[0, :4, 4:] = kept[:, 4:]
    return output


@pytest.mark.parametrize("layout", [v5, v8, end_to_end])
def test_planted_objects_come_out_of_every_layout(tmp_path: Path, layout) -> None:
    detect = open_detector(str(yolo_model(tmp_path / "m.onnx", layout())))
    found = detect(np.zeros((320, 640, 3), np.uint8))  # fits in width; 160 rows of padding above and below
    assert found.labels == ("cat", "bus", "person")
    assert found.confidences == pytest.approx([0.9, 0.7, 0.6], abs=1e-5)
    assert found.rectangles == pytest.approx(
        np.array([[70, 0, 60, 80], [71, 0, 60, 80], [300, 110, 200, 100]], np.float32), abs=1e-3
    )


@pytest.mark.parametrize(("layout", "shape"), [(v5, (1, 25200, 85)), (v8, (1, 84, 8400))])
@pytest.mark.parametrize("names", ["", str([f"name {i}" for i in range(80)])])
def test_the_real_output_shapes_of_80_classes(tmp_path: Path, layout, shape: tuple[int, ...], names: str) -> None:
    output = layout(classes=80)
    assert output.shape == shape
    found = YoloDetector(yolo_model(tmp_path / "m.onnx", output, names=names))(np.zeros((1280, 1280, 3), np.uint8))
    prefix = "name " if names else "class_"
    assert found.labels == (f"{prefix}2", f"{prefix}1", f"{prefix}0")
    assert found.rectangles[0] == pytest.approx([140, 320, 120, 160], abs=1e-3)  # 1280 pixels seen at half size


def test_a_half_precision_model_is_fed_half_precision(tmp_path: Path) -> None:
    model = yolo_model(tmp_path / "m.onnx", v5(), dtype=TensorProto.FLOAT16)
    assert YoloDetector(model)(np.zeros((640, 640, 3), np.uint8)).labels == ("cat", "bus", "person")


def test_letterbox_centres_on_grey() -> None:
    boxed, scale, left, top = letterbox(np.zeros((100, 200, 3), np.uint8), height=640, width=640)
    assert (scale, left, top) == (3.2, 0, 160)
    assert (boxed[:160] == 114).all() and (boxed[480:] == 114).all() and (boxed[160:480] == 0).all()


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = yolo_model(tmp_path / "m.onnx", np.zeros((1, 1000), np.float32))
    with pytest.raises(ModelUnavailable, match=r"output of shape \(1000,\)"):
        open_detector(str(model))(np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelUnavailable, match="onnxruntime cannot load it"):
        open_detector(str(tmp_path / "broken.onnx"))


def test_unknown_names_and_absent_files_say_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"face, ocr, .*yolov5s"):
        open_detector("dog")
    with pytest.raises(ModelUnavailable, match="no such file"):
        open_detector(str(tmp_path / "none.onnx"))


def test_yolov5s_offline_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path))
    monkeypatch.setenv("FASTDUP_DB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="put it at"):
        open_detector("yolov5s")
    yolo_model(tmp_path / "yolov5s.onnx", v5())
    assert len(open_detector("yolov5s")(np.zeros((640, 640, 3), np.uint8))) == 3


def test_a_missing_extra_says_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fastdup-db\[ocr\]'"):
        open_detector("ocr")


def test_registering_a_taken_name_is_refused() -> None:
    assert detector_names() == ["face", "ocr", "yolov5s"]
    with pytest.raises(BadArgument, match="exists"):
        register_detector(
            "face", lambda: lambda image: detections(np.empty((0, 4)), np.empty(0), [], width=1, height=1)
        )


def test_asking_for_names_loads_nothing_heavy() -> None:
    code = """
import sys, fastdup_db.detectors as d
d.detector_names()
print([m for m in ("cv2", "onnxruntime", "rapidocr", "requests", "scipy") if m in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
