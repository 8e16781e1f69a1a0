"""Embeddings that the user supplies, stored the same way as images: references, batches, commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fastdup_db.engines.rows import NO_BOX, NO_FACTS
from fastdup_db.engines.task import BatchResult, Task
from fastdup_db.errors import VALID, BadArgument
from fastdup_db.imaging.stats import ADVANCED_COLUMNS, STAT_COLUMNS
from fastdup_db.sources.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

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


def results(
    tasks: Iterable[Task], *, embeddings: np.ndarray, facts: pd.DataFrame | None = None
) -> Iterator[BatchResult]:
    """The rows and vectors of the pending names.

    facts: what another program has measured already, row for row as the names: error_code, img_w, img_h, file_size and
    the statistics; a row that is not VALID has no vector.
    """
    stream = iter(tasks)
    while chunk := list(islice(stream, CHUNK)):
        at = np.array([task.reference.frame_number for task in chunk])
        ids = [task.image_id for task in chunk]
        known = _nothing(len(chunk)) if facts is None else facts.iloc[at].reset_index(drop=True)
        codes = known["error_code"].tolist()
        widths, heights = _whole(known["img_w"]), _whole(known["img_h"])
        sizes = _whole(known["file_size"])
        valid = np.flatnonzero(known["error_code"] == VALID)
        measured = valid[known["mean"].notna().to_numpy()[valid]]
        yield BatchResult(
            images=[
                (i, code, w, h, size, False, *NO_FACTS)
                for i, code, w, h, size in zip(ids, codes, widths, heights, sizes, strict=True)
            ],
            instances=[(i, i, code, w, h, *NO_BOX) for i, code, w, h in zip(ids, codes, widths, heights, strict=True)],
            measured=measured.astype(np.int64),
            stats=known.loc[measured, list(STAT_COLUMNS)].to_numpy(float),
            advanced_stats=np.empty((0, len(ADVANCED_COLUMNS))),
            embedded=valid.astype(np.int64),
            embeddings=embeddings[at[valid]],
            lengths=np.full(len(valid), np.nan, np.float32),
        )


def _nothing(count: int) -> pd.DataFrame:
    """Facts of images that were never read."""
    import pandas as pd

    frame = pd.DataFrame({"error_code": [VALID] * count, "file_size": -1, "img_w": np.nan, "img_h": np.nan})
    return frame.assign(**dict.fromkeys(STAT_COLUMNS, np.nan))


def _whole(column: pd.Series) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in column.to_numpy(float)]
