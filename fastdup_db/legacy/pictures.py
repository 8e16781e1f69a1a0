"""v0's sprite of many images, and the files of TensorBoard's projector."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import checks
from fastdup_db.engine import Fastdup
from fastdup_db.errors import BadArgument
from fastdup_db.legacy.labels import MISSING, LabelFunc, labels_of

SIDE = 64
MOST = 8192
"""Pixels of a sprite's side: what TensorBoard's projector accepts."""
SEED = 0


def generate_sprite_image(
    img_list: str | Path | Sequence[str],
    sample_size: int,
    log_dir: str | Path,
    get_label_func: Callable[[str], Any] | Mapping[str, Any] | Sequence[Any] | None = None,
    h: int = 0,
    w: int = 0,
    alternative_filename: str | Path | None = None,
    alternative_width: int | None = None,
    max_width: int | None = None,
) -> tuple[str, list[Any]]:
    """One image of many small ones, row by row; returns its path and the label of each ('N/A' without get_label_func).

    img_list: a work_dir or file names; the first `sample_size` are shown, black where one cannot be read.
    get_label_func: a function of the file name, a dict by file name, or a list of labels in the order of the images.
    h, w: size of each in pixels (64; smaller for very many). alternative_filename: instead of `log_dir/sprite.png`.
    alternative_width: images in a row, instead of a square. max_width: of the sprite, in pixels.
    """
    least = {"sample_size": (sample_size, 1), "alternative_width": (alternative_width, 1), "max_width": (max_width, 1)}
    for name, (value, low) in {**least, "h": (h, 0), "w": (w, 0)}.items():
        if value is not None:
            checks.at_least(name, value, low)
    if isinstance(img_list, str | Path):
        fd = Fastdup(img_list)
        rows = fd.annotations().head(sample_size)
        names, images = rows["filename"].tolist(), fd.open_images(rows["fd_index"].tolist())
    else:
        names = [os.fspath(name) for name in list(img_list)[:sample_size]]
        images = _opened(names)
    labels = _labels(names, get_label_func)
    target = Path(alternative_filename) if alternative_filename else Path(log_dir) / "sprite.png"
    _sprite(images, len(names), target, h=h, w=w, across=alternative_width, max_width=max_width)
    return str(target), labels


def _labels(names: Sequence[str], get_label_func: Any) -> list[Any]:
    """The label of each of the images of a sprite, MISSING where there is none."""
    if get_label_func is None:
        return [MISSING] * len(names)
    if isinstance(get_label_func, Mapping):
        return [get_label_func.get(name, MISSING) for name in names]
    if callable(get_label_func):
        return [get_label_func(name) for name in names]
    if isinstance(get_label_func, str) or not isinstance(get_label_func, Sequence):
        kind = type(get_label_func).__name__
        raise BadArgument(f"get_label_func of type {kind}; allowed: a function, a dict by file name, a list of labels")
    if len(get_label_func) < len(names):
        raise BadArgument(f"get_label_func has {len(get_label_func)} labels for {len(names)} images; give one for each")
    return list(get_label_func[: len(names)])


def _sprite(
    images: Iterable[np.ndarray | None],
    count: int,
    target: Path,
    *,
    h: int = 0,
    w: int = 0,
    across: int | None = None,
    max_width: int | None = None,
) -> None:
    """Draw `count` images (RGB uint8, None for black) into one, row by row; arguments as in `generate_sprite_image`."""
    import cv2
    from PIL import Image

    if not count:
        raise BadArgument("img_list is empty")
    across = across or math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    side = max(1, min(SIDE, (max_width or MOST) // across, MOST // down))
    height, width = h or side, w or side
    sprite = np.zeros((down * height, across * width, 3), np.uint8)
    for number, image in enumerate(images):
        y, x = number // across * height, number % across * width
        if image is not None:
            sprite[y : y + height, x : x + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sprite).save(target)


def export_to_tensorboard_projector(
    work_dir: str | Path,
    log_dir: str | Path,
    sample_size: int = 900,
    sample_method: str = "random",
    with_images: bool = True,
    get_label_func: LabelFunc = None,
    d: int | None = None,
    file_list: Sequence[str] | None = None,
) -> Path:
    """The embeddings of a run for TensorBoard's projector, without TensorFlow; returns its config file.

    Writes `tensors.tsv`, `metadata.tsv` (filename, label) and `sprite.png` into `log_dir`; `tensorboard --logdir` shows
    them. sample_method: 'random' (the same on every call) or 'first'. file_list: only these files.
    """
    checks.member("sample_method", sample_method, ("first", "random"))
    fd = Fastdup(work_dir)
    names, matrix = fd.embeddings(d)
    annotations = fd.annotations(include_unannotated=True)  # as many as there are embeddings
    labels = labels_of(fd, get_label_func, annotations=annotations).reindex(annotations["fd_index"]).to_numpy()
    rows = np.arange(len(names))
    if file_list is not None:
        rows = rows[np.isin(names, list(file_list))]
    if sample_method == "random" and len(rows) > sample_size:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, sample_size, replace=False))
    rows = rows[:sample_size]
    if not len(rows):
        raise BadArgument("no image of this run is in file_list")
    folder = Path(log_dir)
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(matrix[rows]).to_csv(folder / "tensors.tsv", sep="\t", index=False, header=False)
    chosen = [names[row] for row in rows]
    metadata = pd.DataFrame({"filename": chosen, "label": labels[rows]}).map(_one_line)
    metadata.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    side = 0
    if with_images:
        side = max(1, min(SIDE, MOST // math.ceil(math.sqrt(len(chosen)))))
        images = fd.open_images(annotations["fd_index"].iloc[rows].tolist())
        _sprite(images, len(rows), folder / "sprite.png", h=side, w=side)
    return _write_config(folder / "projector_config.pbtxt", side=side)


def _write_config(path: Path, *, side: int) -> Path:
    """The projector's config; side: of an image in the sprite, in pixels, 0 where there is no sprite."""
    size = f"    single_image_dim: {side}\n" * 2
    sprite = f'  sprite {{\n    image_path: "sprite.png"\n{size}  }}\n' if side else ""
    files = '  tensor_name: "fastdup_db"\n  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n'
    path.write_text(f"embeddings {{\n{files}{sprite}}}\n", encoding="utf-8")
    return path


def _opened(names: Sequence[str]) -> Iterator[np.ndarray | None]:
    """Images by the names that listings give them: RGB uint8 (h, w, 3), None for one that cannot be read."""
    from fastdup_db import sources
    from fastdup_db.pipeline.originals import decoded

    loads = sources.payloads(map(sources.named, names))
    return (decoded(load, name=name) for name, (_, load) in zip(names, loads, strict=True))


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())
