"""What every answer starts from: the work_dir, its last run, and which of its instances are asked about."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdup_db import checks
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.pipeline.annotating import annotation_columns
from fastdup_db.pipeline.finished import check_neighbors, check_verified, finished_run
from fastdup_db.store import duck
from fastdup_db.store.duck import Database

if TYPE_CHECKING:
    import pandas as pd

Split = str | Sequence[str] | None


_CROPS = {f"crop_filename{side}" for side in ("", "_from", "_to", "_outlier", "_nearest")}


class _Open(threading.local):
    """The databases that this thread has open for reading, by work_dir."""

    def __init__(self) -> None:
        self.by_work_dir: dict[Path, Database] = {}


_OPEN = _Open()


class WorkDir:
    """What every verb needs. Nothing is held open between calls."""

    _work_dir: Path

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever this thread asks in the block is asked of a database that is opened once, which takes 25 ms.

        A run that begins meanwhile waits for the end of the block: it is for questions, not for pictures or pages.
        """
        with self._opened():
            yield

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        """The database, for reading: the one that a block around this one has open, if there is any."""
        if (around := _OPEN.by_work_dir.get(self._work_dir)) is not None:
            yield around
            return
        with duck.connect(self._work_dir) as db:
            _OPEN.by_work_dir[self._work_dir] = db
            try:
                yield db
            finally:
                del _OPEN.by_work_dir[self._work_dir]

    @contextmanager
    def _database(self) -> Iterator[Database]:
        """The database, for reading. Raises `NotRun` where the last run has not ended."""
        with self._opened() as db:
            self._last_run(db)
            yield db

    @contextmanager
    def _graph(self) -> Iterator[Database]:
        """Like `_database`; raises `NotRun` also if neighbours of these images were never computed."""
        with self._opened() as db:
            check_neighbors(self._last_run(db), work_dir=self._work_dir)
            yield db

    @contextmanager
    def _verdicts(self) -> Iterator[Database]:
        """The database. Raises `NotRun` also where the last check of near-duplicates is not of what is stored."""
        with self._opened() as db:
            check_verified(db, self._last_run(db), work_dir=self._work_dir)
            yield db

    def _last_run(self, db: Database) -> dict[str, Any]:
        return finished_run(db, work_dir=self._work_dir)

    def _crops(self, frame: pd.DataFrame, load_crops: bool) -> pd.DataFrame:
        """With names of crops as absolute paths, where that is asked for; `attrs` say whose ids the frame holds."""
        from fastdup_db.pipeline.files import CROPS

        if load_crops is not None and checks.flag("load_crops", load_crops):
            folder = self._work_dir.resolve() / CROPS
            for name in [c for c in frame.columns if c in _CROPS]:
                if len(frame) and frame[name].isna().all():
                    raise BadArgument("load_crops=True: this run has kept no crops; run with save_crops=True")
                frame[name] = frame[name].map(partial(_below, folder=folder))
        frame.attrs["work_dir"] = str(self._work_dir)
        return frame


def _below(files: Any, *, folder: Path) -> Any:
    """The path of a file below `folder`, or of each file of a list; anything else is returned unchanged."""
    if isinstance(files, list):
        return [_below(file, folder=folder) for file in files]
    return str(folder / files) if isinstance(files, str) else files


def choose(db: Database, *, split: Split, include_unannotated: bool) -> bool:
    """Make the temp table `chosen`; says whether it holds every valid instance."""
    include_unannotated = checks.flag("include_unannotated", include_unannotated)
    if split is None:
        db.execute("annotations/choose", include_unannotated=include_unannotated)
        return bool(db.value("annotations/is_everyone_chosen"))
    wanted = [split] if isinstance(split, str) else list(split) if isinstance(split, Iterable) else []
    if not wanted or not all(isinstance(name, str) for name in wanted):
        raise BadArgument(f"split={split!r}; allowed: the name of a split or a list of names")
    if "split" not in annotation_columns(db):
        raise BadArgument("split needs a column 'split' in the annotations")
    known = db.frame("annotations/splits")["split"].tolist()
    for name in wanted:
        if name not in known:
            raise one_of("split", name, known)
    db.execute("annotations/choose_splits", splits=wanted)
    return False
