"""Is this the same picture? Candidate pairs checked by keypoints and pixels, with the transform found.

table = verify_pairs(pairs, lambda ids: [features[i] for i in ids])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from fastdup_db.graph import verdict
from fastdup_db.graph.evidence import gather
from fastdup_db.graph.join import workers
from fastdup_db.graph.packing import pack
from fastdup_db.imaging.keypoints import Keypoints
from fastdup_db.threads import cores, mapped

CHUNK = 32
"""Pairs matched at once: some 20 MB of working memory a thread. The same at any thread count, so results are too."""

KeypointsOf = Callable[[np.ndarray], Sequence[Keypoints]]
"""int64 (c,) distinct ids → their keypoints, in that order. Called from the calling thread only."""

SCHEMA = pa.schema(
    [
        ("from_id", pa.int64()),
        ("to_id", pa.int64()),
        ("similarity", pa.float64()),
        ("inliers", pa.int32()),
        ("inlier_share", pa.float32()),
        ("structure", pa.float32()),
        ("overlap", pa.float32()),
        ("hash_distance", pa.int32()),
        ("score", pa.float64()),
        ("is_duplicate", pa.bool_()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("mirror", pa.bool_()),
        ("rotation", pa.float64()),
        ("scale", pa.float64()),
        ("crop_x", pa.float64()),
        ("crop_y", pa.float64()),
        ("crop_width", pa.float64()),
        ("crop_height", pa.float64()),
        ("transform", pa.list_(pa.float64())),
    ]
)
"""One row a pair, in the order given.

inliers: places whose match agrees with the transform. inlier_share: of all places matched. structure: mean correlation
of the blocks of the overlapping pixels. overlap: share of the more zoomed-in view that lies in the other.
hash_distance: differing bits of 64 of the perceptual hashes, best flip or turn. score: 0 to 1; is_duplicate from
`verdict.DUPLICATE_SCORE`. kind: null where no duplicate.
transform: 8 numbers a b c d e f g h: a pixel (x, y) of `from` lies at (ax + by + c, dx + ey + f) / (gx + hy + 1) of
`to`, pixels from the upper left edge; null where no duplicate, as are mirror, rotation (degrees clockwise, after the
mirror), scale and crop (the part of `from` that `to` shows, in pixels).
"""


def verify_pairs(
    pairs: np.ndarray, keypoints_of: KeypointsOf, *, similarity: np.ndarray | None = None, threads: int | None = None
) -> pa.Table:
    """Every pair checked: a table of `SCHEMA`. pairs: int64 (p, 2) ids; similarity: float (p,), carried along.

    Needs some 1 ms a pair on one core; all cores by default. The result does not depend on `threads`.
    """
    chunks = verified_chunks(pairs, keypoints_of, similarity=similarity, threads=threads)
    return pa.Table.from_batches(chunks, schema=SCHEMA)


def verified_chunks(
    pairs: np.ndarray, keypoints_of: KeypointsOf, *, similarity: np.ndarray | None = None, threads: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The same in record batches of `CHUNK` pairs, in order; the features of 2 × threads batches are in memory."""
    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    given = np.full(len(pairs), np.nan) if similarity is None else np.asarray(similarity, np.float64)
    if given.shape != (len(pairs),):
        raise ValueError(f"similarity has shape {given.shape}, expected ({len(pairs)},)")

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray, Sequence[Keypoints], np.ndarray]]:
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            ids, rows = np.unique(chunk, return_inverse=True)
            yield chunk, rows.reshape(-1, 2), keypoints_of(ids), given[start : start + CHUNK]

    with workers(threads) as pool:
        yield from mapped(lambda chunk: _verified(*chunk), chunks(), depth=2 * cores(threads), pool=pool)


def _verified(
    pairs: np.ndarray, rows: np.ndarray, features: Sequence[Keypoints], similarity: np.ndarray
) -> pa.RecordBatch:
    packed, first, second = pack(features), rows[:, 0], rows[:, 1]
    evidence = gather(packed, first, second)
    verdicts = verdict.judge(packed, first, second, evidence=evidence)
    transform = verdict.in_pixels(packed, first, second, evidence.transform)
    crop, _ = verdict.shown(packed, first, second, transform)
    rotation, scale = verdict.turn_and_scale(transform)
    no = ~verdicts.is_duplicate
    kinds, reasons = np.array([*verdict.KINDS, ""], object), np.array(verdict.REASONS, object)
    numbers = transform.reshape(-1, 9)[:, :8]
    columns = [
        pairs[:, 0],
        pairs[:, 1],
        pa.array(similarity, mask=np.isnan(similarity)),
        np.rint(evidence.inliers).astype(np.int32),
        (evidence.inliers / np.maximum(evidence.matches, 1)).astype(np.float32),
        evidence.likeness.structure,
        evidence.likeness.overlap,
        evidence.hash_distance.astype(np.int32),
        verdicts.score,
        verdicts.is_duplicate,
        pa.array(kinds[verdicts.kind], pa.string(), mask=no),
        reasons[verdicts.reason],
        *(pa.array(v, mask=no) for v in (evidence.mirror, rotation, scale, *crop.T)),
        pa.array(
            [None if skip else row for skip, row in zip(no, numbers.tolist(), strict=True)], pa.list_(pa.float64())
        ),
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array(c, field.type) if isinstance(c, np.ndarray) else c for c, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )
