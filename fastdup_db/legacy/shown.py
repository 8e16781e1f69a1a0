"""The rows that v0's galleries show: of which run, with which ids, which labels."""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fastdup_db import frames
from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument, NotRun, one_of
from fastdup_db.galleries.selection import WITHOUT_EFFECT
from fastdup_db.legacy.labels import LabelFunc, labels_of
from fastdup_db.pipeline import files
from fastdup_db.store import duck

log = logging.getLogger(__name__)

Source: TypeAlias = pd.DataFrame | str | Path
Func: TypeAlias = Callable[[str], Any] | None
Slice: TypeAlias = Any
"""A label or several, 'diff', 'same' or 'label_score'; None for everything."""


_NUMBER = "index_given"
"""A frame's own ids beside its file names."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a gallery is made of: the run, its rows or None for the run's own, the caller's labels by id."""

    fd: Fastdup
    frame: pd.DataFrame | None
    labels: pd.Series | None

    def arguments(self, slice: Slice, extra: Func, rename: Func) -> dict[str, Any]:
        """Arguments that every gallery takes."""
        return {
            "slice": slice,
            "show": False,
            "external_df": self.frame,
            "external_labels": self.labels,
            "get_extra_col_func": extra,
            "get_reformat_filename_func": rename,
        }


def check_words(words: Iterable[str], *, of: Callable[..., Any], boxes: Any) -> None:
    """Raises `BadArgument` for a keyword that no gallery of fastdup's has. of: the function that was called; boxes: its
    get_bounding_box_func, of which the log says that it has no effect."""
    for name in words:
        if name not in WITHOUT_EFFECT:
            raise one_of("keyword argument", name, {*inspect.signature(of).parameters, *WITHOUT_EFFECT} - {"kwargs"})
    if boxes is not None:
        log.warning(
            "get_bounding_box_func has no effect: pages draw the boxes of a run, which it takes from annotations with "
            "the columns filename, col_x, row_y, width, height"
        )


@contextmanager
def shown(
    source: Source,
    columns: tuple[str, ...],
    *,
    get_label_func: LabelFunc,
    work_dir: Any,
    input_dir: Any,
    renamed: dict[str, str] | None = None,
) -> Iterator[Shown]:
    """The rows of a source, a work_dir, csv or frame, for the length of a block.

    A frame of an accessor knows its run by its `attrs`; where pandas has lost them, its columns of file names are used.

    columns: those that name images. renamed: columns by other names; `index` is made of `filename`.
    """
    frame = _frame(source)
    if frame is not None:
        frame = frame.rename(columns={name: to for name, to in (renamed or {}).items() if to not in frame})
        if "index" in columns and "filename" in frame:
            frame = frame.assign(index=frame["filename"], **{_NUMBER: frame.get("index", None)})
        frames.check(frame, argument="the frame", columns=columns)
        if isinstance(source, pd.DataFrame) and work_dir is None and "work_dir" not in source.attrs:
            named = {name: f"filename_{name}" for name in columns if f"filename_{name}" in frame}
            frame = frame.assign(**{name: frame[by] for name, by in named.items()})
    with _run_of(source, frame, work_dir, input_dir, columns) as fd:
        labels = None if get_label_func is None else labels_of(fd, get_label_func)
        yield Shown(fd, _resolved(fd, frame, input_dir, columns), labels)


def folder_of(source: str | Path) -> Path:
    """The work_dir that is meant by one of fastdup's files in it, whether it has been written or not; others as is."""
    path = Path(source)
    return path.parent if path.name in files.FASTDUP and duck.exists(path.parent) else path


def _frame(source: Source) -> pd.DataFrame | None:
    """The rows a gallery is to show; None for those of the work_dir."""
    if isinstance(source, pd.DataFrame):
        return source
    if not isinstance(source, str | os.PathLike):
        raise BadArgument(f"{source!r} shows nothing; allowed: a work_dir, a csv file, a DataFrame")
    path = Path(source)
    if path.is_dir():
        return None
    if not path.is_file() and path != folder_of(path):
        return None
    if not path.is_file():
        raise BadArgument(
            f"{str(path)!r} is neither a work_dir nor a csv file; fd.export(work_dir) writes fastdup's files"
        )
    return frames.read_csv(path)


