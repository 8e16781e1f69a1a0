"""The rows that v0's galleries show: of which run, with which ids, which labels."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument
from fastdup_db.legacy.labels import MISSING, LabelFunc, labels_of
from fastdup_db.store import duck

Source: TypeAlias = pd.DataFrame | str | Path
Func: TypeAlias = Callable[[str], Any] | None
Slice: TypeAlias = str | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a gallery is made of: the run, its rows or None for the run's own, the caller's labels by id."""

    fd: Fastdup
    frame: pd.DataFrame | None
    labels: pd.Series | None
    columns: tuple[str, ...]

    def arguments(self, slice: Slice, extra: Func, rename: Func) -> dict[str, Any]:
        """Arguments that every gallery takes; rows are sliced here where the labels are the caller's."""
        frame, labels, columns = self.frame, self.labels, self.columns
        if labels is not None and slice is not None:
            if frame is None:
                own = {"outlier": self.fd.outliers, "index": self.fd.img_stats}.get(columns[0], self.fd.similarity)
                frame = own(data=False)
            first, last = (frame[column].map(labels) for column in (columns[0], columns[-1]))
            if slice in ("diff", "same", "label_score"):
                keep = {"diff": first != last, "same": first == last}.get(str(slice), first.notna())
            else:
                keep = first.isin([slice] if isinstance(slice, str) else list(slice))
            frame, slice = frame[keep], None
        return {
            "slice": slice,
            "show": False,
            "external_df": frame,
            "get_extra_col_func": extra or label_text(self.fd, labels),
            "get_reformat_filename_func": rename,
        }


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

    columns: those that name images. renamed: columns by other names; `index` is made of `filename`.
    """
    frame = _frame(source)
    if frame is not None:
        frame = frame.rename(columns=renamed or {})
        if "index" in columns and "filename" in frame:
            frame = frame.assign(index=frame["filename"])
    with _run_of(source, frame, work_dir, input_dir, columns) as fd:
        labels = None if get_label_func is None else labels_of(fd, get_label_func)
        yield Shown(fd, _resolved(fd, frame, input_dir, columns), labels, columns)


def label_text(fd: Fastdup, labels: pd.Series | None) -> Func:
    """A column with the label of each file, for the cards."""
    if labels is None:
        return None
    annotations = fd.annotations()
    names = dict(zip(annotations["filename"], labels.reindex(annotations["fd_index"]), strict=True))
    return lambda name: names.get(name, MISSING)


def _frame(source: Source) -> pd.DataFrame | None:
    """The rows a gallery is to show; None for those of the work_dir."""
    if isinstance(source, pd.DataFrame):
        return source
    path = Path(source)
    if path.is_dir():
        return None
    if not path.is_file():
        raise BadArgument(f"{str(path)!r} is neither a work_dir nor a csv file")
    return pd.read_csv(path)


@contextmanager
def _run_of(
    source: Source, frame: pd.DataFrame | None, work_dir: Any, input_dir: Any, columns: tuple[str, ...]
) -> Iterator[Fastdup]:
    """The run whose images are shown. A frame of file names that belongs to none gets one for as long as it takes."""
    places = [work_dir]
    if isinstance(source, pd.DataFrame):
        places.append(source.attrs.get("work_dir"))
    else:
        places += [source, Path(source).parent]
    for place in places:
        if place is not None and Path(place).is_dir() and duck.exists(Path(place)):
            yield Fastdup(place)
            return
    if frame is None or any(pd.api.types.is_integer_dtype(frame[column]) for column in columns):
        raise BadArgument("ids are those of a run: give its work_dir")
    names = pd.unique(pd.concat([frame[column].astype(str) for column in columns]))
    with tempfile.TemporaryDirectory(prefix="fastdup-db-") as folder:
        fd = create(folder, [_place(name, input_dir) for name in names])
        fd.run(run_stats_only=True, progress=False)
        yield fd


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
    frame = frame.reset_index(drop=True)
    for column in columns:
        if pd.api.types.is_integer_dtype(frame[column]):
            continue
        found = frame[column].map(lambda name: ids.get(name, ids.get(_place(name, input_dir))))
        if found.isna().any():
            raise BadArgument(f"{frame.loc[found.isna(), column].iloc[0]!r} is not in the run of {fd.work_dir}")
        frame[column] = found.astype("int64")
    return frame
