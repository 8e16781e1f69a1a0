"""Captions of a work_dir's images: what is missing is read again, described, and stored batch by batch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fastdup_db import checks, sources
from fastdup_db.errors import BadArgument, ImageError
from fastdup_db.models.captions import Captioner, source
from fastdup_db.pipeline import holding, listing, originals
from fastdup_db.pipeline.run import publish_views
from fastdup_db.progress import progress_bar
from fastdup_db.store import duck
from fastdup_db.store.duck import Database

log = logging.getLogger(__name__)

COMMIT_SECONDS = 15.0
"""What a kill loses at most. The database is open only for a commit, so that others can read meanwhile."""


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """One call of caption(), as `Captioner` takes it; subset: names as listed, absolute or under `bases`."""

    work_dir: Path
    model_name: str = "automatic"
    device: str = "cpu"
    batch_size: int = 8
    subset: Sequence[str] | None = None
    vqa_prompt: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    progress: bool = True


def run(request: CaptionRequest) -> pd.DataFrame:
    """Caption the valid images (boxes in boxes mode) that have no caption yet; returns `filename, caption`, by id.

    What is stored stays stored when the call is killed. An image that can no longer be read keeps a missing caption.
    Raises what `Captioner` raises, `NotRun` without a run, `BadArgument` for a subset that is not there.
    """
    checks.at_least("batch_size", request.batch_size, 1)
    checks.text("model_name", request.model_name)
    if not isinstance(request.kwargs, Mapping):
        raise BadArgument(f"kwargs={request.kwargs!r}; allowed: a dict of settings of the model")
    duck.check_exists(request.work_dir)
    asked = {
        "model": source(request.model_name, request.vqa_prompt),
        "prompt": request.vqa_prompt or "",
        "settings": json.dumps(dict(request.kwargs), sort_keys=True, default=str),
    }
    with holding.writing(request.work_dir):
        with duck.connect(request.work_dir, read_only=False) as db:  # writing: an older work_dir gets its table
            names = _names(db, request)
            missing = db.arrow("captions/missing", filenames=names, **asked)
        if missing.num_rows:
            _describe(request, missing, asked)
        with duck.connect(request.work_dir, read_only=False) as db:
            with db.transaction():
                publish_views(db)
            return db.frame("captions/rows", filenames=names, **asked)


def _names(db: Database, request: CaptionRequest) -> list[str] | None:
    if request.subset is None:
        return None
    if isinstance(request.subset, str) or not isinstance(request.subset, Iterable):
        raise BadArgument(f"subset={request.subset!r}; allowed: a list of file names")
    given = [str(name) for name in request.subset]
    if not given:
        raise BadArgument("subset is empty; leave it out to caption every image")
    unknown = set(db.frame("captions/unknown_names", filenames=given)["name"])
    if not unknown:
        return given
    places = dict(zip(given, listing.places(given, bases=request.bases), strict=True))
    found = [places[name] if name in unknown else name for name in given]
    still = db.frame("captions/unknown_names", filenames=found)["name"].tolist()
    if still:
        raise BadArgument(f"subset names {len(still)} files that are not in this work_dir, first {still[0]!r}")
    return found


def _describe(request: CaptionRequest, missing: pa.Table, asked: Mapping[str, str]) -> None:
    captioner = Captioner(
        request.model_name, device=request.device, vqa_prompt=request.vqa_prompt, kwargs=request.kwargs
    )
    pictures = _pictures(missing)
    done: list[tuple[int, str]] = []
    since = time.monotonic()
    with progress_bar(shown=request.progress, total=missing.num_rows, unit="caption") as bar:
        try:
            while batch := list(islice(pictures, request.batch_size)):
                sentences = captioner.caption([pixels for _, pixels in batch])
                done += zip([number for number, _ in batch], sentences, strict=True)
                bar.update(len(batch))
                if time.monotonic() - since >= COMMIT_SECONDS:
                    _store(request.work_dir, done, asked)
                    done, since = [], time.monotonic()
        finally:
            _store(request.work_dir, done, asked)


def _store(work_dir: Path, done: list[tuple[int, str]], asked: Mapping[str, str]) -> None:
    if not done:
        return
    ids, sentences = zip(*done, strict=True)
    columns = {"id": pa.array(ids, pa.int64()), "caption": pa.array(sentences, pa.string())}
    columns |= {name: pa.array([value] * len(done), pa.string()) for name, value in asked.items()}
    with duck.connect(work_dir, read_only=False) as db:
        db.execute("captions/insert", incoming=pa.table(columns))


def _pictures(missing: pa.Table) -> Iterator[tuple[int, np.ndarray]]:
    """(id, RGB uint8 pixels) of every image or box that can be read; an image is decoded once for all its boxes."""
    rows = [
        (reference, row)
        for batch in missing.to_batches()
        for (_, reference), row in zip(listing.references(batch), batch.to_pylist(), strict=True)
    ]
    images = [(reference, [row for _, row in group]) for reference, group in groupby(rows, key=lambda pair: pair[0])]
    loads = sources.payloads(reference for reference, _ in images)
    for (reference, parts), (_, load) in zip(images, loads, strict=True):
        try:
            image = originals.pixels(load)
        except ImageError as exc:
            log.warning("%s has no caption: %s", reference.filename, exc)
            continue
        for row in parts:
            pixels = originals.part(image, row)
            if pixels is not None:
                yield int(row["id"]), np.ascontiguousarray(pixels)
