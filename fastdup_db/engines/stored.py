"""Rows that workers in other processes write to storage themselves; the parent is told only where they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from fastdup_db.engines import rows
from fastdup_db.engines.task import BatchResult
from fastdup_db.places import Place

if TYPE_CHECKING:
    import pyarrow.dataset as pads

PARTS = "parts"
"""Folder in the work_dir for Parquet files on their way into DuckDB; what a killed run left there, no run reads."""

WriteVectors = Callable[[np.ndarray, np.ndarray], list[str]]
"""Writes (ids int64 (n,), float32 (n, d)), in any process, where the parent can commit them; says how to find them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a worker has written: the Parquet files of each table, in row order, and the fragments of its vectors."""

    images: int
    instances: int
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fragments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """Stores results, in any process that sees `place`. vectors: None where no vectors are made.

    Every call writes files of new names, so a unit of work that is done twice is never read twice: only what the
    parent is told of becomes rows.
    """

    place: Place
    vectors: WriteVectors | None

    def __call__(self, results: Sequence[BatchResult]) -> Stored:
        """Consecutive results whose instances all have ids, as one part."""
        fragments: Sequence[str] = ()
        if self.vectors is not None:
            ids = np.concatenate([rows.ids(r)[r.embedded] for r in results])
            fragments = self.vectors(ids, np.concatenate([r.embeddings for r in results])) if len(ids) else ()
        tables = rows.tables([(r, rows.ids(r)) for r in results])
        name = uuid.uuid4().hex
        files: dict[str, tuple[str, ...]] = {}
        for table, content in tables.items():
            files[table] = (f"{name}-{table}.parquet",)
            pq.write_table(content, (self.place / files[table][0]).path, filesystem=self.place.files)
        images, instances = (sum(len(getattr(r, kind)) for r in results) for kind in ("images", "instances"))
        return Stored(images, instances, files, tuple(fragments))


def read(parts: Iterable[Stored], place: Place) -> dict[str, pads.Dataset]:
    """The parts' rows by table, for DuckDB to scan in their order; a table without any is left out."""
    named: dict[str, list[str]] = {}
    for part in parts:
        for table, files in part.files.items():
            named.setdefault(table, []).extend(files)
    return {table: _dataset(files, place) for table, files in named.items()}


def delete(parts: Iterable[Stored], place: Place) -> None:
    """Remove the files of parts that have been read."""
    for part in parts:
        for files in part.files.values():
            for name in files:
                (place / name).delete()


def _dataset(files: Sequence[str], place: Place) -> pads.Dataset:
    import pyarrow.dataset as pads  # loads pandas

    return pads.dataset([(place / name).path for name in files], filesystem=place.files, format="parquet")
