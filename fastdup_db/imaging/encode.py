"""Pixels -> small files: thumbnails for pages, crops for disk."""

from __future__ import annotations

import cv2
import numpy as np

from fastdup_db.imaging.decode import flatten


def to_webp(image: np.ndarray, *, max_side: int = 256, quality: int = 80) -> bytes:
    """An image of `decode` as WebP, shrunk (never enlarged) so that no side is longer than `max_side` pixels.

    quality: 1..100. Transparency is shown over white, 16 bits are brought to 8.
    """
    return _encoded(".webp", _shrunk(flatten(image), max_side=max_side), [cv2.IMWRITE_WEBP_QUALITY, quality])


def to_jpeg(image: np.ndarray, *, max_side: int = 0, quality: int = 95) -> bytes:
    """An image of `decode` as JPEG; `max_side` 0 keeps its size. Otherwise as `to_webp`."""
    return _encoded(".jpg", _shrunk(flatten(image), max_side=max_side), [cv2.IMWRITE_JPEG_QUALITY, quality])


def _shrunk(image: np.ndarray, *, max_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    if max_side <= 0 or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _encoded(extension: str, image: np.ndarray, options: list[int]) -> bytes:
    _, buffer = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return buffer.tobytes()
