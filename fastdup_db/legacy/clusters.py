"""v0's k-means over stored embeddings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from fastdup_db import checks, frames
from fastdup_db.config import EXTRACT_ONLY
from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import NotRun
from fastdup_db.legacy import features
from fastdup_db.pipeline.files import KMEANS

CENTROIDS, ASSIGNMENTS = KMEANS
DEFAULT_D = 576
"""v0's default width of an embedding. Treated as not given, since a model knows its own width."""


def run_kmeans(
    input_dir: Any = "",
    work_dir: str | Path = ".",
    verbose: bool = False,
    num_clusters: int = 100,
    num_em_iter: int = 20,
    num_threads: int = -1,
    num_images: int = 0,
    model_path: str | None = None,
    license: str = "",
    nearest_neighbors_k: int = 2,
    d: int = DEFAULT_D,
    bounding_box: str = "",
    high_accuracy: bool = False,
) -> int:
    """Embed the images of `input_dir` and cluster them; returns 0.

    Writes `kmeans_centroids.csv` (no header, one centre a row) and `kmeans_assignments.csv` (index, filename, cluster,
    distance: squared Euclidean, to the centre). The same images give the same clusters, whatever the machine's threads.
    """
    check(num_clusters, num_em_iter)
    checks.on_disk("work_dir", work_dir)
    create(work_dir, input_dir or None).run(
        run_mode=EXTRACT_ONLY,
        verbose=verbose,
        num_threads=None if num_threads < 1 else num_threads,
        num_images=num_images or None,
        model_path=model_path,
        d=d if model_path and d != DEFAULT_D else None,
        nearest_neighbors_k=nearest_neighbors_k,
        bounding_box=bounding_box or None,
        high_accuracy=high_accuracy,
    )
    return run_kmeans_on_extracted(input_dir, work_dir, num_clusters=num_clusters, num_em_iter=num_em_iter)


def run_kmeans_on_extracted(
    input_dir: Any = "",
    work_dir: str | Path = ".",
    verbose: bool = False,
    num_clusters: int = 100,
    num_em_iter: int = 20,
    num_threads: int = -1,
    num_images: int = 0,
    model_path: str | None = None,
    license: str = "",
    nearest_neighbors_k: int = 2,
    d: int = DEFAULT_D,
) -> int:
    """Cluster the embeddings that a run stored in `work_dir`; files as in `run_kmeans`. Returns 0.

    Features that `save_binary_feature` has put there since, or without a run, become those of a run first, which has
    no neighbours yet: `run(run_mode=2)` finds these. Relative names count from the folder input_dir. d: their width.
    """
    from fastdup_db.graph.kmeans import kmeans

    check(num_clusters, num_em_iter)
    checks.on_disk("work_dir", work_dir)
    features.take_over(
        work_dir, input_dir, d=d if d != DEFAULT_D else None, run_mode=EXTRACT_ONLY, verbose=verbose, progress=False
    )
    fd = Fastdup(work_dir)
    _, matrix = fd.embeddings()
    frame = fd.annotations(include_unannotated=True)
    if not len(matrix):
        raise NotRun(f"{work_dir} holds no embeddings; call run() first")
    with tqdm(total=num_em_iter, unit="step", desc="clustering", disable=None, file=sys.stderr) as bar:
        found = kmeans(matrix, clusters=num_clusters, steps=num_em_iter, stepped=bar.update)
    pd.DataFrame(found.centroids).to_csv(Path(work_dir) / CENTROIDS, index=False, header=False)
    ids, names = frame["fd_index"].to_numpy(), frame["filename"].to_numpy()
    assigned = pd.DataFrame({"index": ids, "filename": names, "cluster": found.of, "distance": found.distance})
    assigned.to_csv(Path(work_dir) / ASSIGNMENTS, index=False)
    return 0


def check(num_clusters: int, num_em_iter: int) -> None:
    """Raises BadArgument for what k-means cannot do."""
    checks.at_least("num_clusters", num_clusters, 1)
    checks.at_least("num_em_iter", num_em_iter, 1)


def assignments(work_dir: str | Path, *, num_clusters: int | None = None) -> pd.DataFrame:
    """`index, filename, cluster, distance` of the last k-means in a work_dir, made where there is none."""
    path = Path(work_dir) / ASSIGNMENTS
    if not path.is_file():
        if num_clusters is None:
            raise NotRun(f"{path} does not exist; call run_kmeans() first")
        run_kmeans_on_extracted(work_dir=work_dir, num_clusters=num_clusters)
    return frames.read_csv(path, missing=(), dtype={"filename": str})
