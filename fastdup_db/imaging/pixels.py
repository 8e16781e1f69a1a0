"""Encoded bytes -> pixels by OpenCV, and pixels of any type -> one range, straight alpha."""

from __future__ import annotations

import cv2
import numpy as np

from fastdup_db.errors import CORRUPT_IMAGE, ImageError

_BAND = 1 << 18  # pixels
_LARGEST = 1e37  # float32 ends at 3.4e38, and the difference of two must not reach it


def by_opencv(data: bytes | memoryview) -> np.ndarray:
    """Pixels in the file's own depth, gray, RGB or RGBA, not yet turned. Raises `ImageError`."""
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
        if image is None:  # JPEG 2000 with gray and alpha can only be had as colour
            image = cv2.imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as problem:
        raise ImageError(CORRUPT_IMAGE, "the pixels cannot be decoded") from problem
    if image is None or image.size == 0:
        raise ImageError(CORRUPT_IMAGE, "the pixels cannot be decoded")
    if image.ndim == 2:
        return image
    # not IMREAD_COLOR_RGB: with it OpenCV 5.0 mixes the channels of 16-bit TIFF
    if image.shape[2] == 3:
        return _reversed(image)
    if image.shape[2] == 4:
        if image.dtype not in (np.uint8, np.uint16):
            return image[..., [2, 1, 0, 3]]
        opaque = image[..., 3].min() == (255 if image.dtype == np.uint8 else 65535)  # as CMYK TIFF always is
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if opaque else cv2.COLOR_BGRA2RGBA)
    return np.ascontiguousarray(image[:, :, 0])


def straight(image: np.ndarray) -> np.ndarray:
    """RGBA whose colours were multiplied with their alpha, divided by it; other images as they are."""
    if image.ndim == 2 or image.shape[2] != 4:
        return image
    top = np.iinfo(image.dtype).max
    rows = max(1, _BAND // image.shape[1])
    for start in range(0, len(image), rows):
        band = image[start : start + rows]
        colour, alpha = band[..., :3], band[..., 3:]
        band[..., :3] = np.minimum(np.rint(colour * np.float32(top) / np.maximum(alpha, 1)), top)
    return image


def scaled(image: np.ndarray, *, bits: int) -> np.ndarray:
    """uint8 as it is; uint16 to the whole range; floats in [0, 1] times 65535, other floats and integers stretched.

    Alpha is scaled by the range of its type, that of a float being [0, 1].
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        if bits == 16:
            return image
        return np.minimum(np.rint(image * (65535 / ((1 << bits) - 1))), 65535).astype(np.uint16)
    finite = image
    if image.dtype.kind == "f":
        finite = np.clip(np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0), -_LARGEST, _LARGEST)
    values = finite.astype(np.float32)
    colour = values[..., :3] if image.ndim == 3 else values
    low, high = float(colour.min()), float(colour.max())
    if low < 0 or high > 1:
        colour -= np.float32(low)
        colour /= np.float32(max(high - low, 1e-12))
    if image.ndim == 3 and image.shape[2] == 4:
        most = 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
        values[..., 3] = np.clip(values[..., 3] / most, 0, 1)
        if values[..., 3].min() == 1:
            values = values[..., :3]
    return (values * 65535 + 0.5).astype(np.uint16)


def _reversed(image: np.ndarray) -> np.ndarray:
    """BGR to RGB in its own memory, band by band: a second array would double the peak of a large image."""
    if image.dtype not in (np.uint8, np.uint16):
        return image[..., ::-1]
    rows = max(1, _BAND // image.shape[1])
    for top in range(0, len(image), rows):
        band = image[top : top + rows]
        cv2.cvtColor(band, cv2.COLOR_BGR2RGB, dst=band)
    return image
