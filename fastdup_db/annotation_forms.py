"""Annotations in every form a user has them, as one DataFrame with a `filename` column.

A DataFrame, a list or column of file names, a `.csv`, `.parquet` or COCO `.json` path, a COCO dict. Boxes are `col_x,
row_y, width, height` in pixels of the upright image, or the corners `x1, y1 … x4, y4` of rotated ones.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastdup_db import encodings
from fastdup_db.errors import BadArgument
from fastdup_db.imaging.crops import BOX_COLUMNS, CORNER_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

ROW, NAME = "fastdup row", "fastdup filename"
"""Our own columns beside the user's, while they are loaded into the database."""
RESERVED_COLUMNS = ("index", "fd_index", ROW, NAME)
"""What a column may not be called, in any case: joined by one of these, the user's ids would silently meet ours."""
OURS = ("error_code", "is_valid", "crop_filename", "is_annotated")
"""Columns of `annotations()`: the user's of such a name comes back as `<name>_1`."""
FORMS = (
    "a DataFrame with a 'filename' column, a list of file names, a .csv, .parquet or COCO .json path, or a COCO dict"
)

_TEXTS = ("filename", "label", "split")
_NUMBER = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_WHOLE = r"0|-?[1-9][0-9]*"
_EXACT_FLOAT, _EXACT_INT = 15, 18
"""Decimal digits that a float64 and an int64 always hold exactly."""
_LARGEST = 2**53
"""Up to here every whole number is a float64."""

Annotations: TypeAlias = "pd.DataFrame | pd.Series | Sequence[str] | str | Path | Mapping[str, Any]"


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
    elif isinstance(annotations, Sequence | np.ndarray | pd.Series | pd.Index):
        frame = pd.DataFrame({"filename": pd.Series(list(annotations), dtype=object)})
    else:
        raise BadArgument(f"annotations of type {type(annotations).__name__}; allowed: {FORMS}")
    return _checked(frame)


def has_boxes(frame: pd.DataFrame) -> bool:
    """Whether the frame carries upright or rotated boxes."""
    return set(BOX_COLUMNS) <= set(frame.columns) or set(CORNER_COLUMNS) <= set(frame.columns)


def read_coco(coco: Mapping[str, Any] | str | Path) -> pd.DataFrame:
    """`filename, col_x, row_y, width, height, label` of a COCO detection file or dict, one row per annotation.

    `label` is the category's name, the id where it has none, missing where the annotation has no category. A bbox that
    is not four numbers is NaN. `iscrowd` (0 or 1) is a last column where any box is of a crowd. Images without
    annotations have no row. A COCO without boxes gives `filename, label` rows. Raises `BadArgument` if it is not COCO,
    or if an annotation's image_id is that of no image or of several files.
    """
    import pandas as pd

    if isinstance(coco, str | Path):
        coco = json.loads(Path(coco).read_bytes())
    if not isinstance(coco, Mapping) or not {"images", "annotations"} <= set(coco):
        raise BadArgument("this is no COCO file: it needs the keys 'images' and 'annotations'")
    images, found, categories = (_coco_rows(coco, key) for key in ("images", "annotations", "categories"))
    if not images or not found:
        raise BadArgument("this COCO file has no images or no annotations")
    if not any({"id", "file_name"} <= set(image) for image in images) or not any("image_id" in row for row in found):
        raise BadArgument("this is no COCO file: images need 'id' and 'file_name', annotations 'image_id'")
    files = _coco_names(images, "file_name")
    _check_one_file_each(images, files=files, used={_coco_key(row.get("image_id")) for row in found})
    frame = pd.DataFrame({"filename": [files.get(_coco_key(row.get("image_id"))) for row in found]})
    if frame["filename"].isna().any():
        raise BadArgument(f"{int(frame['filename'].isna().sum())} COCO annotations name an image_id that is not listed")
    if any("bbox" in row for row in found):
        boxes = np.array([_coco_box(row.get("bbox")) for row in found], float)
        for position, name in enumerate(BOX_COLUMNS):
            frame[name] = boxes[:, position]
    if any("category_id" in row for row in found):
        labels = _coco_names(categories, "name")
        keys = [_coco_key(row.get("category_id")) for row in found]
        frame["label"] = [labels.get(key, key) for key in keys]
    crowds = [int(row.get("iscrowd") in (1, "1")) for row in found]
    if any(crowds) and set(BOX_COLUMNS) <= set(frame.columns):
        frame["iscrowd"] = crowds
    return frame


