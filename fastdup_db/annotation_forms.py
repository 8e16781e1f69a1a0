"""Annotations in every form a user has them, as one DataFrame with a `filename` column.

A DataFrame, a list of file names, a `.csv`, `.parquet` or COCO `.json` path, a COCO dict. Boxes are `col_x, row_y,
width, height` in pixels of the upright image, or the corners `x1, y1 … x4, y4` of rotated ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastdup_db.errors import BadArgument

if TYPE_CHECKING:
    import pandas as pd

BOX_COLUMNS = ("col_x", "row_y", "width", "height")
CORNER_COLUMNS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
RESERVED_COLUMNS = ("id", "index", "fd_index", "error_code", "is_valid", "crop_filename", "is_annotated")
FORMS = (
    "a DataFrame with a 'filename' column, a list of file names, a .csv, .parquet or COCO .json path, or a COCO dict"
)

Annotations: TypeAlias = "pd.DataFrame | Sequence[str] | str | Path | Mapping[str, Any]"


def read(annotations: Annotations | None) -> pd.DataFrame | None:
    """The annotations as a frame with a RangeIndex, checked; None for None. Raises `BadArgument` for other forms."""
    if annotations is None:
        return None
    import pandas as pd

    if isinstance(annotations, pd.DataFrame):
        frame = annotations
    elif isinstance(annotations, Mapping):
        frame = read_coco(annotations)
    elif isinstance(annotations, str | Path):
        frame = _read_file(Path(annotations))
    elif isinstance(annotations, Sequence | np.ndarray):
        frame = pd.DataFrame({"filename": [str(name) for name in annotations]})
    else:
        raise BadArgument(f"annotations of type {type(annotations).__name__}; allowed: {FORMS}")
    return _checked(frame)


def has_boxes(frame: pd.DataFrame) -> bool:
    """Whether the frame carries upright or rotated boxes."""
    return set(BOX_COLUMNS) <= set(frame.columns) or set(CORNER_COLUMNS) <= set(frame.columns)


def read_coco(coco: Mapping[str, Any] | str | Path) -> pd.DataFrame:
    """`filename, col_x, row_y, width, height, label` of a COCO detection file or dict, one row per annotation.

    `label` is the category's name. Images without annotations have no row. A COCO without boxes gives
    `filename, label` rows. Raises `BadArgument` where it is no COCO.
    """
    import pandas as pd

    if isinstance(coco, str | Path):
        coco = json.loads(Path(coco).read_text(encoding="utf-8"))
    if not isinstance(coco, Mapping) or not {"images", "annotations"} <= set(coco):
        raise BadArgument("this is no COCO file: it needs the keys 'images' and 'annotations'")
    images = pd.DataFrame(coco["images"])
    found = pd.DataFrame(coco["annotations"])
    if images.empty or found.empty:
        raise BadArgument("this COCO file has no images or no annotations")
    if not {"id", "file_name"} <= set(images.columns) or "image_id" not in found.columns:
        raise BadArgument("this is no COCO file: images need 'id' and 'file_name', annotations 'image_id'")
    names = images.drop_duplicates("id").set_index("id")["file_name"]
    frame = pd.DataFrame({"filename": found["image_id"].map(names)})
    if frame["filename"].isna().any():
        raise BadArgument(f"{int(frame['filename'].isna().sum())} COCO annotations name an image_id that is not listed")
    if "bbox" in found.columns:
        boxes = np.array([b if isinstance(b, list) and len(b) == 4 else [np.nan] * 4 for b in found["bbox"]], float)
        for position, name in enumerate(BOX_COLUMNS):
            frame[name] = boxes[:, position]
    if "category_id" in found.columns:
        categories = pd.DataFrame(coco.get("categories", []), columns=["id", "name"]).drop_duplicates("id")
        names = categories.set_index("id")["name"]
        frame["label"] = found["category_id"].map(names).fillna(found["category_id"].astype(str))
    return frame


def _read_file(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise BadArgument(f"annotations file {str(path)!r} does not exist")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return pd.read_csv(path)
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix == ".json":
            return read_coco(path)
    except (ValueError, OSError) as exc:
        if isinstance(exc, BadArgument):
            raise
        raise BadArgument(f"annotations file {str(path)!r} cannot be read: {exc}") from exc
    raise BadArgument(f"annotations file {str(path)!r} is of no known form; allowed: {FORMS}")


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if "filename" not in frame.columns or frame.empty:
        raise BadArgument(f"annotations need at least one row and a 'filename' column; allowed: {FORMS}")
    taken = sorted(set(map(str, frame.columns)) & set(RESERVED_COLUMNS))
    if taken:
        raise BadArgument(f"annotations may not use the column names {taken}; rename them")
    lowered = pd.Series([str(c).lower() for c in frame.columns])
    if lowered.duplicated().any():
        twice = sorted(set(lowered[lowered.duplicated()]))
        raise BadArgument(f"annotations have columns that differ in case only, which SQL cannot tell apart: {twice}")
    if frame["filename"].isna().any():
        raise BadArgument(f"annotations have {int(frame['filename'].isna().sum())} rows without a filename")
    for name in ("label", "split"):
        if name in frame.columns and frame[name].map(lambda v: isinstance(v, list | dict | np.ndarray)).any():
            raise BadArgument(f"annotations column {name!r} holds lists; give one value a row")
    if not has_boxes(frame) and frame["filename"].duplicated().any():
        name = frame["filename"][frame["filename"].duplicated()].iloc[0]
        raise BadArgument(
            f"annotations name {name!r} more than once; without box columns {BOX_COLUMNS} one row per image is allowed"
        )
    checked = frame.reset_index(drop=True)
    checked.columns = pd.Index([str(c) for c in checked.columns])
    checked["filename"] = checked["filename"].map(str)
    for name in (*BOX_COLUMNS, *CORNER_COLUMNS):
        if has_boxes(frame) and name in checked.columns:
            checked[name] = pd.to_numeric(checked[name], errors="coerce").astype(float)
    return checked
