"""k-means by blocks of rows: the same clusters whatever the machine's threads, and little memory beside the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fastdup_db.arrays import Matrix, Numbers, Scores
from fastdup_db.graph.copies import find_copies, fingerprints
from fastdup_db.graph.join import workers
from fastdup_db.threads import cores, mapped

SEED = 20260101
BLOCK_ROWS = 4096
"""Rows assigned at once. Fixed, so that sums do not depend on the number of threads."""
SEEDED_PER_CLUSTER = 256
"""Rows per cluster that the first centres are chosen among: what is left out of so many is no cluster of its own."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """centroids: float32 (k, d). of: int64 (n,), the nearest of each row. distance: float32 (n,), squared, to it."""

    centroids: Matrix
    of: Numbers
    distance: Scores


def kmeans(matrix: Matrix, *, clusters: int, steps: int, stepped: Callable[[], object] = lambda: None) -> Clusters:
    """At most `clusters` clusters of the rows of float32 (n, d), no more than there are different rows.

    steps: of Lloyd's algorithm, fewer where nothing moves any more; `stepped` is called after each. A centre without
    members stays where it is.
    """
    with workers(None) as pool:
        centroids = _seeds(matrix, clusters=clusters)
        of = np.full(len(matrix), -1, dtype=np.int64)
        for _ in range(steps):
            sums = np.zeros(centroids.shape, dtype=np.float64)
            before = of.copy()
            for start, part in _assigned(matrix, centroids, pool=pool):
                of[start : start + len(part.of)] = part.of
                sums[part.filled] += part.sums
            if (of == before).all():
                break
            sizes = np.bincount(of, minlength=len(centroids))
            centroids = np.where(sizes[:, None], sums / np.maximum(sizes, 1)[:, None], centroids).astype(np.float32)
            stepped()
        distance = np.empty(len(matrix), dtype=np.float32)
        for start, part in _assigned(matrix, centroids, pool=pool):
            rows = slice(start, start + len(part.of))
            of[rows] = part.of
            distance[rows] = ((matrix[rows] - centroids[part.of]) ** 2).sum(axis=1)
    return Clusters(centroids, of, distance)


def _seeds(matrix: Matrix, *, clusters: int) -> Matrix:
    """float32 (k, d): different rows far from each other, of a sample of them.

    Greedy k-means++ (Arthur and Vassilvitskii, SODA 2007): of some rows drawn by their squared distance to the nearest
    centre so far, the one that brings all rows nearest becomes a centre.
    """
    prints = [fingerprints(matrix[start : start + BLOCK_ROWS]) for start in range(0, len(matrix), BLOCK_ROWS)]
    different = find_copies(np.concatenate(prints)).first
    random = np.random.default_rng(SEED)
    count = min(clusters, len(different))
    sample = matrix[np.sort(random.choice(different, min(len(different), SEEDED_PER_CLUSTER * count), replace=False))]
    squares = np.einsum("ij,ij->i", sample, sample)
    tries = 2 + int(math.log(count))
    chosen = [int(random.integers(len(sample)))]
    nearest = _distances(sample, squares, np.array(chosen))[0]
    while len(chosen) < count:
        nearest[chosen] = 0
        drawn = np.searchsorted(nearest.cumsum(dtype=np.float64), random.random(tries) * nearest.sum(dtype=np.float64))
        drawn = np.minimum(drawn, len(sample) - 1)
        if not nearest[drawn].any():  # the others differ by less than float32 tells
            drawn = np.setdiff1d(np.arange(len(sample)), chosen)[:1]
        reached = np.minimum(_distances(sample, squares, drawn), nearest)
        best = int(reached.sum(axis=1, dtype=np.float64).argmin())
        chosen.append(int(drawn[best]))
        nearest = reached[best]
    return sample[chosen]


def _distances(sample: Matrix, squares: Matrix, centres: Numbers) -> Matrix:
    """float32 (len(centres), n): squared distances of all rows to some of them."""
    found = squares[centres, None] + squares - 2 * (sample[centres] @ sample.T)
    return np.maximum(found, 0, out=found)


@dataclass(frozen=True, slots=True)
class _Part:
    """A block of rows: the cluster of each, and the sums (float32) of those in each cluster that has any."""

    of: Numbers
    filled: Numbers
    sums: Matrix


def _assigned(matrix: Matrix, centroids: Matrix, *, pool: ThreadPoolExecutor) -> Iterator[tuple[int, _Part]]:
    """The blocks of the matrix in order, each with the row that it begins at."""
    half = np.einsum("ij,ij->i", centroids, centroids) / 2

    def assign(start: int) -> tuple[int, _Part]:
        rows = matrix[start : start + BLOCK_ROWS]
        of = (rows @ centroids.T - half).argmax(axis=1)
        order = np.argsort(of, kind="stable")
        filled, starts = np.unique(of[order], return_index=True)
        return start, _Part(of, filled, np.add.reduceat(rows[order], starts, axis=0))

    return mapped(assign, range(0, len(matrix), BLOCK_ROWS), threads=cores(), pool=pool)
