"""Edited copies of photographs: the planted near-duplicates that quality is measured on.

Each edit is a pure function from one RGB photograph (uint8, height×width×3) to its edited copy. `JPEG_Q20` is the
one edit that lives in the encoder; `save` therefore takes the edit's name. Nothing is random, so every run of every
benchmark measures the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

Image = np.ndarray
"""uint8 (height, width, 3), RGB."""

ORIGINAL = "original"
JPEG_Q20 = "jpeg_q20"
JPEG_QUALITY = 92
"""What every file is saved with but the one whose edit is the compression."""


class Copy(NamedTuple):
    """One file of the benchmark."""

    path: Path
    group: int
    """Files of one group show the same photograph: every pair within is a true near-duplicate, no other pair is."""
    edit: str


def crop_80(image: Image) -> Image:
    """The middle, 80 % of both sides."""
    height, width = image.shape[:2]
    top, left = height // 10, width // 10
    return image[top : height - top, left : width - left]


def flip_horizontal(image: Image) -> Image:
    return image[:, ::-1]


def flip_vertical(image: Image) -> Image:
    return image[::-1]


def rotate_25(image: Image) -> Image:
    """Turned by 25° about the middle on a canvas of the same size, black corners."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1.0)
    return cv2.warpAffine(image, turn, (width, height))


def square(image: Image) -> Image:
    """Squeezed to 256×256: the aspect ratio is lost."""
    return cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)


def half_size(image: Image) -> Image:
    height, width = image.shape[:2]
    return cv2.resize(image, (max(width // 2, 10), max(height // 2, 10)), interpolation=cv2.INTER_AREA)


def brighter(image: Image) -> Image:
    """1.3 times as bright plus 20 of 255, clipped."""
    return cv2.convertScaleAbs(image, alpha=1.3, beta=20)


def text(image: Image) -> Image:
    """White letters with a black rim across the middle, a tenth of the height tall."""
    out = np.ascontiguousarray(image).copy()
    height, width = out.shape[:2]
    scale = max(height / 300, 0.3)
    where = (width // 12, height // 2)
    for colour, thickness in (((0, 0, 0), 6), ((255, 255, 255), 2)):
        cv2.putText(out, "SAMPLE 2024", where, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, round(thickness * scale) + 1)
    return out


def unchanged(image: Image) -> Image:
    return image


EDITS: dict[str, Callable[[Image], Image]] = {
    "crop_80": crop_80,
    "flip_horizontal": flip_horizontal,
    "flip_vertical": flip_vertical,
    "rotate_25": rotate_25,
    "square": square,
    JPEG_Q20: unchanged,
    "half_size": half_size,
    "brighter": brighter,
    "text": text,
}
"""Name → edit: crop, both flips, rotation, square resize, compression, size, brightness, text."""


def read(path: Path) -> Image:
    """The photograph in RGB, EXIF orientation applied. Raises ValueError when it is no image."""
    bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is no image")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def save(image: Image, path: Path, *, edit: str = ORIGINAL) -> None:
    """Writes `image` (RGB) as JPEG, at quality 20 for the edit `JPEG_Q20` and `JPEG_QUALITY` for all others."""
    quality = 20 if edit == JPEG_Q20 else JPEG_QUALITY
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"{path} cannot be encoded")
    path.write_bytes(data.tobytes())


def copies(image: Image) -> Iterator[tuple[str, Image]]:
    """The photograph itself and every edit of it: (name, image), 10 in all."""
    yield ORIGINAL, image
    for name, edit in EDITS.items():
        yield name, np.ascontiguousarray(edit(image))


def write_copies(photographs: Iterable[Path], *, folder: Path) -> list[Copy]:
    """Writes the photograph and all its edits for each of `photographs` into `folder`, flat, as `<group>_<edit>.jpg`.

    Groups are numbered in the order given. Returns what was written, in path order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for group, source in enumerate(photographs):
        for edit, image in copies(read(source)):
            path = folder / f"{group:05d}_{edit}.jpg"
            save(image, path, edit=edit)
            written.append(Copy(path, group, edit))
    return sorted(written)


def spread(paths: Iterable[Path], *, count: int) -> list[Path]:
    """`count` of the paths, evenly spaced in sorted order: the same ones on every run and from every class."""
    ordered = sorted(paths)
    if len(ordered) <= count:
        return ordered
    return [ordered[i * len(ordered) // count] for i in range(count)]
