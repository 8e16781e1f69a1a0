"""The start of a run: its row in `runs` and the listing of its input, made before anything stored is given up.

A fresh run makes its listing in a separate database, which replaces the work_dir's once it is complete. Until then an
argument that turns out not to fit what is listed, or a kill, leaves the work_dir as it was.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastdup_db
from fastdup_db.config import GRAPH_ONLY, RunConfig
from fastdup_db.errors import BadArgument, BadInput, NotRun, WorkDirBusy, WorkDirDamaged
from fastdup_db.models.download import digest
from fastdup_db.pipeline import cropping, files, listing, neighbors, remote, staging
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.pipeline.tables import table
from fastdup_db.store import duck
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import EMBEDDINGS, VECTORS

log = logging.getLogger(__name__)

_DRAFT = ".fastdup-draft"
"""Folder in the work_dir for the database of a fresh run until its listing is whole."""
_REPLACED = "replaced.duckdb"
"""In that folder: the database whose work_dir is being cleared, as long as that takes."""
READERS_SECONDS = 10.0
"""How long a run waits for processes that are reading the database it is about to write."""
_RETRY_SECONDS = 0.1
_OWN = (files.CROPS, files.GALLERIES, files.CROPS_CSV, *files.KMEANS)
"""What a fresh run removes from a work_dir that an earlier run has filled, besides its databases."""


def starts_afresh(request: RunRequest, *, dimension: int) -> bool:
    """Whether to begin with an empty work_dir; raises BadArgument where old rows would not fit the new ones, and
    WorkDirDamaged where the embeddings of old rows are lost.

    `overwrite=True` starts afresh, but goes on with an unfinished run of the same settings and input that did so, too.
    dimension: of the vectors that this run makes or was given; 0 for none.
    """
    try:
        last = _last(request.work_dir)
    except WorkDirDamaged:
        if request.config.overwrite:
            return True
        raise
    if last is None:
        return True
    same = last["fingerprint"] == _fingerprint(request) and last["data_type"] == _mode(request, last)
    wide = {int(last["dimension"] or 0), dimension if request.config.lists else 0} - {0}
    embeddings, version = table(request.work_dir, EMBEDDINGS), int(last["embeddings_version"] or 0)
    if request.config.overwrite:
        unfinished = same and len(wide) < 2 and not last["ever_finished"] and last["input_dir"] == request.input_text
        return not (unfinished and embeddings.has(version)) or _repeats_names(request)
    if not embeddings.has(version):
        raise WorkDirDamaged(
            f"{embeddings.place.uri} is lost, or its version {version} that the database is of; run with overwrite=True"
        )
    if not same:
        raise BadArgument(
            "overwrite=False adds to what this work_dir holds, but its last run read images otherwise "
            f"({_difference(last, request)}); run with overwrite=True or in another work_dir"
        )
    if len(wide) > 1:
        raise BadArgument(
            f"overwrite=False adds to vectors of d={last['dimension']}, and these have d={dimension}; "
            "run with overwrite=True or in another work_dir"
        )
    if request.config.lists and last["has_annotations"] and request.annotations is None:
        or_else = "" if request.config.needs_stored else ", or run with overwrite=True"
        raise BadArgument(
            "the annotations of this work_dir would be lost, since none are given: give them again, with those of new "
            f"images{or_else}"
        )
    return False


@contextmanager
def listed(request: RunRequest, *, afresh: bool) -> Iterator[tuple[Database, int]]:
    """The open database and the id of this run in it, with the input's listing stored.

    Raises `BadArgument`/`BadInput` where the request does not fit what is listed; the work_dir is then as before.
    """
    if afresh:
        _start_afresh(request)
    # nobody else writes: who has it open reads, and may have opened the new one at once
    with duck.connect(request.work_dir, read_only=False, patience=READERS_SECONDS) as db:
        yield db, _current(db) if afresh else _go_on(db, request)


def _start_afresh(request: RunRequest) -> None:
    """Make the new database, then let it take the place of what the work_dir holds."""
    work_dir, draft = request.work_dir, request.work_dir / _DRAFT
    replaced = draft / _REPLACED
    if _holds_a_run(work_dir):
        shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
        was_filled = True
    else:
        was_filled = replaced.exists()
    draft.mkdir(exist_ok=True)
    try:
        duck.remove(draft)
        with duck.connect(draft, read_only=False) as db:
            run_id = _begin(db, request)
            staging.store(db, request, staging.stage(db, request), run_id=run_id, embeddings=table(draft, EMBEDDINGS))
            if was_filled:
                _check_outside(db, work_dir)
            db.checkpoint()  # closing would leave unsaid what a full disk does not take
        if was_filled:
            _clear(work_dir, replaced)
        duck.remove(work_dir)
        for which in (EMBEDDINGS, VECTORS):
            table(work_dir, which).drop()
        _move(draft / duck.FILE_NAME, work_dir / duck.FILE_NAME)
        replaced.unlink(missing_ok=True)
    finally:
        if not replaced.exists():
            shutil.rmtree(draft)


def _go_on(db: Database, request: RunRequest) -> int:
    """The id of a run that works on what is stored. Refused while it stages, it leaves no trace."""
    shutil.rmtree(request.work_dir / _DRAFT, ignore_errors=True)
    if not request.config.lists:
        _check_listed(db, request)
        _check_tested(db, request)
    run_id = _begin(db, request)
    try:
        _restore(db, request.work_dir)
        has_rows = request.config.lists and staging.stage(db, request)
    except BaseException:
        db.execute("run/forget", run_id=run_id)
        raise
    if request.config.lists:
        staging.store(db, request, has_rows, run_id=run_id, embeddings=table(request.work_dir, EMBEDDINGS))
        files.delete_clusters(request.work_dir)
    cropping.delete_unnamed(db, request.work_dir)
    if request.config.lists and request.config.save_crops:
        db.execute("crops/forget_lost")
    return run_id


def _check_listed(db: Database, request: RunRequest) -> None:
    """Raises `NotRun` where a run that was killed has not listed its input and annotations, or not read all of them."""
    last = db.row("run/current") or {}
    if last["finished_at"] is None and not last["listed"]:
        left = "its input is still to be listed"
    elif pending := db.value("ingest/pending_count"):
        left = f"{pending} images are still to be read"
    elif crops := _crops_left(db, last):
        left = f"{crops} crops are still to be made"
    else:
        return
    raise NotRun(
        f"the last run in {request.work_dir} did not end: {left}; call run() again as it was called, it goes on where "
        "it was"
    )


def _crops_left(db: Database, last: Mapping[str, Any]) -> int:
    """How many crops the `last` run has not come to make."""
    config = RunConfig.from_json(last["config"])
    makes = config.lists and config.save_crops and last["finished_at"] is None
    return cropping.missing(db) if makes else 0


def _check_tested(db: Database, request: RunRequest) -> None:
    """Raises `BadArgument` for a test_dir that is not the one of which images are stored."""
    wanted = request.config.test_dir
    settings = map(json.loads, db.arrow("run/configs").column("config").to_pylist())
    known = next((s.get("test_dir") for s in settings if s.get("run_mode") != GRAPH_ONLY), None)
    if wanted and wanted != known:
        raise BadArgument(
            f"test_dir={wanted!r} was not listed by the run that run_mode=2 works on, which had test_dir={known!r}; "
            "run without run_mode=2, or look it up among the stored images with run_mode=3"
        )


def _last(work_dir: Path) -> dict[str, Any] | None:
    """The last run of a work_dir, and whether it or one before it has ended; None where there is none. Raises
    `WorkDirDamaged`."""
    try:
        with duck.connect(work_dir) as db:
            last = db.row("run/current")
            return last and {**last, "ever_finished": bool(db.value("run/ever_finished"))}
    except NotRun:
        return None


def _holds_a_run(work_dir: Path) -> bool:
    try:
        return _last(work_dir) is not None
    except WorkDirDamaged:
        return False


def _check_outside(db: Database, work_dir: Path) -> None:
    """Raises BadInput where the input lies in a folder that a fresh run empties."""
    folders = [f"{work_dir / name}{os.sep}" for name in _OWN]
    inside = db.value("ingest/first_staged_in", folders=folders)
    if inside is not None:
        raise BadInput(f"the input holds {inside!r}, which lies where a fresh run removes what an earlier one made")


def _clear(work_dir: Path, replaced: Path) -> None:
    """Remove what earlier runs made. Until the new database is in its place, the old one says that it was theirs."""
    if duck.exists(work_dir):
        _move(work_dir / duck.FILE_NAME, replaced)
    remote.clear(work_dir)
    for name in _OWN:
        path = work_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _move(path: Path, target: Path) -> None:
    """Let a database take its place. Windows moves no file that somebody has open: readers are waited for.

    Raises `WorkDirBusy` where they stay.
    """
    until = time.monotonic() + READERS_SECONDS
    while True:
        try:
            os.replace(path, target)
            return
        except PermissionError as exc:
            if getattr(exc, "winerror", None) is None:
                raise
            if time.monotonic() >= until:
                raise WorkDirBusy(f"{path} is open in another process; close it there and run again") from exc
        time.sleep(_RETRY_SECONDS)


def _current(db: Database) -> int:
    last = db.row("run/current")
    assert last is not None
    return int(last["run_id"])


def _mode(request: RunRequest, last: Mapping[str, Any]) -> str:
    """What an instance is; for a run that lists nothing, what it was in the `last` one."""
    if not request.config.lists and request.mode == "image":
        return str(last.get("data_type") or "image")
    return request.mode


def _difference(last: Mapping[str, Any], request: RunRequest) -> str:
    """The settings in which a run would read images otherwise than the `last` one, each with the last one's value."""
    before, now = json.loads(last["config"]), json.loads(request.config.to_json())
    decisive = json.loads(request.config.fingerprint())
    found = [f"{name}={before.get(name)!r}" for name in decisive if before.get(name) != now[name]]
    if last["data_type"] != _mode(request, last):
        found.append(f"instances were of kind {last['data_type']!r}")
    return ", ".join(found) or "by a model whose file has changed since"


