"""The chain every image goes through: read once, decode once, statistics and vector from that same array.

Nothing that is wrong with an image leaves this module as an exception: it becomes a row with an error code.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from fastdup_db.engines.parts import Part, parts_of
from fastdup_db.engines.rows import NO_FACTS
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.errors import IMAGE_TOO_SMALL, VALID, ImageError
from fastdup_db.imaging import decode, exif, stats
from fastdup_db.imaging.resize import to_input
from fastdup_db.models.session import Embedder, open_embedder
from fastdup_db.sources.reference import Load

log = logging.getLogger(__name__)

EMBED_AT_ONCE = 64
"""Crops embedded in one call at most, so that an image with a thousand boxes costs no more memory than others."""


_BASIC = len(stats.STAT_COLUMNS)


@dataclass(slots=True)
class _Batch:
    """Rows as they come; `inputs` holds network inputs that wait to be embedded."""

    images: list[tuple[Any, ...]] = field(default_factory=list)
    instances: list[tuple[Any, ...]] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    basic: list[Sequence[float]] = field(default_factory=list)
    advanced: list[Sequence[float]] = field(default_factory=list)
    embedded: list[int] = field(default_factory=list)
    inputs: list[np.ndarray] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)


class Worker:
    """Does what a `WorkSpec` says to one chunk of images after another; safe to share between threads."""

    def __init__(self, spec: WorkSpec, *, embedder: Embedder | None = None) -> None:
        """embedder: the model of `spec` where it is open already."""
        self.spec = spec
        self._embedder = embedder or open_model(spec) if spec.embed else None
        self._detect = _detector(spec.detector)
        # the engine's threads are the parallelism; OpenCV's own would only fight with them
        cv2.setNumThreads(1)

    def process(self, chunk: Sequence[tuple[Task, Load]]) -> BatchResult:
        """The rows and vectors of a chunk, in its order."""
        batch = _Batch()
        for task, load in chunk:
            self._one(task, load, batch)
        self._embed(batch)
        dimension = self._embedder.dim if self._embedder else 0
        return BatchResult(
            images=batch.images,
            instances=batch.instances,
            measured=np.asarray(batch.measured, dtype=np.int64),
            stats=np.array(batch.basic, dtype=np.float64).reshape(-1, _BASIC),
            advanced_stats=np.array(batch.advanced, dtype=np.float64).reshape(-1, len(stats.ADVANCED_COLUMNS)),
            embedded=np.asarray(batch.embedded, dtype=np.int64),
            embeddings=np.concatenate(batch.vectors) if batch.vectors else np.empty((0, dimension), np.float32),
            lengths=np.concatenate([np.empty(0, np.float32), *batch.lengths]),
        )

    def _one(self, task: Task, load: Load, batch: _Batch) -> None:
        try:
            data = load()
            decoded = self._decode(data)
        except ImageError as exc:
            log.info("%s: %s", task.reference.filename, exc)
            self._failed(task, exc.code, batch)
            return
        height, width = decoded.image.shape[:2]
        batch.images.append(
            (task.image_id, VALID, width, height, _size(task, data), decoded.truncated, *_facts(data, decoded))
        )
        for part in parts_of(decoded.image, task, self.spec, detect=self._detect):
            self._instance(part, task, batch)

    def _decode(self, data: bytes | np.ndarray) -> decode.Decoded:
        if isinstance(data, np.ndarray):
            height, width = data.shape[:2]
            if width < self.spec.min_width or height < self.spec.min_height:
                raise ImageError(IMAGE_TOO_SMALL, f"{width}x{height} pixels")
            return decode.Decoded(data, width, height)
        return decode.decode(data, min_width=self.spec.min_width, min_height=self.spec.min_height)

    def _failed(self, task: Task, code: str, batch: _Batch) -> None:
        size = max(task.reference.file_size, -1)
        batch.images.append((task.image_id, code, None, None, size, False, *NO_FACTS))
        for part in parts_of(None, task, self.spec, error_code=code):
            self._instance(part, task, batch)

    def _instance(self, part: Part, task: Task, batch: _Batch) -> None:
        row = len(batch.instances)
        height, width = part.pixels.shape[:2] if part.pixels is not None else (None, None)
        batch.instances.append(
            (
                part.id,
                task.image_id,
                part.error_code,
                width,
                height,
                *(part.box or (None,) * 4),
                part.crop_filename,
                part.label,
                part.confidence,
            )
        )
        if part.pixels is None:
            return
        if self.spec.stats:
            measured = stats.statistics(part.pixels, advanced=self.spec.advanced_stats)
            batch.measured.append(row)
            batch.basic.append(measured[:_BASIC])
            if self.spec.advanced_stats:
                batch.advanced.append(measured[_BASIC:])
        if self._embedder is not None:
            batch.embedded.append(row)
            batch.inputs.append(to_input(decode.plain(part.pixels), size=self._embedder.input_size))
            if len(batch.inputs) >= EMBED_AT_ONCE:
                self._embed(batch)

    def _embed(self, batch: _Batch) -> None:
        if self._embedder is not None and batch.inputs:
            vectors, lengths = self._embedder.measured(np.stack(batch.inputs))
            batch.vectors.append(vectors)
            batch.lengths.append(lengths)
            batch.inputs.clear()


def open_model(spec: WorkSpec) -> Embedder:
    """The model a spec names: a catalog name, a path, or the bundled default."""
    return open_embedder(spec.model, dim=spec.dimension, **dict(spec.model_input))


def _size(task: Task, data: bytes | np.ndarray) -> int:
    return len(data) if isinstance(data, bytes) else task.reference.file_size


def _facts(data: bytes | np.ndarray, decoded: decode.Decoded) -> tuple[Any, ...]:
    """orientation, taken_at, camera_make, camera_model, latitude, longitude, content_hash."""
    if not isinstance(data, bytes):
        return (1, None, None, None, None, None, exif.content_hash(np.ascontiguousarray(data).data))
    tags = exif.exif(data)
    return (
        decoded.orientation,
        tags.taken_at,
        tags.camera_make,
        tags.camera_model,
        tags.latitude,
        tags.longitude,
        exif.content_hash(data),
    )


def _detector(name: str | None) -> Any:
    if name is None:
        return None
    from fastdup_db.detectors import open_detector

    return open_detector(name)
