"""How far every image lies from the collection's mean, which outliers are judged by (the view `outlier_edges`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fastdup_db.graph.adapt import Transform
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable
from fastdup_db.store.lance_rows import READ_ROWS


def bring_up_to_date(db: Database, *, embeddings: VectorTable, transform: Transform | None, is_whole: bool) -> None:
    """Measure all images where the mean may be another, else those that have no distance yet: the new ones, and all of
    a work_dir from before distances were kept."""
    if is_whole or transform is None:
        db.execute("neighbors/clear_mean_distances")
    if transform is None:
        return
    missing = db.arrow("neighbors/without_mean_distance").column("id").to_numpy()
    for ids, matrix in embeddings.batches() if is_whole else _taken(embeddings, missing):
        table = pa.table({"id": ids, "distance": transform.distances(matrix)})
        db.execute("neighbors/insert_mean_distances", incoming=table)


def _taken(embeddings: VectorTable, ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(ids), READ_ROWS):
        some = ids[start : start + READ_ROWS]
        yield some, embeddings.take(some)
