"""Neighbours of many vectors: each vector is compared, by matrix product, with the lists nearest to it.

How many lists are enough is measured, not guessed: the exact neighbours of a sample of rows show in which of a row's
lists they lie. A pair is found when either of the two looks into the list of the other. Choosing the lists per vector
instead of per list took 1/5 of the products at equal recall, on real and on made-up vectors.

Two neighbours may still lie in far lists, cut apart by chance; then looking into more lists is the dear way to find
them, and a second, independent partition of all vectors the cheap one. (1,000,000 vectors in clusters of 100 that share
half of their direction, recall 0.99: one partition takes 243 of 2,000 lists per vector, three take 2 each.) The plan
is the cheapest mix that reaches the recall on the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastdup_db.arrays import Ids, Matrix, Numbers
from fastdup_db.graph.join import blocks, cross_join, offer, run_all, workers
from fastdup_db.graph.lists import SAMPLE_PER_LIST, SEED, SHARES, Lists, train
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.nearest import NOBODY, Nearest
from fastdup_db.graph.rows import Prepared, Rows, fits

PROBE_ROWS = 1000
"""Rows whose exact neighbours choose the number of lists: 1,000 x n products, +-0.3 % at recall 0.99 and k = 2."""
QUERY_ROWS = 1024
"""Rows compared with a list at once."""


MOST_PARTITIONS = 6
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which lists are joined, and what that reached on the sample."""

    partitions: tuple[Lists, ...]
    probes: int
    """Lists of each partition that a vector is compared with, its own included."""
    recall: float
    """Share of the sample's true neighbours that the join finds."""
    cost: float
    """Products per vector that are left to do: choosing lists and joining."""

    def __str__(self) -> str:
        return f"{len(self.partitions)} x {len(self.partitions[0])} lists, {self.probes} of each joined per vector"


def plan_join(vectors: Prepared, *, k: int, recall: float, threads: int | None = None) -> Plan:
    """The cheapest number of partitions and lists that finds `recall` of a sample's exact neighbours."""
    count = list_count(len(vectors))
    row, sample, there = _known_pairs(vectors, k=k, threads=threads)
    partitions: list[Lists] = []
    best: Plan | None = None
    needed = np.full(len(row), np.iinfo(np.int64).max)
    training = SAMPLE_PER_LIST * sum(SHARES) * count * count / len(vectors)
    while len(partitions) < MOST_PARTITIONS:
        number = len(partitions) + 1
        # A partition costs its training, the choice of lists for each vector, and at least one list to join.
        if best is not None and best.cost <= number * (count + len(vectors) / count) + training:
            break
        seed = SEED + number
        chosen = np.random.default_rng(seed).choice(
            len(vectors), min(count * SAMPLE_PER_LIST, len(vectors)), replace=False
        )
        lists = train(
            vectors.take(np.sort(chosen)), lists=count, unit=vectors.metric.name == "cosine", seed=seed, threads=threads
        )
        partitions.append(lists)
        needed = np.minimum(needed, _ranks(lists, sample[row], there, threads=threads))
        probes = min(choose_probes(needed, recall=recall), len(lists))
        cost = number * (len(lists) + probes * len(vectors) / len(lists))
        if best is None or cost < best.cost:
            best = Plan(tuple(partitions), probes, float((needed < probes).mean()), cost)
    assert best is not None
    return best


def join(
    vectors: Prepared,
    *,
    plan: Plan,
    ids: Ids,
    k: int,
    budget: int,
    threads: int | None = None,
    folder: Path | None = None,
) -> Nearest:
    """The k nearest of every vector among the lists it looks into and the vectors that look into its own."""
    nearest = Nearest(len(vectors), k=k)
    place: Ids | None = None
    rows: Rows | None = None
    for lists in plan.partitions:
        of = _lists_of(vectors, lists=lists, probes=plan.probes, threads=threads)
        order = np.argsort(of[:, 0], kind="stable")  # rows, list after list
        if place is None or rows is None:
            place = np.empty_like(order)
            place[order] = np.arange(len(order))
            rows = vectors.rows(place=place, budget=budget, folder=folder)
        _join_partition(
            of, order=order, lists=len(lists), rows=rows, place=place, ids=ids, metric=vectors.metric, nearest=nearest,
            budget=budget, threads=threads,
        )  # fmt: skip
    if rows is not None:
        rows.close()
    return nearest


