"""Images in any form a caller may have, as names and vectors, decoded and embedded exactly as in a run."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastdup_db import sources
from fastdup_db.engines import local, rows
from fastdup_db.engines.task import BatchResult, Task, WorkSpec
from fastdup_db.engines.worker import Worker
from fastdup_db.errors import VALID, BadArgument, ImageError
from fastdup_db.sources import files
from fastdup_db.sources.reference import Load, Reference

log = logging.getLogger(__name__)

Named = tuple[list[str], np.ndarray]
"""Names (n) and their vectors, float32 (n, d)."""
UNNAMED = "query_image"
FORMS = "a path, an s3:// path, a PIL image, a uint8 or uint16 array (h, w), (h, w, 3) RGB or (h, w, 4), or bytes"


@functools.lru_cache(maxsize=2)
def worker(spec: WorkSpec) -> Worker:
    """The worker of a spec; the last two are kept, since loading a model takes longer than a query."""
    return Worker(spec)


def of_queries(filename: Any, image: Any, *, spec: WorkSpec) -> Named:
    """The queries of one call of `search`, in order.

    filename: a name, an image in any of `FORMS`, or a list of them. image: read instead of the file of that name; a
    list where filename is a list. Raises `BadArgument` for another form, `ImageError` for an image that cannot be read.
    """
    names, forms = _paired(filename, image)
    tasks = [(Task(i, _reference(name, form)), form) for i, (name, form) in enumerate(zip(names, forms, strict=True))]
    if all(_is_path(form) for form in forms):
        found = local.run((task for task, _ in tasks), spec, worker=worker(spec), threads=min(len(tasks), 16) or 1)
    else:
        found = _processed([(task, _load(form, task.reference)) for task, form in tasks], spec)
    results = list(found)
    for result, first in zip(results, range(0, len(names), local.CHUNK), strict=True):
        for name, code in zip(names[first : first + local.CHUNK], rows.error_codes(result), strict=True):
            if code != VALID:
                raise ImageError(code, f"{name}: {code}")
    return names, _stacked(results, spec)


def of_input(input_dir: Any, *, spec: WorkSpec) -> tuple[list[str], np.ndarray, list[str]]:
    """(names (n), float32 (n, d), names of the images that cannot be used) of a folder, bucket, archive, list, …

    Raises `BadInput` as `run` does.
    """
    sources.check_input(input_dir)
    listed: list[str] = []

    def tasks() -> Iterator[Task]:
        for number, reference in enumerate(sources.listing(input_dir)):
            listed.append(reference.filename)
            yield Task(number, reference)

    results = list(local.run(tasks(), spec, worker=worker(spec)))
    codes = [code for result in results for code in rows.error_codes(result)]
    usable = [name for name, code in zip(listed, codes, strict=True) if code == VALID]
    left_out = [name for name, code in zip(listed, codes, strict=True) if code != VALID]
    if left_out:
        log.warning("%d of %d images cannot be used, such as %s", len(left_out), len(listed), left_out[0])
    return usable, _stacked(results, spec), left_out


def _paired(filename: Any, image: Any) -> tuple[list[str], list[Any]]:
    """Names and what is to be read: a path where nothing else is given."""
    if isinstance(image, np.ndarray) and image.ndim == 4:
        image = list(image)
    if image is None:
        given = filename if _is_list(filename) else [filename]
        names = [files.escaped(os.fspath(g)) if _is_path(g) else f"{UNNAMED}_{i}" for i, g in enumerate(given)]
        return (names if len(names) != 1 or _is_path(given[0]) else [UNNAMED]), list(given)
    images = list(image) if _is_list(image) else [image]
    named = filename if _is_list(filename) else [filename or UNNAMED]
    names = [files.escaped(os.fspath(name)) for name in named]
    if len(names) == 1 < len(images):
        names = [f"{names[0]}_{i}" for i in range(len(images))]
    if len(names) != len(images):
        raise BadArgument(f"{len(names)} names for {len(images)} images; give a name for each")
    return names, images


def _load(form: Any, reference: Reference) -> Load:
    """What gives the bytes or pixels of one query when called."""
    from PIL import Image

    if _is_path(form):
        return partial(sources.load, _reference(reference.filename, form))
    if isinstance(form, bytes | bytearray | memoryview):
        return partial(bytes, form)
    pixels = _of_pil(form) if isinstance(form, Image.Image) else form
    fits = isinstance(pixels, np.ndarray) and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)))
    if not fits or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        what = f"array {pixels.shape} of {pixels.dtype}" if isinstance(pixels, np.ndarray) else type(form).__name__
        raise BadArgument(f"{reference.filename}: {what} is no image; give {FORMS}")
    return lambda: pixels


def _of_pil(image: Any) -> np.ndarray:
    """The pixels of a PIL image, upright, as `imaging.decode` gives them: gray, RGB or RGBA."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("L", "I;16"):
        return np.asarray(upright)
    has_alpha = upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info
    return np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))


def _processed(loads: Sequence[tuple[Task, Load]], spec: WorkSpec) -> Iterator[BatchResult]:
    for start in range(0, len(loads), local.CHUNK):
        yield worker(spec).process(loads[start : start + local.CHUNK])


def _stacked(results: Iterable[BatchResult], spec: WorkSpec) -> np.ndarray:
    parts = [result.embeddings for result in results]
    if parts:
        return np.concatenate(parts)
    return np.empty((0, spec.dimension or 0), np.float32)


def _reference(name: str, form: Any) -> Reference:
    """The reference that a path leads to, which may be inside an archive or a video; a bare one for other forms."""
    if not _is_path(form):
        return Reference(name)
    place = os.fspath(form)
    return sources.named(place if "://" in place else os.path.abspath(os.path.expanduser(place)))


def _is_path(form: Any) -> bool:
    return isinstance(form, str | os.PathLike)


def _is_list(form: Any) -> bool:
    """Lists, tuples, and columns of a frame; an array of numbers is one image."""
    return isinstance(form, list | tuple) or getattr(getattr(form, "dtype", None), "kind", "") in ("O", "U")
