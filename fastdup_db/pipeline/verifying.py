"""Near-duplicates checked: candidates from the search vectors, keypoints from the images, verdicts to the database.

Every stage commits as it goes: killed, it goes on with the candidates that have no verdict, and until then there are no
answers. Images that could not be read are tried again by the next check.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fastdup_db import checks
from fastdup_db.config import OF_BOXES, RunConfig
from fastdup_db.engines import features
from fastdup_db.engines.task import Boxes, Task
from fastdup_db.errors import BadArgument, NotRun
from fastdup_db.graph import adapt, knn, verify
from fastdup_db.graph.metrics import line
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.imaging.crops import NO_MARGIN, Margin
from fastdup_db.imaging.keypoints import Keypoints
from fastdup_db.pipeline.listing import references
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.pipeline.spec import work_spec
from fastdup_db.pipeline.tables import stored
from fastdup_db.progress import progress_bar
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VECTORS, VectorTable

log = logging.getLogger(__name__)

SCOPES = ("auto", "all")

NEIGHBORS = 20
"""Neighbours of each image that are looked at: a picture with 15 copies has them all among 20."""

LOWER = {"auto": 0.35, "all": 0.2}
"""Cosines of adapted vectors. Above 0.2 lie 99.8 % of the pairs of edited copies, above 0.35 96 %, but in an ordinary
collection most images have a neighbour above 0.2: of 1,500 photographs 1,107 do, 113 above 0.35, 45 above 0.4, and
reading these is what a check costs. Copies that are missed so are mostly found through a third one."""

UPPER = 0.88
"""Cosine above which the fit has no false pair; its most alike burst, drawn, lies at 0.78."""

LOWER_PLAIN, UPPER_PLAIN = 0.6, 0.98
"""The same for vectors that are searched as they are: the cosines of unlike images lie higher."""

GROUP = 32
"""Images of a group of copies within which every pair is looked at, neighbours or not: 496 pairs at most."""

COMMIT_KEYPOINTS = 1024
COMMIT_PAIRS = 2048
"""Rows of one transaction: what a kill loses, and 45 MB of features at most."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to check.

    scope: 'auto' leaves pairs above `upper` unchecked and looks less far down; 'all' checks every candidate.
    k: neighbours of each image that are looked at.
    lower, upper: similarities; None for the defaults above. boxes: instances are parts of images. margin: around boxes.
    """

    scope: str = "auto"
    k: int = NEIGHBORS
    lower: float | None = None
    upper: float | None = None
    boxes: bool = False
    margin: Margin = NO_MARGIN
    threads: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        checks.member("verify", self.scope, SCOPES)
        checks.at_least("k", self.k, 1)
        for name, value in (("lower", self.lower), ("upper", self.upper)):
            if value is not None:
                checks.between(name, value, 0, 1)
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise BadArgument(f"lower={self.lower!r}, upper={self.upper!r}; allowed: a lower of at most upper")


def check(db: Database, *, vectors: VectorTable, folder: Path, options: Options) -> None:
    """Find candidates, read what is missing, store a verdict for each. `folder`: for scratch files of the join."""
    last = db.row("run/current") or {}
    if not vectors.exists():
        raise NotRun("there are no neighbours to verify yet; call run() without run_mode=1 or run_stats_only first")
    transform = adapt.Transform.of_run(last)
    calibration = adapt.calibration_of(transform)
    lower, upper = map(line, _lines(options, metric=last["distance"], calibration=calibration))
    graph = knn.neighbors(
        vectors,
        k=options.k,
        metric=last["distance"],
        calibration=calibration,
        threads=options.threads,
        folder=folder,
    )
    # In DuckDB 2.0 an insert of no rows hides a large one that follows it in the same transaction (its statistics stay
    # "all null"), so nothing is inserted twice into one table within one.
    with db.transaction():
        db.execute("verify/create_incoming_candidates")
        for edges in graph.tables(rows=100_000):
            near = edges.filter(pc.field("similarity") >= lower)
            if near.num_rows:
                db.execute("verify/insert_incoming_candidates", incoming=near, lower=lower)
        db.execute("verify/replace_candidates")
        db.execute("verify/delete_unchecked")
        db.execute("verify/delete_unreadable")
        db.execute("run/set_verifying")
    db.execute("verify/insert_equal", boxes=options.boxes)
    if options.scope == "auto":
        db.execute("verify/insert_similar", upper=upper)
    _settle(db, options)
    db.execute("verify/insert_group_candidates", most=GROUP)
    _settle(db, options)
    db.execute("run/set_verified")
    log.info("verified: %s", db.row("verify/counts"))


def _settle(db: Database, options: Options) -> None:
    """A verdict for every candidate without one."""
    _read(db, options)
    db.execute("verify/insert_unreadable")
    _judge(db, options)


def _lines(options: Options, *, metric: str, calibration: float) -> tuple[float, float]:
    """The similarities between which pairs are checked. Metrics without a natural scale leave it to k alone."""
    if metric == "cosine":
        cosines = (LOWER[options.scope], UPPER) if calibration else (LOWER_PLAIN, UPPER_PLAIN)
        lower, upper = (float(v) for v in metric_named(metric, calibration=calibration).similarity(np.array(cosines)))
    else:
        lower, upper = 0.0, 1.0
    return (
        lower if options.lower is None else options.lower,
        upper if options.upper is None else options.upper,
    )


def options_of(request: RunRequest, *, data_type: str, **changes: Any) -> Options:
    """How the near-duplicates of a run are checked; `changes` to that by name, None for none.

    data_type: what the stored instances are. A run on what is stored is given no boxes.
    """
    config = request.config
    request = replace(request, boxes=data_type == "boxes")
    settings = {
        "scope": "auto" if config.verify == "off" else config.verify,
        "k": config.verify_k or NEIGHBORS,
        "boxes": request.mode in (*OF_BOXES, "global"),
        "margin": work_spec(request).margin,
        "threads": config.num_threads,
        "progress": config.progress,
    }
    return Options(**{**settings, **{name: value for name, value in changes.items() if value is not None}})


def check_again(db: Database, work_dir: Path, **changes: Any) -> None:
    """The check on a finished run of the work_dir; `changes` are fields of `Options`."""
    last = db.row("run/current") or {}
    config = RunConfig.from_json(last["config"])
    options = options_of(RunRequest(work_dir, config), data_type=last["data_type"], **changes)
    vectors = stored(work_dir, VECTORS, run=last)
    db.script("views/macros")
    check(db, vectors=vectors, folder=work_dir, options=options)
    db.script("views/verified_views")


def _read(db: Database, options: Options) -> None:
    """Keypoints of every instance of a pending candidate, committed as they come."""
    total = int(db.value("verify/pending_instances_count"))
    gathered: list[pa.Table] = []
    if not total:
        return
    with progress_bar(shown=options.progress, total=total, unit="keypoints") as bar:
        for found in features.run(_tasks(db, options), margin=options.margin, threads=options.threads):
            gathered.append(found)
            bar.update(found.num_rows)
            if sum(t.num_rows for t in gathered) >= COMMIT_KEYPOINTS:
                db.execute("verify/insert_keypoints", incoming=pa.concat_tables(gathered))
                gathered = []
        if gathered:
            db.execute("verify/insert_keypoints", incoming=pa.concat_tables(gathered))


def _tasks(db: Database, options: Options) -> Iterator[Task]:
    """One task per image of which keypoints are missing; an image whose boxes fall into two batches is read twice."""
    for batch in db.stream("verify/pending_instances", rows=4096):
        located = dict(references(batch))
        for image_id, boxes in Boxes.by_image(batch).items():
            yield Task(image_id, located[image_id], boxes if options.boxes else None)


def _judge(db: Database, options: Options) -> None:
    """A verdict for every pending candidate, in order, committed block by block."""
    total = int(db.value("verify/pending_pairs_count"))
    if not total:
        return
    with progress_bar(shown=options.progress, total=total, unit="pairs") as bar:
        for batch in db.stream("verify/pending_pairs", rows=COMMIT_PAIRS):
            for start in range(0, batch.num_rows, COMMIT_PAIRS):
                block = batch.slice(start, COMMIT_PAIRS)
                pairs = np.stack([block.column(name).to_numpy() for name in ("from_id", "to_id")], axis=1)
                known = _features(db, np.unique(pairs))
                checked = verify.verify_pairs(
                    pairs,
                    lambda ids, known=known: [Keypoints.from_bytes(known[i]) for i in ids.tolist()],  # type: ignore[misc]
                    similarity=block.column("similarity").to_numpy(zero_copy_only=False),
                    threads=options.threads,
                )
                db.execute("verify/insert_verified", incoming=checked)
                bar.update(block.num_rows)


def _features(db: Database, ids: np.ndarray) -> dict[int, bytes]:
    found = db.arrow("verify/keypoints_of", wanted=pa.table({"id": pa.array(ids, pa.int64())}))
    return dict(zip(found.column("id").to_pylist(), found.column("features").to_pylist(), strict=True))
