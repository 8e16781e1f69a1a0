"""Detectors by name: the three reserved ones, the user's own, and any YOLO file by its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastdup_db.detectors.base import Detector
from fastdup_db.errors import BadArgument, ModelUnavailable, one_of


def _face() -> Detector:
    from fastdup_db.detectors.face import FaceDetector

    return FaceDetector()


def _ocr() -> Detector:
    from fastdup_db.detectors.ocr import TextDetector

    return TextDetector()


def _yolov5s() -> Detector:
    from fastdup_db.detectors.yolo import YOLOV5S, YoloDetector
    from fastdup_db.models.download import fetch

    return YoloDetector(fetch(YOLOV5S))


_DETECTORS: dict[str, Callable[[], Detector]] = {"face": _face, "ocr": _ocr, "yolov5s": _yolov5s}


def detector_names() -> list[str]:
    """The names `open_detector` knows, sorted."""
    return sorted(_DETECTORS)


def register_detector(name: str, make: Callable[[], Detector]) -> None:
    """Make `make()` the detector called `name`. Raises `BadArgument` for a name that is taken."""
    if name in _DETECTORS:
        raise BadArgument(f"a detector named {name!r} exists; registered: {', '.join(detector_names())}")
    _DETECTORS[name] = make


def open_detector(name: str) -> Detector:
    """The detector called `name`, or a YOLO model from a path to an `.onnx` or `.ort` file.

    Raises `BadArgument` for an unknown name, `ModelUnavailable` for weights that cannot be had or do not fit,
    `MissingExtra` where an optional part is absent. `yolov5s` is downloaded on first use, nothing else is.
    """
    if name in _DETECTORS:
        return _DETECTORS[name]()
    if Path(name).suffix.lower() not in (".onnx", ".ort"):
        raise one_of(
            "bounding_box", name, [*_DETECTORS, "a path to a YOLO .onnx file", "'row_y=…,col_x=…,height=…,width=…'"]
        )
    if not Path(name).is_file():
        raise ModelUnavailable(f"bounding_box={name!r}: there is no such file")
    from fastdup_db.detectors.yolo import YoloDetector

    return YoloDetector(Path(name))
