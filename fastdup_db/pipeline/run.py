"""One run from input to answers: list, extract, find neighbours, group, publish the views.

The only writer of a work_dir. Every stage ends in one DuckDB transaction, so a killed run goes on where it was.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import fastdup_db
from fastdup_db import sources
from fastdup_db.engines import Engine, check_engine, open_engine
from fastdup_db.engines.task import WorkSpec
from fastdup_db.errors import BadArgument, BadInput
from fastdup_db.pipeline import annotating, extract, fetching, given, listing, neighbors, remote
from fastdup_db.pipeline.costs import Cost, Meter
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.pipeline.spec import CROPS, LANCE_FOLDER, work_spec
from fastdup_db.sources import ListingOptions, Reference
from fastdup_db.store import duck, lance
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import EMBEDDINGS, VECTORS, VectorTable

if TYPE_CHECKING:
    from fastdup_db.models.session import Embedder

log = logging.getLogger(__name__)

EXTRACT_ONLY, GRAPH_ONLY = 1, 2  # v0's run_mode
CROPS_CSV = "atrain_crops.csv"
_OWN = (duck.FILE_NAME, duck.LOG_NAME, CROPS, "galleries", CROPS_CSV)
"""What a fresh run removes from the work_dir, the database first: it is what says that the rest is there."""


def run(request: RunRequest) -> None:
    """Do the run. Raises `BadArgument`/`BadInput` before anything is written where the request cannot be met."""
    spec = work_spec(request)
    lance.load_ahead()
    dimension, embedder = _model(request, spec)
    _check_detector(spec)
    check_engine(request.config)
    request.work_dir.mkdir(parents=True, exist_ok=True)
    with remote.writing(request.work_dir):
        _run(request, spec, dimension=dimension, embedder=embedder)
    fetching.delete(request)


def _run(request: RunRequest, spec: WorkSpec, *, dimension: int, embedder: Embedder | None) -> None:
    starts_afresh = _starts_afresh(request)
    meter = Meter()
    with open_engine(request.config) as engine:
        engine.check(spec, folder=remote.place(request.work_dir, ""))
        if starts_afresh:
            _clear(request.work_dir)
        request = fetching.fetch(request)
        with duck.connect(request.work_dir, read_only=False) as db:
            run_id = _begin(db, request)
            db.execute("run/set_providers", run_id=run_id, providers=", ".join(embedder.providers if embedder else ()))
            _restore(db, request.work_dir)
            if request.config.run_mode != GRAPH_ONLY:
                _extract(db, request, spec, engine=engine, run_id=run_id, dimension=dimension, embedder=embedder)
            if not db.value("run/valid_count"):
                raise BadInput(_nothing_valid(db, request))
            if request.config.run_mode != EXTRACT_ONLY and not request.config.run_stats_only:
                _relate(db, request, engine=engine, run_id=run_id)
            _publish(db, request, run_id=run_id, cost=meter.cost(engine))


def _extract(
    db: Database,
    request: RunRequest,
    spec: WorkSpec,
    *,
    engine: Engine,
    run_id: int,
    dimension: int,
    embedder: Embedder | None,
) -> None:
    """List the input, read what is new in it, store rows and embeddings."""
    embeddings = table(request.work_dir, EMBEDDINGS)
    _list(db, request, run_id=run_id, embeddings=embeddings)
    extract.pending(
        db,
        request,
        spec,
        engine=engine,
        run_id=run_id,
        embeddings=embeddings,
        dimension=dimension,
        embedder=embedder,
    )


def _relate(db: Database, request: RunRequest, *, engine: Engine, run_id: int) -> None:
    """Neighbours, components, the index, and verified pairs where they are asked for."""
    embeddings, vectors = (table(request.work_dir, which) for which in (EMBEDDINGS, VECTORS))
    neighbors.find(db, request, engine=engine, run_id=run_id, embeddings=embeddings, vectors=vectors)
    if request.config.verify != "off":
        from fastdup_db.pipeline import verifying

        options = verifying.options_of(request)
        verifying.check(db, vectors=vectors, folder=request.work_dir, options=options)


def table(work_dir: Path, which: tuple[str, str]) -> VectorTable:
    """The Lance table `EMBEDDINGS` or `VECTORS` of a work_dir."""
    name, column = which
    return VectorTable(remote.place(work_dir, LANCE_FOLDER), name=name, column=column)


def listing_options(request: RunRequest) -> ListingOptions:
    """How this run selects from its input."""
    config = request.config
    return ListingOptions(
        find_regex=config.find_regex,
        num_images=config.num_images,
        min_offset=config.min_offset,
        max_offset=config.max_offset,
        min_file_size=config.min_file_size,
        tar_only=config.tar_only,
        label_from_folder=config.label_from_folder,
        video_fps=float(config.video_fps),
        video_keyframes_only=config.video_keyframes_only,
        exclude=(str(request.work_dir.resolve()),),
    )


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


def _starts_afresh(request: RunRequest) -> bool:
    """Whether to begin with an empty work_dir; raises BadArgument where old rows would not fit the new ones.

    `overwrite=True` starts afresh, but goes on with an unfinished run of the same settings and input.
    """
    if not duck.exists(request.work_dir):
        return True
    with duck.connect(request.work_dir) as db:
        last = db.row("run/current")
    if last is None:
        return True
    same = last["fingerprint"] == request.config.fingerprint() and last["data_type"] == request.mode
    if request.config.overwrite:
        return not (same and last["finished_at"] is None and last["input_dir"] == _input_name(request))
    if not same:
        raise BadArgument(
            "overwrite=False adds to what this work_dir holds, but the model, the boxes or the statistics asked for "
            f"differ from its last run ({last['fingerprint']}); run with overwrite=True or in another work_dir"
        )
    return False


def _clear(work_dir: Path) -> None:
    remote.clear(work_dir)
    for name in _OWN:
        path = work_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    remote.place(work_dir, LANCE_FOLDER).delete()


def _input_name(request: RunRequest) -> str:
    return request.input_dir if isinstance(request.input_dir, str) else "\n".join(request.input_dir or ())


def _begin(db: Database, request: RunRequest) -> int:
    config = request.config
    with db.transaction():
        db.script("views/macros")
    db.execute(
        "run/insert_run",
        package_version=fastdup_db.__version__,
        config=config.to_json(),
        fingerprint=config.fingerprint(),
        input_dir=_input_name(request),
        data_type=request.mode,
        distance=config.distance,
        threshold=float(config.threshold),
        cc_threshold=float(config.cc_threshold),
        outlier_percentile=float(config.outlier_percentile),
        has_annotations=request.annotations is not None,
    )
    last = db.row("run/current")
    assert last is not None
    return int(last["run_id"])


def _restore(db: Database, work_dir: Path) -> None:
    """Drop vectors that a killed run wrote and no marker names."""
    last = db.row("run/current") or {}
    for which, version in ((EMBEDDINGS, last.get("embeddings_version")), (VECTORS, last.get("vectors_version"))):
        vectors = table(work_dir, which)
        if vectors.exists() and vectors.version != (version or 0):
            log.info("going back to version %s of %s", version or 0, vectors.name)
            restored = vectors.restore(int(version or 0))
            db.execute(f"run/set_{which[0]}_restored", version=restored)


def _list(db: Database, request: RunRequest, *, run_id: int, embeddings: VectorTable) -> None:
    """Stage this run's references and boxes, and make the stored listing equal to them."""
    db.execute("ingest/create_staged")
    frame = request.annotations
    if request.embeddings is not None and frame is not None:
        frame = frame.assign(filename=listing.places(frame["filename"].tolist(), bases=request.bases))
        listing.stage(db, given.references(frame["filename"].tolist(), request.embeddings))
    elif request.input_dir is not None:
        listing.stage(db, _references(request))
        db.execute("ingest/drop_repeated_names")
    if frame is not None and request.embeddings is None:
        names = listing.stage_named(db, frame["filename"].tolist(), bases=request.bases)
        frame = frame.assign(filename=names.to_numpy())
        if request.mode != "boxes":
            annotating.check_one_row_each(frame, given=request.annotations)
    if request.subset is not None:
        listing.keep_subset(db, request.subset, bases=request.bases)
    if request.mode == "boxes" and frame is not None:
        annotating.store_boxes(db, frame)
    else:
        db.execute("ingest/no_staged_boxes")
    listing.merge(db, run_id=run_id, embeddings=embeddings)
    if frame is not None:
        annotating.store_rows(db, frame, boxes=request.mode == "boxes")
    else:
        annotating.store_layout(db)


