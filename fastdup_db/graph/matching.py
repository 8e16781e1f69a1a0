"""Which keypoints of two images match, and the transform most of them agree on. Batches of pairs, no randomness.

Every single match of two oriented keypoints proposes a similarity transform (place, turn, scale); the proposal that
most matches agree with wins and is refined by least squares: RANSAC with one-point samples, all of them tried (Philbin
et al., "Object retrieval with large vocabularies and fast spatial matching", CVPR 2007). So the result
has no seed and does not depend on threads; descriptors are whole numbers, so that their products are exact in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastdup_db.graph.packing import Packed
from fastdup_db.imaging.keypoints import FRAME, MIRROR

RATIO = 0.85
"""Nearest over second-nearest descriptor distance of a match (Lowe 2004 uses 0.8 at ten times the keypoints)."""

MATCHES = 64
"""Matches kept a pair, best first."""

PROPOSALS = 24
"""Matches that propose a transform, best first."""

TOLERANCE = 0.03 * FRAME
"""Pixels of the frame that an agreeing match may be off."""

MAX_TURN = np.deg2rad(30.0)
"""Orientation of an agreeing match against the transform's turn."""

MAX_SCALE = 1.8
"""Size of an agreeing match against the transform's scale, either way."""

MAX_STRETCH = 2.5
"""Larger over smaller singular value of a transform that an edit makes; beyond, a degenerate fit."""

MAX_TILT = 0.6
"""Change of the projective divisor from the middle to a corner: the far edge shrinks to 0.4 / 1.6 at most."""

_PRIOR = 0.5  # matches' worth of pull towards the proposal, so that three matches in a line fit too
_REACH = FRAME / 4  # typical distance of a match from the centre
_SLACK = (1.4, 1.0, 0.7)  # tolerance of each round: a squeezed copy starts with the matches near its proposal only
_TILT_SLACK = (1.2, 0.7, 0.5)
_CLOSE = 0.4
_TILT_INLIERS, _TILT_GAIN = 7.0, 1.2  # two more degrees of freedom must pay


@dataclass(frozen=True, slots=True)
class Agreement:
    """The best transform of each of `q` pairs and what agrees with it.

    transform: float64 (q, 3, 3), homogeneous [x y 1] of the first frame → second frame, pixels from the centres;
        the identity when nothing agrees.
    inliers: float32 (q,), places whose match agrees.
    matches: float32 (q,), places with a match.
    """

    transform: np.ndarray
    inliers: np.ndarray
    matches: np.ndarray


@dataclass(frozen=True, slots=True)
class Matches:
    """`MATCHES` = m matches of each of `q` pairs, best first: float32/complex64 (q, m), weight 0 where there are fewer.

    `seen` float32 (q,): all matches' weight, those beyond m too."""

    first: np.ndarray
    second: np.ndarray
    quotient: np.ndarray
    weight: np.ndarray
    seen: np.ndarray


def match(packed: Packed, first: np.ndarray, second: np.ndarray, *, mirror: bool) -> Matches:
    """Mutual nearest descriptors that pass the ratio test. `first`, `second`: int (q,), rows of `packed`.

    mirror: the first image is looked at in a mirror (x → −x).
    """
    descriptor = packed.descriptor[first]
    position, vector = packed.position[first], packed.vector[first]
    if mirror:
        descriptor, position, vector = descriptor[:, :, MIRROR], -position.conj(), -vector.conj()
    dot = np.matmul(descriptor, packed.descriptor[second].transpose(0, 2, 1))
    dot *= -2
    dot += packed.norm[second][:, None, :]
    distance = dot  # minus the first's own norm, which its row shares
    own = np.where(packed.weight[first] > 0, packed.norm[first], np.float32(0))
    nearest = distance.argmin(axis=2)
    best = np.take_along_axis(distance, nearest[:, :, None], axis=2)[:, :, 0]
    # the mutual test compares along the other axis, where the first's norm does count
    back = (distance + packed.norm[first][:, :, None]).argmin(axis=1)
    mutual = np.take_along_axis(back, nearest, axis=1) == np.arange(back.shape[1])
    np.put_along_axis(distance, nearest[:, :, None], np.float32(np.inf), axis=2)
    runner_up = distance.min(axis=2)
    good = mutual & (packed.weight[first] > 0) & np.isfinite(best)
    good &= best + own < RATIO * RATIO * (runner_up + own)
    weight = np.where(
        good,
        np.minimum(packed.weight[first], np.take_along_axis(packed.weight[second], nearest, axis=1)),
        np.float32(0),
    )
    order = np.argsort(np.where(good, best + own, np.inf), axis=1, kind="stable")[:, :MATCHES]
    partner = np.take_along_axis(nearest, order, axis=1)
    return Matches(
        first=np.take_along_axis(position, order, axis=1),
        second=np.take_along_axis(packed.position[second], partner, axis=1),
        quotient=np.take_along_axis(packed.vector[second], partner, axis=1) / np.take_along_axis(vector, order, axis=1),
        weight=np.take_along_axis(weight, order, axis=1),
        seen=weight.sum(axis=1),
    )


