"""Non-maximum suppression: of boxes that overlap much, the most confident stays."""

from __future__ import annotations

import cv2
import numpy as np


def keep_best(
    edges: np.ndarray, confidences: np.ndarray, *, max_overlap: float, classes: np.ndarray | None = None
) -> np.ndarray:
    """Indexes int64 (k,) of the boxes to keep, by OpenCV's greedy suppression.

    edges float (n, 4) as x1, y1, x2, y2; max_overlap is intersection over union; boxes of different `classes`
    (int (n,)) do not suppress each other.
    """
    if len(edges) == 0:
        return np.empty(0, np.int64)
    rectangles = np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1).tolist()
    scores = confidences.tolist()
    if classes is None:
        kept = cv2.dnn.NMSBoxes(rectangles, scores, 0.0, max_overlap)
    else:
        kept = cv2.dnn.NMSBoxesBatched(rectangles, scores, classes.tolist(), 0.0, max_overlap)
    return np.asarray(kept, dtype=np.int64).reshape(-1)
