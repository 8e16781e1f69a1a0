"""How near two vectors are: one number per pair that does not depend on who computes it.

Every metric has two forms. `closeness` is the fast one, a whole block of pairs by matrix product (or scipy): its last
bits depend on the block's shape, on the BLAS and on its threads, so it only *filters*, with `slack` to spare.
`score` is the definition: float64, one fixed summation order per pair, rounded to float32, the same for (a, b) and
(b, a). Neighbours are ranked by (score, lower id), hence identical on every run, block size and thread count.

`similarity` maps a score to what users see: 1 is identical for every metric. For cosine it is (s + c)/(1 + c) with the
calibration constant c of the run (0: the plain cosine); for a distance x it is 1/(1 + x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdup_db.arrays import Matrix, Scores
from fastdup_db.errors import BadArgument, one_of

UNIT_ROUNDOFF = 2.0**-24  # of float32
LONGEST, LARGEST = 1e16, 1e36
"""The longest vector of the Euclidean distance, and the largest sum of absolute values of l1 and linf. Up to there the
float32 of `closeness`, its `slack` included, is exact enough at any dimension: `slack` stays below 2^103, what the
lowest float32 loses without becoming -inf, which stands for a vector itself."""
PAIRS_AT_ONCE = 64
"""Pairs gathered at once by `score`: two float64 blocks of 64 x 576 are 590 KB, which stays in the second-level cache
(2.3 microseconds a pair; 1,024 pairs at once took 15)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A score is a cosine, or the negative of a distance: larger is nearer."""

    name: str
    prepare: Callable[[Matrix], Matrix]
    """Vectors as the user has them -> as pairs are computed on, float32 (n, d')."""
    closeness: Callable[[Matrix, Matrix], Matrix]
    """(m, d'), (n, d') -> (m, n) float32, larger is nearer; approximate."""
    slack: Callable[[Matrix, Matrix], float]
    """How much `closeness` of these blocks may differ from what `score` says."""
    pairs: Callable[[Any, Any], Any]
    """float64 (p, d'), (p, d') -> float64 (p,): the score of each pair of rows."""
    closeness_of: Callable[[Scores], Scores]
    """A score on the scale of `closeness`."""
    best: float
    """The score of identical vectors."""
    calibration: float = 0.0
    """The constant c of `similarity` for cosine; other metrics ignore it."""
    flat_only: bool = False
    """True where no index and no list join applies."""

    def score(self, a: Matrix, b: Matrix, i: npt.NDArray[np.intp], j: npt.NDArray[np.intp]) -> Scores:
        """float32 (p,): the score of each pair (a[i], b[j])."""
        out = np.empty(len(i), dtype=np.float32)
        for start in range(0, len(i), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            out[part] = self.pairs(a[i[part]].astype(np.float64), b[j[part]].astype(np.float64))
        return out

    def similarity(self, scores: Scores) -> Scores:
        """float32, 1 = identical, of any shape; -inf (no neighbour) gives the lowest possible value."""
        wide = np.asarray(scores, dtype=np.float64)
        if self.name == "cosine":
            return ((wide + self.calibration) / (1 + self.calibration)).astype(np.float32)
        return (1 / (1 - wide)).astype(np.float32)

    def score_of(self, similarity: Scores) -> Scores:
        """The inverse of `similarity`, to within float32 rounding."""
        wide = np.asarray(similarity, dtype=np.float64)
        if self.name == "cosine":
            return (wide * (1 + self.calibration) - self.calibration).astype(np.float32)
        return (1 - 1 / np.maximum(wide, np.finfo(np.float32).tiny)).astype(np.float32)


def line(threshold: float) -> float:
    """A threshold rounded as similarities are, to float32: one that is equal to it reaches it."""
    return float(np.float32(threshold))


def reaches(similarities: Any, threshold: float) -> npt.NDArray[np.bool_]:
    """Which of the similarities (n) are at least the threshold, all rounded to float32."""
    return np.asarray(similarities, dtype=np.float32) >= np.float32(threshold)


def metric(name: str, *, calibration: float = 0.0) -> Metric:
    """The metric of that name. Raises BadArgument with the list for an unknown one."""
    if name not in METRICS:
        raise one_of("distance", name, METRICS)
    return replace(METRICS[name], calibration=float(calibration))


def finite(matrix: Matrix) -> Matrix:
    """The same vectors as contiguous float32. Raises BadArgument for NaN or infinity."""
    flat = np.ascontiguousarray(matrix, dtype=np.float32)
    bad = ~np.isfinite(flat).all(axis=1)
    if bad.any():
        raise BadArgument(f"vector {int(bad.argmax())} of a batch holds NaN or infinity; vectors must be finite")
    return flat


def _not_longer(matrix: Matrix) -> Matrix:
    """`finite`, and no row longer than LONGEST. Raises BadArgument."""
    flat = finite(matrix)
    length = np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=np.float64))
    return _within(flat, length, metric="euclidean", size="length", most=LONGEST)


