"""The images of a work_dir, read again from where they lie: what galleries make thumbnails and artifacts of."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db import sources
from fastdup_db.errors import FastdupError
from fastdup_db.imaging import crops as boxes
from fastdup_db.imaging import decode
from fastdup_db.imaging.crops import BOX_COLUMNS, CORNER_COLUMNS
from fastdup_db.pipeline import listing
from fastdup_db.sources.reference import Load
from fastdup_db.store import duck

log = logging.getLogger(__name__)


def open_images(work_dir: Path, ids: Sequence[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
    """Images in the order of `ids`: RGB uint8 (h, w, 3), or None for one that cannot be had (any more).

    crops: the box of an id that has one, cut out and upright; else the whole image it lies in. Consecutive boxes of one
    image read it once. The database is open only at the start; several calls may run at once, in threads.
    """
    with duck.connect(work_dir) as db:
        found = db.arrow("galleries/places", ids=list(ids))
    rows = {row["id"]: row for row in found.to_pylist()}
    references = {
        image_id: reference for batch in found.to_batches() for image_id, reference in listing.references(batch)
    }
    runs = [(image, list(group)) for image, group in groupby(ids, key=lambda i: rows.get(i, {}).get("image_id"))]
    loads = sources.payloads(references[image] for image, _ in runs if image is not None)
    for image_id, group in runs:
        if image_id is None:  # an id that this work_dir does not have
            yield from [None] * len(group)
            continue
        image = decoded(next(loads)[1], name=references[image_id].filename)
        for i in group:
            yield image if image is None or not crops else part(image, rows[i])


def decoded(load: Load, *, name: str) -> np.ndarray | None:
    """An image as a viewer shows it, RGB uint8 (h, w, 3); None, and a line in the log, where it cannot be had."""
    try:
        return pixels(load)
    except (FastdupError, OSError) as exc:
        log.info("%s cannot be shown: %s", name, exc)
        return None


def pixels(load: Load) -> np.ndarray:
    """An image as a viewer shows it, RGB uint8 (h, w, 3). Raises `ImageError`."""
    data = load()
    return decode.flatten(data if isinstance(data, np.ndarray) else decode.decode(data).image)


def part(image: np.ndarray, row: Mapping[str, Any]) -> np.ndarray | None:
    """What lies in the box of a row (`BOX_COLUMNS`, `CORNER_COLUMNS`), upright; the image where it has none."""
    if row["x1"] is not None:
        return boxes.straighten(image, quad=np.array([row[c] for c in CORNER_COLUMNS], dtype=float).reshape(4, 2))
    if row["col_x"] is not None:
        x, y, width, height = (float(row[c]) for c in BOX_COLUMNS)
        return boxes.crop(image, box=(x, y, width, height))
    return image
