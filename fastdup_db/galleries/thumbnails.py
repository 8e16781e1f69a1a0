"""Small WebP copies of images: made once, in parallel, kept in the work_dir.

A thumbnail's name is made of what it was made from – file, version, box, size – so a changed file gets a new one.
The folder is bounded: what was not shown for the longest time goes first.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db.galleries.pictures import Picture

OpenImages = Callable[..., "Iterator[np.ndarray | None]"]
"""`open_images(ids, *, crops)` yields, id by id, RGB uint8 (h, w, 3), or None for an image that cannot be had.

crops: the box of each id cut out, else the whole image it lies in. Called from several threads at once.
"""

MAX_BYTES = 512 * 1024**2
"""Bound of the folder: about 45,000 thumbnails of 256 pixels, at the 11 kB that one of a photograph takes."""

QUALITY = 82
_LOSSLESS_SIDE = 96  # images this small are shown enlarged, where lossy blocks would be seen; they cost 10 kB at most
_NAMES = "[!.]*_*x*.webp"  # on disks of others macOS writes a file `._…` beside each
_FORMAT = 2  # part of every key: raise it when what is drawn changes


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A WebP file, and the width and height in pixels of the image it was made from."""

    path: Path
    width: int
    height: int


def side_for(count: int, *, inlined: bool = True) -> int:
    """The longer side in pixels of the thumbnails of a page with `count` images: what 25 MB can carry, at most 768.

    inlined: into the page, where one of a photograph takes 18 kB at 256 pixels and 11 kB at 192, the smallest.
    """
    return 768 if count <= 60 else 512 if count <= 250 else 256 if count <= 1300 or not inlined else 192


def make(
    pictures: Sequence[Picture],
    *,
    folder: Path,
    open_images: OpenImages,
    side: int,
    crops: bool = True,
    gray: bool = False,
    threads: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> dict[int, Thumbnail]:
    """The thumbnail of every picture that can be had, by id; those that exist are not made again.

    folder: where they are kept, made if absent. crops: of the box, else of the whole image. gray: without colour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = _known(folder)
    keys = {p.id: _key(p, side=side, crops=crops, gray=gray) for p in pictures}
    missing = {keys[p.id]: p for p in sorted(pictures, key=lambda p: p.id) if keys[p.id] not in known}
    made = _make_all(
        missing, folder=folder, open_images=open_images, side=side, crops=crops, gray=gray, threads=threads
    )
    found = {key: known.get(key) or made.get(key) for key in set(keys.values())}
    for thumbnail in found.values():
        if thumbnail is not None:
            os.utime(thumbnail.path)
    _evict(folder, keep={t.path.name for t in found.values() if t is not None}, max_bytes=max_bytes)
    return {i: thumbnail for i, key in keys.items() if (thumbnail := found[key]) is not None}


def shrink(image: np.ndarray, *, side: int, gray: bool = False) -> bytes:
    """An image (h, w), (h, w, 3) or (h, w, 4), uint8 or uint16, as WebP whose longer side is at most `side` pixels."""
    import cv2
    from PIL import Image

    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    scale = side / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = _resized(image, size)
    if image.ndim == 3:
        image = image[:, :, :3]
    if gray and image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    encoded = io.BytesIO()
    # Pillow, because OpenCV has no say in the effort: 2.2 ms at method 0 where OpenCV takes 6, for a fifth more bytes
    small = max(image.shape[:2]) <= _LOSSLESS_SIDE
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(encoded, "webp", quality=QUALITY, lossless=small, method=0)
    return encoded.getvalue()


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Averaged by the largest whole factor, the rest, less than 2, bilinear: a seventh of the time of INTER_AREA."""
    import cv2

    factor = min(image.shape[1] // size[0], image.shape[0] // size[1])
    if factor >= 2:
        whole = (image.shape[1] // factor, image.shape[0] // factor)
        image = cv2.resize(image, whole, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def _make_all(
    missing: Mapping[str, Picture], *, folder: Path, threads: int | None, **options: Any
) -> dict[str, Thumbnail]:
    if not missing:
        return {}
    items = list(missing.items())
    # a thread takes neighbouring ids, so that an archive or a video is read forwards and only once per thread
    workers = min(threads or os.cpu_count() or 1, 8, len(items))
    bounds = np.linspace(0, len(items), workers + 1).astype(int)
    shares = [items[start:stop] for start, stop in pairwise(bounds)]
    with ThreadPoolExecutor(workers, thread_name_prefix="thumbnails") as pool:
        made = pool.map(lambda share: dict(_make_share(share, folder=folder, **options)), shares)
        return {key: thumbnail for share in made for key, thumbnail in share.items()}


def _make_share(
    share: Sequence[tuple[str, Picture]],
    *,
    folder: Path,
    open_images: OpenImages,
    side: int,
    crops: bool,
    gray: bool,
) -> Iterator[tuple[str, Thumbnail]]:
    images = open_images([picture.id for _, picture in share], crops=crops)
    for (key, _), image in zip(share, images, strict=True):
        if image is None:
            continue
        height, width = image.shape[:2]
        path = folder / f"{key}_{width}x{height}.webp"
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_bytes(shrink(image, side=side, gray=gray))
        unfinished.replace(path)
        yield key, Thumbnail(path, width, height)


def _key(picture: Picture, *, side: int, crops: bool, gray: bool) -> str:
    box = picture.corners if crops else ()
    parts = (_FORMAT, picture.filename, picture.version, picture.file_size, box, side, gray)
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _known(folder: Path) -> dict[str, Thumbnail]:
    found = {}
    for path in folder.glob(_NAMES):
        key, size = path.stem.split("_")
        width, height = size.split("x")
        found[key] = Thumbnail(path, int(width), int(height))
    return found


def _evict(folder: Path, *, keep: set[str], max_bytes: int) -> None:
    entries = [(path.stat(), path) for path in folder.glob(_NAMES)]
    excess = sum(stat.st_size for stat, _ in entries) - max_bytes
    for stat, path in sorted(entries, key=lambda pair: (pair[0].st_mtime_ns, pair[1].name)):
        if excess <= 0:
            return
        if path.name not in keep:
            path.unlink(missing_ok=True)
            excess -= stat.st_size
