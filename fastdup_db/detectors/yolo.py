"""Objects by any YOLO model in ONNX form: YOLOv5, YOLOv8 to v12, and the end-to-end layout of v10."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import cv2
import numpy as np

from fastdup_db.detectors.base import Detections, detections
from fastdup_db.detectors.suppression import keep_best
from fastdup_db.errors import ModelUnavailable
from fastdup_db.models.download import RemoteFile
from fastdup_db.models.runtime import open_session

log = logging.getLogger(__name__)

YOLOV5S = RemoteFile(
    filename="yolov5s.onnx",
    url="https://github.com/ultralytics/yolov5/releases/download/v7.0/yolov5s.onnx",
    sha256=None,  # the release states none, and the file could not be had where this was written: not pinned
    licence="AGPL-3.0",
)

# The three defaults of Ultralytics' own detection.
MIN_CONFIDENCE = 0.25
MAX_OVERLAP = 0.45
MAX_DETECTIONS = 300

FREE_INPUT_SIZE = 640  # what models with free axes are trained at, and what they are fed here
PADDING = 114  # the grey that training images are padded with
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class YoloDetector:
    """Finds objects; labels are the model's class names (`class_7` where it carries none)."""

    def __init__(self, model: Path) -> None:
        self._session = open_session(model)
        entry = self._session.get_inputs()[0]
        shape = entry.shape
        if len(shape) != 4 or shape[1] != 3 or entry.type not in DTYPES:
            raise ModelUnavailable(f"{model}: a YOLO model takes images as (n, 3, h, w), this one {entry.type} {shape}")
        self._input, self._dtype = entry.name, DTYPES[entry.type]
        self._height, self._width = (s if isinstance(s, int) else FREE_INPUT_SIZE for s in shape[2:])
        self._batch = shape[0] if isinstance(shape[0], int) else 1
        self._names = class_names(self._session.get_modelmeta().custom_metadata_map.get("names", ""))
        self._model = model
        self._output = self._session.get_outputs()[0].name  # v5 exports add their raw heads as further outputs

    def __call__(self, image: np.ndarray, /) -> Detections:
        height, width = image.shape[:2]
        boxed, scale, left, top = letterbox(image, height=self._height, width=self._width)
        blob = boxed.transpose(2, 0, 1)[None]
        blob = blob if self._dtype == np.uint8 else (blob / np.float32(255)).astype(self._dtype)
        if self._batch > 1:  # a graph fixed to a larger batch: the rest of it is wasted
            blob = np.repeat(blob, self._batch, axis=0)
        raw = self._session.run([self._output], {self._input: np.ascontiguousarray(blob)})[0][0].astype(np.float32)
        try:
            edges, confidences, classes, suppressed = decode(
                raw, classes=len(self._names), min_confidence=MIN_CONFIDENCE
            )
        except ValueError as exc:
            raise ModelUnavailable(f"{self._model}: {exc}") from exc
        if not suppressed:
            kept = keep_best(edges, confidences, max_overlap=MAX_OVERLAP, classes=classes)[:MAX_DETECTIONS]
            edges, confidences, classes = edges[kept], confidences[kept], classes[kept]
        edges = (edges - np.array([left, top, left, top], np.float32)) / scale
        names = [self._names.get(int(c), f"class_{int(c)}") for c in classes]
        return detections(edges, confidences, names, width=width, height=height)


def letterbox(image: np.ndarray, *, height: int, width: int) -> tuple[np.ndarray, float, int, int]:
    """The image scaled to fit (height, width) and centred on grey, with the scale and the left and top padding."""
    scale = min(height / image.shape[0], width / image.shape[1])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    resized = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.full((height, width, 3), PADDING, np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = resized
    return canvas, scale, left, top


def decode(raw: np.ndarray, *, classes: int, min_confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Edges float32 (n, 4) x1, y1, x2, y2 in input pixels, confidences, class numbers, and whether they are suppressed.

    raw is one image's output: (anchors, 5 + classes) with centre, size, objectness and class scores (YOLOv5, v7);
    (4 + classes, anchors) with centre, size and class scores (v8 and later); or (≤ 300, 6) with edges, confidence and
    class, already suppressed (v10 end to end). `classes` is 0 when the model does not name them.
    Raises `ValueError` for another shape.
    """
    if raw.ndim != 2:
        raise ValueError(f"output of shape {raw.shape}; a YOLO model gives two axes per image")
    rows, columns = raw.shape
    if columns == 6 and rows <= 300 and (not classes or rows != 4 + classes):
        kept = raw[raw[:, 4] > min_confidence]
        return kept[:, :4], kept[:, 4], kept[:, 5].astype(np.int64), True
    if columns == 5 + classes if classes else rows > columns > 5:
        scores = raw[:, 5:] * raw[:, 4:5]
    elif rows == 4 + classes if classes else columns > rows > 4:
        raw = raw.T
        scores = raw[:, 4:]
    else:
        named = f", {classes} classes named" if classes else ""
        raise ValueError(
            f"output of shape {raw.shape}{named}; known are (anchors, 5 + classes), (4 + classes, anchors), (n, 6)"
        )
    best = scores.argmax(axis=1)
    confidences = scores[np.arange(len(scores)), best]
    sure = confidences > min_confidence
    centres, halves = raw[sure, :2], raw[sure, 2:4] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1), confidences[sure], best[sure], False


def class_names(metadata: str) -> dict[int, str]:
    """Class number to name, from the `names` entry of a model's metadata: a Python dict or list as text."""
    if not metadata:
        return {}
    try:
        names = ast.literal_eval(metadata)
    except (ValueError, SyntaxError) as exc:
        log.warning("the model's class names cannot be read (%s): %.60s", exc, metadata)
        return {}
    if isinstance(names, dict):
        return {int(k): str(v) for k, v in names.items()}
    return {k: str(v) for k, v in enumerate(names)}
