"""Images to keypoints, on this machine's threads: what a check of near-duplicates needs, on demand."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from fastdup_db.engines.local import chunks
from fastdup_db.engines.task import Boxes, Task
from fastdup_db.errors import BAD_BOUNDING_BOX, VALID, ImageError
from fastdup_db.imaging import crops, decode, keypoints
from fastdup_db.imaging.crops import Margin
from fastdup_db.sources.reference import Load
from fastdup_db.threads import cores, mapped

log = logging.getLogger(__name__)

SCHEMA = pa.schema([("id", pa.int64()), ("error_code", pa.string()), ("features", pa.binary())])
"""One row an instance: `Keypoints.to_bytes()`, or null and why."""


def run(tasks: Iterable[Task], *, margin: Margin, threads: int | None = None) -> Iterator[pa.Table]:
    """Tables of `SCHEMA`, in task order. A task with boxes gives a row for each of them, else one for its image_id.

    At most two chunks of images per thread are under way. A bad image becomes a row with an error code.
    """
    count = cores(threads)
    yield from mapped(partial(_extracted, margin=margin), chunks(tasks), threads=count, depth=2 * count)


def _extracted(chunk: Sequence[tuple[Task, Load]], *, margin: Margin) -> pa.Table:
    rows: list[tuple[int, str, bytes | None]] = []
    for task, load in chunk:
        ids = [task.image_id] if task.boxes is None else task.boxes.ids.tolist()
        try:
            data = load()
            image = data if isinstance(data, np.ndarray) else decode.decode(data).image
        except ImageError as exc:
            log.info("%s: %s", task.reference.filename, exc)
            rows += [(id_, exc.code, None) for id_ in ids]
            continue
        parts = [image] if task.boxes is None else _parts(image, task.boxes, margin)
        rows += [_row(id_, part) for id_, part in zip(ids, parts, strict=True)]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _row(id_: int, part: np.ndarray | None) -> tuple[int, str, bytes | None]:
    if part is None:
        return id_, BAD_BOUNDING_BOX, None
    return id_, VALID, keypoints.extract(decode.plain(part)).to_bytes()


def _parts(image: np.ndarray, boxes: Boxes, margin: Margin) -> list[np.ndarray | None]:
    upright = crops.crops(image, boxes=boxes.rectangles, margin=margin)
    return [
        part if np.isnan(corners).all() else crops.straighten(image, quad=corners.reshape(4, 2), margin=margin)
        for part, corners in zip(upright, boxes.corners, strict=True)
    ]
