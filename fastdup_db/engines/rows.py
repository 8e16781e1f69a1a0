"""Rows of a batch on their way to Arrow: the columns here are the columns of the DuckDB tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from fastdup_db.engines.task import BatchResult

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


def tables(results: Sequence[tuple[BatchResult, np.ndarray]]) -> dict[str, pa.Table]:
    """Results with the ids of their instances (int64), as the rows of each DuckDB table."""
    found = {
        "images": [r.images for r, _ in results],
        "instances": [_with_ids(r.instances, ids) for r, ids in results],
        "stats": [_measured(r.stats, ids) for r, ids in results],
        "advanced_stats": [_measured(r.advanced_stats, ids) for r, ids in results],
    }
    return {name: pa.concat_tables(some) for name, some in found.items()}


def _with_ids(table: pa.Table, ids: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, _I8))


def _measured(table: pa.Table, ids: np.ndarray) -> pa.Table:
    rows = table.column("id").to_numpy()
    return _with_ids(table, ids[rows] if len(rows) else np.empty(0, np.int64))
