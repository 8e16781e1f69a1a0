"""Where the vectors of a work_dir lie."""

from __future__ import annotations

from pathlib import Path

from fastdup_db.pipeline import remote
from fastdup_db.pipeline.spec import LANCE_FOLDER
from fastdup_db.store.lance import VectorTable


def table(work_dir: Path, which: tuple[str, str]) -> VectorTable:
    """The Lance table `EMBEDDINGS` or `VECTORS` of a work_dir."""
    name, column = which
    return VectorTable(remote.place(work_dir, LANCE_FOLDER), name=name, column=column)
