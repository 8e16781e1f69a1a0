"""What goes to a worker and what comes back: one image, one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fastdup_db.imaging.crops import BOX_COLUMNS, CORNER_COLUMNS, NO_MARGIN, GlobalBox, Margin
from fastdup_db.sources.reference import Reference


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes wanted of one image: `ids` int64 (n,), `rectangles` float64 (n, 4) as x, y, width, height,
    `corners` float64 (n, 8) as x1, y1 … y4; a row of NaN corners is an upright box. Pixels of the upright image."""

    ids: np.ndarray
    rectangles: np.ndarray
    corners: np.ndarray

    @classmethod
    def by_image(cls, rows: pa.Table | pa.RecordBatch) -> dict[int, Boxes]:
        """Those of each image_id, of rows `id, image_id` and the columns of a box, ordered by image_id."""
        image_ids, ids = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("image_id", "id"))
        rectangles, corners = _floats(rows, BOX_COLUMNS), _floats(rows, CORNER_COLUMNS)
        starts = np.flatnonzero(np.r_[True, image_ids[1:] != image_ids[:-1]])[: len(ids)]
        ends = np.r_[starts[1:], len(ids)]
        return {
            int(image_ids[a]): cls(ids[a:b], rectangles[a:b], corners[a:b]) for a, b in zip(starts, ends, strict=False)
        }


def _floats(rows: pa.Table | pa.RecordBatch, names: Sequence[str]) -> np.ndarray:
    """float64 (n, len(names)), NaN for null."""
    return np.stack([rows.column(name).to_numpy(zero_copy_only=False).astype(float) for name in names], axis=1)


@dataclass(frozen=True, slots=True)
class Task:
    """One image to read. `boxes` is None where the whole image is the instance or a detector finds the boxes."""

    image_id: int
    reference: Reference
    boxes: Boxes | None = None


@dataclass(frozen=True, slots=True)
class WorkSpec:
    """What a worker does with an image; picklable, so that any engine can make workers of it.

    `mode`: 'image' (the instance is the image), 'boxes' (the boxes of the task), 'detect' (what `detector` finds),
    'global' (the one box `global_box` of every image). `margin` goes around boxes, detections and the global one.
    `model`: a name of the catalogue, or a path.
    """

    mode: str = "image"
    model: str = "default"
    model_input: tuple[tuple[str, object], ...] = ()
    dimension: int | None = None
    embed: bool = True
    stats: bool = True
    advanced_stats: bool = False
    min_width: int = 10
    min_height: int = 10
    global_box: GlobalBox | None = None
    detector: str | None = None
    margin: Margin = NO_MARGIN
    crops_dir: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The rows of one batch, in task order; `engines.rows` names their columns and makes Arrow tables of them.

    An instance begins with its id, None for detected boxes: the parent numbers them. `stats` and `advanced_stats` are
    float64 (m, columns), row i of instance `measured[i]`, int64 (m,); `advanced_stats` is (0, columns) where they were
    not asked for. `embeddings` is float32 (n, d), row i of instance `embedded[i]`, int64 (n,), and `lengths`,
    float32 (n,), says how long its features are (NaN: not known).
    """

    images: Sequence[tuple[Any, ...]]
    instances: Sequence[tuple[Any, ...]]
    measured: np.ndarray
    stats: np.ndarray
    advanced_stats: np.ndarray
    embedded: np.ndarray
    embeddings: np.ndarray
    lengths: np.ndarray
