"""What speaks for two images being one picture: the best of three ways to lay one over the other. Batches of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from fastdup_db.graph import likeness as pixels
from fastdup_db.graph import matching
from fastdup_db.graph.packing import Packed


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
    """The best of three views of each pair: by keypoints, by keypoints in the mirror, whole frame on whole frame."""
    which, distance = pixels.whole_frame(packed, first, second)
    whole = _linear(pixels.DIHEDRAL[which])
    whole_mirrored = np.linalg.det(whole[:, :2, :2]) < 0
    views: list[_View] = []
    supported, seen = np.zeros(len(first), np.float32), np.zeros(len(first), np.float32)
    flip = np.diag([-1.0, 1.0, 1.0])
    for mirror in (False, True):
        matches = matching.match(packed, first, second, mirror=mirror)
        found = matching.agree(matches)
        transform = found.transform @ flip if mirror else found.transform
        in_fractions = _to_fractions(packed, first, second, transform)
        views.append(_View(in_fractions, np.full(len(first), mirror), found.inliers, found.matches))
        in_frames = _to_frames(packed, first, second, whole)
        support = matching.supporters(matches, in_frames @ flip if mirror else in_frames)
        same = whole_mirrored == mirror
        supported, seen = np.where(same, support, supported), np.where(same, found.matches, seen)
    views.append(_View(whole, whole_mirrored, supported, seen))
    looks = [pixels.likeness(packed, first, second, transform=view.transform) for view in views]
    merit = [(1 + v.inliers) * np.maximum(look.correlation, 0.01) for v, look in zip(views, looks, strict=True)]
    # rounded, so that the last bits of two equally good views do not choose between them
    best, rows = np.round(np.stack(merit), 4).argmax(axis=0), np.arange(len(first))

    def pick(name: str, of: Sequence[object]) -> np.ndarray:
        return np.stack([getattr(one, name) for one in of])[best, rows]

    return Evidence(
        **{f.name: pick(f.name, views) for f in fields(_View)},
        hash_distance=distance,
        likeness=pixels.Likeness(**{f.name: pick(f.name, looks) for f in fields(pixels.Likeness)}),
    )


@dataclass(frozen=True, slots=True)
class _View:
    transform: np.ndarray
    mirror: np.ndarray
    inliers: np.ndarray
    matches: np.ndarray


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
