"""`fastdup-db …`: each command is one call of the controller. Tables go to stdout, all else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import fastdup_db
from fastdup_db.errors import FastdupError

if TYPE_CHECKING:
    import pandas as pd

    from fastdup_db.engine import Fastdup

app = typer.Typer(
    help="Find duplicates, outliers, clusters, broken and blurry files in a collection of images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

WorkDir = Annotated[Path, typer.Option("--work-dir", "-w", help="Folder of the results.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print rows as JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")]
Endpoint = Annotated[str | None, typer.Option(help="Server of s3://, where it is not Amazon's.")]
Region = Annotated[str | None, typer.Option(help="Region of s3://.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="At most this many rows; 0 for all.")]

EXIT_ERROR = 1
EXIT_BAD_ARGUMENT = 2


class Metric(StrEnum):
    """Statistics that images can be sorted by."""

    blur = "blur"
    mean = "mean"
    stdv = "stdv"
    contrast = "contrast"
    unique = "unique"
    file_size = "file_size"
    img_w = "img_w"
    img_h = "img_h"


class Gallery(StrEnum):
    """The galleries."""

    duplicates = "duplicates"
    outliers = "outliers"
    similarity = "similarity"
    component = "component"
    stats = "stats"


def main() -> None:
    """Entry point: exit status 0, 1 (the run or the query failed), 2 (an argument is wrong)."""
    try:
        app()
    except fastdup_db.BadArgument as exc:
        _fail(exc, EXIT_BAD_ARGUMENT)
    except FastdupError as exc:
        _fail(exc, EXIT_ERROR)


@app.command()
def run(
    inputs: Annotated[list[str], typer.Argument(help="Folders, images, list files, archives, videos, s3:// …")],
    work_dir: WorkDir = Path("work_dir"),
    annotations: Annotated[str | None, typer.Option(help="CSV, Parquet or COCO json.")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest similarity of a pair.")] = 0.9,
    cc_threshold: Annotated[float, typer.Option(help="Lowest similarity inside a component.")] = 0.96,
    k: Annotated[int, typer.Option("--nearest-neighbors-k", "-k", help="Neighbours per image.")] = 2,
    outlier_percentile: Annotated[float, typer.Option(help="Share of images called outliers.")] = 0.05,
    num_images: Annotated[int | None, typer.Option(help="Only the first images.")] = None,
    num_threads: Annotated[int | None, typer.Option(help="Threads; all cores by default.")] = None,
    high_accuracy: Annotated[bool, typer.Option("--high-accuracy", help="The larger input and vector.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Add to the work_dir instead of starting afresh.")] = False,
    s3_endpoint_url: Endpoint = None,
    s3_region: Region = None,
    s3_anonymous: Annotated[bool, typer.Option("--s3-anonymous", help="Read public buckets unsigned.")] = False,
    engine: Annotated[str | None, typer.Option(help="Where it runs: local (default), or ray for a cluster.")] = None,
    ray_address: Annotated[str | None, typer.Option(help="The cluster: auto, or host:port of its head.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="Any other argument of run() as name=value.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="The bar on stderr.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Read images, find their neighbours, store everything; ends with the summary and what it cost."""
    from fastdup_db.config import parse_turi_param

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr)
    more: dict[str, Any] = {}
    for pair in option or []:
        more |= parse_turi_param(pair)
    more |= {name: value for name, value in (("engine", engine), ("ray_address", ray_address)) if value}
    fd = fastdup_db.create(work_dir, inputs[0] if len(inputs) == 1 else inputs)
    fd.run(
        annotations=annotations,
        threshold=threshold,
        cc_threshold=cc_threshold,
        nearest_neighbors_k=k,
        outlier_percentile=outlier_percentile,
        num_images=num_images,
        num_threads=num_threads,
        high_accuracy=high_accuracy,
        overwrite=not update,
        s3_endpoint_url=s3_endpoint_url,
        s3_region=s3_region,
        s3_anonymous=s3_anonymous,
        progress=progress,
        verbose=verbose,
        **more,
    )
    fd.summary()
    cost = fd.sql("from costs order by run_id desc limit 1").iloc[0]
    said = f"{cost['images']:,} images read in {cost['seconds']:.1f} s, {cost['cpu_hours']:.4f} CPU-hours"
    typer.echo(f"{said} on engine {cost['engine']!r}", err=True)


