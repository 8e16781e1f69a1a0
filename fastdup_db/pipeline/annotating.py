"""A user's annotation rows, tied to the ids of their instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fastdup_db.annotation_forms import BOX_COLUMNS, CORNER_COLUMNS, NAME, ROW
from fastdup_db.errors import BadArgument
from fastdup_db.store.duck import Database

if TYPE_CHECKING:
    import pandas as pd

_JOINED = {"boxes": "boxes", "embedding": "vectors"}
"""What annotation rows are matched to, by mode; otherwise to images."""
_YOURS = "your "
"""Before a column of the user's that is called `id`, which is what the tables call their key, or begins like this; the
views take it off again."""
_UNKNOWN = (pa.types.is_decimal256, pa.types.is_union, pa.types.is_run_end_encoded)
"""Types of Arrow that DuckDB 2.0 does not read."""


def annotation_columns(db: Database) -> frozenset[str]:
    """The names of the columns that the user, the layout of the input or a detector brought."""
    return frozenset(db.arrow("annotations/columns").column("column_name").to_pylist())


def stage_boxes(db: Database, frame: pd.DataFrame) -> None:
    """Stage one box per row of `frame` (filename: as listed) and find the images whose boxes have changed.

    Afterwards the temp table `staged_boxes` has `box_row` (the row of the frame) and the box;
    rotated boxes get the upright rectangle around them. NaN becomes null: such a box is a bad one.
    """
    corners = _numbers(frame, CORNER_COLUMNS)
    boxes = _numbers(frame, BOX_COLUMNS)
    if set(CORNER_COLUMNS) <= set(frame.columns):
        upright = _around(corners)
        boxes = np.where(np.isnan(corners).any(axis=1, keepdims=True) & ~np.isnan(boxes).all(), boxes, upright)
    columns = {"box_row": pa.array(range(len(frame)), pa.int64()), "filename": pa.array(frame["filename"], pa.string())}
    for names, values in ((BOX_COLUMNS, boxes), (CORNER_COLUMNS, corners)):
        for position, name in enumerate(names):
            columns[name] = pa.array(values[:, position], pa.float64(), from_pandas=True)
    db.execute("ingest/stage_boxes", incoming=pa.table(columns))


def check_one_row_each(frame: pd.DataFrame, *, given: pd.DataFrame) -> None:
    """Raises `BadArgument` where two names of `given` mean one file of `frame` (filename: as listed)."""
    repeated = frame["filename"].duplicated(keep=False).to_numpy()
    if repeated.any():
        file = frame.loc[repeated, "filename"].iloc[0]
        names = given.loc[(frame["filename"] == file).to_numpy(), "filename"].tolist()
        raise BadArgument(
            f"annotations name the file {file!r} {len(names)} times: {', '.join(map(repr, names[:3]))}; "
            f"without box columns {BOX_COLUMNS} one row per image is allowed"
        )


def stage_rows(db: Database, frame: pd.DataFrame) -> None:
    """The rows of `frame` as the temp table `staged_rows`: all columns as they are, `filename` and the row's number
    under names of our own.

    Raises `BadArgument` for a column of mixed types or of a kind that the database does not have.
    """
    columns = {_stored(str(name)): _column(values) for name, values in frame.items() if name != "filename"}
    own = {ROW: pa.array(range(len(frame)), pa.int64()), NAME: pa.array(frame["filename"], pa.string())}
    db.take_in("annotations/stage_rows", incoming=pa.table(columns | own))


def _stored(name: str) -> str:
    """What a column is called in the tables."""
    return _YOURS + name if name.lower() == "id" or name.lower().startswith(_YOURS) else name


def store_rows(db: Database, *, mode: str) -> None:
    """Replace `user_annotations` by the staged rows. mode: that of the request."""
    db.execute(f"annotations/replace_for_{_JOINED.get(mode, 'images')}")


def store_layout(db: Database) -> None:
    """Replace `user_annotations` by the labels and splits of the input's layout, or by nothing."""
    said = db.row("annotations/layout_columns") or {}
    names = [name for name in ("label", "split") if said[f"has_{name}"]]
    db.execute(f"annotations/replace_by_layout_{'_'.join(names)}" if names else "annotations/clear")


def _column(values: pd.Series) -> pa.Array | pa.ChunkedArray:
    import pandas as pd

    if isinstance(values.dtype, pd.SparseDtype):
        values = values.sparse.to_dense()
    elif isinstance(_of_values(values.dtype), pd.PeriodDtype | pd.IntervalDtype):
        values = values.astype(str).where(values.notna())
    try:
        made = pa.array(values, from_pandas=True)
        if pa.types.is_float16(made.type):
            made = made.cast(pa.float32())
    except (pa.ArrowException, NotImplementedError, OverflowError, TypeError, ValueError) as exc:
        raise BadArgument(
            f"annotations column {values.name!r} holds values that cannot be stored, or of mixed types: {exc}"
        ) from exc
    if any(is_unknown(made.type) for is_unknown in _UNKNOWN):
        raise BadArgument(f"annotations column {values.name!r} is of the type {made.type}, which cannot be stored")
    return made.cast(pa.string()) if pa.types.is_null(made.type) else made


def _of_values(dtype: Any) -> Any:
    """The dtype, or for a categorical one that of its categories."""
    import pandas as pd

    return dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype


def _numbers(frame: pd.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    if not set(names) <= set(frame.columns):
        return np.full((len(frame), len(names)), np.nan)
    return frame[list(names)].to_numpy(dtype=float)


def _around(corners: np.ndarray) -> np.ndarray:
    """x, y, width, height of the upright rectangle around four corners (n, 8); NaN where a corner is NaN."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    left, top = x.min(axis=1), y.min(axis=1)
    return np.stack([left, top, x.max(axis=1) - left, y.max(axis=1) - top], axis=1)
