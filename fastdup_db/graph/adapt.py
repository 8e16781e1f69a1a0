"""From stored embeddings to the vectors that neighbours are searched by: adapted to the collection.

In a broad collection the cosines of a network's embeddings already work. In a narrow one (garments, tissue, road
scenes) unrelated images share most of their direction, and near-duplicates drown among them. Whitening with the
collection's own mean and covariance mends that: average precision over all pairs of garments 0.80 → 0.95
(`tests/benchmarks/near_duplicates.py`). The few numbers a small collection can tell are shrunk towards those of
diverse photographs, which lie beside the model.

    moments = Moments(dim=576)
    for batch in embeddings_in_id_order:
        moments.add(batch)
    transform = fit(moments, Generic.load(spec.statistics))
    vectors = transform.apply(batch)              # unit length; their product is the cosine
    metric("cosine", calibration=transform.c2)    # cosine → similarity (`graph.metrics`)
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1024
"""Rows summed at a time, however they arrive, so that the bits of the sums depend on the rows and their order alone."""

MIN_SHRINKAGE = 0.5
"""Least weight of the diverse photographs' covariance. Of 0.3 to 0.7 it is best or nearly so on photographs, garments
and both; without any the own statistics overfit (photographs: 0.883 instead of 0.990)."""

RIDGE = 0.1
"""Share of the mean variance added to every direction: keeps the least directions from being blown up by rounding and
the matrix from being singular. Average precision on photographs at 960 dimensions 0.990 → 0.996."""

MEAN_WEIGHT = 100
"""Images that the diverse photographs' mean counts for: with two images the own mean would lie right between them and
make them opposites."""

NARROW = 0.05
"""Variance, relative to diverse photographs, at which a collection is half taken for copies of one picture (frames of a
still camera), whose common part is then what makes them alike and must not be subtracted. Garments have 0.7."""

C2 = 2.5
"""Calibration: similarity = (cosine + c²)/(1 + c²), as if each unit vector had one more component c. Maps cosine 0.65
to similarity 0.9, where at least 99.9 % of the pairs are true near-duplicates, and keeps the ranking."""

UNRELATED = 0.78
"""Calibrated similarity that images with nothing in common reach: at 0.8 the largest component of 1,000 photographs of
as many classes has 10 of them, at 0.76 it has 889."""

ROUNDING = 1e-9
"""Total variance of unit vectors below which they are all the same."""

SMALL = 96
"""Rows up to which a triangular matrix is inverted whole."""

GROWTH = 2.0
"""Growth or loss, as a factor, after which the collection's statistics are taken anew."""

REFITTED = 10_000
"""Images up to which every update takes them anew, so that its similarities are those of a fresh run."""


@dataclass(frozen=True)
class Generic:
    """Mean and variance of each dimension of the model's embeddings of diverse photographs, both (d,)."""

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Generic:
        """From the `.npz` beside the model."""
        with np.load(path) as stored:
            return cls(stored["mean"].astype(np.float64), stored["variance"].astype(np.float64))


class Moments:
    """Count, sum and sum of outer products of unit vectors, gathered in one pass, in float64.

    Add batches in id order: their sizes do not change a bit of the result.
    """

    def __init__(self, *, dim: int) -> None:
        self.n = 0
        self._sum = np.zeros(dim)
        self._outer = np.zeros((dim, dim))
        self._block = np.empty((BLOCK, dim))
        self._filled = 0

    def add(self, embeddings: np.ndarray) -> None:
        """Takes in (n, d) vectors of any length."""
        self.n += len(embeddings)
        while len(embeddings):
            taken = embeddings[: BLOCK - self._filled]
            self._block[self._filled : self._filled + len(taken)] = _unit(taken)
            self._filled += len(taken)
            embeddings = embeddings[len(taken) :]
            if self._filled == BLOCK:
                self._flush()

    def _flush(self) -> None:
        block = self._block[: self._filled]
        self._sum += block.sum(axis=0)
        self._outer += block.T @ block
        self._filled = 0

    def mean_and_covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """(d,) and (d, d) of what was added; zeros when nothing was. Ends the last block: add no more afterwards."""
        if self._filled:
            self._flush()
        count = max(self.n, 1)
        mean = self._sum / count
        return mean, self._outer / count - np.outer(mean, mean)


