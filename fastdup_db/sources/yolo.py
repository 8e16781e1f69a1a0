"""YOLO datasets: a yaml that names the splits, text files beside the images that hold the boxes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db import errors
from fastdup_db.errors import BadInput, ImageError, MissingExtra
from fastdup_db.imaging.crops import BOX_COLUMNS
from fastdup_db.sources import files
from fastdup_db.sources.options import ListingOptions
from fastdup_db.sources.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ROW = rf"^{_NUMBER}(?:[ \t]+{_NUMBER}){{4,}}$"
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF 2.32, 4.6.4
_CLASSES = 2**31
"""Numbers of classes are below; a fraction or a larger one is no class."""
_DECIMALS = 2  # of a pixel: YOLO files give six digits of the image's width, at 4,000 pixels 0.004 of one


@dataclass(frozen=True, slots=True)
class YoloDataset:
    """What the yaml says. splits: name → absolute paths of folders and list files; names: class number → class name."""

    splits: dict[str, tuple[str, ...]]
    names: dict[int, str]


def read_yaml(yaml_path: str | os.PathLike[str]) -> YoloDataset:
    """Reads a YOLO dataset yaml: `path`, `train`, `val`, `test`, `names`; other keys (`download`, …) are ignored.

    `path` counts from the yaml's folder, which also stands in when it is absent; splits count from `path`.
    Raises `BadInput`: no such file, no yaml mapping, no split, or a split that does not exist.
    """
    import yaml

    yaml_path = os.path.abspath(yaml_path)
    try:
        with open(yaml_path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise BadInput(f"{yaml_path}: no readable yaml: {exc}") from exc
    if not isinstance(content, dict) or not any(content.get(split) for split in SPLITS):
        raise BadInput(f"{yaml_path}: no YOLO dataset; it wants at least one of the keys {', '.join(SPLITS)}")
    home = os.path.dirname(yaml_path)
    root = os.path.normpath(os.path.join(home, str(content.get("path") or "")))
    splits = {}
    for split in SPLITS:
        entries = content.get(split) or []
        listed = [entries] if isinstance(entries, str) else entries
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise BadInput(f"{yaml_path}: {split} must be a path or a list of paths")
        if listed:
            splits[split] = tuple(_place(entry, split, yaml_path, root, home) for entry in listed)
    return YoloDataset(splits, _names(content.get("names"), yaml_path))


def yolo_annotations(
    yaml_path: str | os.PathLike[str], *, options: ListingOptions | None = None
) -> tuple[list[Reference], pd.DataFrame]:
    """The images of a YOLO dataset and all their boxes.

    Returns `(references, boxes)`; boxes has the columns filename, label, split (str) and col_x, row_y, width, height
    (float64, pixels of the upright image, rounded to 0.01), one row a box in the order of images and lines. Images
    without a label file have no rows. A polygon becomes its bounding box. A line that is no box, or one of an image
    whose size cannot be told, has NaN in the box columns.
    """
    from fastdup_db.sources.inputs import listing

    references = list(listing(os.fspath(yaml_path), options=options))
    return references, boxes_of(references, names=read_yaml(yaml_path).names)


def boxes_of(references: Sequence[Reference], *, names: dict[int, str]) -> pd.DataFrame:
    """The boxes in the label files of these images, as `yolo_annotations` returns them."""
    import pandas as pd

    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(_label_text, references))
        images, classes, boxes = _parsed(texts)
        boxed = np.unique(images)
        sizes = np.full((len(references), 2), np.nan)
        if len(boxed):
            sizes[boxed] = list(pool.map(_size, (references[i] for i in boxed)))
    width_height = sizes[images]
    pixels = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]]) * np.hstack([width_height, width_height])
    return pd.DataFrame(
        {
            "filename": pd.Series([references[i].filename for i in images], dtype="str"),
            "label": pd.Series([names.get(c, str(c)) if c >= 0 else "" for c in classes.tolist()], dtype="str"),
            "split": pd.Series([references[i].split for i in images], dtype="str"),
            **dict(zip(BOX_COLUMNS, np.round(pixels, _DECIMALS).T, strict=True)),
        }
    )


def label_path(image_path: str) -> str:
    """Where YOLO keeps an image's boxes: the last folder `images` becomes `labels`, the extension `.txt`."""
    head, found, tail = image_path.rpartition(f"{os.sep}images{os.sep}")
    moved = f"{head}{os.sep}labels{os.sep}{tail}" if found else image_path
    return os.path.splitext(moved)[0] + ".txt"


