"""Real photographs: neighbours by the default vectors are no copies, however alike they look."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastdup_db.graph.verify import verify_pairs
from tests.benchmarks import copies_rig, edits


@pytest.mark.parametrize(
    ("collection", "count"),
    [
        ("clothing", 80),
        *(pytest.param(name, 500, marks=pytest.mark.slow) for name in ("bsds500", "clothing", "coco128")),
    ],
)
def test_no_two_different_photographs_are_copies(real_images: Path, collection: str, count: int) -> None:
    """The ten nearest of every photograph: other shots of such places, other garments on the same floor."""
    paths = edits.spread((real_images / collection).rglob("*.jpg"), count=count)
    images = [edits.read(path) for path in paths]
    pairs, cosines = copies_rig.candidates(copies_rig.vectors(images), k=10, lower=0.0)
    features = copies_rig.features(images)
    table = verify_pairs(pairs, lambda ids: [features[i] for i in ids], similarity=cosines).to_pandas()
    called = [(paths[r.from_id].name, paths[r.to_id].name, r.score) for r in table[table["is_duplicate"]].itertuples()]
    assert len(table) > 5 * len(paths)
    assert called == []


def test_copies_of_photographs_are_found(real_images: Path) -> None:
    """Every pair of the common edits of eight garments, on which nothing was fitted; the least alike may be missed."""
    paths = edits.spread((real_images / "clothing").rglob("*.jpg"), count=8)
    images = [image for path in paths for _, image in edits.copies(edits.read(path))]
    features = copies_rig.features(images)
    pairs = [(10 * g + i, 10 * g + j) for g in range(8) for i in range(10) for j in range(i + 1, 10)]
    found = verify_pairs(pairs, lambda ids: [features[i] for i in ids]).to_pandas()["is_duplicate"]  # type: ignore[arg-type]
    assert found.mean() >= 0.95
