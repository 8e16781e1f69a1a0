"""`fd.vis`: the galleries. Each method picks rows by SQL, makes cards of them and writes one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.galleries import components, duplicates, outliers, report, similarity, stats
from fastdup_db.galleries.controller import Controller
from fastdup_db.galleries.query import Images, Picked, Query, count
from fastdup_db.galleries.selection import WITHOUT_EFFECT
from fastdup_db.galleries.writer import Output, write

_GRAYSCALE = 0  # cv2.IMREAD_GRAYSCALE, without loading cv2 for it
_KEYWORDS = ("external_df", "external_labels", "get_extra_col_func", "get_reformat_filename_func", "load_crops")


class FastdupVisualizer:
    """Galleries of a run, as HTML pages.

        page = fd.vis.duplicates_gallery(num_images=100)

    Arguments every gallery shares:

    save_path: HTML file to write (ends in .html), or folder to write it into; None: `galleries/` in the work_dir.
    label_col: column of the annotations to show as label. draw_bbox: in boxes mode, the whole image with its box
        drawn (None, too); False: the box cut out. num_images: how many entries to show. max_width: of the page, in
        pixels.
    lazy_load: thumbnails in a folder beside the page, loaded as one scrolls; else all inside the one file.
    slice: a label or a list of labels, as text or as they are (1, True), at least one of them known; 'diff' or
        'same' for different or equal labels where images are compared.
    ascending: direction of the order. save_artifacts: also write the shown images and a csv beside the page.
    show: display the page in a Jupyter notebook; elsewhere nothing happens.
    Further keywords: external_df (a frame to show instead of the run's own, in the shape of the accessor's),
        external_labels (labels by id, a dict or a Series, instead of a column of the annotations),
        get_extra_col_func (file name -> one more column), get_reformat_filename_func (file name -> what to show),
        load_crops (True: as draw_bbox=False). Taken without effect, so that scripts run: those of
        `selection.WITHOUT_EFFECT`, such as keep_aspect_ratio, nrows or selection_strategy.

    Every gallery returns the path of its page and prints nothing. Raises `BadArgument` for a wrong argument, with what
    is allowed, before any image is read.
    """

    def __init__(self, controller: Controller, default_config: Mapping[str, Any] | None = None) -> None:
        """default_config: {'cv2_imread_flag': 0} shows images without colour; other flags are as colour."""
        unknown = set(default_config or {}) - {"cv2_imread_flag"}
        if unknown:
            raise one_of("default_config", sorted(unknown)[0], ["cv2_imread_flag"])
        self._controller = controller
        self._gray = (default_config or {}).get("cv2_imread_flag") == _GRAYSCALE

    def outliers_gallery(
        self,
        save_path: str | Path | None = None,
        label_col: str | None = "label",
        draw_bbox: bool | None = True,
        num_images: int = 20,
        max_width: int | None = None,
        lazy_load: bool = False,
        how: str = "one",
        slice: Any = None,
        sort_by: str = "distance",
        ascending: bool = True,
        save_artifacts: bool = False,
        show: bool = True,
        **kwargs: Any,
    ) -> Path:
        """Images that resemble no other image, the least similar first.

        how: 'one' = the farthest from one of its neighbours (others may be close), as many images as `outliers()` has;
            'all' = far from all images, those of `outliers()`.
        slice: labels of the outlier; 'diff' / 'same': its label against that of the neighbour it is measured by.
        sort_by: 'distance', or a column of the annotations or statistics.
        """
        picked, images = self._picked(
            outliers.pick,
            kwargs,
            label_col=label_col,
            slice=slice,
            how=how,
            sort_by=sort_by,
            ascending=ascending,
            num_images=num_images,
        )
        return self._write(
            picked, images, kwargs, save_path=save_path, draw_bbox=draw_bbox, max_width=max_width, lazy_load=lazy_load,
            save_artifacts=save_artifacts, show=show,
        )  # fmt: skip

    def duplicates_gallery(
        self,
        save_path: str | Path | None = None,
        label_col: str | None = "label",
        draw_bbox: bool | None = True,
        num_images: int = 20,
        max_width: int | None = None,
        lazy_load: bool = False,
        slice: Any = None,
        ascending: bool = False,
        threshold: float | None = None,
        save_artifacts: bool = False,
        show: bool = True,
        *,
        verified: bool | None = None,
        **kwargs: Any,
    ) -> Path:
        """Pairs of images that look alike, the most similar first; (a, b) and (b, a) are one pair.

        verified: show the pairs that `verify()` found to be one picture, the surest first, with what was done to the
        copy; the page lays the second image on the first by the transform found. None: where there are any.

        num_images: how many pairs. slice: labels, one of the two has to have one; 'diff' / 'same': labels of the two.
        threshold: lowest similarity shown, by default that of the run (0.9); of verified pairs, all are shown.
        """
        picked, images = self._picked(
            duplicates.pick,
            kwargs,
            label_col=label_col,
            slice=slice,
            ascending=ascending,
            threshold=threshold,
            num_images=num_images,
            verified=verified,
        )
        return self._write(
            picked, images, kwargs, save_path=save_path, draw_bbox=draw_bbox, max_width=max_width, lazy_load=lazy_load,
            save_artifacts=save_artifacts, show=show,
        )  # fmt: skip

    def similarity_gallery(
        self,
        save_path: str | Path | None = None,
        label_col: str | None = "label",
        draw_bbox: bool | None = True,
        num_images: int = 20,
        max_width: int | None = None,
        lazy_load: bool = False,
        slice: Any = None,
        ascending: bool | None = None,
        threshold: float | None = None,
        show: bool = True,
        **kwargs: Any,
    ) -> Path:
        """Images, each with the images most similar to it.

        num_images: how many query images. slice: labels of the query; 'label_score': ordered by the percentage of
        neighbours that have the query's label; 'diff': only those below 100, the lowest first (likely wrong labels);
        'same': only those at 100. ascending: None = the most similar (or highest score) first, but for 'diff'; True
        also has the least similar neighbour first. Further keyword: max_items, neighbours shown of each (24).
        threshold: lowest similarity of a neighbour that is shown and counts for the score, by default that of the run
        (0.9): only near-duplicates. With -1 all neighbours count, as in `label_quality()`.
        """
        save_artifacts, max_items = kwargs.pop("save_artifacts", False), kwargs.pop("max_items", None)
        picked, images = self._picked(
            similarity.pick,
            kwargs,
            label_col=label_col,
            slice=slice,
            ascending=ascending,
            threshold=threshold,
            num_images=num_images,
            max_items=max_items,
        )
        return self._write(
            picked, images, kwargs, save_path=save_path, draw_bbox=draw_bbox, max_width=max_width, lazy_load=lazy_load,
            save_artifacts=save_artifacts, show=show,
        )  # fmt: skip

    def stats_gallery(
        self,
        save_path: str | Path | None = None,
        metric: str = "dark",
        slice: Any = None,
        label_col: str | None = "label",
        lazy_load: bool = False,
        show: bool = True,
        **kwargs: Any,
    ) -> Path:
        """Images at one end of a statistic.

        metric: 'dark', 'bright', 'blur', 'size', or a column of the statistics. Further keywords: num_images (20),
        ascending, draw_bbox, max_width.
        """
        num_images, ascending = kwargs.pop("num_images", 20), kwargs.pop("ascending", None)
        draw_bbox, max_width = kwargs.pop("draw_bbox", True), kwargs.pop("max_width", None)
        save_artifacts = kwargs.pop("save_artifacts", False)
        picked, images = self._picked(
            stats.pick,
            kwargs,
            metric=metric,
            label_col=label_col,
            slice=slice,
            ascending=ascending,
            num_images=num_images,
        )
        return self._write(
            picked, images, kwargs, save_path=save_path, draw_bbox=draw_bbox, max_width=max_width, lazy_load=lazy_load,
            save_artifacts=save_artifacts, show=show,
        )  # fmt: skip

    def component_gallery(
        self,
        save_path: str | Path | None = None,
        label_col: str | None = "label",
        draw_bbox: bool | None = True,
        num_images: int = 20,
        max_width: int | None = None,
        lazy_load: bool = False,
        slice: Any = None,
        group_by: str = "visual",
        min_items: int | None = None,
        max_items: int | None = None,
        threshold: float | None = None,
        metric: str | None = None,
        sort_by: str = "comp_size",
        sort_by_reduction: str | None = None,
        ascending: bool = False,
        save_artifacts: bool = False,
        show: bool = True,
        **kwargs: Any,
    ) -> Path:
        """Groups of images, the largest first.

        num_images: how many groups. group_by: 'visual' = connected components, 'label' = the images of each label.
        slice: only images with these labels; 'diff' / 'same': groups of several labels / of one.
        min_items: images a group needs (2). max_items: images shown of each group (24).
        threshold: only images with a neighbour of at least this similarity inside the group.
        metric: a statistic; its mean is shown, and orders the groups unless sort_by says otherwise.
        sort_by: 'comp_size' ('len'), 'mean_distance' ('distance'), 'min_distance', 'max_distance', 'area' (mean
        pixels), 'component_id', or a column of the annotations or statistics; sort_by_reduction: its 'mean' or 'sum'
        over the group (texts: the first of the alphabet).
        """
        picked, images = self._picked(
            components.pick,
            kwargs,
            label_col=label_col,
            slice=slice,
            group_by=group_by,
            min_items=min_items,
            max_items=max_items,
            threshold=threshold,
            metric=metric,
            sort_by=sort_by,
            sort_by_reduction=sort_by_reduction,
            ascending=ascending,
            num_images=num_images,
        )
        return self._write(
            picked, images, kwargs, save_path=save_path, draw_bbox=draw_bbox, max_width=max_width, lazy_load=lazy_load,
            save_artifacts=save_artifacts, show=show,
        )  # fmt: skip

    def report(self, save_path: str | Path | None = None, num_images: int = 6, show: bool = True) -> Path:
        """One page to send to a colleague: the summary, how the statistics are distributed, the first of every gallery.

        num_images: entries of each gallery. Needs the extra `report`; raises `MissingExtra` without it.
        """
        return report.write(self._controller, save_path=save_path, num_images=num_images, show=show, gray=self._gray)

    def _picked(self, pick: Callable[..., Picked], kwargs: Mapping[str, Any], **asked: Any) -> tuple[Picked, Images]:
        """What a gallery shows, and what is known of its images."""
        with self._controller.reading():
            query = self._query(kwargs)
            picked = pick(query, external_df=kwargs.get("external_df"), **asked)
            return picked, query.images(picked.page.ids)

    def _query(self, kwargs: Mapping[str, Any]) -> Query:
        for name in kwargs:
            if name not in _KEYWORDS and name not in WITHOUT_EFFECT:
                raise one_of("keyword argument", name, (*_KEYWORDS, *WITHOUT_EFFECT))
        for name in ("get_extra_col_func", "get_reformat_filename_func"):
            checks.function(name, kwargs.get(name))
        labels = kwargs.get("external_labels")
        if labels is not None and not isinstance(labels, Mapping | pd.Series):
            raise BadArgument(f"external_labels of type {type(labels).__name__}; allowed: a dict or a Series, by id")
        return Query(self._controller, labels=labels)

    def _write(
        self,
        picked: Picked,
        images: Images,
        kwargs: Mapping[str, Any],
        *,
        save_path: str | Path | None,
        draw_bbox: bool | None,
        max_width: int | None,
        lazy_load: bool,
        save_artifacts: bool,
        show: bool,
    ) -> Path:
        output = Output(
            save_path=save_path,
            draw_bbox=(draw_bbox is None or checks.flag("draw_bbox", draw_bbox)) and not kwargs.get("load_crops"),
            max_width=count("max_width", max_width),
            lazy_load=checks.flag("lazy_load", lazy_load),
            save_artifacts=checks.flag("save_artifacts", save_artifacts),
            show=checks.flag("show", show),
            gray=self._gray,
            get_extra_col_func=kwargs.get("get_extra_col_func"),
            get_reformat_filename_func=kwargs.get("get_reformat_filename_func"),
        )
        return write(picked.page, images, frame=picked.frame, controller=self._controller, output=output)
