"""What every detector takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one image, most confident first, equal ones from the top left.

    rectangles: float32 (n, 4), x, y, width, height in pixels of the image, inside it, at least a pixel wide and high.
    confidences: float32 (n,), 0 to 1. labels: n names.
    """

    rectangles: np.ndarray
    confidences: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


class Detector(Protocol):
    """Finds boxes in an RGB uint8 (h, w, 3) image. Safe to call from several threads."""

    def __call__(self, image: np.ndarray, /) -> Detections: ...


def detections(
    edges: np.ndarray, confidences: np.ndarray, labels: Sequence[str], *, width: int, height: int
) -> Detections:
    """Detections from float (n, 4) edges x1, y1, x2, y2: clipped to the image, slivers dropped, put in order."""
    edges = np.asarray(edges, dtype=np.float32).reshape(-1, 4)
    confidences = np.asarray(confidences, dtype=np.float32).reshape(-1)
    clipped = np.clip(edges, 0, np.array([width, height, width, height], np.float32))
    sizes = clipped[:, 2:] - clipped[:, :2]
    order = np.lexsort((clipped[:, 0], clipped[:, 1], -confidences))
    order = order[(sizes[order] >= 1).all(axis=1)]
    return Detections(
        rectangles=np.concatenate([clipped[order, :2], sizes[order]], axis=1),
        confidences=confidences[order],
        labels=tuple(labels[i] for i in order),
    )
