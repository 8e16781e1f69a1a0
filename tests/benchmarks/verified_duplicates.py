"""Verified near-duplicates against vectors alone, PDQ and fastdup, on edited copies of held-out photographs:

    python -m tests.benchmarks.verified_duplicates [--originals 250] [--heavy 100] [--single 500]

Photographs of `imagenet-sample` and `clothing`, on neither of which the score was fitted: the ten files of `edits` for
`--originals` of each, apart from that all eighteen, heavy edits included, for `--heavy` of each, and one copy per
photograph, the edits in turn, for `--single` of each. Printed for each way of ranking all pairs: recall over all true
pairs at 99.9 % precision, and per edit the share of the pairs with a file of that edit that are found there. PDQ
(package `pdqhash`): 256 bits, the best of the eight flips and turns. fastdup's own vectors where `FASTDUP_PEER_PYTHON`
names an interpreter that has it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fastdup_db.graph.verify import verify_pairs
from fastdup_db.imaging import keypoints as kp
from fastdup_db.pipeline.verifying import GROUP, LOWER
from tests.benchmarks import copies_rig, edits
from tests.benchmarks.near_duplicates import peer_vectors, plain
from tests.conftest import data_folder

COLLECTIONS = ("imagenet-sample", "clothing")
COMMON, HEAVY, SINGLE = "common edits", "with heavy edits", "one copy per photograph"
PRECISION = 0.999
TARGET = 0.90
"""Recall at 99.9 % precision wanted of verification, over both collections together."""


def pdq(paths: list[Path]) -> np.ndarray:
    """(n, n) similarities: 1 − the share of differing bits, of the first's eight flips and turns the nearest."""
    import pdqhash

    def hashes(path: Path) -> np.ndarray:
        return np.stack(pdqhash.compute_dihedral(edits.read(path))[0])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bits = np.stack(list(pool.map(hashes, paths))).astype(np.float32) * 2 - 1
    best = np.full((len(paths), len(paths)), -1, np.float32)
    for turn in range(8):
        np.maximum(best, bits[:, turn] @ bits[:, 0].T / 256, out=best)
    return (np.maximum(best, best.T) + 1) / 2


def verified(images: list[kp.Keypoints], unit: np.ndarray, *, lower: float) -> tuple[np.ndarray, np.ndarray, int]:
    """(n, n) scores of `verify`, −1 where no one looked; (n, n) whether it called the pair a duplicate; pairs checked.

    The same steps as `fastdup_db.pipeline.verifying`: candidates, then the pairs within groups of copies.
    """
    pairs, _ = copies_rig.candidates(unit, lower=lower)
    score = np.full((len(unit), len(unit)), -1.0, np.float32)
    found = np.zeros(score.shape, bool)
    checked = 0
    for _ in range(2):
        table = verify_pairs(pairs, lambda ids: [images[i] for i in ids])
        first, second = pairs.T
        score[first, second] = score[second, first] = table.column("score").to_numpy()
        found[first, second] = found[second, first] = table.column("is_duplicate").to_numpy(zero_copy_only=False)
        checked += len(pairs)
        pairs = _within_groups(found, score)
    return score, found, checked