def _join_partition(
    of: Numbers,
    *,
    order: Ids,
    lists: int,
    rows: Rows,
    place: Ids,
    ids: Ids,
    metric: Metric,
    nearest: Nearest,
    budget: int,
    threads: int | None,
) -> None:
    own, probes = of[:, 0], of.shape[1]
    ends = np.searchsorted(own[order], np.arange(lists + 1))
    asking = np.argsort(of.ravel(), kind="stable")
    asking_ends = np.searchsorted(of.ravel()[asking], np.arange(lists + 1))
    asking //= probes  # the rows that look into a list, list after list
    for first, last in _groups(rows, asking_ends=asking_ends, budget=budget):
        part = _Part(rows, place=place, wanted=asking[asking_ends[first] : asking_ends[last]])

        def work(number: int, part: _Part = part) -> None:
            members = order[ends[number] : ends[number + 1]]
            queries = asking[asking_ends[number] : asking_ends[number + 1]]
            # The list's own rows go first: they set a bar for the rows of others to pass.
            queries = np.concatenate([members, queries[own[queries] != number]])
            join_list(part.read, members, queries, ids=ids, metric=metric, nearest=nearest)

        run_all(work, range(first, last), threads=threads)


def _lists_of(vectors: Prepared, *, lists: Lists, probes: int, threads: int | None) -> Numbers:
    """Unsigned (n, probes): the lists each vector looks into, its own first."""
    of = np.empty((len(vectors), probes), dtype=np.min_scalar_type(len(lists)))
    with workers(threads) as pool:
        for start, matrix in vectors.parts():
            of[start : start + len(matrix)] = lists.nearest(matrix, count=probes, pool=pool)
    return of


def join_list(
    read: Callable[[Ids], Matrix],
    members: Ids,
    queries: Ids,
    *,
    ids: Ids,
    metric: Metric,
    nearest: Nearest,
    leading: bool = True,
) -> None:
    """Offer every pair of a row that looks into a list and a row of the list.

    leading: the list's own rows lead `queries`; otherwise no member is among them. read: rows by number.
    """
    if not len(members):
        return
    own = len(members) if leading else 0
    for inside in blocks(len(members)):
        columns = members[inside.start : inside.stop]
        b = read(columns)
        for start in range(0, len(queries), QUERY_ROWS):
            rows = queries[start : start + QUERY_ROWS]
            a = read(rows)
            product = metric.closeness(a, b)
            # Query i is member i as long as there are members: a row is not its own neighbour.
            selves = np.arange(max(start, inside.start), min(start + len(rows), inside.stop)) if leading else _NONE
            product[selves - start, selves - inside.start] = -np.inf
            slack = metric.slack(a, b)
            offer(product, a, b, rows=rows, columns=columns, ids=ids, metric=metric, nearest=nearest, slack=slack)
            if start + len(rows) > own:
                offer(product.T, b, a, rows=columns, columns=rows, ids=ids, metric=metric, nearest=nearest, slack=slack)


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


def _groups(rows: Rows, *, asking_ends: Ids, budget: int) -> list[tuple[int, int]]:
    """(first, last + 1) of consecutive lists whose rows and the rows that look into them fit half the budget."""
    lists = len(asking_ends) - 1
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


def _known_pairs(vectors: Prepared, *, k: int, threads: int | None) -> tuple[Ids, Matrix, Matrix]:
    """The exact neighbours of a sample: (pair's row in the sample (p,), sample (m, d), the pair's neighbour (p, d))."""
    rng = np.random.default_rng(SEED)
    asked = np.sort(rng.choice(len(vectors), min(PROBE_ROWS, len(vectors)), replace=False))
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
    return row, sample, vectors.take(found)[back]


def _ranks(lists: Lists, here: Matrix, there: Matrix, *, threads: int | None) -> Numbers:
    """int64 (p,): how many lists the one of each pair must look into to find the other, whichever is sooner."""
    with workers(threads) as pool:
        own = lists.nearest(here, count=1, pool=pool)[:, 0]
        its = lists.nearest(there, count=1, pool=pool)[:, 0]
    return np.minimum(lists.rank(here, its), lists.rank(there, own))
