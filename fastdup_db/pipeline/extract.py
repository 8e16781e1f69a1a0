"""Images to rows and vectors: what is pending goes through an engine; every batch is committed or was never there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db.engines import Engine, rows, stored
from fastdup_db.engines.rows import Columns
from fastdup_db.engines.stored import PARTS, Stored, Writer
from fastdup_db.engines.task import BatchResult, Boxes, Task, WorkSpec
from fastdup_db.pipeline import given, remote
from fastdup_db.pipeline.listing import references
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.places import Place
from fastdup_db.progress import progress_bar
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable

if TYPE_CHECKING:
    from tqdm import tqdm

    from fastdup_db.models.session import Embedder

log = logging.getLogger(__name__)

COMMIT_INSTANCES = 4096
COMMIT_SECONDS = 15.0
"""A commit costs some 20 ms whatever its size; this loses at most 15 seconds of work to a kill."""


def pending(
    db: Database,
    request: RunRequest,
    spec: WorkSpec,
    *,
    engine: Engine,
    run_id: int,
    embeddings: VectorTable,
    dimension: int,
    embedder: Embedder | None,
) -> None:
    """Read what the listing has and the tables have not yet; or take the vectors that the user brought."""
    if spec.crops_dir is not None:
        Path(spec.crops_dir).mkdir(exist_ok=True)
    count = int(db.value("ingest/pending_count"))
    parts = remote.place(request.work_dir, PARTS)
    parts.delete()  # of a run that was killed: what it had not committed is read again
    results: Iterator[Columns] | Iterator[BatchResult | Stored]
    if request.embeddings is not None:
        todo = db.stream("ingest/pending", rows=given.rows_at_once(request.embeddings))
        results = given.results(todo, embeddings=request.embeddings, facts=request.facts)
    else:
        write = None
        # Detected boxes are numbered here, so what belongs to them comes here, too.
        if spec.mode != "detect":
            parts.make()
            write = Writer(parts, embeddings.writer(dim=dimension) if spec.embed else None)
        asked = tasks(db, with_boxes=request.mode == "boxes")
        results = engine.run(asked, spec, total=count, write=write, embedder=embedder)
    with progress_bar(shown=request.config.progress, total=count, unit="image") as bar:
        store_results(
            db,
            results,
            vectors=embeddings,
            parts=parts,
            run_id=run_id,
            dimension=dimension,
            bar=bar,
            committed=remote.Checkpoints(request.work_dir, embeddings),
        )
    parts.delete()


def tasks(db: Database, *, with_boxes: bool) -> Iterator[Task]:
    """One task per pending reference, in id order; streamed."""
    for batch in db.stream("ingest/pending", rows=4096):
        ids = batch.column("image_id").to_numpy()
        between = {"first": int(ids[0]), "last": int(ids[-1])}
        boxes = Boxes.by_image(db.arrow("ingest/boxes_between", **between)) if with_boxes else {}
        for image_id, reference in references(batch):
            yield Task(image_id, reference, boxes.get(image_id))


def store_results(
    db: Database,
    results: Iterable[BatchResult | Columns | Stored],
    *,
    vectors: VectorTable,
    parts: Place,
    run_id: int,
    dimension: int,
    bar: tqdm[Any],
    committed: Callable[[], None],
) -> None:
    """Commit results as they come: vectors to Lance, rows and the batch's marker in one transaction that waits.

    parts: where what workers have stored lies. committed: told after every commit.
    """
    store = partial(commit, db, vectors=vectors, parts=parts, run_id=run_id, dimension=dimension)
    gathered: list[BatchResult | Columns | Stored] = []
    since = time.monotonic()
    for result in results:
        gathered.append(result)
        bar.update(_counts(result)[0])
        instances = sum(_counts(r)[1] for r in gathered)
        if instances >= COMMIT_INSTANCES or time.monotonic() - since >= COMMIT_SECONDS:
            store(gathered)
            committed()
            gathered, since = [], time.monotonic()
    if gathered:
        store(gathered)
        committed()


def commit(
    db: Database,
    results: list[BatchResult | Columns | Stored],
    *,
    vectors: VectorTable,
    parts: Place,
    run_id: int,
    dimension: int,
) -> None:
    """One batch: its vectors beside its rows, committed when both are written. A kill in between leaves vectors that no
    marker names; the next run restores the table to the version of the last marker."""
    images, instances = (sum(counts) for counts in zip(*map(_counts, results), strict=True))
    made = [r for r in results if isinstance(r, BatchResult)]
    here = [r for r in results if isinstance(r, Columns)]
    if made:
        here.append(rows.columns(_numbered(made, start=int(db.value("ingest/next_instance_id")))))
    elsewhere = [r for r in results if isinstance(r, Stored)]
    with ThreadPoolExecutor(1) as beside, db.transaction():
        written = beside.submit(_write_vectors, vectors, here, elsewhere, dimension=dimension)
        for tables in [*(r.tables for r in here), stored.read(elsewhere, parts)]:
            for name, incoming in tables.items():
                db.execute(f"ingest/insert_{name}", incoming=incoming)
        db.execute("ingest/insert_batch", run_id=run_id, images=images, instances=instances)
        db.execute("run/set_embeddings_version", run_id=run_id, version=written.result(), dimension=dimension)
    stored.delete(elsewhere, parts)
    log.debug("committed %d images, %d instances", images, instances)


def _write_vectors(
    vectors: VectorTable,
    here: list[Columns],
    elsewhere: list[Stored],
    *,
    dimension: int,
) -> int:
    """The version of the table that has the vectors of both."""
    version = vectors.version
    for batch in here:
        if len(batch.ids):
            version = vectors.append(batch.ids, batch.embeddings)
    if fragments := [f for r in elsewhere for f in r.fragments]:
        version = vectors.append_written(fragments, dim=dimension)
    return version


def _counts(result: BatchResult | Columns | Stored) -> tuple[int, int]:
    """Images and instances of a result."""
    if isinstance(result, Columns):
        return result.tables["images"].num_rows, result.tables["instances"].num_rows
    if isinstance(result, Stored):
        return result.images, result.instances
    return len(result.images), len(result.instances)


def _numbered(results: list[BatchResult], *, start: int) -> list[tuple[BatchResult, np.ndarray]]:
    """Results with the ids of their instances; detected boxes, which come without, are numbered on from `start`."""
    numbered = []
    for result in results:
        if any(instance[0] is None for instance in result.instances):
            ids = np.arange(start, start + len(result.instances), dtype=np.int64)
            start += len(result.instances)
        else:
            ids = rows.ids(result)
        numbered.append((result, ids))
    return numbered
