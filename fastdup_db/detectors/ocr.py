"""Lines of text, found by the detection model that the `rapidocr` wheel carries (PP-OCR, Apache-2.0)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from fastdup_db.detectors.base import Detections, detections
from fastdup_db.errors import MissingExtra

LINE_OVERLAP = 0.5  # of the lower box's height: less, and they are two lines
LINE_GAP = 1.0  # of the lower box's height: a wider gap is a column, not a space


class TextDetector:
    """Finds lines of text, whatever the language; label `text`. Needs the extra `ocr`, no network."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as exc:
            raise MissingExtra("bounding_box='ocr'", "ocr") from exc
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",  # else it reports every image without text
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        # rapidocr 3.10 sorts the boxes it found but not their scores, so that they no longer belong together
        self._engine._load_det_model().sorted_boxes = _as_found

    def __call__(self, image: np.ndarray, /) -> Detections:
        height, width = image.shape[:2]
        bgr = np.ascontiguousarray(image[..., ::-1])
        found = self._engine(bgr, use_det=True, use_cls=False, use_rec=False)
        if found.boxes is None or len(found.boxes) == 0:
            return detections(np.empty((0, 4)), np.empty(0), [], width=width, height=height)
        corners = np.asarray(found.boxes, dtype=np.float32)
        edges = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        merged, confidences = merge_lines(edges, np.asarray(found.scores, dtype=np.float32))
        return detections(merged, confidences, ["text"] * len(merged), width=width, height=height)


def _as_found(boxes: np.ndarray) -> np.ndarray:
    return boxes


def merge_lines(edges: np.ndarray, confidences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of one line become one box, its confidence the highest of theirs.

    edges float (n, 4) x1, y1, x2, y2. Two boxes belong together when they share at least `LINE_OVERLAP` of the lower
    one's height and the gap between them is at most `LINE_GAP` of it; chains of such pairs are one box.
    """
    x1, y1, x2, y2 = edges.T
    low = np.minimum.outer(y2 - y1, y2 - y1)
    shared = np.minimum.outer(y2, y2) - np.maximum.outer(y1, y1)
    gap = np.maximum.outer(x1, x1) - np.minimum.outer(x2, x2)
    count, group = connected_components((shared >= LINE_OVERLAP * low) & (gap <= LINE_GAP * low), directed=False)
    merged = np.concatenate([np.full((count, 2), np.inf), np.full((count, 2), -np.inf)], axis=1)
    np.minimum.at(merged[:, :2], group, edges[:, :2])
    np.maximum.at(merged[:, 2:], group, edges[:, 2:])
    best = np.zeros(count, np.float32)
    np.maximum.at(best, group, confidences)
    return merged.astype(np.float32), best
