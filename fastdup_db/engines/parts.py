"""Which parts of an image are its instances: the whole, the boxes asked for, or what a detector finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db.engines.task import Task, WorkSpec
from fastdup_db.errors import BAD_BOUNDING_BOX, VALID
from fastdup_db.imaging import crops, decode, encode

Detect = Callable[[np.ndarray], Any]


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


def parts_of(
    image: np.ndarray | None, task: Task, spec: WorkSpec, *, detect: Detect | None = None, error_code: str = VALID
) -> Iterator[Part]:
    """The instances of one image; `image` is None for one that could not be read for reason `error_code`."""
    if spec.mode == "boxes":
        yield from _boxes(image, task, spec, error_code=error_code)
    elif spec.mode == "detect":
        if image is None:
            yield Part(None, error_code)  # else a broken image would be nowhere: it has no box to stand for it
        elif detect is not None:
            yield from _detected(image, task, spec, detect=detect)
    elif spec.mode == "global" and image is not None and spec.global_box is not None:
        height, width = image.shape[:2]
        box = spec.global_box.clamped(width=width, height=height)
        pixels = None if box is None else crops.crop(image, box=box)
        yield _part(task, spec, id=task.image_id, box=box or (None,) * 4, pixels=pixels)
    else:
        yield Part(task.image_id, error_code, pixels=image)


def _boxes(image: np.ndarray | None, task: Task, spec: WorkSpec, *, error_code: str) -> Iterator[Part]:
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
        yield _part(task, spec, id=int(box_id), box=box, pixels=pixels, name=name)


def _detected(image: np.ndarray, task: Task, spec: WorkSpec, *, detect: Detect) -> Iterator[Part]:
    """What the detector found; specks under the size of a usable box are nothing to compare and nobody's mistake."""
    found = detect(decode.flatten(image))
    pixels = crops.crops(image, boxes=found.rectangles, margin=spec.margin)
    for rectangle, confidence, label, part in zip(
        found.rectangles, found.confidences, found.labels, pixels, strict=True
    ):
        if part is not None:
            box = tuple(float(v) for v in rectangle)
            yield _part(task, spec, id=None, box=box, pixels=part, label=label, confidence=float(confidence))


def _part(
    task: Task,
    spec: WorkSpec,
    *,
    id: int | None,
    box: tuple[float | None, ...],
    pixels: np.ndarray | None,
    name: tuple[float | None, ...] | None = None,
    **facts: Any,
) -> Part:
    if pixels is None:
        return Part(id, BAD_BOUNDING_BOX, box=box, **facts)
    saved = _save(pixels, task, spec, box=name or box)
    return Part(id, VALID, pixels=pixels, box=box, crop_filename=saved, **facts)


def _save(pixels: np.ndarray, task: Task, spec: WorkSpec, *, box: tuple[float | None, ...]) -> str | None:
    """Writes a crop as JPEG where crops are kept; its name is the image's id and its box, so unique."""
    if spec.crops_dir is None:
        return None
    numbers = "_".join(str(int(v or 0)) for v in box)
    name = f"{task.image_id:09d}_{Path(task.reference.filename).stem[:80]}_{numbers}.jpg"
    (Path(spec.crops_dir) / name).write_bytes(encode.to_jpeg(pixels))
    return name
