"""Answering times of `vector_search` on a run of 200,000 x 576 clustered vectors: median and 99th percentile, with and
without a filter, and recall of the 10 nearest against a comparison with every vector.

    pytest -m bench -s tests/benchmarks/test_search_speed.py
    SEARCH_ROWS=1000000 pytest -m bench -s tests/benchmarks/test_search_speed.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.graph.cross import cross_neighbors
from fastdup_db.graph.rows import Arrays
from fastdup_db.pipeline.tables import table
from fastdup_db.store.lance import VECTORS

pytestmark = pytest.mark.bench

N, DIM, QUERIES, K = int(os.environ.get("SEARCH_ROWS", "200000")), 576, 200, 10


def clustered(n: int) -> np.ndarray:
    """Unit vectors in n / 100 clusters whose members share half of their direction."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n // 100, DIM), dtype=np.float32)
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    rows += centres[rng.integers(0, len(centres), n)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def test_answering_times(tmp_path: Path) -> None:
    names = [f"image_{i:07d}.jpg" for i in range(N)]
    labels = np.where(np.arange(N) % 100 == 0, "rare", np.where(np.arange(N) % 2, "odd", "even"))
    fd = fastdup_db.create(tmp_path)
    fd.run(annotations=pd.DataFrame({"filename": names, "label": labels}), embeddings=clustered(N), progress=False)
    config = fd.config
    print(
        f"\n{N:,} vectors: graph {config['neighbors_seconds']:.1f} s, index {config['index_kind']} "
        f"{config['index_seconds']:.1f} s, {config['index_bytes'] / 2**20:.0f} MB, recall {config['index_recall']:.3f}"
    )
    stored = table(tmp_path, VECTORS)
    chosen = np.sort(np.random.default_rng(1).choice(N, QUERIES, replace=False))
    queries = stored.take(chosen)
    start = time.perf_counter()
    fd.init_search(K, store_int=1)
    print(f"init_search: {time.perf_counter() - start:.2f} s")
    for where in (None, "label = 'odd'", "label = 'rare'"):
        fd.vector_search(vec=queries[0], where=where)
        seconds, found = [], []
        for query in queries:
            start = time.perf_counter()
            frame = fd.vector_search(vec=query, where=where)
            seconds.append(time.perf_counter() - start)
            found.append(frame["to"].tolist())
        p50, p99 = 1000 * np.quantile(seconds, [0.5, 0.99])
        assert all(len(ids) == K for ids in found)
        recall = ""
        if where is None:
            true = cross_neighbors(Arrays(np.arange(QUERIES), queries), stored, k=K).to_ids
            share = np.mean([len(set(f) & set(t)) / K for f, t in zip(found, true.tolist(), strict=True)])
            recall = f", recall@{K} {share:.3f}"
            assert share >= 0.95
        print(f"where={where}: p50 {p50:.1f} ms, p99 {p99:.1f} ms{recall}")
