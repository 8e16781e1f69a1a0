"""Options that several commands take, and how a table is printed: rows to stdout, remarks to stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

EXIT_ERROR = 1
EXIT_BAD_ARGUMENT = 2

WorkDir = Annotated[Path, typer.Option("--work-dir", "-w", help="Folder of the results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print rows as JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")]
Endpoint = Annotated[str | None, typer.Option(help="Server of s3://, where it is not Amazon's.")]
Region = Annotated[str | None, typer.Option(help="Region of s3://.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="At most this many rows; 0 for all.")]


def show(frame: pd.DataFrame, limit: int, as_json: bool, as_csv: bool) -> None:
    """The first `limit` rows (0: all), as text unless asked for as JSON or CSV."""
    shown = frame.head(limit) if limit else frame
    if as_json:
        typer.echo(shown.to_json(orient="records", force_ascii=False, date_format="iso"))
    elif as_csv:
        typer.echo(shown.to_csv(index=False), nl=False)
    elif shown.empty:
        typer.echo("nothing found")
    else:
        typer.echo(shown.to_string(index=False, max_colwidth=80))
        if len(shown) < len(frame):
            typer.echo(f"… {len(frame) - len(shown):,} more rows; --limit 0 shows all", err=True)
