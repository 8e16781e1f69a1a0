"""Connected components in SQL: whatever the shape of the graph, and in bounded time for the worst ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fastdup_db.store import duck

N = 20_000
CHAIN = np.stack([np.arange(N - 1), np.arange(1, N)])
SHUFFLED = np.random.default_rng(0).permutation(N)[CHAIN]
TREE = np.stack([np.arange(1, N), (np.arange(1, N) - 1) // 2])
RANDOM = np.random.default_rng(1).integers(0, N, (2, N // 2))
SIZES = np.arange(1, 151)  # of chains, a row that is linked to itself among them
STEPS = np.arange(SIZES.sum())[np.repeat(SIZES > 1, SIZES) & ~np.isin(np.arange(SIZES.sum()) + 1, SIZES.cumsum())]
CHAINS = np.random.default_rng(2).permutation(SIZES.sum())[np.stack([np.r_[0, STEPS], np.r_[0, STEPS + 1]])] * 7 + 3
PAIRS = np.random.default_rng(3).permutation(N).reshape(2, -1)
SHAPES = {
    "chain": CHAIN,
    "shuffled chain": SHUFFLED,
    "tree": TREE,
    "random": RANDOM,
    "150 chains": CHAINS,
    "pairs": PAIRS,
}


def components(work_dir: Path, pairs: np.ndarray, *, similarity: np.ndarray | float = 0.99) -> dict[int, int]:
    """id -> component_id at threshold 0.9, by the run's own statement."""
    count = pairs.shape[1]
    edges = pa.table(
        {
            "from_id": pairs[0],
            "to_id": pairs[1],
            "similarity": np.broadcast_to(np.float32(similarity), count).copy(),
            "rank": np.ones(count, np.int32),
        }
    )
    with duck.connect(work_dir, read_only=False) as db:
        db.script("views/macros")
        db.execute("neighbors/insert_edges", incoming=edges)
        db.execute("components/rebuild", threshold=0.9)
        return dict(db.query("select id, component_id from components order by id").itertuples(index=False, name=None))


def by_scipy(pairs: np.ndarray) -> dict[int, int]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ids, at = np.unique(pairs, return_inverse=True)
    a, b = at.reshape(pairs.shape)
    count, label = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(len(ids),) * 2), directed=False)
    lowest = np.full(count, ids.max())
    np.minimum.at(lowest, label, ids)
    return dict(zip(ids.tolist(), lowest[label].tolist(), strict=True))


@pytest.mark.parametrize("pairs", SHAPES.values(), ids=SHAPES)
def test_components_equal_those_of_scipy(tmp_path: Path, pairs: np.ndarray) -> None:
    assert components(tmp_path, pairs) == by_scipy(pairs)


def test_chains_of_any_length_and_a_row_linked_to_itself_are_components_each(tmp_path: Path) -> None:
    """1 to 150 long: some are one tree, some two trees, some several groups of trees."""
    found = components(tmp_path, CHAINS)
    assert sorted(np.unique(list(found.values()), return_counts=True)[1]) == SIZES.tolist()


def test_a_weak_edge_does_not_connect(tmp_path: Path) -> None:
    found = components(tmp_path, np.array([[7, 5, 1], [5, 1, 9]]), similarity=np.array([0.95, 0.5, 0.91]))
    assert found == {1: 1, 9: 1, 5: 5, 7: 5}
