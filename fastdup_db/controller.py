"""The user's verbs. Each brings data in or runs one named query and hands back its frame."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db import checks, summaries
from fastdup_db.answers.groups import GroupVerbs
from fastdup_db.answers.rows import RowVerbs
from fastdup_db.config import RunConfig
from fastdup_db.errors import BadArgument
from fastdup_db.pipeline import remote, requesting
from fastdup_db.pipeline.request import input_of
from fastdup_db.searching.verbs import SearchVerbs
from fastdup_db.store import duck

if TYPE_CHECKING:
    import pandas as pd


class FastdupController(RowVerbs, GroupVerbs, SearchVerbs):
    """The answers of one work_dir.

    Nothing is held open between calls: other processes can read the database while this object lives, and a work_dir
    can be opened in a new process, moved, or read without the images.

    Args:
        work_dir: folder of the results, `work_dir` where it is None; made by `run`. `s3://bucket/prefix`: see
            `fastdup_db.pipeline.remote`.
        input_dir: default input of `run`.
    """

    def __init__(self, work_dir: str | Path | None = "work_dir", input_dir: Any = None) -> None:
        work_dir = "work_dir" if work_dir is None else work_dir
        if not isinstance(work_dir, str | os.PathLike):
            raise BadArgument(f"work_dir={work_dir!r}; allowed: a folder, or s3://bucket/prefix")
        self._work_dir = remote.opened(work_dir)  # absolute: answers do not depend on the current directory
        checks.in_utf8("work_dir", self._work_dir)
        if self._work_dir.exists() and not self._work_dir.is_dir():
            raise BadArgument(f"work_dir {str(work_dir)!r} is a file; give a folder that exists or may be created")
        self._input_dir = _named(input_dir)

    # ---- state ---------------------------------------------------------------------------------------------------

    @property
    def work_dir(self) -> str:
        """The folder of the results; of a work_dir in a bucket, that of its copy on this machine."""
        return str(self._work_dir)

    @property
    def input_dir(self) -> Any:
        """The input given to `create` or `run`, a path as text; else that of the last run in the work_dir."""
        if self._input_dir is not None or not duck.exists(self._work_dir):
            return self._input_dir
        with self._database() as db:
            return input_of(str(self._last_run(db)["input_dir"] or ""))

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the last run and what it found out: versions, dimension, index, timings.

        Values are those of JSON; times are ISO 8601 texts. `d` is the width of an embedding, whether it was given or
        not.
        """
        with self._database() as db:
            last = self._last_run(db)
            if last["vectors_version"]:  # also where this run has left what an earlier one found
                graphed = db.row("run/graphed") or {}
                last |= {name: graphed[name] for name in graphed if name.startswith(("neighbors_", "index_"))}
        settings = json.loads(last.pop("config"))
        last.pop("transform", None)
        last |= {name: value.isoformat() for name, value in last.items() if isinstance(value, datetime)}
        width = last["dimension"]
        return {**settings, **last, "work_dir": str(self._work_dir), "d": width, "embeddings_dim": width}

    # ---- run -----------------------------------------------------------------------------------------------------

    def run(
        self,
        input_dir: Any = None,
        annotations: Any = None,
        embeddings: Any = None,
        subset: Sequence[str] | None = None,
        data_type: str = "infer",
        overwrite: bool = True,
        **arguments: Any,
    ) -> int:
        """Read the images, find their neighbours, store everything in the work_dir.

        Args:
            input_dir: a folder, an image, a list of files and folders, a list file, an archive, a video, a YOLO yaml,
                `s3://` or `minio://`. Below a folder those of systems (`$RECYCLE.BIN`, `.Trash-…`, `@eaDir`,
                `.thumbnails`, `*.photoslibrary`, …) are passed over.
            annotations: DataFrame with `filename`, list of names, .csv/.parquet/COCO .json path, COCO dict.
            embeddings: float array (n, d), row i for the i-th name of `annotations`; no image is read then.
            subset: names (relative or absolute) to keep.
            save_crops: keep what lies in the boxes as files in `crops/`: `crop_filename` and `load_crops` need it.
                Those that boxes of an earlier run lack are made, too; those of boxes that are gone are removed.
            data_type: 'image', 'bbox', or 'infer': boxes where the annotations have their columns.
            overwrite: start afresh; False brings what is stored up to date: a file is read again where its size or its
                time of change (an object: its tag) is another.
            arguments: every field of `fastdup_db.config.RunConfig`.

        Returns:
            0.

        Raises:
            BadArgument, BadInput: the work_dir is left unchanged, except when no image of the input can be used.
        """
        from fastdup_db.pipeline import fetching
        from fastdup_db.pipeline import run as pipeline

        config = RunConfig.from_arguments({"data_type": data_type, "overwrite": overwrite, **arguments})
        stored = self.input_dir if config.needs_stored else self._input_dir
        with fetching.server_of(config):
            request = requesting.run_request(
                self._work_dir,
                config=config,
                input_dir=stored if input_dir is None else input_dir,
                annotations=annotations,
                embeddings=embeddings,
                subset=subset,
            )
            pipeline.run(request)
        self._input_dir = request.input_dir if input_dir is None else _named(input_dir)
        if config.print_summary:
            self.summary()
        return 0

    # ---- answers -------------------------------------------------------------------------------------------------

    def summary(
        self,
        verbose: bool = True,
        blur_threshold: float = 150.0,
        brightness_threshold: float = 253.0,
        darkness_threshold: float = 4.0,
        show_comp: bool = True,
    ) -> list[str]:
        """What is in the collection and what is wrong with it, as lines of text; printed too when `verbose`.

        Blurry: `blur` below its threshold; bright and dark: `mean` above and below theirs. All counts are images, those
        with an annotation where there are annotations, as in the other answers. show_comp has no effect.
        """
        blur = checks.between("blur_threshold", blur_threshold, 0, math.inf)
        bright = checks.between("brightness_threshold", brightness_threshold, 0, math.inf)
        dark = checks.between("darkness_threshold", darkness_threshold, 0, math.inf)
        with self._database() as db:
            last = self._last_run(db)
            self._choose_components(db, split=None, include_unannotated=False)
            counts = db.row("summary/counts", blur=blur, bright=bright, dark=dark)
        lines = summaries.lines(counts or {}, last)
        if verbose:
            summaries.show(lines)
        return lines

    def sql(self, query: str, **parameters: Any) -> pd.DataFrame:
        """Your own SQL over the work_dir: all tables and views, and the vectors as `embeddings`.

        `fd.sql("from similarity_at($t) limit 5", t=0.95)`

        The work_dir is opened for reading only. Other files are not kept from you: `copy … to` and `attach` write them.
        """
        from fastdup_db.pipeline.tables import stored
        from fastdup_db.store.lance import EMBEDDINGS

        if not isinstance(query, str):
            raise BadArgument(f"query={query!r}; allowed: SQL as text")
        with duck.connect(self._work_dir) as db:  # also where the last run did not end: its tables are there
            if "embeddings" in query.lower():
                vectors = stored(self._work_dir, EMBEDDINGS, run=db.row("run/current") or {})
                if vectors.exists():
                    db.register("embeddings", vectors.arrow())
            return db.query(query, parameters)

    # ---- what galleries ask --------------------------------------------------------------------------------------

    def gallery_frame(self, name: str, *, needs: Collection[str] = (), **parameters: Any) -> pd.DataFrame:
        """The rows of `sql/galleries/<name>.sql`: values are bound, a DataFrame is read under its parameter's name.

        needs: 'neighbors' (raises `NotRun` where none have been looked for), 'components' (the temp table
        `chosen_components`, as `connected_components()` has them).
        """
        with self._graph() if "neighbors" in needs else self._database() as db:
            db.execute("galleries/measured")
            if "components" in needs:
                self._choose_components(db, split=None, include_unannotated=False)
            return db.frame(f"galleries/{name}", **parameters)

    def open_images(self, ids: Sequence[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        """Images in the order of `ids`: RGB uint8 (h, w, 3), None for one that cannot be had any more.

        crops: of a box, only what lies in it; else the whole image.
        """
        from fastdup_db.pipeline.originals import open_images

        return open_images(self._work_dir, ids, crops=crops)


def _named(input_dir: Any) -> Any:
    """A path as text, as a work_dir keeps it; anything else as it is."""
    return os.fspath(input_dir) if isinstance(input_dir, os.PathLike) else input_dir
