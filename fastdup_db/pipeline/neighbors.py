"""From stored embeddings to edges and components: adapt, search vectors, k-NN graph, recursive SQL.

The table `edges` is the state: an instance without edges is one whose neighbours are to be found. A run that adds few
images to many therefore looks for the neighbours of those few, and of what they displace.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fastdup_db.config import RunConfig
from fastdup_db.engines import Engine
from fastdup_db.graph import adapt, cross, index, knn
from fastdup_db.graph.knn import KnnGraph
from fastdup_db.models import catalog
from fastdup_db.pipeline import mean_distances, remote, verified
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable
from fastdup_db.store.lance_rows import READ_ROWS

log = logging.getLogger(__name__)

VECTORS_AT_ONCE = 1_000_000
"""Vectors whose edges are handed on in one table."""
SQL_EDGES = 200_000_000
"""With more edges than this a cluster groups them, where there is one: 450,000 edges take SQL 6.5 s, so these about 50
minutes on one machine."""
_DECIDING = ("nearest_neighbors_k", "distance", "nnf_mode", "nnf_param", "test_dir")
"""Settings that a stored graph must share with this run for its edges to be kept."""


@dataclass(frozen=True, slots=True)
class Subset:
    """The vectors of some ids (int64, ascending), read from a larger table."""

    table: VectorTable
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, *, rows: int = READ_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, vectors), ids ascending."""
        for ids, matrix in self.table.batches(rows=rows):
            mine = np.isin(ids, self.ids, assume_unique=True)
            if mine.any():
                yield ids[mine], matrix[mine]

    def part(self, start: int, stop: int) -> np.ndarray:
        """The vectors of the ids `start` to `stop` of these."""
        return self.table.take(self.ids[start:stop])


@dataclass(frozen=True, slots=True)
class _Made:
    """What a run does to the stored edges. graph: of the images whose edges change, None where none do.

    recall: share of the true neighbours found; edges that stay were found by an earlier run, at its recall.
    """

    graph: KnnGraph | None
    way: str
    recall: float
    is_whole: bool = False


def _warn_of_unrelated(threshold: float) -> None:
    if threshold < adapt.UNRELATED:
        log.warning(
            "cc_threshold=%g joins images that have nothing in common: adapted vectors of such reach %g, and "
            "near-duplicates begin at 0.9. With adapt=False similarities are plain cosines",
            *(threshold, adapt.UNRELATED),
        )


def find(
    db: Database, request: RunRequest, *, engine: Engine, run_id: int, embeddings: VectorTable, vectors: VectorTable
) -> None:
    """Bring search vectors, edges and components up to date with the embeddings, in one transaction."""
    started = time.monotonic()
    config = request.config
    transform = _transform(db, request, embeddings=embeddings)
    if transform is not None and config.distance == "cosine" and config.run_cc:
        _warn_of_unrelated(config.cc_threshold)
    last = db.row("run/graphed")
    missing = None
    if last is not None and _keeps_edges(last, config, transform):
        missing = db.arrow("neighbors/without_edges").column("id").to_numpy()
        if cross.rebuild_is_cheaper(len(missing), total=len(embeddings)):
            missing = None
    was_there = vectors.exists()
    if last is None or missing is None:
        vectors.create(_searched(embeddings, transform), dim=embeddings.dim)
        graph = _whole(db, config, engine=engine, vectors=vectors, transform=transform, folder=request.work_dir)
        made = _Made(graph, graph.way, graph.recall, is_whole=True)
    elif _write_vectors(vectors, embeddings, missing, transform):
        graph = _changed(db, config, vectors=vectors, transform=transform, missing=missing)
        made = _Made(graph, "update", min(graph.recall, last["neighbors_recall"]))
    else:
        made = _Made(None, "update", last["neighbors_recall"])
    seconds = time.monotonic() - started
    report = _indexed(vectors, config) if made.graph is not None or last is None else _index_of(last)
    with db.transaction():
        _store_edges(db, made)
        mean_distances.bring_up_to_date(db, embeddings=embeddings, transform=transform, is_whole=made.is_whole)
        _group(db, request, engine=engine, graph=made.graph if made.is_whole else None)
        if made.is_whole:
            calibration = adapt.calibration_of(transform)
            verified.measure(db, vectors=vectors, distance=config.distance, calibration=calibration)
        db.execute(
            "run/set_neighbors",
            run_id=run_id,
            vectors_version=vectors.version,
            transform=transform.to_bytes() if transform else None,
            transform_images=transform.n if transform else None,
            neighbors_method=made.way,
            neighbors_recall=made.recall,
            neighbors_seconds=seconds,
            index_kind=report.kind,
            index_bytes=report.bytes,
            index_seconds=report.build_seconds,
            index_recall=report.recall,
        )
    # in a bucket others may still read what their database names
    if made.is_whole and was_there and not vectors.place.is_remote:
        vectors.forget_others()