def _within_groups(found: np.ndarray, score: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(csr_array(found), directed=False)
    small = np.bincount(label)[label] <= GROUP
    first, second = np.nonzero(np.triu(label[:, None] == label, 1) & small[:, None] & (score < 0))
    return np.stack((first, second), axis=1)


def recall(similarity: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of the true pairs found where 99.9 % of what is found is true, and (n, n) what is found there."""
    above = np.triu_indices(len(truth), 1)
    scores, true = similarity[above], truth[above]
    values, where = np.unique(-scores, return_inverse=True)  # a cut takes all pairs of one score or none
    hits = np.cumsum(np.bincount(where, weights=true))
    size = np.cumsum(np.bincount(where))
    clean = np.flatnonzero(hits / size >= PRECISION)
    if not len(clean) or -values[clean[-1]] < 0:
        return 0.0, np.zeros(truth.shape, bool)
    return float(hits[clean[-1]] / true.sum()), similarity >= -values[clean[-1]]


def ways(paths: list[Path], folder: Path, peer: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """(name, (n, n) scores), and what verification did besides."""
    started = time.process_time()
    images = copies_rig.features_of(paths)
    extracted = time.process_time() - started
    unit = copies_rig.vectors(edits.read(path) for path in paths)
    yield "vectors, adapted", unit @ unit.T
    print(f"  keypoints: {1000 * extracted / len(paths):.2f} ms of CPU an image, decoding included")
    for scope, lower in LOWER.items():
        started = time.process_time()
        score, found, checked = verified(images, unit, lower=lower)
        took = 1000 * (time.process_time() - started) / checked
        print(f"  {scope}: {checked} pairs checked, {took:.2f} ms of CPU a pair, candidates included")
        yield f"verified, {scope}", score
        yield f"{scope}: is_duplicate", np.where(found, 1.0, -1.0)
    yield "PDQ", pdq(paths)
    if peer:
        yield "fastdup vectors", plain(peer_vectors(peer, folder, paths))


def report(name: str, written: list[edits.Copy], folder: Path, peer: str | None) -> dict[str, float]:
    """Prints one collection; returns recall by way."""
    truth = np.equal.outer(*[np.array([copy.group for copy in written])] * 2)
    kinds = np.array([copy.edit for copy in written])
    print(f"\n{name}: {len(written)} files, {int((truth.sum() - len(truth)) / 2)} true pairs", flush=True)
    np.fill_diagonal(truth, False)
    recalls = {}
    for way, similarity in ways([copy.path for copy in written], folder, peer):
        if way.endswith("is_duplicate"):
            called = similarity > 0
            hits, wrong = int((called & truth).sum() / 2), int((called & ~truth).sum() / 2)
            share, precision = hits / (truth.sum() / 2), hits / (hits + wrong)
            print(f"  {way:24} recall {share:.3f}, precision {precision:.5f} ({wrong} wrong)")
            continue
        recalls[way], found = recall(similarity, truth)
        found &= truth
        each = {kind: found[kinds == kind].sum() / truth[kinds == kind].sum() for kind in dict.fromkeys(kinds)}
        said = ", ".join(f"{kind} {share:.2f}" for kind, share in each.items())
        print(f"  {way:24} recall at 99.9 % {recalls[way]:.3f}: {said}", flush=True)
    return recalls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--originals", type=int, default=250, help="photographs of each collection, common edits")
    parser.add_argument("--heavy", type=int, default=100, help="photographs of each collection, with heavy edits")
    parser.add_argument("--single", type=int, default=500, help="photographs of each collection, one copy of each")
    given = parser.parse_args()
    data = data_folder()
    if data is None:
        raise SystemExit("real images are absent (set FASTDUP_DB_DATA)")
    peer = os.environ.get("FASTDUP_PEER_PYTHON")
    for count, case in ((given.originals, COMMON), (given.heavy, HEAVY), (given.single, SINGLE)):
        if not count:
            continue
        photographs, others = [], []
        for name in COLLECTIONS:
            every = sorted(p for p in (data / name).rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
            chosen = edits.spread(every, count=count)
            photographs += chosen
            others += [path for path in every if path not in set(chosen)][::20]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if case == SINGLE:
                written = copies_rig.write_single(photographs, folder=folder)
            else:
                written = copies_rig.write(photographs, others=others, folder=folder, heavy=case == HEAVY)
            recalls = report(case, written, folder, peer)
        goal = f"; wanted of verification {TARGET}" if case == COMMON else ""
        said = ", ".join(f"{way}: {value:.3f}" for way, value in recalls.items())
        print(f"RATIO recall at 99.9 % precision, {case}: {said}{goal}", flush=True)


if __name__ == "__main__":
    main()
