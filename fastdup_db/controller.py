"""The user's verbs. Each brings data in or runs one named query and hands back its frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import requests, summaries
from fastdup_db.config import RunConfig
from fastdup_db.errors import BadArgument, NotRun, one_of
from fastdup_db.searching.verbs import SearchVerbs
from fastdup_db.store import duck
from fastdup_db.store.duck import Database

Split = str | Sequence[str] | None


class FastdupController(SearchVerbs):
    """The answers of one work_dir.

    Nothing is held open between calls: other processes can read the database while this object lives, and a work_dir
    can be opened in a new process, moved, or read without the images.

    Args:
        work_dir: folder of the results; made by `run`.
        input_dir: default input of `run`.
    """

    def __init__(self, work_dir: str | Path = "work_dir", input_dir: Any = None) -> None:
        self._work_dir = Path(work_dir)
        if self._work_dir.exists() and not self._work_dir.is_dir():
            raise BadArgument(f"work_dir {str(work_dir)!r} is a file; give a folder that exists or may be created")
        self._input_dir = input_dir

    # ---- state ---------------------------------------------------------------------------------------------------

    @property
    def work_dir(self) -> Path:
        """The folder of the results."""
        return self._work_dir

    @property
    def input_dir(self) -> Any:
        """The input given to `create` or `run`; else that of the last run in the work_dir."""
        if self._input_dir is None and duck.exists(self._work_dir):
            with self._database() as db:
                names = str(self._last_run(db)["input_dir"] or "")
            self._input_dir = names.split("\n") if "\n" in names else names or None
        return self._input_dir

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the last run and what it found out: versions, dimension, index, timings."""
        with self._database() as db:
            last = self._last_run(db)
        settings = json.loads(last.pop("config"))
        last.pop("transform", None)
        return {**settings, **last, "work_dir": str(self._work_dir), "embeddings_dim": last["dimension"]}

    def __getitem__(self, instance_id: int) -> dict[str, Any]:
        """All that is known of one image or box. Raises IndexError where there is no such id."""
        if isinstance(instance_id, bool) or not isinstance(instance_id, int | np.integer):
            raise IndexError(f"instance_id: {instance_id!r} is invalid; it is a whole number")
        with self._database() as db:
            row = db.row("annotations/one", id=int(instance_id))
        if row is None:
            raise IndexError(f"instance_id: {instance_id} is invalid; there is no such image")
        return row

    # ---- run -----------------------------------------------------------------------------------------------------

    def run(
        self,
        input_dir: Any = None,
        annotations: Any = None,
        embeddings: Any = None,
        subset: Sequence[str] | None = None,
        **arguments: Any,
    ) -> int:
        """Read the images, find their neighbours, store everything in the work_dir.

        Args:
            input_dir: a folder, an image, a list of files and folders, a list file, an archive, a video, a YOLO yaml,
                `s3://` or `minio://`.
            annotations: DataFrame with `filename`, list of names, .csv/.parquet/COCO .json path, COCO dict.
            embeddings: float array (n, d), row i for the i-th name of `annotations`; no image is read then.
            subset: names (relative or absolute) to keep.
            arguments: every field of `fastdup_db.config.RunConfig`.

        Returns:
            0.

        Raises:
            BadArgument, BadInput: before anything is read or written.
        """
        from fastdup_db.pipeline import fetching
        from fastdup_db.pipeline import run as pipeline

        config = RunConfig.from_arguments(arguments)
        stored = self.input_dir if config.run_mode in (2, 3, 4) else self._input_dir
        with fetching.server_of(config):
            request = requests.run_request(
                self._work_dir,
                config=config,
                input_dir=stored if input_dir is None else input_dir,
                annotations=annotations,
                embeddings=embeddings,
                subset=subset,
            )
            pipeline.run(request)
        self._input_dir = request.input_dir if input_dir is None else input_dir
        if config.print_summary:
            self.summary()
        return 0

    # ---- answers -------------------------------------------------------------------------------------------------

    def num_instances(self, valid_only: bool = True) -> int:
        """How many images (boxes in boxes mode) there are; `valid_only`: that can be used."""
        with self._database() as db:
            return int(db.value("annotations/count", valid_only=valid_only))

    def annotations(self, valid_only: bool = True, include_unannotated: bool = False) -> pd.DataFrame:
        """`filename`, your columns, `index, error_code, is_valid, fd_index`; one row per image or box, by id."""
        with self._database() as db:
            frame = db.frame("annotations/all", include_unannotated=include_unannotated)
        return frame[frame["is_valid"]] if valid_only else frame

    def invalid_instances(self) -> pd.DataFrame:
        """Images and boxes that cannot be used, with `error_code`; columns as in `annotations`."""
        frame = self.annotations(valid_only=False)
        return frame[~frame["is_valid"]]

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
            between: two splits; only the pairs that cross them (the leaks).
            threshold: lowest similarity, that of the run by default; neighbours beyond the run's k are not stored.

        Returns:
            `from, to` (int64 ids), `distance` (float64, a similarity: 1 = identical, for every metric) and, with
            `data`, the columns of `annotations` of both sides. Each image has at most k rows as `from`.
        """
        with self._database() as db:
            last = self._last_run(db)
            lowest = float(last["threshold"] if threshold is None else threshold)
            _choose(db, split=between or split, include_unannotated=include_unannotated)
            name = ("rows" if data else "ids") + ("_between" if between else "")
            return self._crops(db.frame(f"similarity/{name}", threshold=lowest), load_crops)

    def outliers(
        self, data: bool = True, split: Split = None, include_unannotated: bool = False, load_crops: bool = False
    ) -> pd.DataFrame:
        """The images least similar to anything else, most extreme first, one row each.

        The run's `outlier_percentile` of all valid images, by the similarity to their nearest neighbour.

        Returns:
            `outlier, nearest` (int64 ids), `distance` (similarity) and, with `data`, the columns of both.
        """
        with self._database() as db:
            fraction = float(self._last_run(db)["outlier_percentile"])
            _choose(db, split=split, include_unannotated=include_unannotated)
            return self._crops(db.frame(f"outliers/{'rows' if data else 'ids'}", fraction=fraction), load_crops)

    def img_stats(
        self, data: bool = True, split: Split = None, include_unannotated: bool = False, load_crops: bool = False
    ) -> pd.DataFrame:
        """Statistics of every valid image or crop, by id; see `fastdup_db.imaging.stats` for the formulas.

        Returns:
            `index, img_w, img_h, unique, blur, mean, min, max, stdv, file_size, contrast`, the advanced ones where
            the run was asked for them and, with `data`, the columns of `annotations`.
        """
        with self._database() as db:
            _choose(db, split=split, include_unannotated=include_unannotated)
            frame = db.frame(f"stats/{'rows' if data else 'ids'}")
            if json.loads(self._last_run(db)["config"])["run_advanced_stats"]:
                advanced = db.frame("stats/advanced").drop(columns="id")
                at = frame.columns.get_loc("contrast") + 1
                frame = pd.concat([frame.iloc[:, :at], advanced, frame.iloc[:, at:]], axis=1)
            return self._crops(frame, load_crops)

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
            scope: 'auto' costs a quarter of a run: pairs that the vectors are sure of are not looked at, nor those
                that are hardly alike. 'all' looks at every candidate, and further down.
            k: neighbours of each image that are candidates, 20 by default: more than copies of one picture.
            lower, upper: similarities between which pairs are checked, by default those that hold 98 % of edited
                copies and beyond which no false pair was seen.

        Returns:
            `duplicates()`. What was checked before is not checked again; a killed check goes on where it was.
        """
        from fastdup_db.pipeline import verifying

        with duck.connect(self._work_dir, read_only=False) as db:
            self._last_run(db)
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
            `fastdup_db.graph.verify`) and, with `data`, the columns of `annotations` of both sides.
        """
        from fastdup_db.graph.verdict import KINDS

        if kind is not None and kind not in KINDS:
            raise one_of("kind", kind, KINDS)
        with self._database() as db:
            self._last_run(db)
            _choose(db, split=split, include_unannotated=include_unannotated)
            return self._crops(db.frame(f"verify/{'duplicates' if data else 'duplicate_ids'}", kind=kind), load_crops)

    def duplicate_groups(self) -> pd.DataFrame:
        """One row per group of copies of one picture, largest first: `component_id, count, files, files_ids`."""
        with self._database() as db:
            self._last_run(db)
            return db.frame("verify/groups")

    def connected_components(
        self,
        data: bool = True,
        split: Split = None,
        include_unannotated: bool = False,
        load_crops: bool = False,
        *,
        threshold: float | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Clusters of near-duplicates: images linked by pairs with similarity >= `cc_threshold`.

        For a split (and without unannotated images) the components are computed anew within it.

        Returns:
            The members (`index, component_id, count, mean_distance, min_distance, max_distance` and, with `data`, the
            columns of `annotations`; no singletons) and one row per component (`component_id, count, mean, min, max`).
            `component_id` is the lowest id in it, `count` the number of its images, the others are the similarities
            of its pairs.
        """
        with self._database() as db:
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
        *,
        split: Split = None,
        include_unannotated: bool = False,
    ) -> pd.DataFrame:
        """One row per component (or per label), the largest first by default.

        Args:
            sort_by: `comp_size`, `distance`, `component_id` or the metric.
            metric: a column of `img_stats` whose mean over the members is added.
            group_by: 'visual' or 'label'.

        Returns:
            `files` (list), `component_id`, `files_ids` (list), `distance` (lowest similarity), `label` (list, where
            there are labels), `len` and the metric.
        """
        if group_by not in ("visual", "label"):
            raise one_of("group_by", group_by, ("visual", "label"))
        if metric is not None and metric not in METRICS:
            raise one_of("metric", metric, METRICS)
        allowed = {"comp_size", "len", "distance", "min_distance", "max_distance", "mean_distance", "component_id"}
        if sort_by not in allowed | ({metric} if metric else set()):
            raise one_of("sort_by", sort_by, allowed | ({metric} if metric else set()))
        direction = 1 if ascending else -1
        with self._database() as db:
            self._choose_components(db, split=split, include_unannotated=include_unannotated)
            labelled = "label" in set(db.frame("annotations/columns")["column_name"])
            if group_by == "label":
                if not labelled:
                    raise BadArgument("group_by='label' needs a column 'label' in the annotations")
                return db.frame("components/grouped_by_label", direction=direction)
            frame = db.frame("components/grouped", metric=metric, sort_by=sort_by, direction=direction)
            if labelled:
                labels = db.frame("components/labels").set_index("component_id")["label"]
                frame.insert(4, "label", frame["component_id"].map(labels))
        return frame.rename(columns={"metric": metric}) if metric else frame.drop(columns="metric")

    def label_quality(self, split: Split = None) -> pd.DataFrame:
        """How far each image's neighbours agree with its label; likely wrong labels first.

        Returns:
            `index, filename, label, score` (share of its neighbours with its own label, 0 to 1), `neighbors`,
            `other_label` (what most of the others are), `distance` (similarity to the nearest of the others). Ordered
            by the votes for `label` less those for `other_label`: neighbours that agree on another label come first.
            Neighbours are the run's `nearest_neighbors_k`; 5 or more make the score finer.
        """
        with self._database() as db:
            if "label" not in set(db.frame("annotations/columns")["column_name"]):
                raise BadArgument("label_quality() needs a column 'label' in the annotations")
            _choose(db, split=split, include_unannotated=False)
            return db.frame("annotations/label_quality")

    def img_grouped_annot(self, image_level_columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Annotations gathered per image: one row a file, box columns as lists.

        `image_level_columns` (by default `split, img_h, img_w`) keep their first value instead of a list.
        """
        with self._database() as db:
            frame = db.frame("annotations/grouped_by_image")
        for name in ("split", "img_h", "img_w") if image_level_columns is None else image_level_columns:
            if name in frame.columns:
                frame[name] = frame[name].map(lambda values: values[0])
            elif image_level_columns is not None:
                raise one_of("image_level_columns", name, frame.columns)
        return frame

    def embeddings(self, d: int | None = None) -> tuple[list[str], np.ndarray]:
        """The stored embeddings: file names (list of n) and float32 (n, d), by id, valid images only.

        `d` is not needed; a wrong one raises `BadArgument` naming the right one.
        """
        from fastdup_db.pipeline.run import table
        from fastdup_db.store.lance import EMBEDDINGS

        with self._database() as db:
            dimension = db.value("run/dimension")
            files = db.arrow("run/valid_files")
        if d is not None and d != dimension:
            raise BadArgument(f"d={d}; the embeddings of this work_dir have d={dimension}")
        vectors = table(self._work_dir, EMBEDDINGS)
        if not len(vectors):
            return [], np.empty((0, dimension or 0), np.float32)
        ids, matrix = vectors.matrix()
        names = dict(zip(files.column("id").to_pylist(), files.column("filename").to_pylist(), strict=True))
        return [names[i] for i in ids.tolist()], matrix

    def summary(
        self,
        verbose: bool = True,
        blur_threshold: float = 150.0,
        brightness_threshold: float = 253.0,
        darkness_threshold: float = 4.0,
    ) -> list[str]:
        """What is in the collection and what is wrong with it, as lines of text; printed too when `verbose`.

        Blurry: `blur` below its threshold; bright and dark: `mean` above and below theirs. All counts are images.
        """
        with self._database() as db:
            last = self._last_run(db)
            counts = db.row("summary/counts", blur=blur_threshold, bright=brightness_threshold, dark=darkness_threshold)
        lines = summaries.lines(counts or {}, last)
        if verbose:
            summaries.show(lines)
        return lines

    def sql(self, query: str, **parameters: Any) -> pd.DataFrame:
        """Your own SQL over the work_dir, read-only: all tables and views, and the vectors as `embeddings`.

        `fd.sql("from similarity_at($t) limit 5", t=0.95)`
        """
        from fastdup_db.pipeline.run import table
        from fastdup_db.store.lance import EMBEDDINGS

        with self._database() as db:
            vectors = table(self._work_dir, EMBEDDINGS)
            if vectors.exists():
                db.register("embeddings", vectors.arrow())
            return db.query(query, parameters)

    # ---- what galleries ask --------------------------------------------------------------------------------------

    def gallery_frame(self, name: str, **parameters: Any) -> pd.DataFrame:
        """The rows of `sql/galleries/<name>.sql`: values are bound, a DataFrame is read under its parameter's name."""
        with self._database() as db:
            return db.frame(f"galleries/{name}", **parameters)

    def open_images(self, ids: Sequence[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        """Images in the order of `ids`: RGB uint8 (h, w, 3), None for one that cannot be had any more.

        crops: of a box, only what lies in it; else the whole image.
        """
        from fastdup_db.pipeline.originals import open_images

        return open_images(self._work_dir, ids, crops=crops)

    # ---- within --------------------------------------------------------------------------------------------------

    @contextmanager
    def _database(self) -> Iterator[Database]:
        with duck.connect(self._work_dir) as db:
            yield db

    def _last_run(self, db: Database) -> dict[str, Any]:
        last = db.row("run/current")
        if last is None or last["finished_at"] is None:
            raise NotRun(f"the last run in {self._work_dir} did not end; call run() again, it goes on where it was")
        return last

    def _choose_components(
        self, db: Database, *, split: Split, include_unannotated: bool, threshold: float | None = None
    ) -> None:
        last = self._last_run(db)
        lowest = float(last["cc_threshold"] if threshold is None else threshold)
        everyone = _choose(db, split=split, include_unannotated=include_unannotated)
        if everyone and threshold is None:
            db.execute("components/choose_stored")
        else:
            db.execute("components/choose_within", threshold=lowest)
        db.execute("components/choose_info", threshold=lowest)

    def _crops(self, frame: pd.DataFrame, load_crops: bool) -> pd.DataFrame:
        from fastdup_db.pipeline.spec import CROPS

        if load_crops:
            folder = self._work_dir.resolve() / CROPS
            for name in [c for c in frame.columns if c.startswith("crop_filename")]:
                frame[name] = frame[name].map(lambda file: str(folder / file), na_action="ignore")
        return frame


METRICS = frozenset(
    "mean min max stdv unique blur contrast img_w img_h size file_size rms_contrast mean_hue mean_saturation "
    "mean_val edge_density mean_r mean_g mean_b mean_rel_intensity_r mean_rel_intensity_g mean_rel_intensity_b".split()
)
"""Statistics that components can be described and sorted by."""


def _choose(db: Database, *, split: Split, include_unannotated: bool) -> bool:
    """Make the temp table `chosen`; says whether it holds every valid instance."""
    if split is None:
        db.execute("annotations/choose", include_unannotated=include_unannotated)
        return bool(db.value("annotations/is_everyone_chosen"))
    wanted = [split] if isinstance(split, str) else list(split)
    if not wanted or not all(isinstance(name, str) for name in wanted):
        raise BadArgument(f"split={split!r}; allowed: the name of a split or a list of names")
    if "split" not in set(db.frame("annotations/columns")["column_name"]):
        raise BadArgument("split needs a column 'split' in the annotations")
    known = db.frame("annotations/splits")["split"].tolist()
    for name in wanted:
        if name not in known:
            raise one_of("split", name, known)
    db.execute("annotations/choose_splits", splits=wanted)
    return False
