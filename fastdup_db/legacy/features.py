"""v0's binary features and label files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db import annotation_forms
from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument
from fastdup_db.exchange import features
from fastdup_db.legacy.shown import folder_of
from fastdup_db.pipeline.files import FEATURES
from fastdup_db.store import duck
from fastdup_db.store.lance_rows import READ_ROWS


def load_binary_feature(filename: str | Path, d: int | None = None) -> tuple[list[str], np.ndarray]:
    """The file names and features float32 (n, d) of an `atrain_features.dat`, or of the one in a folder.

    `d` is found out where it is not given. In a work_dir of ours without that file these are the run's embeddings.
    """
    path = Path(filename) / FEATURES if Path(filename).is_dir() else Path(filename)
    if not path.is_file() and folder_of(path) != path:
        return Fastdup(path.parent).embeddings(d)
    rows, matrix = features.read(path, d=d)
    return rows["filename"].tolist(), matrix


def save_binary_feature(
    save_path: str | Path, filenames: Sequence[str], np_array: np.ndarray, save_prefix: str = ""
) -> int:
    """Write `atrain_features.dat` and its csv into the folder `save_path`.

    Returns 0. float32 (n, d), a row per name. `run(work_dir=save_path, run_mode=2)` then works on them.
    """
    matrix = np.asarray(np_array)
    if matrix.dtype != np.float32 or matrix.ndim != 2 or len(matrix) != len(filenames):
        raise BadArgument(
            f"np_array has shape {matrix.shape} and dtype {matrix.dtype}; it must be float32 ({len(filenames)}, d)"
        )
    features.write(save_path, ids=range(len(filenames)), filenames=filenames, batches=[matrix], prefix=save_prefix)
    return 0


def saved(work_dir: str | Path, *, d: int | None = None) -> tuple[list[str], np.ndarray] | None:
    """The names and features in a work_dir's `atrain_features.dat` that are not those that its run stored.

    None where there is no such file, where it is what `run` wrote, and where a run has been made since: it is older
    than the database. d: width of a row, None to find it out.
    """
    path = Path(work_dir) / FEATURES
    if not path.is_file():
        return None
    if duck.exists(Path(work_dir)):
        database = Path(work_dir) / duck.FILE_NAME
        if path.stat().st_mtime_ns < database.stat().st_mtime_ns:
            return None
        names, matrix = Fastdup(work_dir).embeddings()
        batches = (matrix[start : start + READ_ROWS] for start in range(0, len(matrix), READ_ROWS))
        if features.holds(path, filenames=names, batches=batches):
            return None
    rows, matrix = features.read(path, d=d)
    return rows["filename"].tolist(), matrix


def take_over(work_dir: str | Path, input_dir: Any = "", *, d: int | None = None, **arguments: Any) -> bool:
    """Make the features that `saved` finds those of a new run; says whether there were any.

    input_dir: a folder that relative names count from. arguments: those of `Fastdup.run`. No image is read.
    """
    given = saved(work_dir, d=d)
    if given is None:
        return False
    names, matrix = given
    folder = input_dir if isinstance(input_dir, str | Path) and os.path.isdir(input_dir) else None
    create(work_dir).run(folder, annotations=names, embeddings=matrix, **arguments)
    return True


def read_coco_labels(path: str | Path) -> dict[str, Any]:
    """{image: its first label} of a COCO .json (its file names, category names) or of a folder of YOLO label files.

    For `…/labels/train/a.txt` the image is `…/images/train/a.jpg`, and its label the class number, a string; names are
    taken from a `classes.txt` in the folder where there is one.
    """
    path = Path(path)
    if path.is_file():
        try:
            frame = annotation_forms.read_coco(path)
        except BadArgument:
            raise
        except ValueError as exc:
            raise BadArgument(f"{str(path)!r} is no COCO file with categories: {exc}") from exc
        if "label" not in frame:
            raise BadArgument(f"{str(path)!r} is no COCO file with categories")
        first = frame.drop_duplicates("filename")
        return dict(zip(first["filename"], first["label"], strict=True))
    if not path.is_dir():
        raise BadArgument(f"{str(path)!r} does not exist; give a COCO .json or a folder of YOLO label files")
    named = path / "classes.txt"
    names = named.read_text(encoding="utf-8").split("\n") if named.is_file() else []
    labels = {}
    for file in sorted(path.glob("[!.]*.txt")):
        words = file.read_text(encoding="utf-8").split(maxsplit=1)
        if file == named or not words or not words[0].isdigit():
            continue
        number = int(words[0])
        image = Path(*("images" if part == "labels" else part for part in file.parts)).with_suffix(".jpg")
        labels[str(image)] = names[number] if number < len(names) else str(number)
    return labels
