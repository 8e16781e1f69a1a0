"""`graph.ivf.join` on a cluster: the same lists, the same pairs, hence the same neighbours.

Assign, in one round of tasks: which lists of every partition each vector looks into. Then two rounds per partition.
Scatter: every range of vectors is written once, bin by bin, as one Arrow file that all nodes see. Join: each bin's rows
are compared as on one machine, and their k nearest come home to be merged. Files instead of the object store, because
every range sends rows to every bin: a million times a thousand objects are more than Ray likes to keep books on.
"""

from __future__ import annotations

import itertools
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from fastdup_db.arrays import Ids, Matrix, Numbers, Scores
from fastdup_db.engines.ray.bins import Bins, make_bins
from fastdup_db.graph.ivf import Plan, join_list
from fastdup_db.graph.join import workers
from fastdup_db.graph.lists import Lists
from fastdup_db.graph.metrics import Metric
from fastdup_db.graph.nearest import NOBODY, Nearest
from fastdup_db.graph.rows import READ_ROWS, Prepared
from fastdup_db.places import Place

log = logging.getLogger(__name__)

SCRATCH = "join-scratch"
"""Folder in the work_dir for rows that change hands; what a killed run left there is removed by the next."""
PART_ROWS = 8 * READ_ROWS
"""Vectors of one assign or scatter task: 151 MB at 576 columns. Whole batches of the local join: equal rounding."""
RETRIES = 5
"""How often a task is done again whose worker was lost."""


class Parts(Protocol):
    """What tasks read vectors from: picklable, a `Source` on the driver."""

    def part(self, start: int, stop: int) -> Matrix:
        """float32 (stop - start, d): rows by their place in the order of `Source.batches`."""
        ...


def join(
    vectors: Prepared,
    *,
    plan: Plan,
    ids: Ids,
    k: int,
    budget: int,
    threads: int | None = None,
    folder: Path | None = None,
    scratch: Place,
    slots: int,
    spent: Callable[[float], None],
) -> Nearest:
    """The k nearest of every vector, as `graph.ivf.join` finds them.

    scratch: a folder that every node sees, for this join alone. slots: tasks that run at once. spent: told the
    processor seconds of tasks. `budget`, `threads` and `folder` are of this machine and do not matter here.
    """
    import ray

    nearest = Nearest(len(vectors), k=k)
    source = ray.put(vectors.source)
    of = _assigned(vectors, plan, source=source, slots=slots, spent=spent)
    try:
        for lists, chosen in zip(plan.partitions, of, strict=True):
            scratch.delete()
            scratch.make()
            for rows, found, scores in _partition(
                vectors, lists=lists, of=chosen, source=source, k=k, scratch=scratch, slots=slots, spent=spent
            ):
                real = found != NOBODY
                nearest.offer(np.repeat(rows, k)[real.ravel()], found[real], scores[real])
    finally:
        scratch.delete()
    nearest.ids = np.where(nearest.ids == NOBODY, NOBODY, ids[np.maximum(nearest.ids, 0)])
    return nearest


def _parts(rows: int) -> list[slice]:
    """What one assign or scatter task works on."""
    return [slice(start, min(start + PART_ROWS, rows)) for start in range(0, rows, PART_ROWS)]


def _assigned(
    vectors: Prepared, plan: Plan, *, source: Any, slots: int, spent: Callable[[float], None]
) -> list[Numbers]:
    """Of each partition unsigned (n, probes): the lists that each vector looks into, its own first."""
    import ray

    work = ray.remote(num_cpus=1, max_retries=RETRIES)(assign)
    partitions: Any = ray.put(plan.partitions)
    metric, parts = vectors.metric.name, _parts(len(vectors))
    of = [np.empty((len(vectors), plan.probes), np.min_scalar_type(len(lists))) for lists in plan.partitions]
    jobs = (work.remote(n, source, vectors.kept[p], partitions, plan.probes, metric) for n, p in enumerate(parts))
    for number, chosen, seconds in _done(jobs, at_once=2 * slots):
        for all_rows, some in zip(of, chosen, strict=True):
            all_rows[parts[number]] = some
        spent(seconds)
    return of


