"""Pixels -> files: crops and frames of videos."""

from __future__ import annotations

import cv2
import numpy as np

from fastdup_db.imaging.decode import flatten

QUALITY = 95


def to_jpeg(image: np.ndarray, *, max_side: int = 0) -> bytes:
    """An image of `decode` as JPEG, shrunk (never enlarged) to at most `max_side` pixels a side; 0: as it is.

    Transparency is shown over white, 16 bits are brought to 8.
    """
    pixels = cv2.cvtColor(_shrunk(flatten(image), max_side=max_side), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _shrunk(image: np.ndarray, *, max_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    if max_side <= 0 or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