def _store_edges(db: Database, made: _Made) -> None:
    """Put the new edges in place of those they replace: all of them, or those of the images whose edges change."""
    if made.graph is None:
        return
    if made.is_whole:
        db.execute("neighbors/clear_edges")
    else:
        db.execute("neighbors/delete_edges_of", incoming=pa.table({"id": made.graph.ids}))
    for table in made.graph.tables(rows=VECTORS_AT_ONCE):
        db.execute("neighbors/insert_edges", incoming=table)


def keep_or_clear(db: Database, request: RunRequest, *, engine: Engine, vectors: VectorTable) -> None:
    """After a run that looks for no neighbours: what an earlier run found stays if it is still of all images and of
    this run's settings, grouped by these; else it goes."""
    last = db.row("run/graphed")
    if last is None or not vectors.exists():
        return
    valid = db.arrow("neighbors/valid_ids").column("id").to_numpy()
    is_of_all = not db.value("neighbors/read_since") and np.array_equal(np.sort(vectors.ids()), valid)
    is_split_so = not request.config.test_dir or not db.value("neighbors/split_otherwise")
    if not is_of_all or not is_split_so or not _has_settings(last, request.config):
        return clear(db, vectors=vectors)
    with db.transaction():
        _group(db, request, engine=engine, graph=None)


def clear(db: Database, *, vectors: VectorTable) -> None:
    """Drop edges, components and search vectors: the next run that looks for neighbours makes them anew."""
    with db.transaction():
        db.execute("neighbors/clear_edges")
        db.execute("components/clear")
        db.execute("run/set_vectors_restored", version=0)
    vectors.drop()


def _indexed(vectors: VectorTable, config: RunConfig) -> index.IndexReport:
    """The index that searches use, brought up to date where there is one, built where one is needed."""
    kind = index.run_index_kind(config.nnf_mode, param=config.nnf_param, dim=vectors.dim)
    if index.has_index(vectors):
        return index.refresh(vectors, kind=kind, metric=config.distance)
    if index.is_needed(len(vectors), kind=kind, metric=config.distance):
        return index.build(vectors, kind=kind, metric=config.distance)
    return index.IndexReport("Flat", 0, 0.0, 1.0)


def _index_of(run: Mapping[str, Any]) -> index.IndexReport:
    """The index that an earlier run has left, as it measured it."""
    return index.IndexReport(run["index_kind"], run["index_bytes"], run["index_seconds"], run["index_recall"])


def _group(db: Database, request: RunRequest, *, engine: Engine, graph: KnnGraph | None) -> None:
    """Components, if they are wanted: by SQL, or by the engine where a whole new graph is too large for that."""
    if not request.config.run_cc:
        return db.execute("components/clear")
    lowest = float(request.config.cc_threshold)
    found = None
    if graph is not None and len(graph) > SQL_EDGES:
        found = engine.components(
            graph.tables(rows=VECTORS_AT_ONCE), folder=remote.place(request.work_dir, ""), min_similarity=lowest
        )
    if found is None:
        return db.execute("components/rebuild", threshold=lowest)
    db.execute("components/clear")
    for table in found:
        db.execute("components/insert", incoming=table)


