"""Rows of a batch on their way to Arrow: the columns here are the columns of the DuckDB tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fastdup_db.imaging.stats import ADVANCED_COLUMNS, STAT_COLUMNS

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

NO_FACTS = (None,) * (len(IMAGES) - IMAGES.get_field_index("orientation"))
"""The end of a row of `IMAGES`, from the orientation on, where no file was read."""
NO_BOX = (None,) * (len(INSTANCES) - INSTANCES.get_field_index("col_x"))
"""The end of a row of `INSTANCES`, from the box on, where the instance is the image."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch as the store takes it: the rows of each DuckDB table that gets some, and `embeddings` float32 (m, d) of
    the instances `ids` int64 (m,). Columns that a table lacks are null."""

    tables: Mapping[str, pa.Table]
    ids: np.ndarray
    embeddings: np.ndarray


def ids(result: BatchResult) -> np.ndarray:
    """int64 (n,): the ids of a result's instances, all of which have one."""
    return np.array([row[0] for row in result.instances], dtype=np.int64)


def error_codes(result: BatchResult) -> list[str]:
    """Of each image of a result, VALID among them."""
    return [row[1] for row in result.images]


def columns(results: Sequence[tuple[BatchResult, np.ndarray]]) -> Columns:
    """At least one result, with the ids of its instances (int64), as one batch."""
    embedded = _joined([ids[r.embedded] for r, ids in results])
    return Columns(tables(results), embedded, np.concatenate([r.embeddings for r, _ in results]))


def tables(results: Sequence[tuple[BatchResult, np.ndarray]]) -> dict[str, pa.Table]:
    """Results with the ids of their instances (int64), as the rows of each DuckDB table that gets some."""
    numbers = _joined([ids for _, ids in results])
    instances = _table([row for r, _ in results for row in r.instances], INSTANCES)
    advanced = [(r, ids) for r, ids in results if len(r.advanced_stats)]
    made = {
        "images": _table([row for r, _ in results for row in r.images], IMAGES),
        "instances": instances.set_column(0, INSTANCES.field(0), pa.array(numbers, _I8)),
        "stats": _measurements([(ids[r.measured], r.stats) for r, ids in results], STAT_COLUMNS),
        "advanced_stats": _measurements([(ids[r.measured], r.advanced_stats) for r, ids in advanced], ADVANCED_COLUMNS),
        "feature_lengths": _measurements([_lengths(r, ids) for r, ids in results], ("length",)),
    }
    return {name: table for name, table in made.items() if table.num_rows}


def _lengths(result: BatchResult, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids and the lengths (m, 1) of a result's instances that have one."""
    known = ~np.isnan(result.lengths)
    return ids[result.embedded][known], result.lengths[known, None].astype(np.float64)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Row tuples in the order of `schema`."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _measurements(parts: Sequence[tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> pa.Table:
    """`id` and one float64 column per name, of ids int64 (m,) with values float64 (m, len(names))."""
    values = np.concatenate([np.empty((0, len(names))), *(values for _, values in parts)])
    columns = [pa.array(_joined([ids for ids, _ in parts]), _I8), *(pa.array(c, _F8) for c in values.T)]
    return pa.table(columns, names=["id", *names])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *parts])
