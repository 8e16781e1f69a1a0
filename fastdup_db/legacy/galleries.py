"""v0's galleries over `fd.vis`: of a work_dir, a csv in it, or a frame of anybody's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument
from fastdup_db.legacy.clusters import assignments
from fastdup_db.legacy.components import find_top_components
from fastdup_db.legacy.labels import MISSING, LabelFunc, labels_of
from fastdup_db.store import duck

Source: TypeAlias = pd.DataFrame | str | Path
Func: TypeAlias = Callable[[str], Any] | None
Slice: TypeAlias = str | Sequence[str] | None


def create_duplicates_gallery(
    similarity_file: Source,
    save_path: str | Path,
    num_images: int = 20,
    descending: bool = True,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    slice: Slice = None,
    max_width: int | None = None,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    input_dir: str | Path | None = None,
    work_dir: str | Path | None = None,
    threshold: float | None = None,
) -> int:
    """Pairs of similar images, as `duplicates.html`; returns 0.

    similarity_file: a work_dir, a csv, or a frame `from, to, distance` of ids or file names, which need no run.
    """
    frame = _frame(similarity_file)
    with _run_of(similarity_file, frame, work_dir, input_dir, ("from", "to")) as fd:
        frame, labels = _resolved(fd, frame, input_dir, ("from", "to")), _labels(fd, get_label_func)
        fd.vis.duplicates_gallery(
            save_path,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            lazy_load=lazy_load,
            threshold=threshold,
            **_common(fd, frame, labels, slice, get_extra_col_func, get_reformat_filename_func, ("from", "to")),
        )
    return 0


def create_outliers_gallery(
    outliers_file: Source,
    save_path: str | Path,
    num_images: int = 20,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    how: str = "one",
    slice: Slice = None,
    descending: bool = True,
    max_width: int | None = None,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    input_dir: str | Path | None = None,
    work_dir: str | Path | None = None,
) -> int:
    """Images unlike all others, as `outliers.html`; returns 0. outliers_file: as in `create_duplicates_gallery`.

    descending: the most extreme first.
    """
    frame = _frame(outliers_file)
    ends = ("outlier", "nearest")
    if frame is not None:
        frame = frame.rename(columns={"from": "outlier", "to": "nearest"})
    with _run_of(outliers_file, frame, work_dir, input_dir, ends) as fd:
        frame, labels = _resolved(fd, frame, input_dir, ends), _labels(fd, get_label_func)
        fd.vis.outliers_gallery(
            save_path,
            num_images=num_images,
            ascending=descending,
            max_width=max_width,
            lazy_load=lazy_load,
            how=how,
            **_common(fd, frame, labels, slice, get_extra_col_func, get_reformat_filename_func, ends),
        )
    return 0


def create_similarity_gallery(
    similarity_file: Source,
    save_path: str | Path,
    num_images: int = 20,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    slice: Slice = None,
    max_width: int | None = None,
    descending: bool = False,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    input_dir: str | Path | None = None,
    work_dir: str | Path | None = None,
    min_items: int = 2,
    max_items: int | None = None,
) -> pd.DataFrame:
    """Images with those most like them, as `similarity.html`.

    Returns one row per image: `from, to` (list), with labels `label, label2` (lists) and `score` (percentage of its
    neighbours with its label), `distance` (list), `length`. min_items, max_items: how many neighbours a row may have.
    """
    frame = _frame(similarity_file)
    with _run_of(similarity_file, frame, work_dir, input_dir, ("from", "to")) as fd:
        frame, labels = _resolved(fd, frame, input_dir, ("from", "to")), _labels(fd, get_label_func)
        pairs = fd.similarity(data=False) if frame is None else frame
        sizes = pairs.groupby("from")["to"].transform("size")
        pairs = pairs[(sizes >= min(min_items, int(sizes.max() or 0))) & (sizes <= (max_items or sizes.max()))]
        fd.vis.similarity_gallery(
            save_path,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            lazy_load=lazy_load,
            **_common(fd, pairs, labels, slice, get_extra_col_func, get_reformat_filename_func, ("from", "to")),
        )
        return _neighbours(_named(fd, pairs), labels)


def create_stats_gallery(
    stats_file: Source,
    save_path: str | Path,
    num_images: int = 20,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    metric: str = "blur",
    slice: Slice = None,
    max_width: int | None = None,
    descending: bool = False,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    input_dir: str | Path | None = None,
    work_dir: str | Path | None = None,
) -> int:
    """Images at one end of a statistic, as a page named after it; returns 0."""
    frame = _frame(stats_file)
    if frame is not None:
        frame = frame.rename(columns={"width": "img_w", "height": "img_h"})
        frame = frame.assign(index=frame["filename"]) if "filename" in frame else frame
    with _run_of(stats_file, frame, work_dir, input_dir, ("index",)) as fd:
        frame, labels = _resolved(fd, frame, input_dir, ("index",)), _labels(fd, get_label_func)
        fd.vis.stats_gallery(
            save_path,
            metric=metric,
            lazy_load=lazy_load,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            **_common(fd, frame, labels, slice, get_extra_col_func, get_reformat_filename_func, ("index",)),
        )
    return 0


def create_components_gallery(
    work_dir: str | Path,
    save_path: str | Path,
    num_images: int = 20,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    group_by: str = "visual",
    slice: Slice = None,
    max_width: int | None = None,
    max_items: int | None = None,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    threshold: float | None = None,
    metric: str | None = None,
    descending: bool = True,
    min_items: int | None = None,
    keyword: str | None = None,
    input_dir: str | Path | None = None,
    *,
    comp_type: str = "component",
) -> int:
    """Components, as `component.html`; returns 0. Arguments as in `find_top_components`.

    Max_items: images shown of each.
    """
    fd = Fastdup(work_dir)
    top = find_top_components(
        work_dir, get_label_func, group_by, slice, threshold, metric, descending, min_items, None, keyword,
        comp_type=comp_type,
    )  # fmt: skip
    rows = top[["files_ids"]].assign(component_id=range(len(top))).explode("files_ids", ignore_index=True)
    labels = _labels(fd, get_label_func)
    fd.vis.component_gallery(
        save_path,
        num_images=num_images,
        max_width=max_width,
        lazy_load=lazy_load,
        min_items=1 if group_by == "label" else min_items,
        max_items=max_items,
        metric=metric,
        sort_by="component_id",
        ascending=True,
        show=False,
        external_df=rows.rename(columns={"files_ids": "index"}).astype("int64"),
        get_extra_col_func=get_extra_col_func or _label_text(fd, labels),
        get_reformat_filename_func=get_reformat_filename_func,
    )
    return 0


def create_kmeans_clusters_gallery(
    work_dir: str | Path,
    save_path: str | Path,
    num_images: int = 20,
    lazy_load: bool = False,
    get_label_func: LabelFunc = None,
    slice: Slice = None,
    max_width: int | None = None,
    max_items: int | None = None,
    get_bounding_box_func: Any = None,
    get_reformat_filename_func: Func = None,
    get_extra_col_func: Func = None,
    threshold: float | None = None,
    metric: str | None = None,
    descending: bool = True,
    min_items: int | None = None,
    keyword: str | None = None,
    input_dir: str | Path | None = None,
) -> int:
    """The clusters of `run_kmeans`, the largest first, as `component.html`; returns 0."""
    assignments(work_dir)  # says what is missing where there is none
    return create_components_gallery(
        work_dir, save_path, num_images, lazy_load, get_label_func, "visual", slice, max_width, max_items, None,
        get_reformat_filename_func, get_extra_col_func, threshold, metric, descending, min_items, keyword, input_dir,
        comp_type="cluster",
    )  # fmt: skip


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


def _labels(fd: Fastdup, get_label_func: LabelFunc) -> pd.Series | None:
    return None if get_label_func is None else labels_of(fd, get_label_func)


def _label_text(fd: Fastdup, labels: pd.Series | None) -> Func:
    """A column with the label of each file, for the cards."""
    if labels is None:
        return None
    annotations = fd.annotations()
    names = dict(zip(annotations["filename"], labels.reindex(annotations["fd_index"]), strict=True))
    return lambda name: names.get(name, MISSING)


def _common(
    fd: Fastdup,
    frame: pd.DataFrame | None,
    labels: pd.Series | None,
    slice: Slice,
    extra: Func,
    rename: Func,
    columns: tuple[str, ...],
) -> dict[str, Any]:
    """Arguments that every gallery takes; rows are sliced here where the labels are the caller's."""
    if labels is not None and slice is not None:
        if frame is None:
            own = {"outlier": fd.outliers, "index": fd.img_stats}.get(columns[0], fd.similarity)
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
        "get_extra_col_func": extra or _label_text(fd, labels),
        "get_reformat_filename_func": rename,
    }


def _named(fd: Fastdup, pairs: pd.DataFrame) -> pd.DataFrame:
    names = fd.annotations().set_index("fd_index")["filename"]
    ids = {"from_id": pairs["from"], "to_id": pairs["to"]}
    return pairs[["distance"]].assign(**{"from": pairs["from"].map(names), "to": pairs["to"].map(names)}, **ids)


def _neighbours(pairs: pd.DataFrame, labels: pd.Series | None) -> pd.DataFrame:
    columns: dict[str, Any] = {"to": ("to", list)}
    if labels is not None:
        pairs = pairs.assign(label=pairs["from_id"].map(labels), label2=pairs["to_id"].map(labels))
        pairs = pairs.assign(score=100.0 * (pairs["label"] == pairs["label2"]))
        columns |= {"label": ("label", list), "label2": ("label2", list), "score": ("score", "mean")}
    columns |= {"distance": ("distance", list), "length": ("to", "size")}
    return pairs.groupby("from", sort=False).agg(**columns).reset_index()
