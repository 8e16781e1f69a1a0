"""`Fastdup`: the controller with everything a user reaches from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdup_db.controller import FastdupController


class Fastdup(FastdupController):
    """All of fastdup_db on one work_dir.

    fd = fastdup_db.create(work_dir="results", input_dir="photos")
    fd.run()
    fd.similarity(); fd.outliers(); fd.connected_components(); fd.img_stats()
    """


def create(work_dir: str | Path = "work_dir", input_dir: Any = None) -> Fastdup:
    """A `Fastdup` on a work_dir, new or existing; nothing is read or written yet."""
    return Fastdup(work_dir=work_dir, input_dir=input_dir)