def _parsed(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(images, classes, boxes)` of all lines: position of the image (n), class or -1 (n), x, y, w, h in shares (n, 4).

    Five numbers are a box, six a box and a confidence, an odd number from seven on a polygon.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lines = pc.split_pattern_regex(pa.array(texts, pa.large_string()), r"[\r\n]+")
    rows = pc.utf8_trim_whitespace(lines.flatten())
    images = pc.list_parent_indices(lines)
    kept = pc.not_equal(rows, "")
    rows, images = rows.filter(kept), images.filter(kept).to_numpy(zero_copy_only=False)

    good = pc.match_substring_regex(rows, _ROW).to_numpy(zero_copy_only=False)
    fields = pc.split_pattern_regex(rows.filter(pa.array(good)), r"[ \t]+")
    counts = pc.list_value_length(fields).to_numpy(zero_copy_only=False).astype(np.int64)
    numbers = pc.cast(fields.flatten(), pa.float64()).to_numpy(zero_copy_only=False)
    starts = np.cumsum(counts) - counts

    classes = np.full(len(rows), -1, np.int64)
    boxes = np.full((len(rows), 4), np.nan)
    said = numbers[starts]
    is_class = (said == np.trunc(said)) & (np.abs(said) < _CLASSES)
    good[good] = is_class
    starts, counts = starts[is_class], counts[is_class]
    classes[good] = said[is_class].astype(np.int64)
    place = np.flatnonzero(good)
    plain = counts <= 6
    boxes[place[plain]] = numbers[starts[plain, None] + np.arange(1, 5)]
    outlined = (counts >= 7) & (counts % 2 == 1)
    if outlined.any():
        boxes[place[outlined]] = _bounds(numbers, starts[outlined], counts[outlined])
    return images, classes, boxes


def _bounds(numbers: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Bounding boxes (n, 4: x and y of the centre, w, h) of polygons `class x1 y1 x2 y2 …` within flat numbers."""
    corners = (counts - 1) // 2
    first = np.cumsum(corners) - corners
    # position of every corner's x: within its polygon they lie two apart
    at = np.repeat(starts + 1, corners) + 2 * (np.arange(corners.sum()) - np.repeat(first, corners))
    low = np.stack([np.minimum.reduceat(numbers[at + axis], first) for axis in (0, 1)], axis=1)
    high = np.stack([np.maximum.reduceat(numbers[at + axis], first) for axis in (0, 1)], axis=1)
    return np.hstack([(low + high) / 2, high - low])


def _label_text(reference: Reference) -> str:
    path = label_path(files.opened_by(reference.member or reference.filename))
    try:
        return files.read(path).decode("utf-8-sig", "replace")
    except ImageError as exc:
        if exc.code in (errors.MISSING_FILE, errors.ZERO_SIZE_FILE):
            return ""  # an image without objects
        raise BadInput(f"label file {path} cannot be read: {exc}") from exc


def _size(reference: Reference) -> tuple[float, float]:
    """Width and height of the upright image by its header, else by decoding it; NaN when neither works."""
    from PIL import Image, UnidentifiedImageError

    from fastdup_db.imaging.decode import decode

    path = files.opened_by(reference.member or reference.filename)
    try:
        with Image.open(path) as header:
            width, height = header.size
            sideways = header.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
            return (height, width) if sideways else (width, height)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # HEIC, and damaged headers that the decoder still gets through
    try:
        image = decode(files.read(path))
    except (ImageError, MissingExtra):
        return float("nan"), float("nan")
    return image.width, image.height


def _place(entry: str, split: str, yaml_path: str, root: str, home: str) -> str:
    # exported yamls often say ../train/images for a folder that lies beside the yaml
    beside = entry.removeprefix("../")
    for path in (os.path.join(root, entry), os.path.join(home, entry), os.path.join(home, beside)):
        if os.path.exists(path):
            return os.path.normpath(path)
    raise BadInput(f"{yaml_path}: {split}: {entry!r} does not exist under {root!r}")


def _names(names: Any, yaml_path: str) -> dict[int, str]:
    if names is None:
        return {}
    try:
        pairs: Iterator[tuple[Any, Any]] = iter(names.items() if isinstance(names, dict) else enumerate(names))
        return {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError) as exc:
        raise BadInput(f"{yaml_path}: names must be a list, or a mapping from class numbers to names") from exc
