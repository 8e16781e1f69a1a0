"""The state of a search over one work_dir, and its answers as frames `from, to, distance`."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fastdup_db import checks
from fastdup_db.config import parse_turi_param
from fastdup_db.engines.task import WorkSpec
from fastdup_db.errors import BadArgument, NotRun
from fastdup_db.graph.adapt import Transform, calibration_of
from fastdup_db.graph.cross import cross_neighbors
from fastdup_db.graph.index import index_kind
from fastdup_db.graph.nearest import NOBODY
from fastdup_db.graph.rows import Arrays
from fastdup_db.graph.searcher import Searcher
from fastdup_db.pipeline.finished import check_neighbors
from fastdup_db.pipeline.tables import stored
from fastdup_db.searching import pictures
from fastdup_db.store import duck
from fastdup_db.store.lance import VECTORS

log = logging.getLogger(__name__)

COLUMNS = ["from", "to", "distance"]
KEPT_CONDITIONS = 8
"""Conditions whose ids are remembered, 8 bytes an id."""

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Options:
    """How to search. threshold: lowest similarity of an answer, 0 for no limit. store_int: ids instead of names."""

    k: int = 10
    d: int | None = None
    model_path: str | None = None
    threshold: float = 0.0
    store_int: bool = False
    turi_param: str = ""

    def __post_init__(self) -> None:
        checks.at_least("k", self.k, 1)
        checks.between("threshold", self.threshold, -1, 1)


@dataclass(frozen=True, slots=True)
class Search:
    """One work_dir, ready to answer: its vectors (or their index), their transform and the names of their images.

    Holds the names in memory, and the vectors where there is no index; no database stays open. `stamp` is the state of
    the database it was made of.
    """

    work_dir: Path
    options: Options
    stamp: Stamp
    searcher: Searcher
    transform: Transform | None
    dimension: int
    run_threshold: float
    spec: WorkSpec | None
    ids: np.ndarray
    filenames: pa.Array

    def prepared(self, vectors: Any) -> np.ndarray:
        """Search vectors float32 (n, d) of embeddings (d,) or (n, d). Raises BadArgument for another shape."""
        try:
            with np.errstate(over="ignore"):  # said below
                given = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        except (TypeError, ValueError) as exc:
            raise BadArgument(f"vec is no array of numbers: {exc}") from exc
        if given.ndim != 2 or given.shape[1] != self.dimension:
            raise BadArgument(
                f"vec has shape {np.shape(vectors)}; the embeddings of this work_dir have d={self.dimension}: "
                f"give ({self.dimension},) or (n, {self.dimension})"
            )
        if not np.isfinite(given).all():
            raise BadArgument("vec holds NaN, infinity or numbers beyond those of float32")
        return given if self.transform is None else self.transform.apply(given)

    def worker_spec(self) -> WorkSpec:
        """How query images become embeddings. Raises BadArgument where no model is known to make them."""
        if self.spec is None:
            raise BadArgument(
                "the embeddings of this work_dir were given, not computed: say which model made them "
                "(init_search(model_path=...)), or use vector_search()"
            )
        return self.spec


def opened(work_dir: Path, *, options: Options) -> Search:
    """The search over what the last run of a work_dir stored.

    Raises `NotRun` where no run has found neighbours, `BadArgument` for a `d` that is not the stored one.
    """
    stamp = _stamp(work_dir)
    with duck.connect(work_dir) as db:
        last = db.row("run/current")
        files = db.arrow("run/valid_files")
    if last is None or last["finished_at"] is None:
        raise NotRun(f"no run in {work_dir} has found neighbours yet; call run()")
    check_neighbors(last, work_dir=work_dir)
    vectors = stored(work_dir, VECTORS, run=last)
    dimension = int(last["dimension"])
    if options.d not in (None, dimension):
        raise BadArgument(f"d={options.d}; the embeddings of this work_dir have d={dimension}")
    settings = json.loads(last["config"]) | parse_turi_param(options.turi_param)
    transform = Transform.of_run(last)
    return Search(
        work_dir=work_dir,
        options=options,
        stamp=stamp,
        searcher=Searcher(
            vectors,
            metric=last["distance"],
            calibration=calibration_of(transform),
            search=index_kind(settings["nnf_mode"], param=settings["nnf_param"]).search,
        ),
        transform=transform,
        dimension=dimension,
        run_threshold=float(last["threshold"]),
        spec=_spec(settings, options, dimension=dimension, given=last["data_type"] == "embedding"),
        ids=files.column("id").to_numpy(),
        filenames=files.column("filename").cast(pa.large_string()).combine_chunks(),  # may be above 2 GB
    )


def is_current(search: Search) -> bool:
    """Whether the work_dir is still as it was when the search was opened."""
    return _stamp(search.work_dir) == search.stamp


def by_images(
    search: Search, filename: Any, image: Any = None, *, k: int | None, where: str | None, threshold: float | None
) -> pd.DataFrame:
    """The nearest stored images of query images in any form that `pictures.of_queries` reads."""
    names, embeddings = pictures.of_queries(filename, image, spec=search.worker_spec())
    return by_vectors(search, names, embeddings, k=k, where=where, threshold=threshold)


def by_vectors(
    search: Search, names: str | Sequence[str], vec: Any, *, k: int | None, where: str | None, threshold: float | None
) -> pd.DataFrame:
    """The nearest stored images of embeddings (d,) or (n, d): k each, best first, equal ones by id."""
    started = time.monotonic()
    if vec is None:
        raise BadArgument(f"vec is missing; give ({search.dimension},) or (n, {search.dimension})")
    vectors = search.prepared(vec)
    named = _names(names, count=len(vectors))
    asked = checks.text("where", "" if where is None else where)
    among = _ids_where(search.work_dir, search.stamp, asked) if asked else None
    wanted = min(search.options.k if k is None else Options(k=k).k, max(len(search.ids), 1))
    if not len(vectors):
        return _frame(search, named, np.empty((0, 1), np.int64), np.empty((0, 1), np.float32), threshold=threshold)
    ids, similarities = search.searcher(vectors, k=wanted, among=among)
    frame = _frame(search, named, ids, similarities, threshold=threshold)
    log.info("%d queries, %d answers, %.1f ms", len(named), len(frame), 1000 * (time.monotonic() - started))
    return frame


def by_input(search: Search, input_dir: Any, *, k: int, threshold: float | None) -> pd.DataFrame:
    """The nearest stored images of each image of another input, compared with every stored one; nothing is stored."""
    names, embeddings, left_out = pictures.of_input(input_dir, spec=search.worker_spec())
    metric = search.searcher.metric
    queries = Arrays(np.arange(len(names)), search.prepared(embeddings))
    graph = cross_neighbors(
        queries, search.searcher.table, k=Options(k=k).k, metric=metric.name, calibration=metric.calibration
    )
    frame = _frame(search, names, graph.to_ids, metric.similarity(graph.scores), threshold=threshold)
    frame.attrs["left_out"] = left_out
    return frame


def _frame(
    search: Search, names: Sequence[str], ids: np.ndarray, similarities: np.ndarray, *, threshold: float | None
) -> pd.DataFrame:
    lowest = search.options.threshold if threshold is None else checks.between("threshold", threshold, -1, 1)
    real = ids != NOBODY
    if lowest > 0:
        real &= similarities >= lowest
    found = ids[real]
    to: Any = found
    if not search.options.store_int:
        names_found = search.filenames.take(pa.array(np.searchsorted(search.ids, found)))
        to = pd.Series(names_found.to_numpy(zero_copy_only=False), dtype="str")
    asked = np.repeat(np.asarray(names, dtype=object), ids.shape[1])[real.ravel()]
    # typed, so that a frame without rows has the dtypes of one with rows
    columns = (pd.Series(asked, dtype="str"), to, similarities[real].astype(np.float64))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _names(names: str | Sequence[str], *, count: int) -> list[str]:
    if isinstance(names, str):
        return [names] if count == 1 else [f"{names}_{i}" for i in range(count)]
    if not isinstance(names, Iterable):
        raise BadArgument(f"filename={names!r}; allowed: a name, or a list of names")
    given = list(names)
    if len(given) != count:
        raise BadArgument(f"{len(given)} names for {count} vectors; give a name for each, or one for all")
    return given


def _spec(settings: dict[str, Any], options: Options, *, dimension: int, given: bool) -> WorkSpec | None:
    """How the run turned an image into its vector, or how another model does if one is named."""
    if given and options.model_path is None:
        return None
    ours = options.model_path is None
    usual = settings["model_path"] or ("high_accuracy" if settings["high_accuracy"] else "default")
    return WorkSpec(
        model=options.model_path or usual,
        model_input=tuple(sorted((settings["model_input"] or {}).items())) if ours else (),
        dimension=dimension,
        stats=False,
        min_width=settings["min_input_image_width"],
        min_height=settings["min_input_image_height"],
    )


def _stamp(work_dir: Path) -> Stamp:
    """What changes whenever a run writes to the work_dir. Raises NotRun where there is no database."""
    duck.check_exists(work_dir)
    stat = (Path(work_dir) / duck.FILE_NAME).stat()
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=KEPT_CONDITIONS)
def _ids_where(work_dir: Path, stamp: Stamp, condition: str) -> np.ndarray:
    with duck.connect(work_dir) as db:
        return db.ids_where(condition)
