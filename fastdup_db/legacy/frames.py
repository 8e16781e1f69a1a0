"""Frames that v0's functions are given, as such or as files: read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.errors import BadArgument

_UNREADABLE = (OSError, ValueError)
"""Of pandas and pyarrow; those of parsers and of text that is no UTF-8 are ValueErrors."""


def read_csv(path: str | Path, *, argument: str, **options: Any) -> pd.DataFrame:
    """A csv, whose texts stay as they are: `NA` and `None` are no missing values. Raises `BadArgument`."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=["", "nan", "-nan"], **options)
    except _UNREADABLE as exc:
        said = " ".join(str(exc).split())  # pandas says it over several lines
        raise BadArgument(f"{argument}={str(path)!r} cannot be read as a csv: {said}") from exc


def read_parquet(path: str | Path, *, argument: str) -> pd.DataFrame:
    """A Parquet file. Raises `BadArgument`."""
    try:
        return pd.read_parquet(path)
    except _UNREADABLE as exc:
        raise BadArgument(f"{argument}={str(path)!r} cannot be read as Parquet: {exc}") from exc


def check(frame: object, *, argument: str, columns: Sequence[str]) -> None:
    """Raises `BadArgument` for what is no DataFrame with these columns."""
    if not isinstance(frame, pd.DataFrame):
        raise BadArgument(f"{argument} of type {type(frame).__name__}; allowed: a DataFrame with {', '.join(columns)}")
    if absent := [name for name in columns if name not in frame.columns]:
        raise BadArgument(
            f"{argument} lacks the columns {', '.join(absent)}; it has {', '.join(map(str, frame.columns))}"
        )
