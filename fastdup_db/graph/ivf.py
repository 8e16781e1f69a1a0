"""Neighbours of many vectors: each vector is compared, by matrix product, with the lists nearest to it.

How many lists are enough is measured, not guessed: the exact neighbours of a sample of rows show in which of a row's
lists they lie, and the fewest lists that reach the recall asked for are joined. A pair is found when either of the two
looks into the list of the other; that halves the lists (and more, where one of the two lies at the edge of its list).
Choosing lists per vector instead of per list took 1/5 of the products at equal recall on real and made-up vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastdup_db.graph.join import blocks, cross_join, offer, run_all, workers
from fastdup_db.graph.lists import SAMPLE_PER_LIST, SEED, Lists, Numbers, train
from fastdup_db.graph.metrics import Matrix, Metric
from fastdup_db.graph.nearest import NOBODY, Ids, Nearest
from fastdup_db.graph.rows import Prepared, Rows, fits

PROBE_ROWS = 1000
"""Rows whose exact neighbours choose the number of lists: 1,000 x n products, +-0.3 % at recall 0.99 and k = 2."""
QUERY_ROWS = 1024
"""Rows compared with a list at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which lists are joined, and what that reached on the sample."""

    lists: int
    probes: int
    """Lists each vector is compared with, its own included."""
    recall: float
    """Share of the sample's true neighbours that the join finds."""
    work: float
    """Products to compute, as a share of n^2."""


def plan_join(vectors: Prepared, *, k: int, recall: float, threads: int | None = None) -> tuple[Plan, Lists, Numbers]:
    """The plan, the lists, and the lists of each vector: unsigned (n, probes), its own first."""
    count = list_count(len(vectors))
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(vectors), min(count * SAMPLE_PER_LIST, len(vectors)), replace=False))
    lists = train(vectors.take(chosen), lists=count, unit=vectors.metric.name == "cosine", threads=threads)

    asked = np.sort(rng.choice(len(vectors), min(PROBE_ROWS, len(vectors)), replace=False))
    needed = _needed(vectors, lists=lists, asked=asked, k=k, threads=threads)
    probes = min(choose_probes(needed, recall=recall), len(lists))
    of = np.empty((len(vectors), probes), dtype=np.min_scalar_type(len(lists)))
    with workers(threads) as pool:
        for start, matrix in vectors.parts():
            of[start : start + len(matrix)] = lists.nearest(matrix, count=probes, pool=pool)
    members = np.bincount(of[:, 0], minlength=len(lists)).astype(np.float64)
    queries = np.bincount(of.ravel(), minlength=len(lists)).astype(np.float64)
    work = float(members @ queries) / max(len(vectors), 1) ** 2
    return Plan(len(lists), probes, float((needed < probes).mean()), work), lists, of


def join(
    vectors: Prepared,
    *,
    of: Numbers,
    lists: int,
    ids: Ids,
    k: int,
    budget: int,
    threads: int | None = None,
    folder: Path | None = None,
) -> Nearest:
    """The k nearest of every vector among the lists `of` (n, probes) it looks into and those that look into its own."""
    own = of[:, 0]
    probes = of.shape[1]
    order = np.argsort(own, kind="stable")  # rows, list after list
    ends = np.searchsorted(own[order], np.arange(lists + 1))
    asking = np.argsort(of.ravel(), kind="stable")
    asking_ends = np.searchsorted(of.ravel()[asking], np.arange(lists + 1))
    asking //= probes  # the rows that look into a list, list after list
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    nearest = Nearest(len(vectors), k=k)

    def looks_not(rows: Ids, columns: Ids) -> npt.NDArray[np.bool_]:
        """Whether vector `rows[i]` leaves out the list of `columns[i]`, so that the pair is not offered from there."""
        return (of[rows] != own[columns][:, None]).all(axis=1)

    with vectors.rows(place=place, budget=budget, folder=folder) as rows:
        for first, last in _groups(rows, ends=ends, asking_ends=asking_ends, budget=budget):
            part = _Part(rows, place=place, wanted=asking[asking_ends[first] : asking_ends[last]])

            def work(number: int, part: _Part = part) -> None:
                members = order[ends[number] : ends[number + 1]]
                queries = asking[asking_ends[number] : asking_ends[number + 1]]
                # The list's own rows go first: they set a bar for the rows of others to pass.
                queries = np.concatenate([members, queries[own[queries] != number]])
                _join_list(part, members, queries, ids=ids, metric=vectors.metric, nearest=nearest, allowed=looks_not)

            run_all(work, range(first, last), threads=threads)
    return nearest


