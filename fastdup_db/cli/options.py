"""Options that several commands take, and how a table is printed: rows to stdout, remarks to stderr."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

EXIT_ERROR = 1
EXIT_BAD_ARGUMENT = 2

WorkDir = Annotated[str, typer.Option("--work-dir", "-w", help="Folder of the results, or s3://bucket/prefix.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print rows as JSON; numbers in full, a blob as hex digits.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV; a list as JSON, a blob as hex digits.")]
Endpoint = Annotated[str | None, typer.Option(help="Server of s3://, where it is not Amazon's.")]
Region = Annotated[str | None, typer.Option(help="Region of s3://.")]
FIRST_ROWS = 20
"""Of a table that is printed as text, where no limit is given."""
_HELP = "At most this many rows; 0 for all."
Limit = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=0, help=_HELP, show_default=f"{FIRST_ROWS}; all with --json or --csv"),
]
LimitIfAny = Annotated[int, typer.Option("--limit", "-n", min=0, help=_HELP)]
_PRINTED_AT_ONCE = 50_000
"""Rows made into text at once: a million rows of JSON would be gigabytes of Python objects."""


def show(frame: pd.DataFrame, limit: int | None, as_json: bool, as_csv: bool) -> None:
    """The first `limit` rows (0: all; None: 20 as text, else all), as text unless asked for as JSON or CSV."""
    if limit is None:
        limit = 0 if as_json or as_csv else FIRST_ROWS
    shown = frame.head(limit) if limit else frame
    if as_json:
        _show_json(shown)
    elif as_csv:
        _show_csv(shown)
    elif shown.empty:
        typer.echo("nothing found")
    else:
        typer.echo(shown.to_string(index=False, max_colwidth=80))
    if len(shown) < len(frame):
        typer.echo(f"… {len(frame) - len(shown):,} more rows; --limit 0 shows all", err=True)


def _show_json(frame: pd.DataFrame) -> None:
    columns = [str(name) for name in frame.columns]
    typer.echo("[", nl=False)
    for start in range(0, len(frame), _PRINTED_AT_ONCE):
        part = frame.iloc[start : start + _PRINTED_AT_ONCE]
        rows = zip(*([_plain(value) for value in part.iloc[:, i]] for i in range(len(columns))), strict=True)
        said = ",".join(_json(dict(zip(columns, row, strict=True))) for row in rows)
        typer.echo(f",{said}" if start else said, nl=False)
    typer.echo("]")


def _show_csv(frame: pd.DataFrame) -> None:
    for start in range(0, max(1, len(frame)), _PRINTED_AT_ONCE):
        part = frame.iloc[start : start + _PRINTED_AT_ONCE]
        texts = {name: part[name].map(_cell) for name in part.columns if part[name].dtype == object}
        typer.echo(part.assign(**texts).to_csv(index=False, header=not start, lineterminator="\n"), nl=False)


def _cell(value: Any) -> Any:
    """A value as a field of a CSV: lists and structs as JSON, blobs as hex digits, others as pandas writes them."""
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return _json(_plain(value)) if isinstance(value, Mapping) or _is_list(value) else value


def _plain(value: Any) -> Any:
    """A value as JSON has it.

    A missing one and NaN are null, infinities the texts inf and -inf, times ISO 8601, blobs hex digits.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if _is_list(value):
        return [_plain(one) for one in value]
    if isinstance(value, bytes | bytearray):
        return value.hex()
    from pandas import isna

    if isna(value):
        return None
    item = value.item() if hasattr(value, "item") else value  # of NumPy
    if isinstance(item, Decimal) and Decimal(repr(float(item))) == item:
        return float(item)
    if isinstance(item, float) and math.isinf(item):
        return str(item)
    if isinstance(item, str | bool | int | float):
        return item
    return item.isoformat() if hasattr(item, "isoformat") else str(item)


def _is_list(value: Any) -> bool:
    is_text = isinstance(value, str | bytes | bytearray)
    return (isinstance(value, Sequence) and not is_text) or getattr(value, "ndim", 0) > 0


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