@contextmanager
def _run_of(
    source: Source, frame: pd.DataFrame | None, work_dir: Any, input_dir: Any, columns: tuple[str, ...]
) -> Iterator[Fastdup]:
    """The run whose images are shown. A frame of file names that belongs to none gets a temporary one."""
    places = [work_dir]
    if isinstance(source, pd.DataFrame):
        places.append(source.attrs.get("work_dir"))
    else:
        places += [source, Path(source).parent]
    for place in places:
        if place is not None and Path(place).is_dir() and duck.exists(Path(place)):
            yield Fastdup(place)
            return
    if frame is None or (len(frame) and any(pd.api.types.is_integer_dtype(frame[column]) for column in columns)):
        theirs = [place for place in places if place is not None and _is_fastdups(Path(place))]
        if theirs:
            raise BadArgument(
                f"{str(theirs[0])!r} is a work_dir that fastdup made; "
                f"fastdup_db.import_work_dir({str(theirs[0])!r}, 'work_dir') makes one of ours of it"
            )
        if frame is None:
            raise NotRun(f"no run has been made in {source}; call run() first")
        raise BadArgument("ids are those of a run: give its work_dir")
    if frame.empty:
        raise BadArgument("there is no row to show; with the work_dir of a run given, an empty page is made")
    names = pd.unique(pd.concat([frame[column].astype(str) for column in columns]))
    with tempfile.TemporaryDirectory(prefix="fastdup-db-") as folder:
        fd = create(folder, [_place(name, input_dir) for name in names])
        fd.run(run_stats_only=True, progress=False)
        yield fd


def _is_fastdups(folder: Path) -> bool:
    return (folder / f"{files.FEATURES}{files.ROWS}").is_file()


def _place(name: str, input_dir: Any) -> str:
    if os.path.isabs(name) or "://" in name:
        return name
    under = os.path.join(input_dir, name) if isinstance(input_dir, str | Path) else name
    return os.path.abspath(under if os.path.exists(under) else name)


def _resolved(fd: Fastdup, frame: pd.DataFrame | None, input_dir: Any, columns: tuple[str, ...]) -> pd.DataFrame | None:
    """The frame with ids in its columns of images; rows of files that are not in the run are refused."""
    if frame is None:
        return None
    annotations = fd.annotations(valid_only=False)
    ids = dict(zip(annotations["filename"], annotations["fd_index"], strict=True))
    if "crop_filename" in annotations:
        crops = annotations.dropna(subset="crop_filename")
        ids |= dict(zip(crops["crop_filename"], crops["fd_index"], strict=True))
    several = set(annotations.loc[annotations["filename"].duplicated(), "filename"])  # of boxes
    frame = frame.reset_index(drop=True)
    for column in columns:
        if pd.api.types.is_integer_dtype(frame[column]):
            continue
        names = frame[column].map(lambda name: name if name in ids else _place(str(name), input_dir))
        found = names.map(ids)
        if found.isna().any():
            raise BadArgument(f"{frame.loc[found.isna(), column].iloc[0]!r} is not in the run of {fd.work_dir}")
        if (shared := names.isin(several)).any():
            found = found.mask(shared, _numbered(frame, names, annotations))
        if found.isna().any():
            raise BadArgument(f"{names[found.isna()].iloc[0]!r} has several boxes; give their ids instead of its name")
        frame[column] = found.astype("int64")
    return frame.drop(columns=_NUMBER, errors="ignore")


def _numbered(frame: pd.DataFrame, names: pd.Series, annotations: pd.DataFrame) -> pd.Series:
    """The ids that a frame gives beside the names of files, where the run has a box of that id in that file."""
    given = pd.to_numeric(frame.get(_NUMBER, pd.Series(None, index=frame.index, dtype=object)), errors="coerce")
    holder = given.map(annotations.set_index("fd_index")["filename"])
    return given.where(holder == names)