def agree(matches: Matches) -> Agreement:
    """The transform that most matches of each pair agree with."""
    rows = np.arange(len(matches.weight))
    q, z, w = matches.quotient, matches.first, matches.second
    proposal = q[:, :PROPOSALS, None]
    off = proposal * (z[:, None, :] - z[:, :PROPOSALS, None]) - (w[:, None, :] - w[:, :PROPOSALS, None])
    # 1.5 times as loose as the final test: one keypoint's own turn and scale are rough
    agrees = _aligned(q[:, None, :], proposal) & (_square(off) < np.float32((1.5 * TOLERANCE) ** 2))
    votes = (agrees * matches.weight[:, None, :]).sum(axis=2) * (matches.weight[:, :PROPOSALS] > 0)
    winner = votes.argmax(axis=1)
    inlier = agrees[rows, winner]
    turn = q[rows, winner].astype(np.complex128)
    shift = w[rows, winner] - turn * z[rows, winner]
    start = np.stack(
        (np.stack((turn.real, -turn.imag, shift.real), axis=1), np.stack((turn.imag, turn.real, shift.imag), axis=1)),
        axis=1,
    )
    start[votes.max(axis=1) <= 0] = np.eye(2, 3)
    loyal = _aligned(q, q[rows, winner][:, None])
    transform, inlier = _refine(matches, start=start, inlier=inlier, loyal=loyal)
    return Agreement(transform, (inlier * matches.weight).sum(axis=1), matches.seen)


def supporters(matches: Matches, transform: np.ndarray) -> np.ndarray:
    """float32 (q,): places whose match agrees with a given transform (q, 3, 3)."""
    return ((_error(transform, matches) < TOLERANCE**2) * matches.weight).sum(axis=1).astype(np.float32)


