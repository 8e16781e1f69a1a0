"""`fd.export`: one folder of files per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fastdup_db import checks
from fastdup_db.config import OF_BOXES
from fastdup_db.exchange import fileset, labels
from fastdup_db.pipeline.tables import stored
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import EMBEDDINGS, VectorTable
from fastdup_db.store.lance_rows import record, schema_of

FORMATS = ("coco", "fastdup", "fiftyone", "huggingface", "parquet")
VIEWS = (
    "annotations",
    "component_info",
    "connected_components",
    "duplicates",
    "edges",
    "exact_duplicates",
    "img_stats",
    "img_stats_advanced",
    "invalid_instances",
    "label_quality",
    "outliers",
    "similarity",
    "summary",
)
"""What `parquet` writes, a file each, beside the embeddings; `label_quality` only where there are labels."""


def export(
    db: Database,
    folder: Path,
    *,
    format: str,
    work_dir: Path,
    annotations: Callable[[], pd.DataFrame],
    config: dict[str, Any],
    names: bool = False,
) -> list[Path]:
    """Write a work_dir in one of `FORMATS`; returns the files, sorted. `annotations` gets the valid ones."""
    checks.member("format", format, FORMATS)
    folder.mkdir(parents=True, exist_ok=True)
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    if format == "fastdup":
        vectors = (matrix for _, matrix in _embeddings(db, work_dir).batches())
        fileset.write(db, folder, vectors=vectors, config=config, names=names)
    elif format == "parquet":
        write_parquet(db, folder, work_dir=work_dir)
    elif format == "coco":
        labels.write_coco(db, folder, annotations=annotations())
    elif format == "fiftyone":
        boxes = config["data_type"] in OF_BOXES
        labels.write_fiftyone(db, folder, annotations=annotations(), boxes=boxes)
    else:
        labels.write_huggingface(db, folder, annotations=annotations())
    written = (p for p in folder.iterdir() if not p.name.startswith("."))  # those are macOS's
    return sorted(p for p in written if before.get(p) != p.stat().st_mtime_ns)


def write_parquet(db: Database, folder: Path, *, work_dir: Path) -> None:
    """Those of `VIEWS` that there are and the embeddings, a Parquet file each; none of an export before is left."""
    for name in (*VIEWS, EMBEDDINGS[0]):
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    for view in db.arrow("exchange/present", names=list(VIEWS)).column("name").to_pylist():
        db.write_parquet("exchange/view", folder / f"{view}.parquet", view=view)
    vectors = _embeddings(db, work_dir)
    if vectors.exists():
        write_vectors(vectors, folder / f"{EMBEDDINGS[0]}.parquet")


def write_vectors(vectors: VectorTable, path: Path) -> None:
    """Every row of a table of vectors into a Parquet file, ids ascending, in row groups of at most `READ_ROWS`.

    Not by DuckDB: it keeps row groups of 122,880 vectors and all that Lance has read ahead of it. 200,000 vectors of
    576 columns took 1.9 GB there and take 0.5 GB here, in less than half of the time.
    """
    schema = schema_of(vectors.column, vectors.dim)
    # no dictionary: numbers of vectors hardly ever repeat, and to look whether they do takes time and room
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for ids, matrix in vectors.batches():
            writer.write_batch(record(ids, matrix, schema=schema))


def _embeddings(db: Database, work_dir: Path) -> VectorTable:
    return stored(work_dir, EMBEDDINGS, run=db.row("run/current") or {})
