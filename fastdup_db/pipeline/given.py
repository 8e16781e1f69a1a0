"""Embeddings that the user brings, through the same door as images: references, batches, commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from fastdup_db.engines import rows
from fastdup_db.engines.task import BatchResult, Task
from fastdup_db.errors import VALID, BadArgument
from fastdup_db.imaging.stats import ADVANCED_COLUMNS, STAT_COLUMNS
from fastdup_db.sources.reference import Reference

CHUNK = 4096


def checked(embeddings: object, *, names: int) -> np.ndarray:
    """float32 (n, d), finite, one row per name. float64 and float16 are converted. Raises `BadArgument`."""
    matrix = np.asarray(embeddings)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.shape[1]:
        raise BadArgument(
            f"embeddings have shape {matrix.shape} and dtype {matrix.dtype}; allowed: a float array (n images, d)"
        )
    if len(matrix) != names:
        raise BadArgument(f"embeddings have {len(matrix)} rows but annotations name {names} images; one row per image")
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise BadArgument(f"{len(bad)} rows of embeddings hold NaN or infinite values, first row {bad[0]}")
    return matrix


def references(names: Sequence[str], embeddings: np.ndarray) -> Iterator[Reference]:
    """One reference per name; its `frame_number` is the row of its vector, its version the vector's hash."""
    for row, name in enumerate(names):
        version = hashlib.blake2b(embeddings[row].tobytes(), digest_size=8).hexdigest()
        yield Reference(filename=name, version=version, frame_number=row)


def results(tasks: Iterable[Task], *, embeddings: np.ndarray) -> Iterator[BatchResult]:
    """The rows and vectors of the pending names."""
    stream = iter(tasks)
    while chunk := list(islice(stream, CHUNK)):
        at = np.array([task.reference.frame_number for task in chunk])
        images = [(task.image_id, VALID, None, None, -1, False, *[None] * 7) for task in chunk]
        instances = [(task.image_id, task.image_id, VALID, *[None] * 9) for task in chunk]
        yield BatchResult(
            images=rows.table(images, rows.IMAGES),
            instances=rows.table(instances, rows.INSTANCES),
            stats=rows.measurements((), (), STAT_COLUMNS),
            advanced_stats=rows.measurements((), (), ADVANCED_COLUMNS),
            embedded=np.arange(len(chunk), dtype=np.int64),
            embeddings=embeddings[at],
        )
