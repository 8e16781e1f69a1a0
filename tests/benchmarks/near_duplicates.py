"""Near-duplicate quality on edited copies of held-out photographs; one command:

    python -m tests.benchmarks.near_duplicates

250 photographs × 10 files (`edits`) of `imagenet-sample`, of `clothing` and of both together, none of which the model's
statistics were estimated from. Printed: average precision over all pairs, recall at 99.9 % precision, and the precision
and recall of the pairs at similarity ≥ 0.9, for the plain cosine, the adapted vectors and, where `FASTDUP_PEER_PYTHON`
names an interpreter that has it, fastdup's own vectors of the same files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fastdup_db.graph.adapt import Generic, Moments, fit
from fastdup_db.graph.metrics import metric
from fastdup_db.imaging.resize import to_input
from fastdup_db.models.catalog import BUNDLED
from fastdup_db.models.session import Embedder, open_embedder
from tests.benchmarks import edits
from tests.benchmarks.quality import Quality, quality
from tests.conftest import data_folder

LINE = 0.9
COLLECTIONS = ("imagenet-sample", "clothing")
TARGETS = {"imagenet-sample": 0.98, "clothing": 0.93, "both": 0.95}
"""Least average precision of the adapted default."""

PEER = """
import sys, fastdup, numpy as np
if __name__ == "__main__":
    folder, out = sys.argv[1:]
    run = fastdup.create(input_dir=folder, work_dir=out)
    run.run(overwrite=True, print_summary=False)
    names, vectors = run.embeddings()
    np.savez(out + "/vectors.npz", names=np.array(names, dtype=str), vectors=vectors)
"""


def embedded(embedder: Embedder, paths: list[Path]) -> np.ndarray:
    """float32 (n, dim), in the order of `paths`."""

    def some(start: int) -> np.ndarray:
        chosen = paths[start : start + 16]
        return embedder.embed(np.stack([to_input(edits.read(path), size=embedder.input_size) for path in chosen]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(some, range(0, len(paths), 16))))


def plain(vectors: np.ndarray) -> np.ndarray:
    """(n, n) cosines."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def adapted(vectors: np.ndarray, generic: Generic | None) -> np.ndarray:
    """(n, n) similarities after adapting to these vectors."""
    moments = Moments(dim=vectors.shape[1])
    moments.add(vectors)
    transform = fit(moments, generic)
    unit = transform.apply(vectors)
    return metric("cosine", calibration=transform.c2).similarity(unit @ unit.T)


def peer_vectors(python: str, folder: Path, paths: list[Path]) -> np.ndarray:
    """fastdup's own vectors of `paths`, all of which lie in `folder`."""
    with tempfile.TemporaryDirectory() as out:
        environment = {**os.environ, "SENTRY_OPT_OUT": "1"}
        subprocess.run([python, "-c", PEER, str(folder), out], check=True, env=environment, stdout=subprocess.DEVNULL)
        with np.load(Path(out) / "vectors.npz") as stored:
            rows = {Path(name).name: row for name, row in zip(stored["names"], stored["vectors"], strict=True)}
    return np.stack([rows[path.name] for path in paths])


def line(collection: str, vectors: str, found: Quality) -> str:
    return (
        f"{collection:16} {vectors:24} average precision {found.average_precision:.4f}  "
        f"recall at 99.9 % {found.recall:.3f}  at >= {LINE}: precision {found.precision_at_line:.5f}, "
        f"recall {found.recall_at_line:.3f}"
    )


def measure(*, data: Path, originals: int, peer: str | None) -> Iterable[tuple[str, str, Quality]]:
    """(collection, vectors, quality), one at a time."""
    with tempfile.TemporaryDirectory() as scratch:
        written = {}
        for name in COLLECTIONS:
            sources = (p for p in (data / name).rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
            written[name] = edits.write_copies(edits.spread(sources, count=originals), folder=Path(scratch) / name)
        groups = {name: np.array([copy.group for copy in copies]) for name, copies in written.items()}
        groups["both"] = np.concatenate([groups[name] + i * originals for i, name in enumerate(COLLECTIONS)])
        ways: dict[str, tuple[dict[str, np.ndarray], Generic | None]] = {}
        for model, spec in BUNDLED.items():
            embedder = open_embedder(model)
            rows = {name: embedded(embedder, [copy.path for copy in written[name]]) for name in COLLECTIONS}
            ways[model] = rows, Generic.load(spec.statistics) if spec.statistics else None
        if peer:
            rows = {
                name: peer_vectors(peer, Path(scratch) / name, [copy.path for copy in written[name]])
                for name in COLLECTIONS
            }
            ways["fastdup"] = rows, None
    for way, (rows, generic) in ways.items():
        rows["both"] = np.concatenate([rows[name] for name in COLLECTIONS])
        for name, vectors in rows.items():
            yield name, f"{way}, cosine", quality(plain(vectors), groups[name], line=LINE)
            yield name, f"{way}, adapted", quality(adapted(vectors, generic), groups[name], line=LINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--originals", type=int, default=250, help="photographs of each collection")
    given = parser.parse_args()
    data = data_folder()
    if data is None:
        raise SystemExit("real images are absent (set FASTDUP_DB_DATA)")
    best: dict[tuple[str, str], float] = {}
    peer = os.environ.get("FASTDUP_PEER_PYTHON")
    for collection, vectors, found in measure(data=data, originals=given.originals, peer=peer):
        best[collection, vectors] = found.average_precision
        print(line(collection, vectors, found), flush=True)
    for collection, least in TARGETS.items():
        ours = best[collection, "default, adapted"]
        theirs = best.get((collection, "fastdup, cosine"))
        against = f", fastdup {theirs:.4f}" if theirs is not None else ""
        print(f"RATIO {collection}: average precision {ours:.4f}, wanted {least}{against}")


if __name__ == "__main__":
    main()