def _fingerprint(request: RunRequest) -> str:
    """That of the settings, and of the bytes of models given as files: a file may be replaced under the same name."""
    config = request.config
    named = {"model_path": config.model_path, "bounding_box": config.bounding_box}
    digests = {name: _digest_of(path) for name, path in named.items() if path and os.path.isfile(path)}
    return config.fingerprint() + (json.dumps(digests, sort_keys=True) if digests else "")


def _digest_of(path: str) -> str:
    state = os.stat(path)
    return _digest_at(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _digest_at(path: str, mtime_ns: int, size: int) -> str:
    """Cached, since a run asks twice and models are large; a file with a new time or size is read again."""
    return digest(Path(path))


def _repeats_names(request: RunRequest) -> bool:
    """Whether several of the user's vectors belong to one file, so that names do not say which of them are stored."""
    if request.embeddings is None or request.annotations is None:
        return False
    names = listing.places(request.annotations["filename"].tolist(), bases=request.bases)
    return len(set(names)) < len(names)


def _begin(db: Database, request: RunRequest) -> int:
    config = request.config
    last = db.row("run/current") or {}
    keeps_annotations = not config.lists and last.get("has_annotations", False)
    with db.transaction():
        db.script("views/macros")
    db.execute(
        "run/insert_run",
        package_version=fastdup_db.__version__,
        config=config.to_json(),
        fingerprint=_fingerprint(request),
        input_dir=request.input_text if config.lists else last.get("input_dir"),
        data_type=_mode(request, last),
        distance=config.distance,
        threshold=float(config.threshold),
        cc_threshold=float(config.cc_threshold),
        outlier_percentile=float(config.outlier_percentile),
        has_annotations=request.annotations is not None or keeps_annotations,
        listed=not config.lists,
    )
    return _current(db)


def _restore(db: Database, work_dir: Path) -> None:
    """Drop vectors that a killed run wrote but never committed."""
    last = db.row("run/current") or {}
    for which, version in ((EMBEDDINGS, last.get("embeddings_version")), (VECTORS, last.get("vectors_version"))):
        vectors = table(work_dir, which)
        if which == VECTORS and not vectors.has(int(version or 0)):
            neighbors.clear(db, vectors=vectors)  # they are made of the embeddings
        elif vectors.exists() and vectors.version != (version or 0):
            log.info("going back to version %s of %s", version or 0, vectors.name)
            restored = vectors.restore(int(version or 0))
            db.execute(f"run/set_{which[0]}_restored", version=restored)