@app.command()
def plan(
    images: Annotated[float, typer.Option(help="How many; 1e9 is a number.")],
    workers: Annotated[int, typer.Option(help="Machines.")] = 1,
    cores: Annotated[int, typer.Option(help="Cores of each machine.")] = 16,
    k: Annotated[int, typer.Option("--nearest-neighbors-k", "-k", help="Neighbours per image.")] = 2,
    dimension: Annotated[int, typer.Option(help="Columns of an embedding.")] = 576,
    partitions: Annotated[int, typer.Option(help="Independent partitions into lists; a run's log says its own.")] = 3,
    probes: Annotated[int, typer.Option(help="Lists of each that a vector is joined with.")] = 2,
) -> None:
    """What a run of that size takes: time, storage, memory, shuffle; from measured constants."""
    from fastdup_db import planning

    found = planning.estimate(
        images,
        workers=workers,
        cores_per_worker=cores,
        dimension=dimension,
        k=k,
        partitions=partitions,
        probes=probes,
    )
    for line in found.lines():
        typer.echo(line)


@app.command()
def demo(
    work_dir: Annotated[Path | None, typer.Option("--work-dir", "-w", help="Keep the demo here.")] = None,
) -> None:
    """Draw a small collection with planted problems, run on it, and show that each was found."""
    from fastdup_db import demo as drawn

    if not drawn.run(work_dir, say=typer.echo):
        raise typer.Exit(EXIT_ERROR)


@app.command()
def summary(work_dir: WorkDir = Path("work_dir"), as_json: AsJson = False) -> None:
    """What is in the collection and what is wrong with it."""
    lines = _open(work_dir).summary(verbose=not as_json)
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False))


