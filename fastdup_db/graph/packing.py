"""Keypoints of many images side by side, as arrays that whole batches of pairs are matched from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastdup_db.imaging import keypoints as kp

SMALL = kp.THUMBNAIL // 2
"""Side of the grid that two thumbnails are compared on."""


@dataclass(frozen=True, slots=True)
class Packed:
    """`c` images, each padded to `MAX_KEYPOINTS` = k keypoints.

    descriptor: float32 (c, k, 128), whole numbers; zero where padded.
    norm: float32 (c, k), squared length of the descriptor; infinite where padded, so that nothing lies near padding.
    position, vector: complex64 (c, k), see `keypoints.geometry`; zero and one where padded.
    weight: float32 (c, k), 1 / number of keypoints at that very place (one place may have several orientations);
        zero where padded. Sums of weights count places.
    frame: float32 (c, 2), width and height of the frame in its pixels.
    image: float32 (c, 2), width and height of the image.
    colour: float32 (c, 3), mean red, green and blue.
    mip: float32 (c, 64·64 + 32·32), the thumbnail followed by itself at half size.
    """

    descriptor: np.ndarray
    norm: np.ndarray
    position: np.ndarray
    vector: np.ndarray
    weight: np.ndarray
    frame: np.ndarray
    image: np.ndarray
    colour: np.ndarray
    mip: np.ndarray


def pack(features: Sequence[kp.Keypoints]) -> Packed:
    """80 KB an image: pack what a batch of pairs needs, not a collection."""
    c, k = len(features), kp.MAX_KEYPOINTS
    packed = Packed(
        descriptor=np.zeros((c, k, 128), np.float32),
        norm=np.full((c, k), np.inf, np.float32),
        position=np.zeros((c, k), np.complex64),
        vector=np.ones((c, k), np.complex64),
        weight=np.zeros((c, k), np.float32),
        frame=np.array([f.frame for f in features], np.float32).reshape(c, 2),
        image=np.array([(f.width, f.height) for f in features], np.float32).reshape(c, 2),
        colour=np.array([f.colour for f in features], np.float32).reshape(c, 3),
        mip=_mip(np.array([f.thumbnail for f in features], np.float32).reshape(c, kp.THUMBNAIL, kp.THUMBNAIL)),
    )
    for row, one in enumerate(features):
        n = len(one)
        if not n:
            continue
        packed.descriptor[row, :n] = kp.unpack_descriptors(one.descriptor)
        packed.position[row, :n], packed.vector[row, :n] = kp.geometry(one)
        place = np.ascontiguousarray(one.position).view("<u4").ravel()
        _, which, times = np.unique(place, return_inverse=True, return_counts=True)
        packed.weight[row, :n] = 1.0 / times[which]
    filled = packed.weight > 0
    packed.norm[filled] = np.square(packed.descriptor[filled]).sum(axis=1)
    return packed


def _mip(thumbnail: np.ndarray) -> np.ndarray:
    c = len(thumbnail)
    half = thumbnail.reshape(c, SMALL, 2, SMALL, 2).mean(axis=(2, 4), dtype=np.float32)
    return np.concatenate((thumbnail.reshape(c, -1), half.reshape(c, -1)), axis=1)
