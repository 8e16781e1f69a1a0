"""Rows of a batch on their way to Arrow: the columns here are the columns of the DuckDB tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_F8, _I4, _I8, _S = pa.float64(), pa.int32(), pa.int64(), pa.string()

IMAGES = pa.schema(
    [
        ("image_id", _I8),
        ("error_code", _S),
        ("img_w", _I4),
        ("img_h", _I4),
        ("file_size", _I8),
        ("truncated", pa.bool_()),
        ("orientation", _I4),
        ("taken_at", pa.timestamp("us")),
        ("camera_make", _S),
        ("camera_model", _S),
        ("latitude", _F8),
        ("longitude", _F8),
        ("content_hash", _S),
    ]
)
INSTANCES = pa.schema(
    [
        ("id", _I8),
        ("image_id", _I8),
        ("error_code", _S),
        ("img_w", _I4),
        ("img_h", _I4),
        ("col_x", _F8),
        ("row_y", _F8),
        ("width", _F8),
        ("height", _F8),
        ("crop_filename", _S),
        ("label", _S),
        ("confidence", _F8),
    ]
)


def table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """An Arrow table of row tuples in the order of `schema`."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def measurements(ids: Sequence[int], values: Sequence[Sequence[float]], names: Sequence[str]) -> pa.Table:
    """An Arrow table `row` (int64, index into the batch's instances) and one float64 column per name."""
    columns: Sequence[Sequence[float]] = list(zip(*values, strict=True)) if values else [()] * len(names)
    arrays = [pa.array(ids, _I8), *(pa.array(c, _F8) for c in columns)]
    return pa.table(arrays, names=["id", *names])