def _not_larger(name: str) -> Callable[[Matrix], Matrix]:
    """`finite`, and no row with a sum of absolute values above LARGEST. Raises BadArgument."""

    def prepare(matrix: Matrix) -> Matrix:
        flat = finite(matrix)
        return _within(flat, _sums(flat), metric=name, size="sum of absolute values", most=LARGEST)

    return prepare


def _within(flat: Matrix, sizes: npt.NDArray[Any], *, metric: str, size: str, most: float) -> Matrix:
    if sizes.max(initial=0) > most:
        raise BadArgument(
            f"vector {int(sizes.argmax())} of a batch has the {size} {sizes.max():.1e}; allowed for "
            f"distance={metric!r}: at most {most:.0e}. Divide all vectors by one number, or use 'cosine'"
        )
    return flat


def _sums(matrix: Matrix) -> npt.NDArray[np.float64]:
    return np.abs(matrix).sum(axis=1, dtype=np.float64)


def _unit(matrix: Matrix) -> Matrix:
    """Rows scaled to length 1 (zero rows stay zero), each by its own float64 length: independent of the batch."""
    flat = np.ascontiguousarray(matrix, dtype=np.float32)
    out = np.empty_like(flat)
    for start in range(0, len(flat), PAIRS_AT_ONCE):  # stays in the cache: 9 ms instead of 27 for 8,192 x 576
        rows = slice(start, start + PAIRS_AT_ONCE)
        part = flat[rows].astype(np.float64)
        length = np.sqrt(np.vecdot(part, part))
        if not np.isfinite(length).all():  # no square of a float32 overflows a float64
            finite(flat)
        np.divide(part, np.where(length > 0, length, 1)[:, None], out=out[rows], casting="same_kind")
    return out


def _product(a: Matrix, b: Matrix) -> Matrix:
    return a @ b.T


def _product_slack(a: Matrix, b: Matrix) -> float:
    """Rounding of a float32 dot product of unit vectors: 4 sqrt(d) u, the probabilistic bound of Higham & Mary,
    SIAM J. Sci. Comput. 41(5), 2019, with lambda = 4, and as much again for rounding the score itself."""
    return 4 * UNIT_ROUNDOFF * (np.sqrt(a.shape[1]) + 1)


def _cosine(a: Any, b: Any) -> Any:
    """a.b / sqrt(a.a b.b): exactly 1 for identical vectors, because sqrt(x x) is x in IEEE arithmetic."""
    aa, bb = np.vecdot(a, a), np.vecdot(b, b)  # 0 for zero vectors only: no square of a float32 underflows a float64
    norm = np.sqrt(aa * bb)
    both_zero = (aa == 0) & (bb == 0)
    return np.where(norm > 0, np.vecdot(a, b) / np.where(norm > 0, norm, 1), both_zero.astype(np.float64))


def _half_squared(a: Matrix, b: Matrix) -> Matrix:
    """-|a - b|^2 / 2 = a.b - |a|^2/2 - |b|^2/2."""
    out = a @ b.T
    out -= (np.einsum("ij,ij->i", a, a) / 2)[:, None]
    out -= (np.einsum("ij,ij->i", b, b) / 2)[None, :]
    return out


def _half_squared_slack(a: Matrix, b: Matrix) -> float:
    """As `_product_slack`, scaled by the largest squared length, for three terms; and what products may lose that are
    too small for float32, each less than its smallest normal number."""
    longest = max((float(np.einsum("ij,ij->i", m, m).max(initial=0.0)) for m in (a, b)), default=0.0)
    lost = 3 * (a.shape[1] + 1) * float(np.finfo(np.float32).tiny)
    return 3 * 4 * UNIT_ROUNDOFF * (np.sqrt(a.shape[1]) + 1) * longest + lost


def _half_square(scores: Scores) -> Scores:
    return np.square(scores) * np.float32(-0.5)


def _signed_parts(matrix: Matrix) -> Matrix:
    """Distributions (n, 2d): positive and negative parts side by side, sum 1.

    The Jensen-Shannon distance compares distributions. Vectors without negative entries are compared as usual (the
    zeros add nothing); signed ones lose nothing. A zero vector is the uniform distribution.
    """
    flat = finite(matrix)
    parts = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)], axis=1)
    total = parts.sum(axis=1, dtype=np.float64)
    parts[total == 0] = 1
    return (parts / np.where(total == 0, parts.shape[1], total)[:, None]).astype(np.float32)


