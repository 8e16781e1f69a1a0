"""References in, functions that return their bytes or frames out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby

import numpy as np

from fastdup_db.errors import ImageError
from fastdup_db.sources import files
from fastdup_db.sources.kinds import is_remote
from fastdup_db.sources.reference import Load, Reference, failing

Group = Iterator[Reference]


def payloads(references: Iterable[Reference], *, io_threads: int | None = None) -> Iterator[tuple[Reference, Load]]:
    """Pairs each reference, in order, with a function that returns its bytes (or RGB frame) once called.

    The way is chosen by the reference alone, so stored references can be read again by any process. Local files and
    members of tars and zips are read inside the function, by the thread that calls it; objects of a bucket are
    fetched ahead by `io_threads` threads; compressed tars and videos are read in order as the iterator advances.
    Memory is bounded by the pairs that the caller holds. The function raises `ImageError` with the row's code, or
    `RemoteError` when a bucket's server refuses or stays unreachable: that concerns the run, not one image.
    """
    for way, group in groupby(references, key=_way):
        yield from _READERS[way[0]](group, io_threads)


def load(reference: Reference) -> bytes | np.ndarray:
    """Bytes or frame of one reference, read now. Raises `ImageError`."""
    return next(payloads([reference], io_threads=1))[1]()


def _way(reference: Reference) -> tuple[str, str]:
    if reference.error_code:
        return "failed", ""
    if not reference.container:
        return ("object" if is_remote(reference.filename) else "file"), ""
    return ("video" if reference.frame_ms >= 0 else "archive"), reference.container


def _files(group: Group, io_threads: int | None) -> Iterator[tuple[Reference, Load]]:
    for reference in group:
        path = files.opened_by(reference.member or reference.filename)
        yield reference, partial(files.read, path)


def _failed(group: Group, io_threads: int | None) -> Iterator[tuple[Reference, Load]]:
    for reference in group:
        yield reference, failing(ImageError(reference.error_code, f"{reference.filename}: {reference.error_code}"))


def _archive(group: Group, io_threads: int | None) -> Iterator[tuple[Reference, Load]]:
    from fastdup_db.sources import members

    return members.loads(group, io_threads=io_threads)


def _objects(group: Group, io_threads: int | None) -> Iterator[tuple[Reference, Load]]:
    from fastdup_db.sources import objects
    from fastdup_db.sources.prefetch import prefetched

    return prefetched(((r, partial(objects.read, r.filename)) for r in group), threads=io_threads)


def _video(group: Group, io_threads: int | None) -> Iterator[tuple[Reference, Load]]:
    from fastdup_db.sources import video

    return video.loads(group)


_READERS: dict[str, Callable[[Group, int | None], Iterator[tuple[Reference, Load]]]] = {
    "failed": _failed,
    "file": _files,
    "object": _objects,
    "archive": _archive,
    "video": _video,
}