def _join_list(
    part: _Part,
    members: Ids,
    queries: Ids,
    *,
    ids: Ids,
    metric: Metric,
    nearest: Nearest,
    allowed: Callable[[Ids, Ids], npt.NDArray[np.bool_]],
) -> None:
    """Offer every pair of a row that looks into a list and a row of the list; the list's rows lead `queries`."""
    if not len(members):
        return
    for inside in blocks(len(members)):
        columns = members[inside.start : inside.stop]
        b = part.read(columns)
        for start in range(0, len(queries), QUERY_ROWS):
            rows = queries[start : start + QUERY_ROWS]
            a = part.read(rows)
            product = metric.closeness(a, b)
            # Query i is member i as long as there are members: a row is not its own neighbour.
            selves = np.arange(max(start, inside.start), min(start + len(rows), inside.stop))
            product[selves - start, selves - inside.start] = -np.inf
            slack = metric.slack(a, b)
            offer(product, a, b, rows=rows, columns=columns, ids=ids, metric=metric, nearest=nearest, slack=slack)
            if start + len(rows) > len(members):
                offer(
                    product.T,
                    b,
                    a,
                    rows=columns,
                    columns=rows,
                    ids=ids,
                    metric=metric,
                    nearest=nearest,
                    slack=slack,
                    allowed=allowed,
                )


class _Part:
    """The rows that some lists need, read once: the whole array where it is in memory."""

    def __init__(self, rows: Rows, *, place: Ids, wanted: Ids) -> None:
        self._rows = rows
        self._place = place
        self._at: Ids | None = None
        if not rows.in_memory:
            self._at = np.unique(place[wanted])
            self._matrix = rows.gather(self._at)

    def read(self, numbers: Ids) -> Matrix:
        """float32 (len(numbers), d)."""
        if self._at is None:
            return self._rows.gather(numbers)
        return self._matrix[np.searchsorted(self._at, self._place[numbers])]


def _groups(rows: Rows, *, ends: Ids, asking_ends: Ids, budget: int) -> list[tuple[int, int]]:
    """(first, last + 1) of consecutive lists whose rows and the rows that look into them fit half the budget."""
    lists = len(ends) - 1
    if rows.in_memory:
        return [(0, lists)]
    groups, first = [], 0
    for last in range(1, lists + 1):
        more = int(asking_ends[min(last + 1, lists)] - asking_ends[first])
        if last == lists or not fits((more, rows.shape[1]), budget=budget // 2):
            groups.append((first, last))
            first = last
    return groups


def list_count(rows: int) -> int:
    """Lists for that many rows: 2 sqrt(n), so that assigning and joining both grow with n^1.5."""
    return max(1, 2 * math.isqrt(rows))


def choose_probes(needed: Numbers, *, recall: float) -> int:
    """The fewest lists per vector that hold `recall` of the sample's neighbours, and two standard errors more.

    needed: int64, for each (row, true neighbour) of the sample the rank of the list that finds it.
    """
    if not len(needed):
        return 1
    target = recall + 2 * math.sqrt(recall * (1 - recall) / len(needed))
    return int(np.quantile(needed, min(target, 1.0), method="higher")) + 1


def _needed(vectors: Prepared, *, lists: Lists, asked: Ids, k: int, threads: int | None) -> Numbers:
    """For each row asked and each of its exact neighbours: the rank of the list where the one finds the other."""
    sample = vectors.take(asked)
    nearest = Nearest(len(asked), k=k + 1)  # a row finds itself, too
    for start, matrix in vectors.parts():
        cross_join(
            [(own, [other]) for other in blocks(len(matrix)) for own in blocks(len(asked))],
            read=lambda block: sample[block.start : block.stop],
            read_other=lambda block, matrix=matrix: matrix[block.start : block.stop],  # type: ignore[misc]
            other_ids=np.arange(start, start + len(matrix)),
            metric=vectors.metric,
            nearest=nearest,
            threads=threads,
        )
    others = (nearest.ids != asked[:, None]) & (nearest.ids != NOBODY)
    others &= np.cumsum(others, axis=1) <= k
    row, slot = np.nonzero(others)
    found, back = np.unique(nearest.ids[row, slot], return_inverse=True)
    there = vectors.take(found)[back]
    with workers(threads) as pool:
        own = lists.nearest(sample, count=1, pool=pool)[row, 0]
        its = lists.nearest(there, count=1, pool=pool)[:, 0]
    return np.minimum(lists.rank(sample[row], its), lists.rank(there, own))
