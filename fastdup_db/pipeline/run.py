"""One run from input to answers: list, extract, find neighbours, group, publish the views.

The only writer of a work_dir. Every stage ends in one DuckDB transaction, so a killed run goes on where it was.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fastdup_db.engines import Engine, check_engine, open_engine
from fastdup_db.engines.task import WorkSpec
from fastdup_db.errors import BadInput, FastdupError, NotStored
from fastdup_db.pipeline import annotating, beginning, cropping, extract, fetching, files, holding, neighbors, remote
from fastdup_db.pipeline.costs import Cost, Meter
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.pipeline.spec import work_spec
from fastdup_db.pipeline.tables import table
from fastdup_db.sources import members
from fastdup_db.store import lance
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import EMBEDDINGS, VECTORS

if TYPE_CHECKING:
    from fastdup_db.models.session import Embedder

log = logging.getLogger(__name__)

_NO_PART = {
    "detect": "bounding_box={box!r} found nothing in any of {images} images",
    "global": "bounding_box={box!r} lies in none of {images} images",
    "boxes": "none of the boxes can be used: all are too small, or reach out of their images ({images})",
}
"""Why readable images yield no usable instance, by what an instance is."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def run(request: RunRequest) -> None:
    """Do the run. Raises `BadArgument`/`BadInput`, with the work_dir as before, where the request cannot be met."""
    spec = work_spec(request)
    lance.load_ahead()
    dimension, embedder = _model(request, spec)
    _check_detector(spec)
    check_engine(request.config)
    try:
        with holding.writing(request.work_dir), _full_disk_as_not_stored(request.work_dir):
            _run(request, spec, dimension=dimension, embedder=embedder)
    finally:
        members.close_idle()
    fetching.delete(request)


@contextmanager
def _full_disk_as_not_stored(work_dir: Path) -> Iterator[None]:
    """Raise `NotStored` when the disk or the share of it that the user may fill is full, whether DuckDB, Lance or the
    operating system reports it."""
    try:
        yield
    except FastdupError:
        raise
    except Exception as exc:
        if not any(os.strerror(code) in str(exc) for code in _FULL):
            raise
        raise NotStored(
            f"the disk of {work_dir} is full; make room and call run() again: it goes on where it was"
        ) from exc


def _run(request: RunRequest, spec: WorkSpec, *, dimension: int, embedder: Embedder | None) -> None:
    afresh = beginning.starts_afresh(request, dimension=dimension)
    meter = Meter()
    with open_engine(request.config) as engine:
        engine.check(spec, folder=remote.place(request.work_dir, ""))
        request = fetching.fetch(request)
        with beginning.listed(request, afresh=afresh) as (db, run_id):
            db.execute("run/set_providers", run_id=run_id, providers=", ".join(embedder.providers if embedder else ()))
            if request.config.lists:
                extract.pending(
                    db,
                    request,
                    spec,
                    engine=engine,
                    run_id=run_id,
                    embeddings=table(request.work_dir, EMBEDDINGS),
                    dimension=dimension,
                    embedder=embedder,
                )
                cropping.make_missing(db, spec, request.config)
            if not db.value("run/valid_count"):
                raise BadInput(_nothing_valid(db, request))
            cropping.tell_of_none(db, request.config)
            if request.config.finds_neighbors:
                _relate(db, request, engine=engine, run_id=run_id)
            else:
                neighbors.keep_or_clear(db, request, engine=engine, vectors=table(request.work_dir, VECTORS))
            _publish(db, request, run_id=run_id, cost=meter.cost(engine))


def _relate(db: Database, request: RunRequest, *, engine: Engine, run_id: int) -> None:
    """Neighbours, components, the index, and verified pairs where they are asked for."""
    embeddings, vectors = (table(request.work_dir, which) for which in (EMBEDDINGS, VECTORS))
    neighbors.find(db, request, engine=engine, run_id=run_id, embeddings=embeddings, vectors=vectors)
    if request.config.verify != "off":
        from fastdup_db.pipeline import verifying

        run = db.row("run/current") or {}
        options = verifying.options_of(request, data_type=run["data_type"])
        verifying.check(db, vectors=vectors, folder=request.work_dir, options=options)


def _model(request: RunRequest, spec: WorkSpec) -> tuple[int, Embedder | None]:
    """The width of this run's embeddings and the open model, None where there is nothing to embed.

    Raises before anything is written where the model cannot be had.
    """
    if request.embeddings is not None:
        return int(request.embeddings.shape[1]), None
    if not spec.embed:
        return 0, None
    from fastdup_db.engines.worker import open_model

    embedder = open_model(spec)
    return embedder.dim, embedder


def _check_detector(spec: WorkSpec) -> None:
    """Raises before anything is written where the detector is unknown or its weights cannot be had."""
    if spec.detector is not None:
        from fastdup_db.detectors import open_detector

        open_detector(spec.detector)


def _nothing_valid(db: Database, request: RunRequest) -> str:
    if (images := db.value("run/valid_image_count")) and request.mode in _NO_PART:
        return _NO_PART[request.mode].format(box=request.config.bounding_box, images=images)
    codes = db.frame("run/error_codes")
    said = ", ".join(f"{n} {code}" for code, n in zip(codes["error_code"], codes["images"], strict=True))
    return f"the input holds no valid image ({said or 'nothing found'})"


def _publish(db: Database, request: RunRequest, *, run_id: int, cost: Cost) -> None:
    """Make the views and mark the run finished, in one transaction; no file tells of an earlier run by then."""
    images = int(db.value("run/images_read", run_id=run_id))
    stored = (db.row("run/current") or {})[
        "data_type"
    ]  # not the request's: run_mode=2 may finish a run that was killed
    read = [path for path in (request.input_dir, request.config.test_dir) if isinstance(path, str)]
    with db.transaction():
        if stored in ("boxes", "global") and "crop_filename" not in annotating.annotation_columns(db):
            db.execute("annotations/add_crop_filenames")
        elif stored == "detect":
            db.execute("annotations/replace_from_detections")
            db.frame("annotations/detections").to_csv(request.work_dir / files.CROPS_CSV, index=False)
        publish_views(db)
        files.delete_exported(request.work_dir, read=read)
        db.execute("run/insert_cost", run_id=run_id, images=images, **asdict(cost))
        db.execute("run/set_finished", run_id=run_id)
    log.info("%d images read; %s", images, cost)


def publish_views(db: Database) -> None:
    """Make the views anew: their columns follow those of the annotations and whether there are captions."""
    columns = annotating.annotation_columns(db)
    captioned = "caption" not in columns and db.value("captions/count")
    db.script("views/caption_views" if captioned else "views/no_caption_views")
    db.script("views/views")
    db.script("views/verified_views")
    db.script("views/label_views" if "label" in columns else "views/no_label_views")