def _refine(
    matches: Matches, *, start: np.ndarray, inlier: np.ndarray, loyal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Affine, then projective least squares over the inliers, found anew after each. A degenerate fit is dropped."""
    x, y = matches.first.real.astype(np.float64), matches.first.imag.astype(np.float64)
    target = np.stack((matches.second.real, matches.second.imag), axis=2).astype(np.float64)
    source = np.stack((x, y, np.ones(x.shape)), axis=2)
    pull = _PRIOR * np.diag([_REACH**2, _REACH**2, 1.0])
    transform = _homogeneous(start)
    for slack in _SLACK:
        weighted = source * (inlier * matches.weight)[:, :, None]
        left = np.matmul(weighted.transpose(0, 2, 1), source) + pull
        right = np.matmul(weighted.transpose(0, 2, 1), target) + pull @ start.transpose(0, 2, 1)
        fitted = _homogeneous(np.linalg.solve(left, right).transpose(0, 2, 1))
        transform = np.where(_plausible(fitted)[:, None, None], fitted, transform)
        inlier = loyal & (_error(transform, matches) < (slack * TOLERANCE) ** 2)
    tilted = _tilt(matches, start=transform, source=source, target=target, loyal=loyal)
    # an affine map of a tilted picture keeps most matches within the tolerance but few of them close
    close = [loyal & (_error(one, matches) < (_CLOSE * TOLERANCE) ** 2) for one in (transform, tilted)]
    flat, deep = ((chosen * matches.weight).sum(axis=1) for chosen in close)
    better = (deep >= _TILT_INLIERS) & (deep > _TILT_GAIN * flat)
    transform = np.where(better[:, None, None], tilted, transform)
    return transform, loyal & (_error(transform, matches) < TOLERANCE**2)


def _tilt(
    matches: Matches, *, start: np.ndarray, source: np.ndarray, target: np.ndarray, loyal: np.ndarray
) -> np.ndarray:
    """The projective transform (q, 3, 3) near an affine one: a picture looked at from the side."""
    zero = np.zeros(source.shape)
    pull = _PRIOR * np.diag([_REACH**2, _REACH**2, 1.0] * 2 + [_REACH**4] * 2)
    origin = start.reshape(-1, 9)[:, :8, None]
    transform, inlier = start, loyal & (_error(start, matches) < (2 * TOLERANCE) ** 2)
    for slack in _TILT_SLACK:
        # (ax + by + c) − x'(px + qy) = x', the same for y': linear in all eight
        rows = [
            np.concatenate((*parts, -source[:, :, :2] * target[:, :, axis : axis + 1]), axis=2)
            for axis, parts in enumerate(((source, zero), (zero, source)))
        ]
        design, wanted = np.concatenate(rows, axis=1), np.concatenate((target[:, :, 0], target[:, :, 1]), axis=1)
        weight = np.tile(inlier * matches.weight, 2)[:, :, None]
        left = np.matmul((design * weight).transpose(0, 2, 1), design) + pull
        right = np.matmul((design * weight).transpose(0, 2, 1), wanted[:, :, None]) + pull @ origin
        fitted = np.concatenate((np.linalg.solve(left, right), np.ones((len(left), 1, 1))), axis=1).reshape(-1, 3, 3)
        gentle = _plausible(fitted) & (np.abs(fitted[:, 2, :2]).sum(axis=1) * FRAME / 2 < MAX_TILT)
        transform = np.where(gentle[:, None, None], fitted, transform)
        inlier = loyal & (_error(transform, matches) < (slack * TOLERANCE) ** 2)
    return transform


def stretch(transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values of the linear part of (…, 3, 3), larger and smaller."""
    a, b, c, d = transform[..., 0, 0], transform[..., 0, 1], transform[..., 1, 0], transform[..., 1, 1]
    total, area = a * a + b * b + c * c + d * d, np.abs(a * d - b * c)
    plus, minus = np.sqrt(total + 2 * area), np.sqrt(np.maximum(total - 2 * area, 0))
    return (plus + minus) / 2, (plus - minus) / 2


def _plausible(transform: np.ndarray) -> np.ndarray:
    larger, smaller = stretch(transform)
    unmirrored = np.linalg.det(transform[:, :2, :2]) > 0
    return unmirrored & (larger < MAX_STRETCH * smaller) & (smaller > 0.1) & (larger < 10)


def _aligned(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether two quotients (turn and scale) are near each other."""
    ratio = one * other.conj()
    scale = _square(one) / _square(other)
    turned = np.abs(ratio.imag) < np.float32(np.tan(MAX_TURN)) * ratio.real
    return turned & (scale < np.float32(MAX_SCALE**2)) & (scale > np.float32(MAX_SCALE**-2))


def _error(transform: np.ndarray, matches: Matches) -> np.ndarray:
    """Squared distance (q, m) between where the first's places fall and where their matches are."""
    x, y = matches.first.real, matches.first.imag
    t = transform[:, :, :, None]
    depth = np.maximum(t[:, 2, 0] * x + t[:, 2, 1] * y + t[:, 2, 2], 1e-3)
    off_x = (t[:, 0, 0] * x + t[:, 0, 1] * y + t[:, 0, 2]) / depth - matches.second.real
    off_y = (t[:, 1, 0] * x + t[:, 1, 1] * y + t[:, 1, 2]) / depth - matches.second.imag
    return off_x**2 + off_y**2


def _homogeneous(affine: np.ndarray) -> np.ndarray:
    last = np.broadcast_to(np.array([[0.0, 0.0, 1.0]]), (len(affine), 1, 3))
    return np.concatenate((affine, last), axis=1)


def _square(value: np.ndarray) -> np.ndarray:
    return value.real**2 + value.imag**2
