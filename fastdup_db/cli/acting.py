"""Commands that write elsewhere than into the work_dir, or touch the files of the collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import fastdup_db
from fastdup_db.cli.options import AsCsv, AsJson, Endpoint, LimitIfAny, Region, WorkDir, show

if TYPE_CHECKING:
    import pandas as pd


def publish(
    uri: Annotated[str, typer.Argument(help="s3://bucket/prefix or minio://alias/bucket/prefix.")],
    work_dir: WorkDir = "work_dir",
    s3_endpoint_url: Endpoint = None,
    s3_region: Region = None,
) -> None:
    """Put the results into a bucket: DuckDB file, Lance tables, Parquet; only what has changed."""
    for name in fastdup_db.create(work_dir).publish(uri, s3_endpoint_url=s3_endpoint_url, s3_region=s3_region):
        typer.echo(name)


def dedup(
    work_dir: WorkDir = "work_dir",
    keep: Annotated[
        str, typer.Option(help="best, first, largest, least_compressed, oldest (EXIF) or sharpest.")
    ] = "best",
    groups: Annotated[str, typer.Option(help="components, duplicates (verified) or exact.")] = "components",
    limit: LimitIfAny = 0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Which image of every group of duplicates to keep. Touches nothing; its --csv is a plan for `clean`."""
    frame = fastdup_db.create(work_dir).dedup(keep, groups=groups)
    first = ["component_id", "keep", "filename"]
    show(frame[first + [c for c in frame.columns if c not in first]], limit, as_json, as_csv)


def clean(
    plan: Annotated[
        Path, typer.Argument(help="CSV with a column filename (rows whose keep is True stay).", exists=True)
    ],
    work_dir: WorkDir = "work_dir",
    how: Annotated[str, typer.Option(help="quarantine or delete.")] = "quarantine",
    folder: Annotated[Path | None, typer.Option(help="Of the quarantine.")] = None,
    do_it: Annotated[bool, typer.Option("--do-it", help="Else it only says what it would do.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Take the files of a plan away; only files of the run's input, and nothing without --do-it."""
    frame = fastdup_db.create(work_dir).clean(_plan(plan), how=how, folder=folder, dry_run=not do_it)
    show(frame, 0, as_json, as_csv)
    typer.echo(f"folder: {frame.attrs['folder']}" if do_it else "nothing was touched; --do-it does it", err=True)


def _plan(path: Path) -> pd.DataFrame:
    """The rows of a csv; names stay as they are written, `nan` and `007` too."""
    from fastdup_db import frames

    return frames.read_csv(path, argument="plan", missing=frames.EMPTY, dtype={"filename": str})


def undo(
    folder: Annotated[Path | None, typer.Argument(help="Of the quarantine; the last one by default.")] = None,
    work_dir: WorkDir = "work_dir",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Move the files of a quarantine back where they were."""
    show(fastdup_db.create(work_dir).undo(folder), 0, as_json, as_csv)


def export(
    path: Annotated[Path, typer.Argument(help="Folder to write into.")],
    work_dir: WorkDir = "work_dir",
    format: Annotated[str, typer.Option(help="fastdup, parquet, coco, fiftyone or huggingface.")] = "fastdup",
) -> None:
    """Write the results for other programs."""
    for file in fastdup_db.create(work_dir).export(path, format):
        typer.echo(file)


def import_(
    fastdup_work_dir: Annotated[Path, typer.Argument(help="A work_dir that fastdup 2.54 made.")],
    work_dir: WorkDir = "work_dir",
) -> None:
    """Read a fastdup work_dir into a new one of ours."""
    fastdup_db.import_work_dir(fastdup_work_dir, work_dir).summary()
