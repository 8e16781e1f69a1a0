"""Frames that users supply, in memory or as files: read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db import encodings
from fastdup_db.errors import BadArgument

MISSING = ("", "nan", "-nan")
"""A missing number as fastdup writes it."""
EMPTY = ("",)
_UNREADABLE = (OSError, ValueError)
"""What pandas and pyarrow raise; parser errors and invalid UTF-8 are ValueErrors."""


def read_csv(
    path: str | Path, *, argument: str | None = None, missing: Sequence[str] = MISSING, **options: Any
) -> pd.DataFrame:
    """A csv with its texts unchanged: only the words of `missing` are missing values, not `NA` or `None`.

    UTF-8, or UTF-16 with its byte order mark. argument: the name of the argument that named the
    file. options: those of pandas. Raises `BadArgument`.
    """
    try:
        encoding = encodings.of_file(path)
        return pd.read_csv(path, keep_default_na=False, na_values=list(missing), encoding=encoding, **options)
    except _UNREADABLE as exc:
        said = " ".join(str(exc).split())  # pandas says it over several lines
        raise BadArgument(f"{_named(path, argument)} cannot be read as a csv: {said}") from exc


def read_parquet(path: str | Path, *, argument: str | None = None) -> pd.DataFrame:
    """A Parquet file. Raises `BadArgument`."""
    try:
        return pd.read_parquet(path)
    except _UNREADABLE as exc:
        raise BadArgument(f"{_named(path, argument)} cannot be read as Parquet: {exc}") from exc


def check(frame: object, *, argument: str, columns: Sequence[str]) -> None:
    """Raises `BadArgument` unless `frame` is a DataFrame with these columns."""
    if not isinstance(frame, pd.DataFrame):
        raise BadArgument(f"{argument} of type {type(frame).__name__}; allowed: a DataFrame with {', '.join(columns)}")
    if absent := [name for name in columns if name not in frame.columns]:
        raise BadArgument(
            f"{argument} lacks the columns {', '.join(absent)}; it has {', '.join(map(str, frame.columns))}"
        )


def _named(path: str | Path, argument: str | None) -> str:
    return f"{argument}={str(path)!r}" if argument else repr(str(path))
