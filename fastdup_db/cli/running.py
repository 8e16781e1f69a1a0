"""Commands that make a work_dir, or say what making it takes."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

import fastdup_db
from fastdup_db.cli.options import EXIT_ERROR, Endpoint, Region, WorkDir


def run(
    inputs: Annotated[list[str], typer.Argument(help="Folders, images, list files, archives, videos, s3:// …")],
    work_dir: WorkDir = "work_dir",
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
    from fastdup_db.config import parse_settings

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr)
    more = parse_settings(option or [], argument="--option")
    more |= {name: value for name, value in (("engine", engine), ("ray_address", ray_address)) if value}
    fd = fastdup_db.create(work_dir, inputs[0] if len(inputs) == 1 else inputs)
    flags = {
        "annotations": annotations,
        "threshold": threshold,
        "cc_threshold": cc_threshold,
        "nearest_neighbors_k": k,
        "outlier_percentile": outlier_percentile,
        "num_images": num_images,
        "num_threads": num_threads,
        "high_accuracy": high_accuracy,
        "overwrite": not update,
        "s3_endpoint_url": s3_endpoint_url,
        "s3_region": s3_region,
        "s3_anonymous": s3_anonymous,
        "progress": progress,
        "verbose": verbose,
    }
    fd.run(**flags | more)
    fd.summary()
    cost = fd.sql("from costs order by run_id desc limit 1").iloc[0]
    said = f"{cost['images']:,} images read in {cost['seconds']:.1f} s, {cost['cpu_hours']:.4f} CPU-hours"
    typer.echo(f"{said} on engine {cost['engine']!r}", err=True)


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


def demo(
    work_dir: Annotated[Path | None, typer.Option("--work-dir", "-w", help="Keep the demo here.")] = None,
) -> None:
    """Draw a small collection with planted problems, run on it, and show that each was found."""
    from fastdup_db import demo as drawn

    if not drawn.run(work_dir, say=typer.echo):
        raise typer.Exit(EXIT_ERROR)