def _partition(
    vectors: Prepared,
    *,
    lists: Lists,
    of: Numbers,
    source: Any,
    k: int,
    scratch: Place,
    slots: int,
    spent: Callable[[float], None],
) -> Iterator[tuple[Ids, Ids, Scores]]:
    """(rows (m,), their nearest rows (m, k), scores (m, k)) of every join task."""
    import ray

    remote: dict[Any, Any] = {f: ray.remote(num_cpus=1, max_retries=RETRIES)(f) for f in (scatter, join_bins)}
    metric, parts = vectors.metric.name, _parts(len(vectors))
    looking = np.bincount(of.ravel(), minlength=len(lists))
    bins = make_bins(looking, row_bytes=4 * lists.centroids.shape[1], slots=slots)
    where = ray.put(bins)
    jobs = (
        remote[scatter].remote(n, source, p.start, vectors.kept[p], of[p], where, scratch, metric)
        for n, p in enumerate(parts)
    )
    filled = np.zeros((len(parts), len(bins)), dtype=bool)
    names = [""] * len(parts)
    for number, name, is_filled, seconds in _done(jobs, at_once=2 * slots):
        names[number], filled[number] = name, is_filled
        spent(seconds)
    log.debug("joining %d lists in %d bins", len(lists), len(bins))

    def files(number: int) -> list[str]:
        return [names[part] for part in np.flatnonzero(filled[:, number])]

    jobs = (
        remote[join_bins].remote(t, [files(n) for n in t], [bins.lists[n] for n in t], scratch, k, metric)
        for t in bins.tasks()
    )
    for rows, found, scores, seconds in _done(jobs, at_once=4 * slots):
        spent(seconds)
        yield rows, found, scores


def _done(jobs: Iterable[Any], *, at_once: int) -> Iterator[Any]:
    """Results as they come, with so many tasks submitted at once."""
    import ray

    waiting: list[Any] = []
    for job in jobs:
        waiting.append(job)
        if len(waiting) >= at_once:
            ready, waiting = ray.wait(waiting)
            yield ray.get(ready[0])
    while waiting:
        ready, waiting = ray.wait(waiting)
        yield ray.get(ready[0])


# ---- what runs in the tasks ------------------------------------------------------------------------------------------


def assign(
    number: int, source: Parts, kept: Ids, partitions: Sequence[Lists], probes: int, metric: str
) -> tuple[int, list[Numbers], float]:
    """(part, of each partition unsigned (n, probes) lists its rows look into, own first, processor seconds)."""
    begun = time.process_time()
    of = [np.empty((len(kept), probes), dtype=np.min_scalar_type(len(lists))) for lists in partitions]
    with workers(1) as pool:
        for start in range(0, len(kept), READ_ROWS):
            matrix = _read(source, kept[start : start + READ_ROWS], metric=_metric(metric))
            for chosen, lists in zip(of, partitions, strict=True):
                chosen[start : start + READ_ROWS] = lists.nearest(matrix, count=probes, pool=pool)
    return number, of, time.process_time() - begun