@app.command()
def similarity(
    work_dir: WorkDir = Path("work_dir"),
    threshold: Annotated[float | None, typer.Option(help="Lowest similarity, 0 to 1.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Pairs of similar images, most similar first."""
    frame = _open(work_dir).similarity(threshold=threshold)
    _show(frame[["distance", "filename_from", "filename_to"]], limit, as_json, as_csv)


@app.command()
def outliers(
    work_dir: WorkDir = Path("work_dir"), limit: Limit = 20, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Images least similar to any other, most extreme first."""
    frame = _open(work_dir).outliers()
    _show(frame[["distance", "filename_outlier", "filename_nearest"]], limit, as_json, as_csv)


@app.command()
def components(
    work_dir: WorkDir = Path("work_dir"),
    metric: Annotated[str | None, typer.Option(help="A statistic to average per component.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Clusters of near-duplicates, the largest first."""
    _show(_open(work_dir).connected_components_grouped(metric=metric), limit, as_json, as_csv)


@app.command()
def stats(
    work_dir: WorkDir = Path("work_dir"),
    sort_by: Annotated[Metric, typer.Option(help="Statistic to sort by.")] = Metric.blur,
    descending: Annotated[bool, typer.Option("--descending", help="Largest first.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Statistics per image."""
    frame = _open(work_dir).img_stats().sort_values([sort_by, "index"], ascending=[not descending, True])
    first = ["filename", sort_by.value]
    _show(frame[first + [c for c in frame.columns if c not in first]], limit, as_json, as_csv)


@app.command()
def invalid(
    work_dir: WorkDir = Path("work_dir"), limit: Limit = 20, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Files that cannot be used, and why."""
    _show(_open(work_dir).invalid_instances()[["error_code", "filename"]], limit, as_json, as_csv)


@app.command()
def search(
    images: Annotated[list[str], typer.Argument(help="Images to look for: paths or s3://…")],
    work_dir: WorkDir = Path("work_dir"),
    k: Annotated[int, typer.Option("-k", help="Answers per image.")] = 10,
    where: Annotated[str | None, typer.Option(help="SQL condition, such as \"label = 'cat' and blur > 100\".")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest similarity; 0 for no limit.")] = 0.0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The stored images most like the given ones."""
    _show(_open(work_dir).search(images, k=k, where=where, threshold=threshold), 0, as_json, as_csv)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="SQL over the tables and views; vectors are `embeddings`.")],
    work_dir: WorkDir = Path("work_dir"),
    limit: Limit = 0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Your own SQL, read-only."""
    _show(_open(work_dir).sql(query), limit, as_json, as_csv)


@app.command()
def gallery(
    kind: Annotated[Gallery, typer.Argument(help="Which one.")],
    work_dir: WorkDir = Path("work_dir"),
    save_path: Annotated[Path | None, typer.Option(help="HTML file, or a folder; galleries/ by default.")] = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=1, help="How many to show.")] = 20,
    metric: Annotated[str | None, typer.Option(help="For stats: dark, bright, blur, size or a column.")] = None,
    lazy_load: Annotated[bool, typer.Option("--lazy", help="Thumbnails in a folder beside the page.")] = False,
) -> None:
    """One HTML page of pictures; prints where it is."""
    options: dict[str, Any] = {"save_path": save_path, "num_images": num_images, "lazy_load": lazy_load}
    if metric is not None:
        options["metric"] = metric
    typer.echo(getattr(_open(work_dir).vis, f"{kind.value}_gallery")(show=False, **options))


@app.command()
def report(
    work_dir: WorkDir = Path("work_dir"),
    save_path: Annotated[Path | None, typer.Option(help="HTML file, or a folder; galleries/ by default.")] = None,
) -> None:
    """One page to send to a colleague: numbers, distributions, the first of every gallery; prints where it is."""
    typer.echo(_open(work_dir).vis.report(save_path=save_path, show=False))


@app.command()
def publish(
    uri: Annotated[str, typer.Argument(help="s3://bucket/prefix or minio://alias/bucket/prefix.")],
    work_dir: WorkDir = Path("work_dir"),
    s3_endpoint_url: Endpoint = None,
    s3_region: Region = None,
) -> None:
    """Put the results into a bucket: DuckDB file, Lance tables, Parquet; only what has changed."""
    for name in _open(work_dir).publish(uri, s3_endpoint_url=s3_endpoint_url, s3_region=s3_region):
        typer.echo(name)


@app.command()
def dedup(
    work_dir: WorkDir = Path("work_dir"),
    keep: Annotated[
        str, typer.Option(help="best, first, largest, least_compressed, oldest (EXIF) or sharpest.")
    ] = "best",
    groups: Annotated[str, typer.Option(help="components, duplicates (verified) or exact.")] = "components",
    limit: Limit = 0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Which image of every group of duplicates to keep. Touches nothing; its --csv is a plan for `clean`."""
    frame = _open(work_dir).dedup(keep, groups=groups)
    first = ["component_id", "keep", "filename"]
    _show(frame[first + [c for c in frame.columns if c not in first]], limit, as_json, as_csv)


@app.command()
def clean(
    plan: Annotated[
        Path, typer.Argument(help="CSV with a column filename (rows whose keep is True stay).", exists=True)
    ],
    work_dir: WorkDir = Path("work_dir"),
    how: Annotated[str, typer.Option(help="quarantine or delete.")] = "quarantine",
    folder: Annotated[Path | None, typer.Option(help="Of the quarantine.")] = None,
    do_it: Annotated[bool, typer.Option("--do-it", help="Else it only says what it would do.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Take the files of a plan away; only files of the run's input, and nothing without --do-it."""
    import pandas as pd

    frame = _open(work_dir).clean(pd.read_csv(plan), how=how, folder=folder, dry_run=not do_it)
    _show(frame, 0, as_json, as_csv)
    typer.echo(f"folder: {frame.attrs['folder']}" if do_it else "nothing was touched; --do-it does it", err=True)


@app.command()
def undo(
    folder: Annotated[Path | None, typer.Argument(help="Of the quarantine; the last one by default.")] = None,
    work_dir: WorkDir = Path("work_dir"),
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Move the files of a quarantine back where they were."""
    _show(_open(work_dir).undo(folder), 0, as_json, as_csv)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="Folder to write into.")],
    work_dir: WorkDir = Path("work_dir"),
    format: Annotated[str, typer.Option(help="fastdup, parquet, coco, fiftyone or huggingface.")] = "fastdup",
) -> None:
    """Write the results for other programs."""
    for file in _open(work_dir).export(path, format):
        typer.echo(file)


@app.command("import")
def import_(
    fastdup_work_dir: Annotated[Path, typer.Argument(help="A work_dir that fastdup 2.54 made.")],
    work_dir: WorkDir = Path("work_dir"),
) -> None:
    """Read a fastdup work_dir into a new one of ours."""
    fastdup_db.import_work_dir(fastdup_work_dir, work_dir).summary()


@app.command()
def version() -> None:
    """The version of this package."""
    typer.echo(fastdup_db.__version__)


def _open(work_dir: Path) -> Fastdup:
    return fastdup_db.create(work_dir)


def _show(frame: pd.DataFrame, limit: int, as_json: bool, as_csv: bool) -> None:
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


def _fail(exc: Exception, code: int) -> None:
    typer.echo(f"fastdup-db: {exc}", err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
