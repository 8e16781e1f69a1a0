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
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="At most this many rows; 0 for all.")]


def show(frame: pd.DataFrame, limit: int, as_json: bool, as_csv: bool) -> None:
    """The first `limit` rows (0: all), as text unless asked for as JSON or CSV."""
    shown = frame.head(limit) if limit else frame
    if as_json:
        columns = [str(name) for name in shown.columns]
        rows = zip(*([_plain(value) for value in shown.iloc[:, i]] for i in range(len(columns))), strict=True)
        typer.echo(_json([dict(zip(columns, row, strict=True)) for row in rows]))
    elif as_csv:
        texts = {name: shown[name].map(_cell) for name in shown.columns if shown[name].dtype == object}
        typer.echo(shown.assign(**texts).to_csv(index=False, lineterminator="\n"), nl=False)
    elif shown.empty:
        typer.echo("nothing found")
    else:
        typer.echo(shown.to_string(index=False, max_colwidth=80))
        if len(shown) < len(frame):
            typer.echo(f"… {len(frame) - len(shown):,} more rows; --limit 0 shows all", err=True)


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
