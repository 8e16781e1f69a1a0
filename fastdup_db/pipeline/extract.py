"""Images to rows and vectors: what is pending goes through an engine; every batch is committed or was never there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fastdup_db.engines.task import BatchResult, Boxes, Task
from fastdup_db.pipeline.listing import references
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable

log = logging.getLogger(__name__)

COMMIT_INSTANCES = 4096
COMMIT_SECONDS = 15.0
"""A commit costs some 20 ms whatever its size; this loses at most 15 seconds of work to a kill."""

_BOX = ("col_x", "row_y", "width", "height")
_CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")


def tasks(db: Database, *, with_boxes: bool) -> Iterator[Task]:
    """One task per pending reference, in id order; streamed."""
    for batch in db.stream("ingest/pending", rows=4096):
        if not batch.num_rows:
            continue
        boxes = _boxes(db, batch) if with_boxes else {}
        for image_id, reference in references(batch):
            yield Task(image_id, reference, boxes.get(image_id))


def store_results(
    db: Database, results: Iterable[BatchResult], *, vectors: VectorTable, run_id: int, dimension: int, bar: tqdm[Any]
) -> None:
    """Commit results as they come: vectors to Lance, then the rows and the batch's marker in one transaction."""
    gathered: list[BatchResult] = []
    since = time.monotonic()
    for result in results:
        gathered.append(result)
        bar.update(result.images.num_rows)
        instances = sum(r.instances.num_rows for r in gathered)
        if instances >= COMMIT_INSTANCES or time.monotonic() - since >= COMMIT_SECONDS:
            commit(db, gathered, vectors=vectors, run_id=run_id, dimension=dimension)
            gathered, since = [], time.monotonic()
    if gathered:
        commit(db, gathered, vectors=vectors, run_id=run_id, dimension=dimension)


def commit(db: Database, results: list[BatchResult], *, vectors: VectorTable, run_id: int, dimension: int) -> None:
    """One batch: its vectors first, then its rows and its marker together. A kill in between leaves vectors that no
    marker names; the next run restores the table to the version of the last marker."""
    start = int(db.value("ingest/next_instance_id"))
    numbered = []
    for result in results:
        ids, start = _ids(result.instances, start)
        numbered.append((result, ids))
    embeddings = np.concatenate([r.embeddings for r, _ in numbered])
    embedded = np.concatenate([ids[r.embedded] for r, ids in numbered])
    version = vectors.append(embedded, embeddings) if len(embedded) else vectors.version
    if fragments := [f for r in results for f in r.fragments]:
        version = vectors.append_written(fragments, dim=dimension)
    images = pa.concat_tables([r.images for r, _ in numbered])
    instances = pa.concat_tables([_with_ids(r.instances, ids, "id") for r, ids in numbered])
    with db.transaction():
        db.execute("ingest/insert_images", incoming=images)
        db.execute("ingest/insert_instances", incoming=instances)
        for name in ("stats", "advanced_stats"):
            measured = [_measured(getattr(r, name), ids) for r, ids in numbered]
            db.execute(f"ingest/insert_{name}", incoming=pa.concat_tables(measured))
        db.execute("ingest/insert_batch", run_id=run_id, images=images.num_rows, instances=instances.num_rows)
        db.execute("run/set_embeddings_version", run_id=run_id, version=version, dimension=dimension)
    log.debug("committed %d images, %d instances", images.num_rows, instances.num_rows)


def _ids(instances: pa.Table, start: int) -> tuple[np.ndarray, int]:
    """The ids of a batch's instances; detected boxes, which come without, are numbered on from `start`."""
    column = instances.column("id")
    if column.null_count == 0:
        return column.to_numpy().astype(np.int64), start
    return np.arange(start, start + len(column), dtype=np.int64), start + len(column)


def _with_ids(table: pa.Table, ids: np.ndarray, name: str) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(ids, pa.int64()))


def _measured(table: pa.Table, ids: np.ndarray) -> pa.Table:
    rows = table.column("id").to_numpy()
    return _with_ids(table, ids[rows] if len(rows) else np.empty(0, np.int64), "id")


def _boxes(db: Database, batch: pa.RecordBatch) -> dict[int, Boxes]:
    ids = batch.column("image_id").to_numpy()
    table = db.arrow("ingest/boxes_between", first=int(ids[0]), last=int(ids[-1]))
    if not table.num_rows:
        return {}
    image_ids = table.column("image_id").to_numpy()
    box_ids = table.column("id").to_numpy()
    rectangles = np.stack([table.column(c).to_numpy().astype(float) for c in _BOX], axis=1)
    corners = np.stack([table.column(c).to_numpy().astype(float) for c in _CORNERS], axis=1)
    starts = np.flatnonzero(np.r_[True, image_ids[1:] != image_ids[:-1]])
    ends = np.r_[starts[1:], len(image_ids)]
    return {
        int(image_ids[a]): Boxes(box_ids[a:b], rectangles[a:b], corners[a:b]) for a, b in zip(starts, ends, strict=True)
    }