def _scipy(name: str) -> Callable[[Matrix, Matrix], Matrix]:
    def closeness(a: Matrix, b: Matrix) -> Matrix:
        from scipy.spatial.distance import cdist

        # braycurtis divides by |a + b|, which may be 0: two zero vectors are identical, opposite ones infinitely far.
        with np.errstate(all="ignore"):
            far = cdist(a, b, name)
        far[np.isnan(far)] = 0
        far = np.minimum(far, np.finfo(np.float32).max)
        return -(_share(far) if name == "braycurtis" else far).astype(np.float32)

    return closeness


def _share(far: Any) -> Any:
    """x / (1 + x): a distance without a bound, on a scale from 0 to 1, on which one slack does for all."""
    return far / (1 + far)


def _scaled_slack(a: Matrix, b: Matrix) -> float:
    """Both forms are float64; only the rounding to float32 is left, taken at the largest distance there can be."""
    return 4 * UNIT_ROUNDOFF * max(float(_sums(m).max(initial=1.0)) for m in (a, b)) * 2


def _coordinate_slack(a: Matrix, b: Matrix) -> float:
    """As `_scaled_slack`, for distances to which no coordinate adds more than 1, whatever the vectors' lengths."""
    return 4 * UNIT_ROUNDOFF * max(a.shape[1], 1)


def _share_slack(a: Matrix, b: Matrix) -> float:
    """As `_scaled_slack`, for what `_share` gives."""
    return 4 * UNIT_ROUNDOFF


def _l1(a: Any, b: Any) -> Any:
    return -np.abs(a - b).sum(axis=1)


def _linf(a: Any, b: Any) -> Any:
    return -np.abs(a - b).max(axis=1, initial=0)


def _canberra(a: Any, b: Any) -> Any:
    total = np.abs(a) + np.abs(b)
    return -(np.abs(a - b) / np.where(total > 0, total, 1)).sum(axis=1)


def _braycurtis(a: Any, b: Any) -> Any:
    apart, total = np.abs(a - b).sum(axis=1), np.abs(a + b).sum(axis=1)
    far = np.where(total > 0, apart / np.where(total > 0, total, 1), np.finfo(np.float32).max)
    return -np.where(apart == 0, 0.0, np.minimum(far, np.finfo(np.float32).max))


def _jensenshannon(a: Any, b: Any) -> Any:
    from scipy.special import rel_entr

    a = a / a.sum(axis=1, keepdims=True)
    b = b / b.sum(axis=1, keepdims=True)
    middle = (a + b) / 2
    return -np.sqrt(np.maximum((rel_entr(a, middle) + rel_entr(b, middle)).sum(axis=1), 0) / 2)


def _euclidean(a: Any, b: Any) -> Any:
    return -np.sqrt(np.einsum("ij,ij->i", a - b, a - b))


def _same(scores: Scores) -> Scores:
    return scores


def _shared(scores: Scores) -> Scores:
    """`_share` of scores; that of no neighbour stays -inf."""
    far = -scores.astype(np.float64)
    return np.where(np.isinf(far), -np.inf, -_share(np.where(np.isinf(far), 0, far))).astype(np.float32)


def _flat(
    name: str,
    scipy_name: str,
    prepare: Callable[[Matrix], Matrix],
    slack: Callable[[Matrix, Matrix], float],
    pairs: Callable[[Any, Any], Any],
    closeness_of: Callable[[Scores], Scores] = _same,
) -> Metric:
    return Metric(name, prepare, _scipy(scipy_name), slack, pairs, closeness_of, best=0.0, flat_only=True)


METRICS = {
    "cosine": Metric("cosine", _unit, _product, _product_slack, _cosine, _same, best=1.0),
    "euclidean": Metric(
        "euclidean", _not_longer, _half_squared, _half_squared_slack, _euclidean, _half_square, best=0.0
    ),
    "l1": _flat("l1", "cityblock", _not_larger("l1"), _scaled_slack, _l1),
    "linf": _flat("linf", "chebyshev", _not_larger("linf"), _scaled_slack, _linf),
    "canberra": _flat("canberra", "canberra", finite, _coordinate_slack, _canberra),
    "braycurtis": _flat("braycurtis", "braycurtis", finite, _share_slack, _braycurtis, _shared),
    "jensenshannon": _flat("jensenshannon", "jensenshannon", _signed_parts, _coordinate_slack, _jensenshannon),
}
