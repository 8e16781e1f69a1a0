"""Crops that are kept as files, and the rows that name them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from fastdup_db.config import RunConfig
from fastdup_db.engines import cropping
from fastdup_db.engines.parts import is_crop
from fastdup_db.engines.task import Boxes, Task, WorkSpec
from fastdup_db.pipeline.files import CROPS
from fastdup_db.pipeline.listing import CHUNK, references
from fastdup_db.progress import progress_bar
from fastdup_db.store.duck import Database

log = logging.getLogger(__name__)

COMMIT_CROPS = 4096
COMMIT_SECONDS = 15.0
"""What a kill costs at most, as in `extract`."""
IMAGES = 256
"""Images whose boxes are held at once."""


def delete_unnamed(db: Database, work_dir: Path) -> None:
    """Remove the crops that no row names: of boxes that were dropped, and what a killed run had not committed.

    Call it once the rows are dropped and before new crops are made. Files that no run can have made stay. Afterwards
    the temp table `found_crops` has the crops that are there.
    """
    folder = work_dir / CROPS
    names = _found(folder)
    db.execute("crops/create_found")
    while chunk := list(islice(names, CHUNK)):
        db.execute("crops/insert_found", incoming=pa.table({"filename": pa.array(chunk, pa.string())}))
    while unnamed := db.arrow("crops/take_unnamed").column("filename").to_pylist():
        log.info("removing %d crops of boxes that are gone", len(unnamed))
        for name in unnamed:
            _delete(folder / name)


def missing(db: Database) -> int:
    """How many boxes have no crop and could have one."""
    return int((db.row("crops/missing") or {})["boxes"])


def make_missing(db: Database, spec: WorkSpec, config: RunConfig) -> None:
    """Make the crops of boxes that were read without keeping them, or whose files are lost.

    Only images with such boxes are read. Rows name their crops, batch by batch, once the files are written.
    """
    left = missing(db)
    if not left or spec.crops_dir is None:
        return
    gathered: list[pa.Table] = []
    since = time.monotonic()
    with progress_bar(shown=config.progress, total=left, unit="crop") as bar:
        for made in cropping.run(_tasks(db), spec, threads=config.num_threads):
            gathered.append(made)
            left -= made.num_rows
            bar.update(made.num_rows)
            if sum(t.num_rows for t in gathered) >= COMMIT_CROPS or time.monotonic() - since >= COMMIT_SECONDS:
                db.execute("crops/set_filenames", incoming=pa.concat_tables(gathered))
                gathered, since = [], time.monotonic()
        if gathered:
            db.execute("crops/set_filenames", incoming=pa.concat_tables(gathered))
    if left:
        log.warning("%d boxes have no crop: their images cannot be read any more", left)


def _tasks(db: Database) -> Iterator[Task]:
    """One task per image with boxes whose crops are missing.

    Not one stream: for as long as that is read, DuckDB keeps all that updates replace.
    """
    span = db.row("crops/missing") or {}
    for first in range(span["first"], span["last"] + 1, IMAGES):
        last = min(first + IMAGES - 1, span["last"])
        for batch in db.arrow("crops/missing_between", first=first, last=last).combine_chunks().to_batches():
            located = dict(references(batch))
            for image_id, boxes in Boxes.by_image(batch).items():
                yield Task(image_id, located[image_id], boxes)


def _found(folder: Path) -> Iterator[str]:
    """The names of crops in a folder; none where there is no folder."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (e.name for e in entries if is_crop(e.name) and e.is_file(follow_symlinks=False))


def _delete(file: Path) -> None:
    """An extra file does no harm: one that cannot be removed now is tried again by the next run."""
    try:
        file.unlink(missing_ok=True)
    except OSError as exc:
        log.warning("%s is of a box that is gone and cannot be removed: %s", file, exc)