@dataclass(frozen=True)
class Transform:
    """What one run does to its embeddings; stored with it, and applied to later queries and additions."""

    mean: np.ndarray
    """float32 (d,), subtracted."""
    matrix: np.ndarray
    """float32 (d, d), W with W Wᵀ the inverse of the shrunk covariance; `fit` makes it upper triangular."""
    n: int
    """Embeddings it was fitted on."""
    shrinkage: float
    """λ, the weight of the diverse photographs' covariance."""
    c2: float = C2
    """Calibration of the cosine, see `C2`."""

    def apply(self, embeddings: np.ndarray) -> np.ndarray:
        """float32 (n, d) unit vectors. Computed in float64: equal embeddings give equal vectors in any batch."""
        matrix = self.matrix.astype(np.float64)
        out = np.empty(embeddings.shape, np.float32)
        for start in range(0, len(embeddings), BLOCK):
            part = slice(start, start + BLOCK)
            out[part] = _unit((_unit(embeddings[part]) - self.mean) @ matrix)
        return out

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """float64 (n,): how far each embedding, at unit length, is from the mean: what `apply` takes out of the vectors
        when it scales them. The same to the last bit in any batch."""
        out = np.empty(len(embeddings))
        for start in range(0, len(embeddings), BLOCK):
            part = slice(start, start + BLOCK)
            centred = _unit(embeddings[part]) - self.mean
            out[part] = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        return out

    def to_bytes(self) -> bytes:
        """For the database; the same transform gives the same bytes. Of a triangular matrix, half is stored."""
        triangular = not np.tril(self.matrix, -1).any()
        matrix = self.matrix[np.triu_indices(len(self.matrix))] if triangular else self.matrix
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, matrix=matrix, n=self.n, shrinkage=self.shrinkage, c2=self.c2)
        return buffer.getvalue()

    @classmethod
    def of_run(cls, run: Mapping[str, Any]) -> Transform | None:
        """That of a row of `runs`; None where embeddings are searched as they are."""
        return cls.from_bytes(run["transform"]) if run.get("transform") else None

    @classmethod
    def from_bytes(cls, data: bytes) -> Transform:
        with np.load(io.BytesIO(data)) as stored:
            matrix = stored["matrix"]
            if matrix.ndim == 1:
                whole = np.zeros((len(stored["mean"]),) * 2, np.float32)
                whole[np.triu_indices(len(whole))] = matrix
                matrix = whole
            return cls(
                mean=stored["mean"],
                matrix=matrix,
                n=int(stored["n"]),
                shrinkage=float(stored["shrinkage"]),
                c2=float(stored["c2"]),
            )


def fit(moments: Moments, generic: Generic | None = None) -> Transform:
    """The collection's transform, of any number of images, one or none included.

    Without `generic` (a model that brings no statistics) all directions are taken to vary alike around 0.
    Covariance: (1−λ)C + λG plus a ridge, λ = max(0.5, d/(n + d)). Mean: the own one, weighted by n and by how much the
    collection varies at all, and the diverse photographs'. Whitening is by the Cholesky factor: products of whitened
    vectors are those of any other whitening, and unlike principal axes it has no signs or order to choose.
    """
    own_mean, own = moments.mean_and_covariance()
    dim = len(own_mean)
    if generic is None:
        spread = float(np.trace(own))
        # of copies of one vector only rounding is left, of either sign
        generic = Generic(np.zeros(dim), np.full(dim, (spread if spread > ROUNDING else 1.0) / dim))
    shrinkage = max(MIN_SHRINKAGE, dim / (moments.n + dim))
    covariance = (1 - shrinkage) * own
    covariance[np.diag_indices(dim)] += shrinkage * generic.variance
    covariance[np.diag_indices(dim)] += RIDGE * np.trace(covariance) / dim
    breadth = max(float(np.trace(own)), 0.0) / generic.variance.sum()
    weight = moments.n / (moments.n + MEAN_WEIGHT) * breadth / (breadth + NARROW)
    mean = weight * own_mean + (1 - weight) * generic.mean
    return Transform(
        mean=mean.astype(np.float32),
        matrix=_inverse_of_lower(np.linalg.cholesky(covariance)).T.astype(np.float32),
        n=moments.n,
        shrinkage=shrinkage,
    )


def calibration_of(transform: Transform | None) -> float:
    """The constant of `Metric.similarity` for vectors that went through a transform, or through none."""
    return transform.c2 if transform else 0.0


def refit_needed(transform: Transform, *, n_now: int) -> bool:
    """Whether the collection is small, or has more than doubled or halved since the transform was fitted."""
    return n_now <= REFITTED or n_now > GROWTH * transform.n or n_now * GROWTH < transform.n


def _inverse_of_lower(lower: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix, by halves; NumPy's, for any matrix, takes about four times as long."""
    if len(lower) <= SMALL:
        return np.tril(np.linalg.inv(lower))
    half = len(lower) // 2
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = _inverse_of_lower(lower[:half, :half])
    inverse[half:, half:] = _inverse_of_lower(lower[half:, half:])
    inverse[half:, :half] = -(inverse[half:, half:] @ lower[half:, :half]) @ inverse[:half, :half]
    return inverse


def _unit(rows: np.ndarray) -> np.ndarray:
    """float64 rows of unit length; a zero row stays zero."""
    exact = np.asarray(rows, np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    return exact / np.maximum(length, 1e-12)[:, None]