def scatter(
    number: int, source: Parts, start: int, kept: Ids, of: Numbers, bins: Bins, scratch: Place, metric: str
) -> tuple[int, str, Any, float]:
    """Write the rows `start …` to one Arrow file, a record batch for each bin: (part, the file, bool (bins,) which are
    filled, processor seconds). Done again, it writes another file."""
    begun = time.process_time()
    rows = np.arange(start, start + len(kept))
    matrix = _read(source, kept, metric=_metric(metric))
    wanted = bins.of(np.repeat(rows, of.shape[1]), of.ravel().astype(np.int64))
    pairs = np.unique(wanted * len(rows) + np.repeat(np.arange(len(rows)), of.shape[1]))
    at, ends = pairs % len(rows), np.searchsorted(pairs // len(rows), np.arange(len(bins) + 1))
    name = f"{number:08d}-{uuid.uuid4().hex}.arrow"
    schema = _schema(of, matrix)
    target = scratch / name
    with target.files.open_output_stream(target.path) as file, pa.ipc.new_file(file, schema) as writer:
        for first, last in itertools.pairwise(ends):
            writer.write_batch(_batch(rows, of, matrix, at[first:last], schema=schema))
    return number, name, np.diff(ends) > 0, time.process_time() - begun


def join_bins(
    bins: Sequence[int],
    files: Sequence[Sequence[str]],
    lists: Sequence[tuple[int, int]],
    scratch: Place,
    k: int,
    metric: str,
) -> tuple[Ids, Ids, Scores, float]:
    """Join one bin, or two pieces of one list: (rows (m,), nearest rows int64 (m, k), float32 (m, k), seconds)."""
    begun = time.process_time()
    sides = [_gather(scratch, files=some, bin=number) for number, some in zip(bins, files, strict=True)]
    rows = np.concatenate([side[0] for side in sides])
    if not len(rows):
        return rows, np.empty((0, k), np.int64), np.empty((0, k), np.float32), 0.0
    matrix = np.concatenate([side[2] for side in sides]) if len(sides) > 1 else sides[0][2]
    nearest = Nearest(len(rows), k=k)

    def offer(members: Ids, queries: Ids, *, leading: bool) -> None:
        join_list(
            matrix.__getitem__, members, queries, ids=rows, metric=_metric(metric), nearest=nearest, leading=leading
        )

    with workers(1):
        if len(sides) == 1:
            for members, others in _lists(sides[0][1], *lists[0]):
                offer(members, np.concatenate([members, others]), leading=True)
        else:
            (members, others), (members_2, others_2) = (next(_lists(s[1], *lists[0])) for s in sides)
            shift = len(sides[0][0])
            offer(members, np.concatenate([members_2, others_2]) + shift, leading=False)
            offer(members_2 + shift, others, leading=False)
    return rows, nearest.ids, nearest.scores, time.process_time() - begun


def _lists(of: Numbers, first: int, last: int) -> Iterator[tuple[Ids, Ids]]:
    """(members, others that look into it) of each list first … last - 1, as positions in `of` (m, probes)."""
    order = np.argsort(of.ravel(), kind="stable")
    ends = np.searchsorted(of.ravel()[order], np.arange(first, last + 1))
    for number, (start, stop) in enumerate(itertools.pairwise(ends), start=first):
        looking = order[start:stop] // of.shape[1]
        own = of[looking, 0] == number
        yield looking[own], looking[~own]


def _gather(scratch: Place, *, files: Sequence[str], bin: int) -> tuple[Ids, Numbers, Matrix]:
    """(rows (m,), lists (m, probes), vectors (m, d)) of one bin, rows ascending, from all files that have some."""
    batches = []
    for name in files:
        with scratch.files.open_input_file((scratch / name).path) as file:
            batches.append(pa.ipc.open_file(file).get_batch(bin))
    if not batches:
        return np.empty(0, np.int64), np.empty((0, 1), np.int64), np.empty((0, 1), np.float32)
    width, probes = (batches[0].schema.field(n).type.list_size for n in ("vector", "lists"))
    rows = np.concatenate([b.column("row").to_numpy() for b in batches])
    lists = np.concatenate([b.column("lists").flatten().to_numpy().reshape(-1, probes) for b in batches])
    matrix = np.concatenate([b.column("vector").flatten().to_numpy().reshape(-1, width) for b in batches])
    return rows, lists.astype(np.int64), matrix


def _batch(rows: Ids, of: Numbers, matrix: Matrix, at: Ids, *, schema: pa.Schema) -> pa.RecordBatch:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(of[at].ravel()), of.shape[1])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix[at].ravel()), matrix.shape[1])
    return pa.record_batch([pa.array(rows[at]), lists, vectors], schema=schema)


def _schema(of: Numbers, matrix: Matrix) -> pa.Schema:
    lists = pa.list_(pa.from_numpy_dtype(of.dtype), of.shape[1])
    return pa.schema([("row", pa.int64()), ("lists", lists), ("vector", pa.list_(pa.float32(), matrix.shape[1]))])


def _read(source: Parts, kept: Ids, *, metric: Metric) -> Matrix:
    """Prepared vectors at ascending positions of the source."""
    prepared: Matrix | None = None
    done = 0
    while done < len(kept):
        end = int(np.searchsorted(kept, kept[done] + READ_ROWS))  # those left out may be many
        some = kept[done:end]
        matrix = metric.prepare(_picked(source.part(int(some[0]), int(some[-1]) + 1), some - some[0]))
        if len(some) == len(kept):
            return matrix
        if prepared is None:
            prepared = np.empty((len(kept), matrix.shape[1]), np.float32)
        prepared[done:end] = matrix
        done = end
    return np.empty((0, 1), np.float32) if prepared is None else prepared


def _picked(matrix: Matrix, rows: Ids) -> Matrix:
    """Those rows, ascending; no copy where they are all of them."""
    return matrix if len(rows) == len(matrix) else matrix[rows]


def _metric(name: str) -> Metric:
    from fastdup_db.graph.metrics import metric

    return metric(name)