def _check_one_file_each(
    images: Sequence[Mapping[str, Any]], *, files: Mapping[str | None, str], used: set[str | None]
) -> None:
    """Raises `BadArgument` where an id that annotations name is that of several files, as after a careless merge."""
    for image in images:
        key, name = _coco_key(image.get("id")), image.get("file_name")
        if key in used and name is not None and str(name) != files.get(key, str(name)):
            raise BadArgument(
                f"COCO images of several files have the id {key}: {files[key]!r}, {str(name)!r}; of which one its "
                "annotations are cannot be told"
            )


def _coco_rows(coco: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = coco.get(key) or []
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise BadArgument(f"this is no COCO file: {key!r} must be a list of objects")
    return list(rows)


def _coco_names(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str | None, str]:
    """The value of `name` by id, the first one where an id comes twice."""
    named = [(_coco_key(row.get("id")), row.get(name)) for row in rows]
    return {key: str(value) for key, value in reversed(named) if key is not None and value is not None}


def _coco_key(value: Any) -> str | None:
    """An id as text: 7, 7.0 and "7" are one; None where there is none."""
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _coco_box(values: Any) -> list[float]:
    try:
        numbers = [] if isinstance(values, str) or values is None else [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    return numbers if len(numbers) == 4 else [np.nan] * 4


def _read_file(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise BadArgument(f"annotations file {str(path)!r} does not exist")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return _read_csv(path)
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix == ".json":
            return read_coco(path)
    except (ValueError, OSError, RecursionError) as exc:
        if isinstance(exc, BadArgument):
            raise
        raise BadArgument(f"annotations file {str(path)!r} cannot be read: {exc}") from exc
    raise BadArgument(f"annotations file {str(path)!r} is of no known form; allowed: {FORMS}")


def _read_csv(path: Path) -> pd.DataFrame:
    """Fields as text, only empty ones missing; columns that hold nothing but numbers are converted, labels where these
    are whole ones."""
    import pandas as pd

    encoding = encodings.of_file(path)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding=encoding)
    if not isinstance(frame.index, pd.RangeIndex):
        raise BadArgument(f"annotations file {str(path)!r} has rows of more fields than its header names")
    typed = {name: _typed(frame[name]) for name in frame.columns if name not in _TEXTS}
    if "label" in frame.columns:
        typed["label"] = _numbered(frame["label"])
    return frame.assign(**typed)


def _numbered(column: pd.Series) -> pd.Series:
    """A text column of labels as int64, or Int64 where some are missing, if all are whole numbers as one writes them;
    else as it is: 007, 1.50 and True stay text."""
    known = column.dropna()
    if known.empty or not known.str.fullmatch(_WHOLE).all() or known.str.lstrip("-").str.len().max() > _EXACT_INT:
        return column
    return column.astype("int64" if len(known) == len(column) else "Int64")


def _typed(column: pd.Series) -> pd.Series:
    """A text column as numbers or booleans, where nothing is lost: 007 and numbers with too many digits stay text."""
    import pandas as pd

    known = column.dropna()
    if known.empty:
        return column
    if len(known) == len(column) and known.isin(["True", "False"]).all():
        return column == "True"
    if not known.str.fullmatch(_NUMBER).all():
        return column
    digits = _EXACT_INT if len(known) == len(column) else _EXACT_FLOAT
    if known.str.fullmatch(r"-?[0-9]+").all() and known.str.lstrip("-").str.len().max() > digits:
        return column
    return pd.to_numeric(column)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    frame = frame.set_axis(_column_names(frame.columns), axis=1).reset_index(drop=True)
    if "filename" not in frame.columns or frame.empty:
        columns = ", ".join(map(repr, frame.columns)) or "none"
        raise BadArgument(
            f"annotations need at least one row and a 'filename' column; these have {len(frame)} rows and the columns "
            f"{columns[:200]}. Allowed: {FORMS}"
        )
    if frame["filename"].isna().any():
        raise BadArgument(f"annotations have {int(frame['filename'].isna().sum())} rows without a filename")
    for name in _TEXTS:
        if name in frame.columns and frame[name].map(lambda v: isinstance(v, list | dict | np.ndarray)).any():
            raise BadArgument(f"annotations column {name!r} holds lists; give one value a row")
    frame["filename"] = pd.Series([_shown(str(name)) for name in frame["filename"]])
    if not has_boxes(frame) and frame["filename"].duplicated().any():
        name = frame["filename"][frame["filename"].duplicated()].iloc[0]
        raise BadArgument(
            f"annotations name {name!r} more than once; without box columns {BOX_COLUMNS} one row per image is allowed"
        )
    if has_boxes(frame):
        for names in (BOX_COLUMNS, CORNER_COLUMNS):
            named = [name for name in names if name in frame.columns]
            frame[named] = _pixels(frame[named])
    return frame


def _column_names(columns: pd.Index) -> list[str]:
    """Names as text, distinct from ours and each other. Raises `BadArgument` for empty, repeated, reserved ones."""
    import pandas as pd

    if isinstance(columns, pd.MultiIndex):
        raise BadArgument("annotations have columns of several levels; give each one name")
    names = ["" if pd.api.types.is_scalar(name) and pd.isna(name) else str(name) for name in columns]
    nameless = [position for position, name in enumerate(names) if not name.strip() or "\0" in name]
    if nameless:
        raise BadArgument(f"annotations have columns without a name, at the positions {nameless} counted from 0")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadArgument(f"annotations have several columns of one name: {repeated}")
    taken = sorted(name for name in names if name.lower() in RESERVED_COLUMNS)
    if taken:
        raise BadArgument(f"annotations may not use the column names {taken}, in any case; rename them")
    return _apart(names)


def _apart(names: list[str]) -> list[str]:
    """Those that SQL, to which `Label` is `label`, cannot tell from ours or from another one get `_1`, or `_2`, ….

    Of several that differ in case only, the one in lower case keeps its name, else the first.
    """
    keepers: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name != name.lower()):
        keepers.setdefault(name.lower(), name)
    taken, found = {*OURS, *keepers}, []
    for name in names:
        given = name
        if name.lower() in OURS or keepers[name.lower()] != name:
            name = next(one for n in itertools.count(1) if (one := f"{given}_{n}").lower() not in taken)
            log.warning("the column %r of the annotations is called %r in the answers", given, name)
        taken.add(name.lower())
        found.append(name)
    return found


def _shown(name: str) -> str:
    """A name as the listing shows it: bytes that are no UTF-8 as `\\xNN`."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError as exc:
        raise BadArgument(f"annotations name {name!r}, which is no name of a file: {exc}") from exc


def _pixels(boxes: pd.DataFrame) -> pd.DataFrame:
    """int64 where all are whole numbers, so that they slice an image; else float64, NaN for what is no number."""
    numbers = boxes.apply(_numbers)
    whole = (numbers.abs() <= _LARGEST) & (numbers % 1 == 0)
    return numbers.astype("int64") if whole.all(axis=None) else numbers


def _numbers(column: pd.Series) -> pd.Series:
    """float64; NaN for anything that is not a number."""
    import pandas as pd

    try:
        return pd.to_numeric(column, errors="coerce").astype(float)
    except (TypeError, ValueError) as exc:
        raise BadArgument(f"annotations column {column.name!r} must hold numbers: {exc}") from exc
