"""Answers about groups: components, verified copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastdup_db import checks
from fastdup_db.answers.work_dir import Split, WorkDir, choose
from fastdup_db.errors import BadArgument
from fastdup_db.imaging.stats import ADVANCED_COLUMNS, STAT_COLUMNS
from fastdup_db.pipeline.annotating import annotation_columns
from fastdup_db.store import duck
from fastdup_db.store.duck import Database

if TYPE_CHECKING:
    import pandas as pd

METRICS = frozenset({*STAT_COLUMNS, *ADVANCED_COLUMNS, "img_w", "img_h", "size", "file_size"})
"""Statistics that components can be described and sorted by."""
_ORDERS = frozenset("comp_size len distance min_distance max_distance mean_distance component_id".split())


class GroupVerbs(WorkDir):
    """`connected_components` and what is known of verified duplicates."""

    def connected_components(
        self,
        data: bool = True,
        split: Split = None,
        include_unannotated: bool = False,
        load_crops: bool = False,
        fast_mode: bool = False,
        *,
        threshold: float | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Clusters of near-duplicates: images linked by pairs with similarity >= `cc_threshold`.

        For a split (and without unannotated images) the components are computed anew within it. fast_mode: no effect.

        Returns:
            The members (`index, component_id, count, mean_distance, min_distance, max_distance` and, with `data`, the
            columns of `annotations`; no singletons) and one row per component (`component_id, count, mean, min, max`).
            `component_id` is the lowest id in it, `count` the number of its images, the others are the similarities
            of its pairs.
        """
        data = checks.flag("data", data)
        with self._graph() as db:
            self._choose_components(db, split=split, include_unannotated=include_unannotated, threshold=threshold)
            members = db.frame(f"components/{'rows' if data else 'ids'}")
            return self._crops(members, load_crops), db.frame("components/info")

    def connected_components_grouped(
        self,
        sort_by: str = "comp_size",
        ascending: bool = False,
        metric: str | None = None,
        load_crops: bool = False,
        group_by: str = "visual",
        kwargs: Mapping[str, Any] | None = None,
        *,
        split: Split = None,
        include_unannotated: bool = False,
    ) -> pd.DataFrame:
        """One row per component (or per label), the largest first by default.

        Args:
            sort_by: `comp_size`, `distance`, `component_id` or the metric.
            metric: a column of `img_stats` whose mean over the members is added.
            group_by: 'visual' or 'label'.
            load_crops: `crop_filename` as absolute paths.
            kwargs: without effect, taken so that scripts run.

        Returns:
            `files` (list), `component_id`, `files_ids` (list), `distance` (lowest similarity), `label` and
            `crop_filename` (lists; by component, and where there are any), `len` and the metric.
        """
        checks.member("group_by", group_by, ("visual", "label"))
        if metric is not None:
            checks.member("metric", metric, METRICS)
        checks.member("sort_by", sort_by, _ORDERS | ({metric} if metric else set()))
        direction = 1 if checks.flag("ascending", ascending) else -1
        with self._graph() as db:
            self._choose_components(db, split=split, include_unannotated=include_unannotated)
            columns = annotation_columns(db)
            if group_by == "label" and "label" not in columns:
                raise BadArgument("group_by='label' needs a column 'label' in the annotations")
            if metric is not None:
                _check_measured(db, metric)
            db.execute("components/choose_measured", metric=metric)
            name = "components/grouped" + ("_by_label" if group_by == "label" else "")
            frame = db.frame(name, sort_by=sort_by, direction=direction)
            if group_by == "visual":
                for column in [name for name in ("crop_filename", "label") if name in columns]:
                    listed = db.frame("components/listed", column=column).set_index("component_id")["listed"]
                    frame.insert(4, column, frame["component_id"].map(listed).astype(object))
        frame = self._crops(frame, load_crops)
        return frame.rename(columns={"metric": metric}) if metric else frame.drop(columns="metric")

    def verify(
        self,
        scope: str = "auto",
        *,
        k: int | None = None,
        lower: float | None = None,
        upper: float | None = None,
        threads: int | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Check by keypoints and pixels which neighbours are one picture; the images are read again where needed.

        Args:
            scope: 'auto' costs a fifth of a run: pairs that the vectors are sure of are not looked at, nor those
                that are hardly alike. 'all' looks at every candidate, and further down.
            k: neighbours of each image that are candidates, 20 by default: more than copies of one picture.
            lower, upper: similarities between which pairs are checked, by default those that hold 98 % of edited
                copies and beyond which no false pair was seen.

        Returns:
            `duplicates()`. What was checked before is not checked again; a killed check goes on where it was, and
            until it has ended there are no duplicates to ask for.
        """
        from fastdup_db.pipeline import holding, verifying

        with self._graph():
            pass  # NotRun before anything is made
        with holding.writing(self._work_dir), duck.connect(self._work_dir, read_only=False) as db:
            verifying.check_again(
                db, self._work_dir, scope=scope, k=k, lower=lower, upper=upper, threads=threads, progress=progress
            )
        return self.duplicates()

    def duplicates(
        self,
        data: bool = True,
        split: Split = None,
        include_unannotated: bool = False,
        load_crops: bool = False,
        *,
        kind: str | None = None,
    ) -> pd.DataFrame:
        """Pairs that `verify()` or `run(verify=...)` found to be one picture, surest first, each once.

        Args:
            kind: only 'exact', 'resized', 'recompressed', 'cropped', 'mirrored', 'rotated' or 'edited' copies.

        Returns:
            `from, to` (int64 ids), `distance` (similarity of the vectors), `score` (0 to 1), `kind`, `reason`,
            `inliers, inlier_share`, `mirror`, `rotation` (degrees clockwise), `scale`, `crop_x, crop_y, crop_width,
            crop_height` (the part of `from` that `to` shows, in pixels), `transform` (8 numbers, see
            `fastdup_db.graph.verify`) and, with `data`, the columns of `annotations` of both sides. No row where
            nothing was checked.

        Raises:
            NotRun: where the last check was broken off, and where a run has read images since: what was checked is
                kept, and `verify()` checks the rest. Galleries show what is known.
        """
        from fastdup_db.graph.verdict import KINDS

        if kind is not None:
            checks.member("kind", kind, KINDS)
        data = checks.flag("data", data)
        with self._verdicts() as db:
            choose(db, split=split, include_unannotated=include_unannotated)
            return self._crops(db.frame(f"verify/{'duplicates' if data else 'duplicate_ids'}", kind=kind), load_crops)

    def duplicate_groups(self) -> pd.DataFrame:
        """One row per group of copies of one picture, largest first: `component_id, count, files, files_ids`.

        Raises `NotRun` as `duplicates` does.
        """
        with self._verdicts() as db:
            return db.frame("verify/groups")

    def _choose_components(
        self, db: Database, *, split: Split, include_unannotated: bool, threshold: float | None = None
    ) -> None:
        last = self._last_run(db)
        lowest = checks.between("threshold", last["cc_threshold"] if threshold is None else threshold, -1, 1)
        everyone = choose(db, split=split, include_unannotated=include_unannotated)
        if threshold is None and (everyone or not json.loads(last["config"])["run_cc"]):
            db.execute("components/choose_stored")  # none at all where the run was told to make none
        else:
            db.execute("components/choose_within", threshold=lowest)
        db.execute("components/choose_info", threshold=lowest)


def _check_measured(db: Database, metric: str) -> None:
    """Raises `BadArgument` for a statistic that the run has not taken."""
    measured = db.row("components/measured") or {}
    if metric in ADVANCED_COLUMNS and not measured["advanced"]:
        raise BadArgument(f"metric={metric!r} was not measured; run with run_advanced_stats=True")
    if not measured["basic"]:
        raise BadArgument(f"metric={metric!r} was not measured; run with run_stats=True on images, not vectors alone")
