"""v0's galleries over `fd.vis`: of a work_dir, a csv in it, or a frame of anybody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.engine import Fastdup
from fastdup_db.legacy.clusters import assignments
from fastdup_db.legacy.components import find_top_components
from fastdup_db.legacy.labels import LabelFunc, labels_of
from fastdup_db.legacy.shown import Func, Slice, Source, label_text, shown

_PAIR = ("from", "to")


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
    with shown(similarity_file, _PAIR, get_label_func=get_label_func, work_dir=work_dir, input_dir=input_dir) as rows:
        rows.fd.vis.duplicates_gallery(
            save_path,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            lazy_load=lazy_load,
            threshold=threshold,
            **rows.arguments(slice, get_extra_col_func, get_reformat_filename_func),
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
    with shown(
        outliers_file,
        ("outlier", "nearest"),
        get_label_func=get_label_func,
        work_dir=work_dir,
        input_dir=input_dir,
        renamed={"from": "outlier", "to": "nearest"},
    ) as rows:
        rows.fd.vis.outliers_gallery(
            save_path,
            num_images=num_images,
            ascending=descending,
            max_width=max_width,
            lazy_load=lazy_load,
            how=how,
            **rows.arguments(slice, get_extra_col_func, get_reformat_filename_func),
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
    with shown(similarity_file, _PAIR, get_label_func=get_label_func, work_dir=work_dir, input_dir=input_dir) as rows:
        pairs = rows.fd.similarity(data=False) if rows.frame is None else rows.frame
        sizes = pairs.groupby("from")["to"].transform("size")
        pairs = pairs[(sizes >= min(min_items, int(sizes.max() or 0))) & (sizes <= (max_items or sizes.max()))]
        rows.fd.vis.similarity_gallery(
            save_path,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            lazy_load=lazy_load,
            **replace(rows, frame=pairs).arguments(slice, get_extra_col_func, get_reformat_filename_func),
        )
        return _neighbours(_named(rows.fd, pairs), rows.labels)


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
    with shown(
        stats_file,
        ("index",),
        get_label_func=get_label_func,
        work_dir=work_dir,
        input_dir=input_dir,
        renamed={"width": "img_w", "height": "img_h"},
    ) as rows:
        rows.fd.vis.stats_gallery(
            save_path,
            metric=metric,
            lazy_load=lazy_load,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            **rows.arguments(slice, get_extra_col_func, get_reformat_filename_func),
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
    labels = None if get_label_func is None else labels_of(fd, get_label_func)
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
        get_extra_col_func=get_extra_col_func or label_text(fd, labels),
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
