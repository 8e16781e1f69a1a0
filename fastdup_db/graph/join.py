"""Block against block: the nearest neighbours among chosen pairs of blocks, each pair of blocks multiplied once.

A block pair serves both sides: the rows of the product are neighbours for one block, its columns for the other.
Finding who may enter a row's k nearest is one comparison of the product with each side's k-th best so far, 5 % of the
cost of the product (1,024 x 1,024 x 576: product 12.9 ms, comparison 0.3 ms, `argpartition` would be 8.4 ms).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from fastdup_db.arrays import Ids, Matrix
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.nearest import Nearest
from fastdup_db.threads import cores

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")

BLOCK_ROWS = 1024
"""Rows of a block. Fixed, so that results cannot depend on memory or threads; the product of two such blocks is 4 MB,
about the second-level cache, and already as fast as larger ones."""


CROWD = 4
"""If a block has more than this times k candidates, finding its k best first is cheaper than scoring them all."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows `start:stop` of one side of the join."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Reader = Callable[[Block], Matrix]


def blocks(rows: int) -> list[Block]:
    """Consecutive blocks that cover `rows` rows."""
    return [Block(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS)]


@contextmanager
def workers(threads: int | None) -> Iterator[ThreadPoolExecutor]:
    """Worker threads, each with a one-thread BLAS: small products run faster side by side (100 against 75 GFLOP/s)."""
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(cores(threads)) as pool:
        yield pool


@functools.cache
def _libraries() -> ThreadpoolController:
    """The loaded libraries with threads of their own, NumPy's BLAS among them; looking for them takes 10 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def self_join(
    tasks: Iterable[tuple[Block, list[Block]]],
    *,
    read: Reader,
    ids: Ids,
    metric: Metric,
    nearest: Nearest,
    threads: int | None = None,
) -> None:
    """Offer to `nearest` every pair within each task's blocks (own, others), for both sides.

    `read(block)` gives prepared rows; `ids` int64 (n,) are the ids of all rows. A pair of blocks is needed in one
    direction only; a block against itself leaves out the diagonal.
    """

    def work(task: tuple[Block, list[Block]]) -> None:
        own, others = task
        a = read(own)
        for other in others:
            same = other == own
            b = a if same else read(other)
            product = metric.closeness(a, b)
            if same:
                np.fill_diagonal(product, -np.inf)
            slack = metric.slack(a, b)
            here, there = np.arange(own.start, own.stop), np.arange(other.start, other.stop)
            offer(product, a, b, rows=here, columns=there, ids=ids, metric=metric, nearest=nearest, slack=slack)
            if not same:
                # The transposed view is compared in memory order all the same.
                offer(product.T, b, a, rows=there, columns=here, ids=ids, metric=metric, nearest=nearest, slack=slack)

    run_all(work, tasks, threads=threads)


def cross_join(
    tasks: Iterable[tuple[Block, list[Block]]],
    *,
    read: Reader,
    read_other: Reader,
    other_ids: Ids,
    metric: Metric,
    nearest: Nearest,
    threads: int | None = None,
) -> None:
    """Offer to `nearest` (rows of the first side) every row of the other side's blocks, one direction only."""

    def work(task: tuple[Block, list[Block]]) -> None:
        own, others = task
        a = read(own)
        for other in others:
            b = read_other(other)
            product = metric.closeness(a, b)
            slack = metric.slack(a, b)
            here, there = np.arange(own.start, own.stop), np.arange(other.start, other.stop)
            offer(product, a, b, rows=here, columns=there, ids=other_ids, metric=metric, nearest=nearest, slack=slack)

    run_all(work, tasks, threads=threads)


def run_all(work: Callable[[T], object], tasks: Iterable[T], *, threads: int | None) -> None:
    """Do every task on worker threads, a single one with BLAS's own; the first exception is raised."""
    stream = iter(tasks)
    first = list(islice(stream, 2))
    if len(first) == 1 and threads != 1:
        work(first[0])
        return
    with workers(threads) as pool:
        for _ in pool.map(work, chain(first, stream)):
            pass


def offer(
    product: Matrix,
    a: Matrix,
    b: Matrix,
    *,
    rows: Ids,
    columns: Ids,
    ids: Ids,
    metric: Metric,
    nearest: Nearest,
    slack: float,
) -> None:
    """Offer the columns of `product` that may enter the k nearest of its rows, at their exact score.

    product float32 (m, n): closeness of `a` (m, d) and `b` (n, d). rows int64 (m,): the rows of `nearest` they are;
    columns int64 (n,): where their ids stand in `ids`.
    """
    # A bar that another thread is raising at this moment is read too low at worst: that lets more pairs through.
    bar = metric.closeness_of(nearest.scores[rows, -1])
    empty = np.flatnonzero(np.isneginf(bar))
    if len(empty):
        bar[empty] = _kth_largest(product[empty], k=nearest.k)
    i, j = _at_least(product, bar - np.float32(slack))
    crowded = np.bincount(i, minlength=len(rows)) > CROWD * nearest.k
    if crowded.any():
        # A row that meets its own cluster for the first time: only the block's k best can enter.
        bar[crowded] = _kth_largest(product[crowded], k=nearest.k)
        may = product[i, j] >= (bar - np.float32(slack))[i]
        i, j = i[may], j[may]
    new = ~nearest.known(rows[i], ids[columns[j]])
    i, j = i[new], j[new]
    if len(i):
        nearest.offer(rows[i], ids[columns[j]], metric.score(a, b, i, j))


def _kth_largest(values: Matrix, *, k: int) -> npt.NDArray[np.float32]:
    """float32 (m,): the k-th largest of each row, or the lowest finite number where a row has fewer."""
    lowest = np.finfo(np.float32).min
    if values.shape[1] <= k:
        return np.full(len(values), lowest, dtype=np.float32)
    return np.maximum(np.partition(values, values.shape[1] - k, axis=1)[:, -k], lowest)


def _at_least(values: Matrix, bar: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns where `values` (m, n) reach their row's bar, found in memory order."""
    if values.flags.c_contiguous:
        i, j = np.divmod(np.flatnonzero(values >= bar[:, None]), values.shape[1])
    else:
        j, i = np.divmod(np.flatnonzero(bar[None, :] <= values.T), values.shape[0])
    return i, j
