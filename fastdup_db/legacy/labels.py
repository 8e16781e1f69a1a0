"""Labels that a v0 caller supplies, and neighbours' votes on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from fastdup_db import frames
from fastdup_db.engine import Fastdup
from fastdup_db.errors import BadArgument, NotRun
from fastdup_db.graph.metrics import reaches

LabelFunc: TypeAlias = Callable[[str], Any] | Mapping[str, Any] | str | Path | None
"""What v0 takes as get_label_func: a function of the file name, a dict by file name, or a csv with filename (or index)
and label."""
MISSING = "N/A"


def labels_of(fd: Fastdup, get_label_func: LabelFunc, *, annotations: pd.DataFrame | None = None) -> pd.Series:
    """The label of every valid image, by id; MISSING where there is none.

    Raises `BadArgument` for a get_label_func of another kind, or a csv that cannot be read.
    """
    if not (get_label_func is None or callable(get_label_func) or isinstance(get_label_func, Mapping | str | Path)):
        kind = type(get_label_func).__name__
        raise BadArgument(f"get_label_func of type {kind}; allowed: a function, a dict by file name, the path of a csv")
    frame = fd.annotations() if annotations is None else annotations
    ids, names = frame["fd_index"], frame["filename"]
    if get_label_func is None:
        found = frame["label"] if "label" in frame else pd.Series(MISSING, index=frame.index)
    elif isinstance(get_label_func, Mapping) or callable(get_label_func):
        found = names.map(get_label_func)
    else:
        given = frames.read_csv(get_label_func, argument="get_label_func", dtype={"filename": str, "label": str})
        if "label" not in given or not {"filename", "index"} & set(given.columns):
            raise BadArgument(f"{str(get_label_func)!r} needs the column 'label' and one of 'filename' and 'index'")
        key = "filename" if "filename" in given else "index"
        found = (names if key == "filename" else ids).map(given.drop_duplicates(key).set_index(key)["label"])
    said = found.map(lambda label: label[0] if isinstance(label, list) and label else label)
    labels = pd.Series(said.to_numpy(), index=ids.to_numpy(), dtype=object)
    return labels.where(labels.notna(), MISSING)


def top_k_label(
    labels_col: Sequence[Any],
    distance_col: Sequence[float],
    k: int = 10,
    threshold: float | None = None,
    min_count: int | None = None,
    unknown_class: Any = None,
) -> Any:
    """The most frequent label of the k most similar neighbours; a tie goes to the one with the most similar neighbour.

    threshold: only neighbours of at least this similarity count. min_count: votes it needs. unknown_class: the answer
    where there is none.
    """
    if len(labels_col) != len(distance_col):
        raise BadArgument(f"{len(labels_col)} labels and {len(distance_col)} distances; give one distance per label")
    votes = pd.DataFrame({"id": 0, "label": list(labels_col), "distance": list(distance_col)})
    votes = votes.sort_values("distance", ascending=False, kind="stable").head(k)
    found = majority(votes, threshold=threshold, min_count=min_count)
    return found["label"].iloc[0] if len(found) else unknown_class


def majority(votes: pd.DataFrame, *, threshold: float | None = None, min_count: int | None = None) -> pd.DataFrame:
    """The winning label per id. `votes`: id, label, distance (similarity). Returns id, label, count, distance.

    Ties: the label with the most similar vote, then the first in alphabetical order.
    """
    counted = votes if threshold is None else votes[reaches(votes["distance"], threshold)]
    sums = counted.groupby(["id", "label"], sort=True)["distance"].agg(["size", "max"]).reset_index()
    sums.columns = pd.Index(["id", "label", "count", "distance"])
    best = sums.sort_values(["id", "count", "distance", "label"], ascending=[True, False, False, True])
    best = best.drop_duplicates("id")
    return best if min_count is None else best[best["count"] >= min_count]


def create_knn_classifier(
    work_dir: str | Path, k: int, get_label_func: LabelFunc, threshold: float | None = None
) -> pd.DataFrame:
    """What the k nearest other images say each image is: `prediction, label, filename`, by id.

    threshold: only neighbours of at least this similarity vote; `N/A` where none does. Images labelled `N/A` do not
    vote.
    """
    from fastdup_db.graph import adapt, knn
    from fastdup_db.pipeline.tables import stored
    from fastdup_db.store import duck
    from fastdup_db.store.lance import VECTORS

    fd = Fastdup(work_dir)
    place = Path(fd.work_dir)
    with duck.connect(place) as db:
        last = db.row("run/current") or {}
    vectors = stored(place, VECTORS, run=last)
    if not vectors.exists():
        raise NotRun(f"{work_dir} holds no neighbours; call run() first")
    transform = adapt.Transform.of_run(last)
    calibration = adapt.calibration_of(transform)
    graph = knn.neighbors(vectors, k=k, metric=last["distance"], calibration=calibration, folder=place)
    edges = graph.table().to_pandas()
    labels = labels_of(fd, get_label_func)
    votes = pd.DataFrame({"id": edges["from_id"], "label": edges["to_id"].map(labels), "distance": edges["similarity"]})
    return _predictions(fd, labels, majority(votes[votes["label"] != MISSING], threshold=threshold))


def create_kmeans_classifier(
    work_dir: str | Path, k: int, get_label_func: LabelFunc, threshold: float | None = None
) -> pd.DataFrame:
    """What most images of its cluster are: `prediction, label, filename`, by id; `run_kmeans` makes the clusters.

    k: clusters to make where `run_kmeans` has not. threshold: only members with at most this distance to the centre
    vote.
    """
    from fastdup_db.legacy import clusters

    fd = Fastdup(work_dir)
    assigned = clusters.assignments(work_dir, num_clusters=k)
    labels = labels_of(fd, get_label_func)
    votes = assigned.assign(label=assigned["index"].map(labels))
    votes = votes[votes["label"] != MISSING]
    if threshold is not None:
        votes = votes[votes["distance"] <= threshold]
    won = majority(pd.DataFrame({"id": votes["cluster"], "label": votes["label"], "distance": -votes["distance"]}))
    by_cluster = won.set_index("id")["label"]
    said = pd.DataFrame({"id": assigned["index"], "label": assigned["cluster"].map(by_cluster)}).dropna()
    return _predictions(fd, labels, said)


def _predictions(fd: Fastdup, labels: pd.Series, won: pd.DataFrame) -> pd.DataFrame:
    frame = fd.annotations()
    ids = frame["fd_index"].to_numpy()
    prediction = pd.Series(ids).map(won.set_index("id")["label"]).fillna(MISSING)
    return pd.DataFrame(
        {"prediction": prediction, "label": labels.reindex(ids).to_numpy(), "filename": frame["filename"].to_numpy()}
    )
