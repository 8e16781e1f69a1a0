"""fastdup's binary features: raw little-endian float32 rows, and beside them a csv with the name of each row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fastdup_db import frames
from fastdup_db.errors import BadArgument
from fastdup_db.pipeline.files import FEATURES, ROWS

DTYPE = np.dtype("<f4")


def read(path: str | Path, *, d: int | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """`index, filename` of every row, and the features float32 (n, d).

    d: width of a row, found out from the sizes of the two files where it is None.
    Raises BadArgument where a file is missing or the sizes do not fit.
    """
    features, listed = Path(path), Path(str(path) + ROWS)
    for file in (features, listed):
        if not file.is_file():
            raise BadArgument(f"{str(file)!r} does not exist; features are a .dat file and a .dat.csv beside it")
    rows = frames.read_csv(listed, missing=(), dtype={"filename": str})
    if "filename" not in rows.columns:
        raise BadArgument(f"{str(listed)!r} has no column 'filename'")
    numbers = features.stat().st_size // DTYPE.itemsize
    width = d or (numbers // len(rows) if len(rows) else 0)
    if features.stat().st_size != width * len(rows) * DTYPE.itemsize:
        raise BadArgument(
            f"{str(features)!r} holds {numbers} numbers, which are not {len(rows)} rows of d={width}"
            + (f"; d={numbers // len(rows)} would fit" if len(rows) and numbers % len(rows) == 0 else "")
        )
    return rows, np.fromfile(features, dtype=DTYPE).reshape(len(rows), width).astype(np.float32, copy=False)


def holds(path: str | Path, *, filenames: Sequence[str], batches: Iterable[np.ndarray]) -> bool:
    """Whether `write` with these names and float32 (b, d) would make the file that is there, and its csv.

    Numbers are compared as they lie there, a batch at a time. Raises BadArgument for a csv that cannot be read.
    """
    rows = frames.read_csv(Path(str(path) + ROWS), missing=(), dtype={"filename": str})
    if "filename" not in rows.columns or rows["filename"].tolist() != list(filenames):
        return False
    with Path(path).open("rb") as file:
        same = (file.read(batch.size * DTYPE.itemsize) == batch.astype(DTYPE).tobytes() for batch in batches)
        return all(same) and not file.read(1)


def write(
    folder: str | Path,
    *,
    ids: Sequence[int] | np.ndarray,
    filenames: Sequence[str],
    batches: Iterable[np.ndarray],
    prefix: str = "",
) -> Path:
    """Write `<prefix>atrain_features.dat` and its csv; returns the path of the former. `batches`: float32 (b, d)."""
    target = Path(folder) / (prefix + FEATURES)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for batch in batches:
            np.ascontiguousarray(batch, dtype=DTYPE).tofile(file)
    with Path(str(target) + ROWS).open("w", newline="", encoding="utf-8") as file:
        # readers take a bare \r for the end of a line; of the dialects 'unix' quotes everything
        dialect = "unix" if any("\r" in name for name in filenames) else "excel"
        writer = csv.writer(file, dialect, lineterminator="\n")
        writer.writerow(("index", "filename"))
        writer.writerows(zip(map(int, ids), filenames, strict=True))
    return target
