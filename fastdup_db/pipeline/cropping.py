"""Crops that are kept as files, and the rows that name them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from fastdup_db.engines.parts import is_crop
from fastdup_db.pipeline.files import CROPS
from fastdup_db.pipeline.listing import CHUNK
from fastdup_db.store.duck import Database

log = logging.getLogger(__name__)


def delete_unnamed(db: Database, work_dir: Path) -> None:
    """Remove the crops that no row names: of boxes that were dropped, and what a killed run had not committed.

    Call it once the rows are dropped and before new crops are made. Files that no run can have made stay.
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
