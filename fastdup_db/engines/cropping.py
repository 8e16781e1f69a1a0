"""Boxes to files, on this machine's threads: the crops of images that were read without keeping them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from fastdup_db.engines.local import chunks
from fastdup_db.engines.parts import parts_of
from fastdup_db.engines.task import Task, WorkSpec
from fastdup_db.errors import ImageError
from fastdup_db.imaging import decode
from fastdup_db.sources.reference import Load
from fastdup_db.threads import cores, mapped

log = logging.getLogger(__name__)

SCHEMA = pa.schema([("id", pa.int64()), ("crop_filename", pa.string())])
"""One row a box whose crop lies in the folder."""


def run(tasks: Iterable[Task], spec: WorkSpec, *, threads: int | None = None) -> Iterator[pa.Table]:
    """Tables of `SCHEMA`, in task order. Boxes of an image that cannot be read any more have no rows.

    At most two chunks of images per thread are under way. The task says which boxes, whatever the mode of `spec`.
    """
    count = cores(threads)
    made = partial(_made, spec=replace(spec, mode="boxes"))
    yield from mapped(made, chunks(tasks), threads=count, depth=2 * count)


def _made(chunk: Sequence[tuple[Task, Load]], *, spec: WorkSpec) -> pa.Table:
    rows: list[tuple[int | None, str]] = []
    for task, load in chunk:
        try:
            data = load()
            image = data if isinstance(data, np.ndarray) else decode.decode(data).image
        except ImageError as exc:
            log.info("%s: %s", task.reference.filename, exc)
            continue
        rows += [(part.id, part.crop_filename) for part in parts_of(image, task, spec) if part.crop_filename]
    columns = zip(*rows, strict=True) if rows else ((), ())
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
