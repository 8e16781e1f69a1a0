"""Answers with a row per image, box or pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db import checks
from fastdup_db.annotation_forms import ROW
from fastdup_db.answers.work_dir import Split, WorkDir, choose
from fastdup_db.config import OF_BOXES
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.pipeline.annotating import annotation_columns

if TYPE_CHECKING:
    import pandas as pd


_OF_A_FILE = ("split", "img_h", "img_w")
_OF_AN_INSTANCE = ("index", "is_valid", "fd_index", "error_code")


class RowVerbs(WorkDir):
    """`annotations`, `similarity`, `outliers`, `img_stats`, `label_quality`, `embeddings` and the like."""

    def __getitem__(self, instance_id: int) -> dict[str, Any]:
        """All that is known of one image or box. Raises IndexError where there is no such id.

        A whole number as a float counts, too: that is what a row of `similarity(data=False)` makes of its ids.
        """
        if isinstance(instance_id, bool) or not _is_whole(instance_id):
            raise IndexError(f"instance_id: {instance_id!r} is invalid; it is a whole number")
        with self._database() as db:
            row = db.row("annotations/one", id=int(instance_id))
        if row is None:
            raise IndexError(f"instance_id: {instance_id} is invalid; there is no such image")
        return row

    def num_instances(self, valid_only: bool = True) -> int:
        """How many images (boxes in boxes mode) there are; `valid_only`: that can be used."""
        valid_only = checks.flag("valid_only", valid_only)
        with self._database() as db:
            return int(db.value("annotations/count", valid_only=valid_only))

    def annotations(self, valid_only: bool = True, include_unannotated: bool = False) -> pd.DataFrame:
        """`filename`, your columns, `index, error_code, is_valid, fd_index`; one row per image or box, by id.

        A column of yours that is called `error_code`, `is_valid`, `crop_filename` or `is_annotated`, or `Label` beside
        `label`, comes as `<name>_1`.
        """
        valid_only = checks.flag("valid_only", valid_only)
        include_unannotated = checks.flag("include_unannotated", include_unannotated)
        with self._database() as db:
            frame = db.frame("annotations/all", include_unannotated=include_unannotated)
        return frame[frame["is_valid"]] if valid_only else frame

    def invalid_instances(self) -> pd.DataFrame:
        """Images and boxes that cannot be used, with `error_code`; columns as in `annotations`."""
        with self._database() as db:
            return db.frame("annotations/invalid").set_index(ROW).rename_axis(None)

    def similarity(
        self,
        data: bool = True,
        split: Split = None,
        include_unannotated: bool = False,
        load_crops: bool = False,
        *,
        between: tuple[str, str] | None = None,
        threshold: float | None = None,
    ) -> pd.DataFrame:
        """Pairs of neighbours, most similar first.

        Args:
            data: with the columns of both sides, suffixed `_from` and `_to`.
            split: a split or a list of them that both sides are in.
            include_unannotated: also images without an annotation.
            load_crops: `crop_filename` as an absolute path.
            between: two splits; only the pairs that cross them (the leaks). Not together with `split`.
            threshold: lowest similarity (-1 to 1), that of the run by default; neighbours beyond the run's k are not
                stored.

        Returns:
            `from, to` (int64 ids), `distance` (float64, a similarity: 1 = identical, for every metric) and, with
            `data`, the columns of `annotations` of both sides. Each image has at most k rows as `from`.
        """
        if threshold is not None:
            checks.between("threshold", threshold, -1, 1)
        if between is not None:
            _check_two(between, split=split)
        data = checks.flag("data", data)
        with self._graph() as db:
            lowest = float(self._last_run(db)["threshold"] if threshold is None else threshold)
            choose(db, split=split if between is None else between, include_unannotated=include_unannotated)
            name = ("rows" if data else "ids") + ("_between" if between else "")
            return self._crops(db.frame(f"similarity/{name}", threshold=lowest), load_crops)

    def outliers(
        self,
        data: bool = True,
        split: Split = None,
        include_unannotated: bool = False,
        load_crops: bool = False,
        fast_mode: bool = False,
    ) -> pd.DataFrame:
        """The images least similar to anything else, most extreme first, one row each.

        The run's `outlier_percentile` of all valid images, by the similarity to their nearest neighbour. With the
        bundled models it is lowered for noise, drawings, pages of text and whatever else is far from the collection's
        mean (the view `outlier_edges` says how; a picture with a copy stays similar to it). With a split,
        only outliers whose nearest neighbour is in the split too; by default, only where both are annotated.
        fast_mode: no effect.

        Returns:
            `outlier, nearest` (int64 ids), `distance` (that similarity) and, with `data`, the columns of both.
        """
        data = checks.flag("data", data)
        with self._graph() as db:
            fraction = float(self._last_run(db)["outlier_percentile"])
            choose(db, split=split, include_unannotated=include_unannotated)
            return self._crops(db.frame(f"outliers/{'rows' if data else 'ids'}", fraction=fraction), load_crops)

    def img_stats(
        self, data: bool = True, split: Split = None, include_unannotated: bool = False, load_crops: bool = False
    ) -> pd.DataFrame:
        """Statistics of every valid image or crop, by id; see `fastdup_db.imaging.stats` for the formulas.

        Returns:
            `index, img_w, img_h, unique, blur, mean, min, max, stdv, file_size, contrast`, the advanced ones where
            the run was asked for them and, with `data`, `truncated` (whether the file is cut short) and the columns of
            `annotations`. A column of yours that is named like a statistic comes as `<name>_1`.
        """
        data = checks.flag("data", data)
        with self._database() as db:
            choose(db, split=split, include_unannotated=include_unannotated)
            frame = db.frame(f"stats/{'rows' if data else 'ids'}")
            if json.loads(self._last_run(db)["config"])["run_advanced_stats"]:
                import pandas as pd

                advanced = db.frame("stats/advanced").drop(columns="id")
                frame = frame.rename(columns={name: f"{name}_1" for name in advanced.columns})
                at = frame.columns.get_loc("contrast") + 1
                frame = pd.concat([frame.iloc[:, :at], advanced, frame.iloc[:, at:]], axis=1)
            return self._crops(frame, load_crops)

    def label_quality(self, split: Split = None) -> pd.DataFrame:
        """What share of each image's neighbours has its label; likely wrong labels first.

        Returns:
            `index, filename, label, score` (share of its neighbours with its own label, 0 to 1), `neighbors`,
            `other_label` (with the most votes of the others), `distance` (similarity to the nearest of the others).
            Ordered by the votes for `label` less those for `other_label`, a vote weighing its similarity: neighbours
            that agree on another label come first. Neighbours are the run's `nearest_neighbors_k`; 5 or more make the
            score finer.
        """
        with self._graph() as db:
            if "label" not in annotation_columns(db):
                raise BadArgument("label_quality() needs a column 'label' in the annotations")
            choose(db, split=split, include_unannotated=False)
            return db.frame("annotations/label_quality")

    def img_grouped_annot(self, image_level_columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Annotations gathered per image: one row a file, box columns as lists.

        `image_level_columns` (by default `split, img_h, img_w`, and of a run on images `index, is_valid, fd_index,
        error_code`) keep their first value instead of a list.
        """
        given = None if image_level_columns is None else checks.names("image_level_columns", image_level_columns)
        with self._database() as db:
            columns = db.arrow("annotations/names").column("column_name").to_pylist()
            of_images = self._last_run(db)["data_type"] not in OF_BOXES
            for name in given or ():
                if name not in columns:
                    raise one_of("image_level_columns", name, columns)
            names = _OF_A_FILE + (_OF_AN_INSTANCE if of_images else ())
            frame = db.frame("annotations/grouped_by_image", image_level=list(names if given is None else given))
        return frame[columns]

    def embeddings(self, d: int | None = None) -> tuple[list[str], np.ndarray]:
        """The stored embeddings: file names (list of n) and float32 (n, d), by id, valid images only.

        `d` is not needed; a wrong one raises `BadArgument` naming the right one.
        """
        from fastdup_db.pipeline.tables import stored
        from fastdup_db.store.lance import EMBEDDINGS

        with self._database() as db:
            last = self._last_run(db)
            files = db.arrow("run/valid_files")
        dimension = last["dimension"]
        if d is not None and d != dimension:
            raise BadArgument(f"d={d}; the embeddings of this work_dir have d={dimension}")
        vectors = stored(self._work_dir, EMBEDDINGS, run=last)
        if not len(vectors):
            return [], np.empty((0, dimension or 0), np.float32)
        ids, matrix = vectors.matrix()
        names = dict(zip(files.column("id").to_pylist(), files.column("filename").to_pylist(), strict=True))
        return [names[i] for i in ids.tolist()], matrix


def _is_whole(number: object) -> bool:
    return isinstance(number, int | np.integer) or (
        isinstance(number, float | np.floating) and float(number).is_integer()
    )


def _check_two(between: object, *, split: Split) -> None:
    two = list(between) if isinstance(between, list | tuple) else []
    if len(two) != 2 or two[0] == two[1]:
        raise BadArgument(f"between={between!r}; allowed: the names of two different splits")
    if split is not None:
        raise BadArgument("split and between exclude each other: between names both splits")
