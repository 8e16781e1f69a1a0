"""From stored embeddings to edges and components: adapt, search vectors, k-NN graph, recursive SQL."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import numpy as np

from fastdup_db.engines import Engine
from fastdup_db.graph import adapt, knn
from fastdup_db.models import catalog
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable

log = logging.getLogger(__name__)

READ_ROWS = 16_384


def find(
    db: Database, request: RunRequest, *, engine: Engine, run_id: int, embeddings: VectorTable, vectors: VectorTable
) -> None:
    """Compute this run's graph from the stored embeddings and store edges and components in one transaction."""
    started = time.monotonic()
    config = request.config
    transform = _transform(db, request, embeddings=embeddings)
    version = vectors.create(_searched(embeddings, transform), dim=embeddings.dim)
    graph = knn.neighbors(
        vectors,
        k=config.nearest_neighbors_k,
        metric=config.distance,
        calibration=transform.c2 if transform else 0.0,
        mode=config.nnf_mode,
        threads=config.num_threads,
        folder=request.work_dir,
        list_join=engine.list_join(request.work_dir),
    )
    with db.transaction():
        db.execute("neighbors/clear_edges")
        for table in graph.tables(rows=1_000_000):
            db.execute("neighbors/insert_edges", incoming=table)
        if config.run_cc:
            db.execute("components/rebuild", threshold=float(config.cc_threshold))
        else:
            db.execute("components/clear")
        db.execute(
            "run/set_neighbors",
            run_id=run_id,
            vectors_version=version,
            transform=transform.to_bytes() if transform else None,
            transform_images=transform.n if transform else None,
            neighbors_method=graph.way,
            neighbors_seconds=time.monotonic() - started,
        )


def _transform(db: Database, request: RunRequest, *, embeddings: VectorTable) -> adapt.Transform | None:
    """The collection's transform: that of the last run unless the collection has grown much, else fitted anew."""
    spec = None if request.embeddings is not None else catalog.BUNDLED.get(request.config.model_name)
    wanted = request.config.adapt
    if wanted is None:
        wanted = spec is not None and spec.statistics is not None
    if not wanted or request.config.distance != "cosine":
        return None
    last = db.row("run/current") or {}
    stored = adapt.Transform.from_bytes(last["transform"]) if last.get("transform") else None
    n = len(embeddings)
    if stored is not None and not adapt.refit_needed(stored, n_now=n):
        return stored
    moments = adapt.Moments(dim=embeddings.dim)
    for _, matrix in embeddings.batches(rows=READ_ROWS):
        moments.add(matrix)
    log.info("fitting the transform to %d embeddings%s", n, " anew: the collection has grown" if stored else "")
    return adapt.fit(moments, adapt.Generic.load(spec.statistics) if spec and spec.statistics else None)


def _searched(embeddings: VectorTable, transform: adapt.Transform | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The vectors neighbours are searched by, in id order."""
    for ids, matrix in embeddings.batches(rows=READ_ROWS):
        yield ids, matrix if transform is None else transform.apply(matrix)
