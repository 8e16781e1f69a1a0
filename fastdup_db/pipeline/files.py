"""The files of a work_dir other than its database: their names, and which of them a later run removes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastdup_db.errors import BadArgument

CROPS = "crops"
CROPS_CSV = "atrain_crops.csv"
GALLERIES = "galleries"
KMEANS = ("kmeans_centroids.csv", "kmeans_assignments.csv")
"""What v0's k-means leaves: of the images that it found there."""
LANCE_FOLDER = "lance"
LOCK = "fastdup.lock"
"""In every work_dir: the file that its one writer holds locked."""

FEATURES = "atrain_features.dat"
ROWS = ".csv"
"""What the name of the csv adds to that of the features."""
BAD = "atrain_features.bad.csv"
STATS = "atrain_stats.csv"
SIMILARITY = "similarity.csv"
OUTLIERS = "outliers.csv"
COMPONENTS = "connected_components.csv"
COMPONENT_INFO = "component_info.csv"
CONFIG = "config.json"
GRAPH = (SIMILARITY, OUTLIERS, COMPONENTS, COMPONENT_INFO)
FASTDUP = (FEATURES, FEATURES + ROWS, BAD, STATS, *GRAPH, CONFIG)
"""fastdup's own files, which v0's `run` and `export` write."""
MADE_BY = "made_by"
"""In our config.json, not in fastdup's."""


def read_config(path: Path) -> dict[str, Any]:
    """What a config.json holds. Raises `BadArgument` where it is no JSON object."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError as exc:
        raise BadArgument(f"{str(path)!r} is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise BadArgument(f"{str(path)!r} holds no settings: it is no JSON object")
    return found


def delete_clusters(work_dir: Path) -> None:
    """Remove k-means clusters: they belong to the images of an earlier run."""
    for name in KMEANS:
        (work_dir / name).unlink(missing_ok=True)


def delete_exported(work_dir: Path, *, read: Iterable[str] = ()) -> None:
    """Remove fastdup's files where they are ours, since they tell of an earlier run. Those of fastdup itself stay.

    read: what a run reads; nothing is removed where it is one of them.
    """
    theirs = [work_dir / name for name in FASTDUP]
    if not _is_ours(work_dir / CONFIG) or any(_is_same(Path(path), file) for path in read for file in theirs):
        return
    for file in theirs:  # the config last: it says whose they are
        file.unlink(missing_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _is_ours(config: Path) -> bool:
    try:
        read = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(read, dict) and MADE_BY in read
