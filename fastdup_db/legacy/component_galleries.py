"""v0's galleries of groups of images over `fd.vis`: components, and the clusters of `run_kmeans`.

Arguments without effect are as in `legacy.galleries`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.engine import Fastdup
from fastdup_db.errors import BadArgument
from fastdup_db.legacy.clusters import assignments
from fastdup_db.legacy.components import find_top_components, members_of
from fastdup_db.legacy.labels import LabelFunc, labels_of
from fastdup_db.legacy.shown import Func, Shown, Slice, Source, check_words, folder_of, shown


def create_components_gallery(
    work_dir: Source,
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
    **kwargs: Any,
) -> int:
    """Components, as `components.html`; returns 0. Arguments as in `find_top_components`.

    max_items: images shown of each. work_dir: also one of fastdup's files in it, or a frame with the components to
    show, of `connected_components`, `connected_components_grouped` or `find_top_components`; keyword then is None.
    """
    check_words(kwargs, of=create_components_gallery, boxes=get_bounding_box_func)
    chosen: AbstractContextManager[Shown]
    if isinstance(work_dir, pd.DataFrame):
        if keyword is not None:
            raise BadArgument("keyword chooses among the components of a work_dir, and a frame was given")
        members = members_of(work_dir)
        chosen = shown(members, ("index",), get_label_func=get_label_func, work_dir=None, input_dir=input_dir)
        if group_by == "label" and min_items is None:
            min_items = 1
    else:
        work_dir = folder_of(work_dir)
        fd = Fastdup(work_dir)
        top = find_top_components(
            work_dir, get_label_func, group_by, slice, threshold, metric, descending, min_items, None, keyword,
            comp_type=comp_type,
        )  # fmt: skip
        members = members_of(top)[["index", "component_id"]]
        if group_by == "label":  # a label is a group whatever components it is in
            members["component_id"], min_items = 0, 1
        labels = None if get_label_func is None else labels_of(fd, get_label_func)
        chosen, threshold = nullcontext(Shown(fd, members, labels)), None  # it has chosen by it
    with chosen as given:
        given.fd.vis.component_gallery(
            save_path,
            num_images=num_images,
            max_width=max_width,
            lazy_load=lazy_load,
            group_by=group_by,
            min_items=min_items,
            max_items=max_items,
            threshold=threshold,
            metric=metric,
            ascending=not descending,
            **given.arguments(slice, get_extra_col_func, get_reformat_filename_func),
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
    **kwargs: Any,
) -> int:
    """The clusters of `run_kmeans`, the largest first, as `components.html`; returns 0."""
    check_words(kwargs, of=create_kmeans_clusters_gallery, boxes=get_bounding_box_func)
    assignments(work_dir)  # says what is missing where there is none
    return create_components_gallery(
        work_dir, save_path, num_images, lazy_load, get_label_func, "visual", slice, max_width, max_items, None,
        get_reformat_filename_func, get_extra_col_func, threshold, metric, descending, min_items, keyword, input_dir,
        comp_type="cluster",
    )  # fmt: skip
