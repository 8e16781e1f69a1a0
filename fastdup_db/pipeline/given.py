"""Embeddings that the user supplies, stored the same way as images: references, batches, commits; by columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fastdup_db.engines.rows import Columns
from fastdup_db.errors import VALID, BadArgument
from fastdup_db.imaging.stats import STAT_COLUMNS
from fastdup_db.store.lance_rows import READ_ROWS

if TYPE_CHECKING:
    import pandas as pd

_FLOAT32 = np.finfo(np.float32)
_LEAST = float(_FLOAT32.tiny)
_TOO_SMALL = f"no value of at least {_LEAST:.2g}, as float32 needs it; multiply all by one number"
_BATCH_BYTES = 64 << 20
_BATCH_ROWS = 65_536


def checked(embeddings: object, *, names: int) -> np.ndarray:
    """float32 (n, d), finite, one row per name. float64 and float16 are converted; what is masked counts as NaN.

    Raises `BadArgument`, also for rows that float32 cannot tell from zero.
    """
    matrix = np.asarray(embeddings)
    if isinstance(embeddings, np.ma.MaskedArray) and matrix.dtype.kind == "f":
        matrix = embeddings.filled(np.nan)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.shape[1]:
        raise BadArgument(
            f"embeddings have shape {matrix.shape} and dtype {matrix.dtype}; allowed: a float array (n images, d)"
        )
    if len(matrix) != names:
        raise BadArgument(f"embeddings have {len(matrix)} rows but annotations name {names} images; one row per image")
    with np.errstate(over="ignore"):  # said below
        narrow = np.ascontiguousarray(matrix, dtype=np.float32)
    _check_rows(_is_not_finite, narrow, said=f"NaN, infinite values or such beyond ±{_FLOAT32.max:.2g}")
    if matrix.dtype.itemsize > narrow.dtype.itemsize:
        _check_rows(_vanishes, matrix, said=_TOO_SMALL)
    return narrow


def _check_rows(is_wrong: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray, *, said: str) -> None:
    """Raises `BadArgument` for rows of which that is true; looks at a part of them at a time."""
    parts = (is_wrong(matrix[at : at + READ_ROWS]) for at in range(0, len(matrix), READ_ROWS))
    bad = np.flatnonzero(np.concatenate([np.empty(0, bool), *parts]))
    if len(bad):
        raise BadArgument(f"{len(bad)} rows of embeddings hold {said}, first row {bad[0]}")


def _is_not_finite(rows: np.ndarray) -> np.ndarray:
    return ~np.isfinite(rows).all(axis=1)


def _vanishes(rows: np.ndarray) -> np.ndarray:
    """Whether a row that is not zero would become so in float32, or be left with a few of its digits."""
    largest = np.abs(rows).max(axis=1)
    return (largest > 0) & (largest < _LEAST)


def versions(embeddings: np.ndarray) -> list[str]:
    """The hash of each row: another one means another vector."""
    return [hashlib.blake2b(row, digest_size=8).hexdigest() for row in embeddings]


def rows_at_once(embeddings: np.ndarray) -> int:
    """How many vectors make a batch: few enough to be held, many enough that a commit costs little beside them."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // (4 * embeddings.shape[1])))


def results(
    pending: Iterable[pa.RecordBatch], *, embeddings: np.ndarray, facts: pd.DataFrame | None = None
) -> Iterator[Columns]:
    """The rows and vectors of the pending names: batches of their `image_id` and `frame_number`, the vector's row.

    facts: what another program has measured already, row for row as the names: error_code, img_w, img_h, file_size and
    the statistics; a row that is not VALID has no vector.
    """
    for batch in pending:
        ids, at = (batch.column(name).to_numpy() for name in ("image_id", "frame_number"))
        known = _nothing(len(ids)) if facts is None else facts.iloc[at]
        valid = (known["error_code"] == VALID).to_numpy()
        measured = valid & known["mean"].notna().to_numpy()
        instances = pa.table(
            {
                "image_id": ids,
                "error_code": pa.array(known["error_code"], pa.string()),
                "img_w": _whole(known["img_w"], pa.int32()),
                "img_h": _whole(known["img_h"], pa.int32()),
            }
        )
        images = instances.append_column("file_size", _whole(known["file_size"], pa.int64()))
        tables = {
            "images": images.append_column("truncated", pa.array(np.zeros(len(ids), bool))),
            "instances": instances.append_column("id", pa.array(ids)),
        }
        if measured.any():
            stats = {name: known.loc[measured, name].to_numpy(float) for name in STAT_COLUMNS}
            tables["stats"] = pa.table({"id": ids[measured], **stats})
        yield Columns(tables, ids[valid], embeddings[at[valid]])


def _nothing(count: int) -> pd.DataFrame:
    """Facts of images that were never read."""
    import pandas as pd

    unknown = dict.fromkeys(("img_w", "img_h", *STAT_COLUMNS), np.nan)
    return pd.DataFrame({"error_code": VALID, "file_size": -1, **unknown}, index=range(count))


def _whole(column: pd.Series, kind: pa.DataType) -> pa.Array:
    """Whole numbers, null for NaN."""
    return pa.array(column.to_numpy(float), from_pandas=True).cast(kind)
