"""Where the vectors of a work_dir lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastdup_db.pipeline import remote
from fastdup_db.pipeline.files import LANCE_FOLDER
from fastdup_db.store.lance import VectorTable


def table(work_dir: Path, which: tuple[str, str]) -> VectorTable:
    """The Lance table `EMBEDDINGS` or `VECTORS` of a work_dir."""
    name, column = which
    return VectorTable(remote.place(work_dir, LANCE_FOLDER), name=name, column=column)


def stored(work_dir: Path, which: tuple[str, str], *, run: Mapping[str, Any]) -> VectorTable:
    """The same for reading, as it was when the database's last row of `runs` was written.

    Vectors that a killed run left without rows, and those of a run that is at work on another machine, are not seen.
    Raises `WorkDirBusy` where that machine's database is in the bucket already: its vectors may have taken the place.
    Reading raises `WorkDirDamaged` where they are lost.
    """
    remote.check_current(work_dir)
    return replace(table(work_dir, which), at=int(run.get(f"{which[0]}_version") or 0))
