"""Is this the same picture? Candidate pairs checked by keypoints and pixels, with the transform found."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fastdup_db.graph import likeness as pixels
from fastdup_db.graph import matching
from fastdup_db.graph.packing import Packed, pack
from fastdup_db.imaging.keypoints import Keypoints

CHUNK = 32
"""Pairs matched at once: 10 MB of working memory a thread. The same at any thread count, so results are too."""

KeypointsOf = Callable[[np.ndarray], Sequence[Keypoints]]
"""int64 (c,) ids → their keypoints, in that order. Called from one thread."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found about `q` pairs, before the verdict. Arrays of length q.

    transform: float64 (q, 3, 3), fractions of the first frame from its centre → the second's; mirror included.
    mirror: bool. inliers, matches: float32, places that agree, places matched. hash_distance: bits of 64.
    likeness: of the pixels under the transform.
    """

    transform: np.ndarray
    mirror: np.ndarray
    inliers: np.ndarray
    matches: np.ndarray
    hash_distance: np.ndarray
    likeness: pixels.Likeness


def gather(packed: Packed, first: np.ndarray, second: np.ndarray) -> Evidence:
    """The best of three views of each pair: by keypoints, by keypoints in the mirror, and whole frame on whole frame."""
    which, distance = pixels.whole_frame(packed, first, second)
    whole = _linear(pixels.DIHEDRAL[which])
    whole_mirrored = np.linalg.det(whole[:, :2, :2]) < 0
    views: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    supported, seen = np.zeros(len(first), np.float32), np.zeros(len(first), np.float32)
    flip = np.diag([-1.0, 1.0, 1.0])
    for mirror in (False, True):
        matches = matching.match(packed, first, second, mirror=mirror)
        found = matching.agree(matches)
        transform = found.transform @ flip if mirror else found.transform
        views.append((_to_fractions(packed, first, second, transform), np.full(len(first), mirror), found.inliers, found.matches))
        same = whole_mirrored == mirror
        in_frame = _to_frames(packed, first, second, whole)
        if mirror:
            in_frame = in_frame @ flip
        supported = np.where(same, matching.supporters(matches, in_frame), supported)
        seen = np.where(same, found.matches, seen)
    views.append((whole, whole_mirrored, supported, seen))
    looks = [pixels.likeness(packed, first, second, transform=view[0]) for view in views]
    merit = np.stack(
        [(1 + view[2]) * np.maximum(look.correlation, 0.01) for view, look in zip(views, looks, strict=True)]
    )
    best = np.round(merit, 5).argmax(axis=0)
    rows = np.arange(len(first))

    def pick(columns: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(columns)[best, rows]

    return Evidence(
        transform=pick([v[0] for v in views]),
        mirror=pick([v[1] for v in views]),
        inliers=pick([v[2] for v in views]),
        matches=pick([v[3] for v in views]),
        hash_distance=distance,
        likeness=pixels.Likeness(
            *(pick([getattr(look, name) for look in looks]) for name in pixels.Likeness.__dataclass_fields__)
        ),
    )


def _to_fractions(packed: Packed, first: np.ndarray, second: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(q, 3, 3) between frames in pixels → between frames in fractions."""
    return _scale(1 / packed.frame[second]) @ transform @ _scale(packed.frame[first])


def _to_frames(packed: Packed, first: np.ndarray, second: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """The reverse of `_to_fractions`."""
    return _scale(packed.frame[second]) @ transform @ _scale(1 / packed.frame[first])


def _scale(sides: np.ndarray) -> np.ndarray:
    out = np.zeros((len(sides), 3, 3))
    out[:, 0, 0], out[:, 1, 1], out[:, 2, 2] = sides[:, 0], sides[:, 1], 1.0
    return out


def _linear(linear: np.ndarray) -> np.ndarray:
    """Linear maps (q, 2, 2) as homogeneous ones (q, 3, 3)."""
    out = np.zeros((len(linear), 3, 3))
    out[:, :2, :2], out[:, 2, 2] = linear, 1.0
    return out
