"""Checked pairs, after the vectors that they were found by have changed: verdicts stay, similarities do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fastdup_db.graph.metrics import metric
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable

PAIRS = 4096
"""Pairs whose vectors are in memory at once: 38 MB at 576 columns."""


def measure(db: Database, *, vectors: VectorTable, distance: str, calibration: float) -> None:
    """Give every checked pair the similarity of its vectors as they are now, in the caller's transaction."""
    scale = metric(distance, calibration=calibration)
    for batch in db.stream("verify/measured_pairs", rows=PAIRS):
        pairs = np.stack([batch.column(name).to_numpy() for name in ("from_id", "to_id")])
        ids, places = np.unique(pairs, return_inverse=True)
        first, second = places.reshape(pairs.shape)
        matrix = scale.prepare(vectors.take(ids))
        similarity = scale.similarity(scale.score(matrix, matrix, first, second)).astype(np.float64)
        found = pa.table({"from_id": pairs[0], "to_id": pairs[1], "similarity": similarity})
        db.execute("verify/set_similarities", incoming=found)
