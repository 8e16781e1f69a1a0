"""Crops that are kept as files, and the rows that name them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastdup_db.config import RunConfig
from fastdup_db.engines import cropping
from fastdup_db.engines.parts import is_crop
from fastdup_db.engines.task import Boxes, Task, WorkSpec
from fastdup_db.pipeline.extract import COMMIT_INSTANCES, COMMIT_SECONDS
from fastdup_db.pipeline.files import CROPS
from fastdup_db.pipeline.listing import CHUNK, references
from fastdup_db.progress import progress_bar
from fastdup_db.store.duck import Database

log = logging.getLogger(__name__)

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
    return int(_missing(db)["boxes"])


def make_missing(db: Database, spec: WorkSpec, config: RunConfig) -> None:
    """Make the crops of boxes that were read without keeping them, or whose files are lost.

    Only images with such boxes are read. Rows name their crops, batch by batch, once the files are written.
    """
    lacking = _missing(db)
    left = int(lacking["boxes"])
    if not left or spec.crops_dir is None:
        return
    todo = _tasks(db, first=lacking["first"], last=lacking["last"])
    gathered: list[pa.Table] = []
    since = time.monotonic()
    with progress_bar(shown=config.progress, total=left, unit="crop") as bar:
        for made in cropping.run(todo, spec, threads=config.num_threads):
            gathered.append(made)
            left -= made.num_rows
            bar.update(made.num_rows)
            if sum(t.num_rows for t in gathered) >= COMMIT_INSTANCES or time.monotonic() - since >= COMMIT_SECONDS:
                db.execute("crops/set_filenames", incoming=pa.concat_tables(gathered))
                gathered, since = [], time.monotonic()
        if gathered:
            db.execute("crops/set_filenames", incoming=pa.concat_tables(gathered))
    if left:
        log.warning("%d boxes have no crop: their images cannot be read any more", left)


def tell_of_none(db: Database, config: RunConfig) -> None:
    """Warn where crops are asked for and this run makes none, for want of boxes or because it reads no image."""
    if not config.save_crops:
        return
    if (db.row("run/current") or {})["data_type"] in ("image", "embedding"):
        log.warning("save_crops=True keeps what lies in boxes, and there are none: give annotations or a bounding_box")
    elif not config.lists and (left := missing(db)):
        log.warning(
            "run_mode=%d reads no image, so %d boxes stay without a crop; run with save_crops=True, overwrite=False "
            "and the same annotations makes these",
            config.run_mode,
            left,
        )


def _missing(db: Database) -> dict[str, Any]:
    """boxes: how many lack a crop; first, last: the span of their images' ids, None of none."""
    return db.row("crops/missing") or {"boxes": 0}


def _tasks(db: Database, *, first: int, last: int) -> Iterator[Task]:
    """One task per image with boxes whose crops are missing, of the images `first` to `last`.

    Not one stream: for as long as that is read, DuckDB keeps all that updates replace.
    """
    for start in range(first, last + 1, IMAGES):
        between = {"first": start, "last": min(start + IMAGES - 1, last)}
        for batch in db.arrow("crops/missing_between", **between).combine_chunks().to_batches():
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
