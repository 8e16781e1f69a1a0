"""Which parts of an image are its instances: the whole, the boxes asked for, or what a detector finds."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db.engines.task import Task, WorkSpec
from fastdup_db.errors import BAD_BOUNDING_BOX, VALID
from fastdup_db.imaging import crops, decode, encode

Detect = Callable[[np.ndarray], Any]

_STEM_BYTES = 160
"""Of an image's name in that of its crops: file systems allow 255 bytes, ids, boxes and counts take up to 90."""

_ELSEWHERE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
"""What no file of Windows can be called, replaced everywhere: a crop has one name on every system."""

_CROP = re.compile(r"\d{9,}_[^\ud800-\udfff]*(?:_\d+){4,}\.jpg|[0-9a-f]{32}\.part")
"""What `_Crops.save` calls its files, and until they are whole; names that are no text are of others."""


@dataclass(frozen=True, slots=True)
class Part:
    """One instance: its pixels (None where it cannot be used, then `error_code` says why) and its box (x, y, w, h).

    `id` is None for detected boxes: the parent process numbers them.
    """

    id: int | None
    error_code: str
    pixels: np.ndarray | None = None
    box: tuple[float | None, ...] | None = None
    label: str | None = None
    confidence: float | None = None
    crop_filename: str | None = None


@dataclass(slots=True)
class _Crops:
    """The crops of one image that are kept, by how often a name was wanted."""

    task: Task
    spec: WorkSpec
    wanted: Counter[str] = field(default_factory=Counter)

    def save(self, pixels: np.ndarray, *, box: tuple[float | None, ...]) -> str | None:
        """Writes a crop as JPEG where crops are kept; its name is the image's id and its box in whole pixels, and the
        count of boxes that have the same ones."""
        if self.spec.crops_dir is None:
            return None
        stem = _ELSEWHERE.sub("_", Path(self.task.reference.filename).stem)
        stem = stem[:80].encode()[:_STEM_BYTES].decode(errors="ignore")
        name = f"{self.task.image_id:09d}_{stem}_{'_'.join(str(int(v or 0)) for v in box)}"
        self.wanted[name] += 1
        again = f"_{self.wanted[name]}" if self.wanted[name] > 1 else ""
        part = Path(self.spec.crops_dir) / f"{uuid.uuid4().hex}.part"
        part.write_bytes(encode.to_jpeg(pixels))
        part.replace(part.with_name(f"{name}{again}.jpg"))
        return f"{name}{again}.jpg"


def is_crop(name: str) -> bool:
    """Whether a file in the folder of crops is called as ours are."""
    return _CROP.fullmatch(name) is not None


def parts_of(
    image: np.ndarray | None, task: Task, spec: WorkSpec, *, detect: Detect | None = None, error_code: str = VALID
) -> Iterator[Part]:
    """The instances of one image; `image` is None for one that could not be read for reason `error_code`."""
    kept = _Crops(task, spec)
    if spec.mode == "boxes":
        yield from _boxes(image, task, spec, kept, error_code=error_code)
    elif spec.mode == "detect":
        if image is None:
            yield Part(None, error_code)  # else a broken image would be nowhere: it has no box to stand for it
        elif detect is not None:
            yield from _detected(image, spec, kept, detect=detect)
    elif spec.mode == "global" and image is not None and spec.global_box is not None:
        height, width = image.shape[:2]
        box = spec.global_box.clamped(width=width, height=height)
        pixels = None if box is None else crops.crop(image, box=box, margin=spec.margin)
        yield _part(kept, id=task.image_id, box=box or (None,) * 4, pixels=pixels)
    else:
        yield Part(task.image_id, error_code, pixels=image)


def _boxes(image: np.ndarray | None, task: Task, spec: WorkSpec, kept: _Crops, *, error_code: str) -> Iterator[Part]:
    boxes = task.boxes
    if boxes is None:
        return
    rectangles = [tuple(None if np.isnan(v) else float(v) for v in row) for row in boxes.rectangles]
    if image is None:
        for box_id, box in zip(boxes.ids, rectangles, strict=True):
            yield Part(int(box_id), error_code, box=box)
        return
    upright = crops.crops(image, boxes=boxes.rectangles, margin=spec.margin)
    for box_id, box, pixels, corners in zip(boxes.ids, rectangles, upright, boxes.corners, strict=True):
        rotated = not np.isnan(corners).all()
        if rotated:
            pixels = crops.straighten(image, quad=corners.reshape(4, 2), margin=spec.margin)
        name = tuple(float(v) for v in corners) if rotated else box
        yield _part(kept, id=int(box_id), box=box, pixels=pixels, name=name)


def _detected(image: np.ndarray, spec: WorkSpec, kept: _Crops, *, detect: Detect) -> Iterator[Part]:
    """What the detector found; specks under the size of a usable box are nothing to compare and nobody's mistake."""
    found = detect(decode.flatten(image))
    pixels = crops.crops(image, boxes=found.rectangles, margin=spec.margin)
    for rectangle, confidence, label, part in zip(
        found.rectangles, found.confidences, found.labels, pixels, strict=True
    ):
        if part is not None:
            box = tuple(float(v) for v in rectangle)
            yield _part(kept, id=None, box=box, pixels=part, label=label, confidence=float(confidence))


def _part(
    kept: _Crops,
    *,
    id: int | None,
    box: tuple[float | None, ...],
    pixels: np.ndarray | None,
    name: tuple[float | None, ...] | None = None,
    **facts: Any,
) -> Part:
    if pixels is None:
        return Part(id, BAD_BOUNDING_BOX, box=box, **facts)
    saved = kept.save(pixels, box=name or box)
    return Part(id, VALID, pixels=pixels, box=box, crop_filename=saved, **facts)