def _whole(
    db: Database,
    config: RunConfig,
    *,
    engine: Engine,
    vectors: VectorTable,
    transform: adapt.Transform | None,
    folder: Path,
) -> KnnGraph:
    calibration = adapt.calibration_of(transform)
    if config.test_dir:
        tested = db.arrow("neighbors/test_ids").column("id").to_numpy()
        others = np.setdiff1d(vectors.ids(), tested)
        return cross.cross_neighbors(
            Subset(vectors, tested),
            Subset(vectors, others),
            k=config.nearest_neighbors_k,
            metric=config.distance,
            calibration=calibration,
            threads=config.num_threads,
        )
    return knn.neighbors(
        vectors,
        k=config.nearest_neighbors_k,
        metric=config.distance,
        calibration=calibration,
        mode=config.nnf_mode,
        threads=config.num_threads,
        folder=folder,
        list_join=engine.list_join(remote.place(folder, "")),
    )


def _changed(
    db: Database,
    config: RunConfig,
    *,
    vectors: VectorTable,
    transform: adapt.Transform | None,
    missing: np.ndarray,
) -> KnnGraph:
    return cross.updated(
        vectors,
        db.arrow("neighbors/edges"),
        k=config.nearest_neighbors_k,
        new_ids=missing,
        metric=config.distance,
        calibration=adapt.calibration_of(transform),
        threads=config.num_threads,
    )


def _keeps_edges(last: Mapping[str, Any], config: RunConfig, transform: adapt.Transform | None) -> bool:
    """Whether the edges stored by the run `last` are of the same vectors, in the same way, as this run's would be."""
    if config.test_dir or not _has_settings(last, config):
        return False
    return last["transform"] == (transform.to_bytes() if transform else None)


def _has_settings(last: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether the run `last` looked for neighbours with the settings of this one."""
    settings = json.loads(last["config"])
    return all(settings.get(name) == getattr(config, name) for name in _DECIDING)


def _write_vectors(
    vectors: VectorTable, embeddings: VectorTable, missing: np.ndarray, transform: adapt.Transform | None
) -> bool:
    """Write the vectors of `missing`; those of vanished images go. Says whether there was anything to do."""
    gone = np.setdiff1d(vectors.ids(), embeddings.ids())
    if len(gone):
        vectors.delete(gone)
    if len(missing):
        matrix = embeddings.take(missing)
        vectors.replace(missing, matrix if transform is None else transform.apply(matrix))
    return len(gone) + len(missing) > 0


def _transform(db: Database, request: RunRequest, *, embeddings: VectorTable) -> adapt.Transform | None:
    """The collection's transform: fitted to it; that of the last run where it has not changed much since."""
    last = db.row("run/current") or {}
    spec = None if last.get("data_type") == "embedding" else catalog.BUNDLED.get(request.config.model_name)
    wanted = request.config.adapt
    if wanted is None:
        wanted = spec is not None and spec.statistics is not None
    if not wanted or request.config.distance != "cosine":
        return None
    stored = adapt.Transform.of_run(last)
    n = len(embeddings)
    if stored is not None and not adapt.refit_needed(stored, n_now=n):
        return stored
    moments = adapt.Moments(dim=embeddings.dim)
    for _, matrix in embeddings.batches():
        moments.add(matrix)
    log.info("fitting the transform to %d embeddings%s", n, f": it was to {stored.n} in the last run" if stored else "")
    return adapt.fit(moments, adapt.Generic.load(spec.statistics) if spec and spec.statistics else None)


def _searched(embeddings: VectorTable, transform: adapt.Transform | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The vectors neighbours are searched by, in id order."""
    for ids, matrix in embeddings.batches():
        yield ids, matrix if transform is None else transform.apply(matrix)
