"""Stages what a run's input and annotations name, then stores it in place of what was there before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastdup_db.annotation_forms import has_boxes
from fastdup_db.errors import BadArgument, BadInput
from fastdup_db.pipeline import annotating, given, listing
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def stage(db: Database, request: RunRequest) -> bool:
    """Stage this run's references, boxes and annotation rows; says whether there are rows. Nothing stored changes.

    Raises `BadArgument`/`BadInput` where these do not fit each other.
    """
    db.execute("ingest/create_staged")
    if request.embeddings is not None:
        frame: pd.DataFrame | None = _stage_vectors(db, request)
    else:
        if request.input_dir is not None:
            _stage_input(db, request)
        frame = _stage_annotated(db, request)
    if request.subset is not None:
        listing.keep_subset(db, request.subset, bases=request.bases)
    if not db.value("ingest/staged_count"):
        raise BadInput("the input holds no valid image (nothing found)")
    if request.mode == "boxes" and frame is not None:
        annotating.stage_boxes(db, frame)
    else:
        db.execute("ingest/no_staged_boxes")
    if frame is not None:
        annotating.stage_rows(db, frame)
    return frame is not None


def store(db: Database, request: RunRequest, has_rows: bool, *, run_id: int, embeddings: VectorTable) -> None:
    """Make the stored listing and annotations equal to what is staged, in one transaction."""
    listing.compare(db)
    with db.transaction():
        listing.merge(db, run_id=run_id, embeddings=embeddings)
        if has_rows:
            annotating.store_rows(db, mode=request.mode)
        else:
            annotating.store_layout(db)


def _stage_input(db: Database, request: RunRequest) -> None:
    listing.stage(db, listing.of_input(request))
    if request.config.test_dir:
        db.execute("ingest/drop_tested_names")
        if not db.value("ingest/staged_train_count"):
            raise BadInput(
                f"all images of the input lie in test_dir {request.config.test_dir!r}: none is left to compare"
            )
    db.execute("ingest/drop_repeated_names")


def _stage_vectors(db: Database, request: RunRequest) -> pd.DataFrame:
    """One reference per row, also where several name one file. Returns the annotations with filenames as listed."""
    assert request.annotations is not None and request.embeddings is not None
    names = listing.places(request.annotations["filename"].tolist(), bases=request.bases)
    frame = request.annotations.assign(filename=names)
    if not has_boxes(frame):
        annotating.check_one_row_each(frame, given=request.annotations)
    for start in range(0, len(names), listing.CHUNK):
        part = slice(start, start + listing.CHUNK)
        listing.stage_vectors(db, names[part], versions=given.versions(request.embeddings[part]), start=start)
    repeated = db.value("ingest/first_repeated_name")
    if repeated is not None:
        raise BadArgument(
            f"several embeddings are of the file {repeated!r}, so that names do not tell which of them are stored "
            "already; run with overwrite=True or in another work_dir"
        )
    return frame


def _stage_annotated(db: Database, request: RunRequest) -> pd.DataFrame | None:
    """Returns the annotations with filenames as listed. A selection from the input goes for the annotations, too."""
    given_rows = request.annotations
    if given_rows is None:
        return None
    names, selects = given_rows["filename"].tolist(), listing.selects(request)
    if selects and request.input_dir is not None:
        found = listing.resolve(db, names, bases=request.bases)
    else:
        kept = listing.options(request) if selects else None
        found = listing.stage_named(db, names, bases=request.bases, kept=kept)
    listed = found.notna().to_numpy()
    if not listed.any():
        raise BadInput(f"none of the files of {len(names)} annotations is selected: see find_regex, num_images, …")
    if not listed.all():
        log.info("%d of %d annotations are of files that are not selected", len(names) - listed.sum(), len(names))
    given_rows = given_rows[listed].reset_index(drop=True)
    frame = given_rows.assign(filename=found[listed].to_numpy())
    if request.mode != "boxes":
        annotating.check_one_row_each(frame, given=given_rows)
    return frame
