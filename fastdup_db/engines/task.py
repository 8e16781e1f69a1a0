"""What goes to a worker and what comes back: one image, one batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fastdup_db.imaging.crops import NO_MARGIN, GlobalBox, Margin
from fastdup_db.sources.reference import Reference


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes wanted of one image: `ids` int64 (n,), `rectangles` float64 (n, 4) as x, y, width, height,
    `corners` float64 (n, 8) as x1, y1 … y4; a row of NaN corners is an upright box. Pixels of the upright image."""

    ids: np.ndarray
    rectangles: np.ndarray
    corners: np.ndarray


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
    'global' (the one box `global_box` of every image). `margin` goes around boxes and detections.
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
    """The rows of one batch, in task order, as Arrow tables named after their DuckDB tables.

    `instances.id` is null for detected boxes: the parent numbers them. `embeddings` is float32 (n, d); row i belongs
    to `instances` row `embedded[i]`.
    """

    images: pa.Table
    instances: pa.Table
    stats: pa.Table
    advanced_stats: pa.Table
    embedded: np.ndarray
    embeddings: np.ndarray
