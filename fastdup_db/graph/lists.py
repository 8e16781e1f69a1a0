"""Inverted lists: a partition of vectors by their nearest centroid, trained on a sample, deterministic.

Lists are numbered so that near ones have near numbers; vectors are stored list after list, so that a join which walks
through them finds most of what it needs in memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fastdup_db.arrays import Matrix, Numbers
from fastdup_db.graph.join import workers

SEED = 20
SAMPLE_PER_LIST = 48
"""Training vectors per list."""
SHARES = (0.25, 0.25, 0.5, 0.5, 1.0, 1.0)
"""How much of the sample each Lloyd step sees: the first ones only have to spread the centroids."""
MEANS_LISTS = 16
"""Lists whose means one task takes."""
CROWDED = 3.0
"""A list that holds this many times the average is split again, while training."""
PASSES = 64
"""Up to this many lists per vector are found one by one. (2,048 x 1,094: 8 passes 2 ms, a partition 22 ms and
the product itself 26.)"""
ASSIGN_ROWS = 2048
"""Rows assigned at once. Fixed, so that rounding is the same however many threads there are."""


@dataclass(frozen=True, slots=True)
class Lists:
    """`centroids` float32 (lists, d), near ones with near numbers."""

    centroids: Matrix

    def __len__(self) -> int:
        return len(self.centroids)

    def nearest(self, matrix: Matrix, *, count: int, pool: ThreadPoolExecutor) -> Numbers:
        """int64 (n, count): the nearest lists of each prepared vector, its own first."""

        def part(start: int) -> Numbers:
            return _largest(_closeness(matrix[start : start + ASSIGN_ROWS], self.centroids), count=count)

        parts = list(pool.map(part, range(0, len(matrix), ASSIGN_ROWS)))
        return np.concatenate(parts) if parts else np.empty((0, count), dtype=np.int64)

    def rank(self, matrix: Matrix, lists: Numbers) -> Numbers:
        """int64 (n,): how many lists are nearer to vector i than list `lists[i]` is; 0 for its own."""
        ranks = [
            (close > close[np.arange(len(close)), lists[start : start + ASSIGN_ROWS]][:, None]).sum(axis=1)
            for start in range(0, len(matrix), ASSIGN_ROWS)
            for close in [_closeness(matrix[start : start + ASSIGN_ROWS], self.centroids)]
        ]
        return np.concatenate(ranks) if ranks else np.empty(0, dtype=np.int64)


def train(sample: Matrix, *, lists: int, unit: bool, seed: int = SEED, threads: int | None = None) -> Lists:
    """About `lists` lists from a sample (m, d) of prepared vectors: k-means, crowded lists split, empty ones left out.

    unit: vectors and centroids have length 1 (spherical k-means), for cosine. With centroids left at their own length
    the shorter ones, of mixed lists, are near to everything.
    """
    with workers(threads) as pool:
        centroids, of = _kmeans(sample, lists, unit=unit, seed=seed, pool=pool)
        limit = max(2.0, CROWDED * len(sample) / max(lists, 1))
        parts = []
        for number, size in enumerate(np.bincount(of, minlength=len(centroids))):
            if size == 0:
                continue
            if size <= limit:
                parts.append(centroids[number : number + 1])
            else:
                pieces = int(np.ceil(size / limit * CROWDED))
                split, inside = _kmeans(sample[of == number], pieces, unit=unit, seed=seed, pool=pool)
                parts.append(split[np.bincount(inside, minlength=len(split)) > 0])
    found = np.concatenate(parts)
    return Lists(found[_tour(found)])


def _kmeans(sample: Matrix, count: int, *, unit: bool, seed: int, pool: ThreadPoolExecutor) -> tuple[Matrix, Numbers]:
    """(centroids (count, d), the list of each sample row in the last step): Lloyd's algorithm from random rows."""
    rng = np.random.default_rng(seed)
    count = min(count, len(sample))
    centroids = sample[np.sort(rng.choice(len(sample), count, replace=False))].copy()
    of = np.empty(0, dtype=np.int64)
    for share in SHARES:
        some = sample[:: round(1 / share)]
        of = _nearest(some, centroids, pool=pool)
        filled, means = _means(some, of, unit=unit, pool=pool)
        centroids[filled] = means
    return centroids, of


def _means(sample: Matrix, of: Numbers, *, unit: bool, pool: ThreadPoolExecutor) -> tuple[Numbers, Matrix]:
    """(lists that have a member, their means float32): `of` int64 (m,) is the list of each sample row."""
    order = np.argsort(of, kind="stable")
    sizes = np.bincount(of)
    filled = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[filled]
    ends = np.append(starts[1:], len(order))

    def part(first: int) -> Matrix:
        some = slice(first, first + MEANS_LISTS)
        own, end = starts[some], int(ends[some][-1])
        sums = np.add.reduceat(sample[order[own[0] : end]], own - own[0], axis=0)
        scale = np.sqrt(np.vecdot(sums, sums)) if unit else sizes[filled[some]].astype(np.float32)
        return sums / np.maximum(scale, np.float32(1e-30))[:, None]

    return filled, np.concatenate(list(pool.map(part, range(0, len(filled), MEANS_LISTS))))


def _nearest(matrix: Matrix, centroids: Matrix, *, pool: ThreadPoolExecutor) -> Numbers:
    starts = range(0, len(matrix), ASSIGN_ROWS)
    return np.concatenate(
        list(pool.map(lambda start: _closeness(matrix[start : start + ASSIGN_ROWS], centroids).argmax(axis=1), starts))
    )


def _largest(values: Matrix, *, count: int) -> Numbers:
    """int64 (n, count): the columns of the largest values of each row, largest first, ties by lower column.

    Overwrites `values`. A few passes of argmax are cheaper than one partition.
    """
    if count <= PASSES:
        rows, out = np.arange(len(values)), np.empty((len(values), count), dtype=np.int64)
        for place in range(count):
            out[:, place] = values.argmax(axis=1)
            values[rows, out[:, place]] = -np.inf
        return out
    some = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _closeness(matrix: Matrix, centroids: Matrix) -> Matrix:
    """float32 (n, lists): x.c - |c|^2/2, which ranks centroids c as the distance to x does."""
    product = matrix @ centroids.T
    product -= np.einsum("ij,ij->i", centroids, centroids) / 2
    return product


def _tour(points: Matrix) -> Numbers:
    """An order of points in which near ones are mostly near: halved again and again along the widest direction."""
    rng = np.random.default_rng(SEED)
    order = np.arange(len(points))
    stack = [(0, len(points))]
    while stack:
        start, stop = stack.pop()
        if stop - start <= 2:
            continue
        part = order[start:stop]
        centred = points[part] - points[part].mean(axis=0)
        direction = rng.standard_normal((points.shape[1],)).astype(np.float32)
        for _ in range(4):  # power iteration
            direction = centred.T @ (centred @ direction)
            direction /= np.float32(max(float(np.linalg.norm(direction)), 1e-30))
        order[start:stop] = part[np.argsort(centred @ direction, kind="stable")]
        middle = (start + stop) // 2
        stack += [(start, middle), (middle, stop)]
    return order
