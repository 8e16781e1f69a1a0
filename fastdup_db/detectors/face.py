"""Faces by CenterFace, bundled. Xu, Yan, Yang et al., "CenterFace: Joint Face Detection and Alignment Using Face as
Point", https://arxiv.org/abs/1911.03599."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fastdup_db.detectors.base import Detections, detections
from fastdup_db.detectors.suppression import keep_best
from fastdup_db.models.runtime import open_session

WEIGHTS = Path(__file__).parent / "weights" / "centerface.onnx"
STRIDE = 4  # the heatmap has a quarter of the input's resolution
MULTIPLE = 32  # the network halves its input five times and doubles it back
LONGEST_SIDE = 1024
"""Larger images are scaled down to this: a face of 3 % of the side still has 30 pixels, three times what the network
needs, and a photograph of 12 megapixels takes a twentieth of the time."""
MIN_CONFIDENCE = 0.5
MAX_OVERLAP = 0.3  # of the authors' own decoding


class FaceDetector:
    """Finds faces; label `face`."""

    def __init__(self) -> None:
        self._session = open_session(WEIGHTS)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: np.ndarray, /) -> Detections:
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        heatmap, sizes, offsets = self._session.run(None, {self._input: self._blob(image, scale)})
        edges, confidences = decode(heatmap[0, 0], sizes[0], offsets[0], min_confidence=MIN_CONFIDENCE)
        kept = keep_best(edges, confidences, max_overlap=MAX_OVERLAP)
        return detections(edges[kept] / scale, confidences[kept], ["face"] * len(kept), width=width, height=height)

    def _blob(self, image: np.ndarray, scale: float) -> np.ndarray:
        """float32 (1, 3, h, w), RGB 0–255, padded on the right and below: stretching would distort the boxes."""
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        padded = np.zeros((-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE, 3), np.float32)
        padded[:height, :width] = image
        return np.ascontiguousarray(padded.transpose(2, 0, 1)[None])


def decode(
    heatmap: np.ndarray, log_sizes: np.ndarray, offsets: np.ndarray, *, min_confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Edges float32 (n, 4) x1, y1, x2, y2 in input pixels, and confidences (n,), of every cell above the threshold.

    heatmap (h, w); log_sizes and offsets (2, h, w), y first. A cell's centre is (cell + offset + ½) · stride and its
    size exp(log size) · stride (section 3.2 of the paper).
    """
    rows, columns = np.nonzero(heatmap > min_confidence)
    cells = np.stack([rows, columns])
    sizes = np.exp(log_sizes[:, rows, columns]) * STRIDE
    centres = (cells + offsets[:, rows, columns] + 0.5) * STRIDE
    low, high = centres - sizes / 2, centres + sizes / 2
    edges = np.stack([low[1], low[0], high[1], high[0]], axis=1).astype(np.float32)
    return edges, heatmap[rows, columns]
