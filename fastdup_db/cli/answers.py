"""Commands that ask a finished run: tables, SQL, pages of pictures."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import fastdup_db
from fastdup_db.cli.options import AsCsv, AsJson, Limit, LimitIfAny, WorkDir, show


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


def summary(work_dir: WorkDir = "work_dir", as_json: AsJson = False) -> None:
    """What is in the collection and what is wrong with it."""
    lines = fastdup_db.create(work_dir).summary(verbose=not as_json)
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False))


def similarity(
    work_dir: WorkDir = "work_dir",
    threshold: Annotated[float | None, typer.Option(help="Lowest similarity, 0 to 1.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Pairs of similar images, most similar first."""
    frame = fastdup_db.create(work_dir).similarity(threshold=threshold)
    show(frame[["distance", "filename_from", "filename_to"]], limit, as_json, as_csv)


def outliers(
    work_dir: WorkDir = "work_dir", limit: Limit = None, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Images least similar to any other, most extreme first."""
    frame = fastdup_db.create(work_dir).outliers()
    show(frame[["distance", "filename_outlier", "filename_nearest"]], limit, as_json, as_csv)


def components(
    work_dir: WorkDir = "work_dir",
    metric: Annotated[str | None, typer.Option(help="A statistic to average per component.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Clusters of near-duplicates, the largest first."""
    show(fastdup_db.create(work_dir).connected_components_grouped(metric=metric), limit, as_json, as_csv)


def stats(
    work_dir: WorkDir = "work_dir",
    sort_by: Annotated[Metric, typer.Option(help="Statistic to sort by.")] = Metric.blur,
    descending: Annotated[bool, typer.Option("--descending", help="Largest first.")] = False,
    limit: Limit = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Statistics per image."""
    frame = fastdup_db.create(work_dir).img_stats().sort_values([sort_by, "index"], ascending=[not descending, True])
    first = ["filename", sort_by.value]
    show(frame[first + [c for c in frame.columns if c not in first]], limit, as_json, as_csv)


def invalid(
    work_dir: WorkDir = "work_dir", limit: Limit = None, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Files that cannot be used, and why."""
    show(fastdup_db.create(work_dir).invalid_instances()[["error_code", "filename"]], limit, as_json, as_csv)


def search(
    images: Annotated[list[str], typer.Argument(help="Images to look for: paths or s3://…")],
    work_dir: WorkDir = "work_dir",
    k: Annotated[int, typer.Option("-k", help="Answers per image.")] = 10,
    where: Annotated[str | None, typer.Option(help="SQL condition, such as \"label = 'cat' and blur > 100\".")] = None,
    threshold: Annotated[float, typer.Option(help="Lowest similarity; 0 for no limit.")] = 0.0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The stored images most like the given ones."""
    show(fastdup_db.create(work_dir).search(images, k=k, where=where, threshold=threshold), 0, as_json, as_csv)


def sql(
    query: Annotated[str, typer.Argument(help="SQL over the tables and views; vectors are `embeddings`.")],
    work_dir: WorkDir = "work_dir",
    limit: LimitIfAny = 0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Your own SQL, read-only."""
    show(fastdup_db.create(work_dir).sql(query), limit, as_json, as_csv)


def gallery(
    kind: Annotated[Gallery, typer.Argument(help="Which one.")],
    work_dir: WorkDir = "work_dir",
    save_path: Annotated[Path | None, typer.Option(help="HTML file, or a folder; galleries/ by default.")] = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=1, help="How many to show.")] = 20,
    metric: Annotated[str | None, typer.Option(help="For stats: dark, bright, blur, size or a column.")] = None,
    lazy_load: Annotated[bool, typer.Option("--lazy", help="Thumbnails in a folder beside the page.")] = False,
) -> None:
    """One HTML page of pictures; prints where it is."""
    options: dict[str, Any] = {"save_path": save_path, "num_images": num_images, "lazy_load": lazy_load}
    if metric is not None:
        options["metric"] = metric
    typer.echo(getattr(fastdup_db.create(work_dir).vis, f"{kind.value}_gallery")(show=False, **options))


def report(
    work_dir: WorkDir = "work_dir",
    save_path: Annotated[Path | None, typer.Option(help="HTML file, or a folder; galleries/ by default.")] = None,
) -> None:
    """One page to send to a colleague: numbers, distributions, the first of every gallery; prints where it is."""
    typer.echo(fastdup_db.create(work_dir).vis.report(save_path=save_path, show=False))