def _references(request: RunRequest) -> Iterator[Reference]:
    """The input's references; with a test_dir the input is the split `train` and what follows the split `test`."""
    assert request.input_dir is not None
    found = sources.listing(request.read_from or request.input_dir, options=listing_options(request))
    if not request.config.test_dir:
        return found
    tested = sources.listing(request.config.test_dir, options=listing_options(request))
    return chain((replace(r, split="train") for r in found), (replace(r, split="test") for r in tested))


def _nothing_valid(db: Database, request: RunRequest) -> str:
    if request.mode == "detect" and (images := db.value("run/valid_image_count")):
        return f"bounding_box={request.config.bounding_box!r} found nothing in any of {images} images"
    codes = db.frame("run/error_codes")
    said = ", ".join(f"{n} {code}" for code, n in zip(codes["error_code"], codes["images"], strict=True))
    return f"the input holds no valid image ({said or 'nothing found'})"


def _publish(db: Database, request: RunRequest, *, run_id: int, cost: Cost) -> None:
    """Make the views and mark the run finished, in one transaction."""
    images = int(db.value("run/images_read", run_id=run_id))
    with db.transaction():
        if request.mode == "boxes" and request.config.run_mode != GRAPH_ONLY:
            db.execute("annotations/add_crop_filenames")
        elif request.mode == "detect":
            db.execute("annotations/replace_from_detections")
        publish_views(db)
        db.execute("run/insert_cost", run_id=run_id, images=images, **asdict(cost))
        db.execute("run/set_finished", run_id=run_id)
    log.info("%d images read; %s", images, cost)
    if request.mode == "detect":
        db.frame("annotations/detections").to_csv(request.work_dir / CROPS_CSV, index=False)


def publish_views(db: Database) -> None:
    """Make the views anew: their columns follow those of the annotations and whether there are captions."""
    columns = set(db.frame("annotations/columns")["column_name"])
    captioned = "caption" not in columns and db.value("captions/count")
    db.script("views/caption_views" if captioned else "views/no_caption_views")
    db.script("views/views")
    db.script("views/verified_views")
    db.script("views/label_views" if "label" in columns else "views/no_label_views")
