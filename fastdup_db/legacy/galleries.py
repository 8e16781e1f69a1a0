"""v0's galleries over `fd.vis`: of a work_dir, a csv in it, or a frame of anybody's. Those of groups of images are in
`legacy.component_galleries`.

get_bounding_box_func has no effect in any of them, which the log says: what is drawn are the boxes of the run. Nor have
the words of `galleries.selection.WITHOUT_EFFECT`, such as keep_aspect_ratio, which are taken as keywords.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.engine import Fastdup
from fastdup_db.galleries import similarity
from fastdup_db.galleries.query import Query
from fastdup_db.galleries.stats import METRICS
from fastdup_db.legacy.labels import LabelFunc
from fastdup_db.legacy.shown import Func, Slice, Source, check_words, shown
from fastdup_db.store import duck

_PAIR = ("from", "to")
_MIN_ITEMS = 2
"""v0's default, of rows that go by their score only. Where a run has one neighbour an image it would leave nothing, and
means one."""


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
    **kwargs: Any,
) -> int:
    """Pairs of similar images, as `duplicates.html`; returns 0.

    similarity_file: a work_dir, a csv, or a frame `from, to, distance` of ids or file names, which need no run.
    """
    check_words(kwargs, of=create_duplicates_gallery, boxes=get_bounding_box_func)
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
    **kwargs: Any,
) -> int:
    """Images unlike all others, as `outliers.html`; returns 0. outliers_file: as in `create_duplicates_gallery`.

    descending: the most extreme first.
    """
    check_words(kwargs, of=create_outliers_gallery, boxes=get_bounding_box_func)
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
    min_items: int = _MIN_ITEMS,
    max_items: int | None = None,
    **kwargs: Any,
) -> pd.DataFrame:
    """Images with those most like them, as `similarity.html`.

    slice: labels of the image; 'diff': images with a neighbour of another label; 'same': those whose neighbours all
    have their label; 'label_score': all with a label. With these three words rows go by their score.
    descending: the highest score first, and of a row's neighbours the most similar one; else the lowest and the least.
    min_items: neighbours that a row must have; 2 is asked only of rows that go by their score, and a run with one
    neighbour an image has rows of one. max_items: neighbours shown of each image, the most similar ones.

    Returns one row per image with all its neighbours, however many the page shows, in its order: `from, to` (list),
    with labels `label, label2` (lists), `distance` (list), with labels `score` (percentage of its neighbours with its
    label), `length`; these two also without a slice, where fastdup leaves them out. By its `attrs`
    `delete_or_retag_stats_outliers` knows the run.
    """
    check_words(kwargs, of=create_similarity_gallery, boxes=get_bounding_box_func)
    checks.at_least("min_items", min_items, 0)
    checks.at_least("max_items", max_items or 0, 0)
    with shown(similarity_file, _PAIR, get_label_func=get_label_func, work_dir=work_dir, input_dir=input_dir) as rows:
        pairs = rows.fd.similarity(data=False) if rows.frame is None else rows.frame
        sizes = pairs.groupby("from")["to"].transform("size")
        is_scored = isinstance(slice, str) and slice in similarity.WORDS
        rows = replace(rows, frame=pairs[sizes >= _least(min_items, sizes, is_scored=is_scored)])
        rows.fd.vis.similarity_gallery(
            save_path,
            num_images=num_images,
            ascending=not descending,
            max_width=max_width,
            max_items=max_items or None,
            lazy_load=lazy_load,
            **rows.arguments(slice, get_extra_col_func, get_reformat_filename_func),
        )
        found = _neighbours(rows.fd, rows.frame, labels=rows.labels, slice=slice, ascending=not descending)
    if duck.exists(Path(rows.fd.work_dir)):  # a run made for the page only is gone by now
        found.attrs["work_dir"] = rows.fd.work_dir
    return found


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
    **kwargs: Any,
) -> int:
    """Images at one end of a statistic, as a page named after it; returns 0.

    descending: the highest value first; 'bright' and 'size' begin with it in any case.
    """
    check_words(kwargs, of=create_stats_gallery, boxes=get_bounding_box_func)
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
            ascending=not descending and (metric not in METRICS or METRICS[metric].ascending),
            max_width=max_width,
            **rows.arguments(slice, get_extra_col_func, get_reformat_filename_func),
        )
    return 0


def _least(min_items: int, sizes: pd.Series, *, is_scored: bool) -> int:
    """How many neighbours a row of a similarity gallery must have. sizes: those that there are, of every pair's row."""
    if min_items != _MIN_ITEMS:
        return min_items
    return min(_MIN_ITEMS, int(sizes.max())) if is_scored and len(sizes) else 0


def _neighbours(
    fd: Fastdup, pairs: pd.DataFrame | None, *, labels: pd.Series | None, slice: Slice, ascending: bool
) -> pd.DataFrame:
    """The rows of a similarity gallery, all of them, as v0 hands them out."""
    scope, frame = similarity.rows(
        Query(fd, labels=labels), slice=slice, ascending=ascending, max_items=None, external_df=pairs
    )
    found = similarity.results(frame, scored=True, labelled=scope.labelled)
    names = fd.annotations().set_index("fd_index")["filename"]
    others = pd.Series([[names[i] for i in ids] for ids in found["to"]], index=found.index, dtype=object)
    found = found.assign(**{"from": found["from"].map(names), "to": others})
    return found if scope.labelled else found.drop(columns="score")
