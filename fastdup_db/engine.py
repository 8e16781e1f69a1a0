"""`Fastdup`: the controller with everything a user reaches from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdup_db import checks
from fastdup_db.answers.work_dir import Split
from fastdup_db.cleaning import cleaner, plans
from fastdup_db.config import OF_BOXES, RunConfig
from fastdup_db.controller import FastdupController
from fastdup_db.errors import BadArgument
from fastdup_db.pipeline.finished import check_verified

if TYPE_CHECKING:
    import pandas as pd

    from fastdup_db.galleries.visualizer import FastdupVisualizer


class Fastdup(FastdupController):
    """All of fastdup_db on one work_dir.

    fd = fastdup_db.create(work_dir="results", input_dir="photos")
    fd.run()
    fd.similarity(); fd.outliers(); fd.connected_components(); fd.img_stats()
    fd.vis.duplicates_gallery()
    """

    @property
    def vis(self) -> FastdupVisualizer:
        """The galleries of this work_dir, as HTML pages."""
        from fastdup_db.galleries.visualizer import FastdupVisualizer

        return FastdupVisualizer(self)

    def caption(
        self,
        model_name: str = "automatic",
        device: str = "cpu",
        batch_size: int = 8,
        subset: Sequence[str] | None = None,
        vqa_prompt: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        progress: bool = True,
    ) -> pd.DataFrame:
        """A sentence about every valid image (or box), or an answer to a question about it.

        Needs the extra `caption` (transformers and torch). What was asked before is not computed again; the captions
        asked last are a column of `annotations()`, and all of them are the table `captions`.

        Args:
            model_name: automatic (ViT-GPT2), vitgpt2, blip, blip2, git, vqa, age, a folder, or a Hugging Face id.
            device: cpu, gpu, or a torch device such as cuda:1.
            batch_size: images described at once.
            subset: names of the images to describe, all by default.
            vqa_prompt: the question to answer about each image.
            kwargs: arguments of the model's `generate`, such as `num_beams`.

        Returns:
            `filename, caption`, by id; no caption where an image can no longer be read.

        Raises:
            BadArgument, MissingExtra, ModelUnavailable (without a network: it says what to fetch), NotRun.
        """
        from fastdup_db.pipeline import captioning

        base = self.input_dir
        return captioning.run(
            captioning.CaptionRequest(
                work_dir=self._work_dir,
                model_name=model_name,
                device=device,
                batch_size=batch_size,
                subset=subset,
                vqa_prompt=vqa_prompt,
                kwargs=kwargs or {},
                bases=(base,) if isinstance(base, str) else (),
                progress=progress,
            )
        )

    def dedup(
        self,
        keep: str = "best",
        *,
        groups: str = "components",
        threshold: float | None = None,
        split: Split = None,
        include_unannotated: bool = False,
    ) -> pd.DataFrame:
        """Which image of every group of duplicates to keep, and which could go. Nothing is touched.

            plan = fd.dedup()
            fd.clean(plan)                      # says what would be done
            fd.clean(plan, dry_run=False)       # moves what is not kept into a quarantine; fd.undo() brings it back

        Args:
            keep: 'best' (whole before cut short, then most pixels, least compressed, sharpest, oldest), 'first' (of the
                listing), 'largest' (pixels), 'sharpest', 'least_compressed' (bits per pixel) or 'oldest' (EXIF date).
                Each rule is a statement in `sql/dedup/`.
            groups: 'components', 'duplicates' (only what `verify()` found to be one picture) or 'exact' (same bytes).
            threshold: of the components, that of the run by default.
            split: only within a split or several.

        Returns:
            `component_id, index, filename, keep` (bool), `keep_index, keep_filename`, `similarity` (to the kept image,
            NaN where they are no neighbours), and what the rules look at: `img_w, img_h, pixels, file_size` (bytes),
            `version` (of the file: its time in ns), `bits_per_pixel, sharpness, taken_at, truncated`. One row per
            member of a group, the kept one first. A file that is missing, or has another size or time than the run
            saw, is kept only if every image of its group is missing or changed.

        Raises:
            BadArgument: for a run on boxes, which are no files.
            NotRun: for groups='duplicates' where `duplicates()` raises it, too.
        """
        with self._database() if groups == "exact" else self._graph() as db:
            if groups == "duplicates":
                check_verified(db, self._last_run(db), work_dir=self._work_dir)
            if self._last_run(db)["data_type"] in OF_BOXES:
                raise BadArgument("dedup() chooses between images; this run is on boxes")
            self._choose_components(db, split=split, include_unannotated=include_unannotated, threshold=threshold)
            return plans.keep_one(db, keep=keep, groups=groups)

    def clean(
        self,
        plan: pd.DataFrame | Sequence[str],
        *,
        how: str = "quarantine",
        folder: str | Path | None = None,
        dry_run: bool = True,
    ) -> pd.DataFrame:
        """Take files of the collection away. Says only what it would do unless `dry_run=False`.

        Args:
            plan: a frame of `dedup()`, any frame with `filename` (rows with a true `keep` stay), or a list of names as
                `annotations()` has them. A name that is not in the run's input is refused, and nothing is touched; so
                is a frame of `dedup()` from before the last run.
            how: 'quarantine' moves them into `folder`, 'delete' removes them for good.
            folder: of the quarantine, new or empty; `quarantine/<number>` in the work_dir by default. Its manifest is
                on disk before the first file moves: a killed clean-up is finished by `resume_clean` or taken back by
                `undo`.

        Returns:
            `filename, status, target`. A file is left alone, and its status says why, where it is missing, has changed
            since the run, is one of the kept images under another name, or where the plan names a file to keep in its
            place (`keep_filename`, else the rows of its `component_id` with a true `keep`) and that is missing, has
            changed or is to go as well. Kept files in a bucket are not looked at. `attrs['folder']` is the quarantine.
        """
        return plans.clean(self._work_dir, plan, how=how, folder=folder, dry_run=dry_run)

    def undo(self, folder: str | Path | None = None) -> pd.DataFrame:
        """Move the files of a quarantine back, byte for byte: `filename, status, target`. May be repeated after a kill.

        folder: of the quarantine, by default the last in the work_dir. A place that another file has taken meanwhile
        stays as it is.
        """
        where = plans.last_folder(self._work_dir) if folder is None else Path(folder)
        return plans.frame(plans.named(cleaner.undo(where)), folder=where)

    def resume_clean(self, folder: str | Path | None = None) -> pd.DataFrame:
        """Finish a clean-up that was killed: `filename, status, target`. folder: as in `undo`."""
        where = plans.last_folder(self._work_dir) if folder is None else Path(folder)
        return plans.frame(plans.named(cleaner.resume(where)), folder=where)

    def export(self, path: str | Path, format: str = "fastdup", *, names: bool = False) -> list[Path]:
        """Write the results into the folder `path` for other programs; returns the files.

        Args:
            format: 'fastdup' (the files of a fastdup work_dir: binary features, csv, config.json), 'parquet' (the
                views, the edges, the embeddings), 'coco', 'fiftyone' (labels.json and data.json of its Classification
                or Detection dataset) or 'huggingface' (metadata.jsonl of an imagefolder).
            names: for 'fastdup', file names instead of ids in similarity.csv and outliers.csv.
        """
        from fastdup_db.exchange.export import export

        checks.on_disk("path", path)
        checks.in_utf8("path", path)
        checks.folder("path", Path(path).absolute())
        with self._database() as db:
            return export(
                db,
                Path(path),
                format=format,
                work_dir=self._work_dir,
                annotations=self.annotations,
                config=self.config,
                names=names,
            )

    def publish(self, uri: str, *, s3_endpoint_url: str | None = None, s3_region: str | None = None) -> list[str]:
        """Put the results into a bucket: the DuckDB file, the Lance tables, the views as Parquet; what had changed.

        Below `uri` lie then `fastdup.duckdb`, `lance/` and `parquet/`; the latter two are made equal to the work_dir's.
        Copied into a folder they are a work_dir again. Credentials come from the environment.

        Args:
            uri: `s3://bucket/prefix` or `minio://alias/bucket/prefix`.
        """
        from fastdup_db.exchange.publish import publish
        from fastdup_db.pipeline import fetching

        with fetching.server(s3_endpoint_url=s3_endpoint_url, s3_region=s3_region):
            return publish(self._work_dir, uri)

    @staticmethod
    def s3_folder_exists_and_not_empty(s3_path: str) -> bool:
        """True when at least one object lies under `s3://bucket/prefix` or `minio://alias/bucket/prefix`.

        Raises `BadInput` (no such bucket, no such form of path) or `RemoteError` (refused, no answer).
        """
        from fastdup_db.sources.copies import s3_folder_exists_and_not_empty

        return s3_folder_exists_and_not_empty(s3_path)

    def set_fastdup_kwargs(self, input_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Every setting of `run()` with `input_kwargs` in place of the defaults, checked. Raises BadArgument."""
        if not isinstance(input_kwargs, Mapping):
            raise BadArgument(f"input_kwargs={input_kwargs!r}; allowed: a dict of arguments of run()")
        return asdict(RunConfig.from_arguments(input_kwargs))

    def fastdup_convert_to_relpath(self, work_dir: str | Path, input_dir: str | Path) -> list[Path]:
        """Make the names in the fastdup files of `work_dir` (of `export` or fastdup's own) relative to `input_dir`.

        Returns the files that changed. The database is not touched.
        """
        from fastdup_db.exchange import fileset

        checks.on_disk("work_dir", work_dir)
        checks.on_disk("input_dir", input_dir)
        if not Path(work_dir).is_dir():
            raise BadArgument(f"work_dir={str(work_dir)!r}; allowed: a folder that holds fastdup files")
        return fileset.make_relative(Path(work_dir), base=Path(input_dir))

    def exact_duplicates(self) -> pd.DataFrame:
        """Files of the same bytes, one row per group, the largest first: `count, files, files_ids, content_hash`."""
        with self._database() as db:
            return db.frame("annotations/exact_duplicates")

    def img_exif(self) -> pd.DataFrame:
        """What the camera wrote into every valid image, by id.

        Returns:
            `index, filename, taken_at` (local time of the camera), `camera_make, camera_model, latitude, longitude`
            (degrees), `orientation` (EXIF 1 to 8; pixels are turned by it), `content_hash` (of the bytes).
        """
        with self._database() as db:
            return db.frame("annotations/exif")

    def images_without_detections(self) -> pd.DataFrame:
        """`image_id, filename` of the images in which `bounding_box='face'|'ocr'|'yolov5s'` found nothing."""
        with self._database() as db:
            return db.frame("annotations/without_detections")


def create(work_dir: str | Path | None = "work_dir", input_dir: Any = None) -> Fastdup:
    """A `Fastdup` on a work_dir (None: `work_dir`), new or existing; nothing is read or written yet."""
    return Fastdup(work_dir=work_dir, input_dir=input_dir)


def import_work_dir(
    fastdup_work_dir: str | Path,
    work_dir: str | Path,
    *,
    annotations: pd.DataFrame | None = None,
    input_dir: str | Path | None = None,
) -> Fastdup:
    """A work_dir of ours with what fastdup 2.54 found: its features, statistics, invalid files, ids and settings.

    Neighbours and components are computed anew from the features, which the files keep only in part. No image is read.

    Args:
        fastdup_work_dir: where fastdup wrote `atrain_features.dat` and its other files.
        work_dir: new.
        annotations: columns to add, by `filename` as in fastdup's files. Its own are in a pickle, which is not opened.
        input_dir: where relative file names begin, by default the current directory or what fastdup noted.
    """
    from fastdup_db.exchange import foreign

    foreign.load(fastdup_work_dir, work_dir, annotations=annotations, input_dir=input_dir)
    return create(work_dir)
