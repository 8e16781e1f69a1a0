"""Between two sets, and after additions and deletions: the same edges as a fresh run finds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fastdup_db.graph.cross import cross_neighbors, updated
from fastdup_db.graph.knn import neighbors
from fastdup_db.graph.rows import Arrays


def vectors(n: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((30, 16))[rng.integers(0, 30, n)] + 0.4 * rng.standard_normal((n, 16))).astype("f4")


def after(edges: pa.Table, change: pa.Table, *, replaced: np.ndarray, gone: np.ndarray) -> pa.Table:
    """What the store does with a change."""
    drop = pa.array(np.union1d(replaced, gone))
    kept = edges.filter(pc.invert(pc.is_in(edges["from_id"], drop)))
    return pa.concat_tables([kept, change]).sort_by([("from_id", "ascending"), ("rank", "ascending")])


def test_neighbours_in_another_set() -> None:
    stored, asked = vectors(500), vectors(40, seed=1)
    asked[7] = stored[123]
    base = Arrays(np.arange(1000, 1500), stored)
    graph = cross_neighbors(Arrays(np.arange(40), asked), base, k=3)
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (asked, stored)]
    true = np.argsort(-(unit[0].astype("f8") @ unit[1].T.astype("f8")), axis=1)[:, :3] + 1000
    assert (graph.to_ids == true).all()
    assert graph.to_ids[7, 0] == 1123 and graph.table()["similarity"][21].as_py() == 1.0


def test_equal_ids_of_two_sets_are_not_one_vector() -> None:
    stored = vectors(5)
    graph = cross_neighbors(Arrays(np.arange(5), stored), Arrays(np.arange(5), stored), k=9)
    assert graph.to_ids[:, 0].tolist() == [0, 1, 2, 3, 4] and graph.to_ids.shape == (5, 5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "l1"])
@pytest.mark.parametrize("k", [1, 3])
def test_added_changed_and_deleted_vectors_give_the_edges_of_a_fresh_run(metric: str, k: int) -> None:
    matrix = vectors(900)
    matrix[850] = matrix[3]  # an added copy
    ids = np.arange(900)
    old = Arrays(ids[:800], matrix[:800])
    edges = neighbors(old, k=k, metric=metric, calibration=3.0).table()

    gone = np.array([5, 17, 400])
    changed = np.array([20, 21])
    now = matrix.copy()
    now[changed] = vectors(2, seed=5)
    keep = np.setdiff1d(ids, gone)
    stored = Arrays(keep, now[keep])
    touched = np.concatenate([gone, changed])
    lost = np.unique(edges.filter(pc.is_in(edges["to_id"], pa.array(touched)))["from_id"].to_numpy())
    lost = np.setdiff1d(lost, gone)
    remaining = edges.filter(pc.invert(pc.is_in(edges["from_id"], pa.array(np.concatenate([touched, lost])))))

    change = updated(
        stored,
        remaining,
        k=k,
        new_ids=np.concatenate([changed, lost, ids[800:]]),
        metric=metric,
        calibration=3.0,
    )
    found = after(edges, change.table(), replaced=change.ids, gone=gone)
    fresh = neighbors(stored, k=k, metric=metric, calibration=3.0)
    assert found.equals(fresh.table())
    assert len(change.ids) < 700  # most vectors kept their list


def test_a_list_that_was_short_for_want_of_vectors_grows() -> None:
    matrix = vectors(6)
    edges = neighbors(Arrays(np.arange(2), matrix[:2]), k=3).table()
    change = updated(Arrays(np.arange(6), matrix), edges, k=3, new_ids=np.arange(2, 6))
    assert change.table().equals(neighbors(Arrays(np.arange(6), matrix), k=3).table())


def test_nothing_new_changes_nothing() -> None:
    stored = Arrays(np.arange(50), vectors(50))
    change = updated(stored, neighbors(stored, k=2).table(), k=2, new_ids=np.array([], dtype=np.int64))
    assert len(change.ids) == 0 and change.table().num_rows == 0
