"""v0's `find_top_components`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db import checks, frames
from fastdup_db.cleaning import plans
from fastdup_db.engine import Fastdup
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.galleries.selection import SIZE, as_text, slice_of
from fastdup_db.graph.metrics import reaches
from fastdup_db.legacy.clusters import assignments
from fastdup_db.legacy.labels import MISSING, LabelFunc, labels_of
from fastdup_db.legacy.shown import Slice

FILE = "top_components.parquet"
AVERAGE = "avg_metric"
"""What fastdup calls the mean of any metric."""
_ARGUMENTS = (
    *("work_dir", "get_label_func", "group_by", "slice", "threshold", "metric", "descending"),
    *("min_items", "max_items", "keyword", "save_path", "comp_type"),
)


def find_top_components(
    work_dir: str | Path,
    get_label_func: LabelFunc = None,
    group_by: str = "visual",
    slice: Slice = None,
    threshold: float | None = None,
    metric: str | None = None,
    descending: bool = True,
    min_items: int | None = None,
    max_items: int | None = None,
    keyword: str | None = None,
    save_path: str | Path | None = None,
    comp_type: str = "component",
    **kwargs: Any,
) -> pd.DataFrame:
    """The components of a run, largest first: `component_id, files, [label], files_ids, distance, [metric], len`.

    group_by: 'visual', or 'label': one row per label, which comes first. slice: a label or several; 'diff' / 'same' for
    components of several labels / of one. threshold: lowest similarity of a pair in the component. metric: a statistic,
    a list before `len`; its mean, by which rows are ordered, comes last, as `avg_metric` and `avg_<metric>`. min_items,
    max_items: sizes to keep. keyword: only files whose label contains it. save_path: a folder to write
    `top_components.parquet` into. comp_type: 'component' or 'cluster' (of `run_kmeans`). By its `attrs`
    `delete_components` knows the run that the files belong to, and refuses the frame once there has been another.
    """
    for name in kwargs:
        raise one_of("keyword argument", name, _ARGUMENTS)
    group_by = checks.member("group_by", group_by, ("visual", "label"))
    for name, value in (("min_items", min_items), ("max_items", max_items)):
        checks.at_least(name, value or 0, 0)
    _check_keyword(keyword, has_labels=get_label_func is not None)
    fd = Fastdup(work_dir)
    members = _members(fd, work_dir, comp_type=comp_type)
    labelled = get_label_func is not None or "label" in members.columns
    if group_by == "label" and not labelled:
        raise BadArgument("group_by='label' needs labels: give get_label_func")
    labels = labels_of(fd, get_label_func)
    members = members.assign(label=members["index"].map(labels))
    if threshold is not None:
        checks.between("threshold", threshold, -1, 1)
        members = members[reaches(members["min_distance"], threshold)]
    if keyword is not None:
        members = members[members["label"].astype(str).str.contains(keyword, regex=False)]
    members = _sliced(members, slice, known=labels if labelled else None)
    if metric is not None:
        members = members.assign(metric=members["index"].map(_statistic(fd, metric)))
    key = "component_id" if group_by == "visual" else "label"
    frame = _grouped(members, key=key, metric=metric)
    if not labelled:
        frame = frame.drop(columns="label")
    least, most = (2 if group_by == "visual" else 1) if min_items is None else min_items, max_items
    frame = frame[(frame["len"] >= least) & (frame["len"] <= (most or len(members)))]
    order = AVERAGE if metric else "len"
    frame = frame.sort_values([order, key], ascending=[not descending, True], ignore_index=True)
    frame.attrs["work_dir"] = str(work_dir)
    plans.mark(frame, Path(fd.work_dir))
    if save_path is not None:
        Path(save_path).mkdir(parents=True, exist_ok=True)
        frame.to_parquet(Path(save_path) / FILE)
    return frame


def members_of(components: pd.DataFrame) -> pd.DataFrame:
    """A frame of components with a row per member: `index, component_id` and, where the frame has it, `filename`."""
    frame = components.rename(columns={"files_ids": "index", "files": "filename", "__id": "index"})
    frames.check(frame, argument="the frame", columns=("index", "component_id"))
    frame = frame[[name for name in ("index", "filename", "component_id") if name in frame]]
    if "files_ids" in components:
        is_list = [name for name in frame if len(frame) and pd.api.types.is_list_like(frame[name].iloc[0])]
        frame = frame.explode(is_list, ignore_index=True) if is_list else frame
        frame = frame.astype({"index": "int64", "component_id": "int64"})
    frame.attrs = components.attrs
    return frame


def _check_keyword(keyword: object, *, has_labels: bool) -> None:
    if keyword is not None and not isinstance(keyword, str):
        raise BadArgument(f"keyword={keyword!r}; allowed: a text that labels hold")
    if keyword is not None and not has_labels:
        raise BadArgument("keyword looks into labels: give get_label_func")


def _statistic(fd: Fastdup, metric: str) -> pd.Series:
    """A statistic of every image, by id."""
    stats = fd.img_stats(data=False).set_index("index")
    stats = stats.assign(**{SIZE: stats["img_w"] * stats["img_h"]}).select_dtypes("number")
    return stats[checks.member("metric", metric, stats.columns)]


def _members(fd: Fastdup, work_dir: str | Path, *, comp_type: str) -> pd.DataFrame:
    if comp_type == "component":
        return fd.connected_components()[0]
    if comp_type not in ("cluster", "kmeans"):
        raise one_of("comp_type", comp_type, ("cluster", "component"))
    found = assignments(work_dir)
    return found.assign(component_id=found["cluster"], min_distance=1 - found["distance"])


def _sliced(members: pd.DataFrame, slice: Slice, *, known: pd.Series | None) -> pd.DataFrame:
    """The members in the slice. known: the label of every image, None without labels."""
    texts = None if known is None else sorted({as_text(label) for label in known})
    chosen = slice_of(slice, keywords=("diff", "same"), known=texts)
    if chosen.kind == "all":
        return members
    if chosen.kind == "labels":
        return members[members["label"].map(as_text).isin(chosen.labels)]
    said = members["label"].where(members["label"] != MISSING)
    labels = said.groupby(members["component_id"]).transform("nunique")
    return members[labels > 1 if chosen.kind == "diff" else labels == 1]


def _grouped(members: pd.DataFrame, *, key: str, metric: str | None) -> pd.DataFrame:
    groups = members.sort_values("index").groupby(key, sort=True)
    other = "label" if key == "component_id" else "component_id"
    columns = {
        "files": ("filename", list),
        other: (other, list),
        "files_ids": ("index", list),
        "distance": ("min_distance", "min"),
    }
    if metric is not None:
        columns |= {metric: ("metric", list)}
    columns |= {"len": ("index", "size")}
    if metric is not None:
        columns |= {AVERAGE: ("metric", "mean"), f"avg_{metric}": ("metric", "mean")}
    found = groups.agg(**columns).reset_index()
    # pandas takes the types of the keys, and of no groups all types, from what it sees
    types = {name: "object" for name in ("files", "label", "files_ids", metric) if name in found.columns}
    types |= {"distance": "float64", "len": "int64", "component_id": "int64" if key == "component_id" else "object"}
    types |= {AVERAGE: "float64", f"avg_{metric}": "float64"} if metric is not None else {}
    return found.astype(types)
