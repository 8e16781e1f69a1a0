"""Whether a work_dir holds neighbours of its images, and if not, which run finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdup_db.errors import NotRun

_EXTRACTED = ("run_mode=1", "run(run_mode=2), with the other settings as they were,")
_MEASURED = ("run_stats_only=True", "run() without it, with the annotations if there are any,")


def has_neighbors(run: Mapping[str, Any]) -> bool:
    """Whether the run, a row of `runs`, has looked for the neighbours of its images."""
    return bool(run.get("vectors_version"))


def check_neighbors(run: Mapping[str, Any], *, work_dir: Path) -> None:
    """Raises `NotRun` where the last run, a row of `runs`, has left out the neighbours of its images."""
    if has_neighbors(run):
        return
    left_out, remedy = _MEASURED if json.loads(run["config"]).get("run_stats_only") else _EXTRACTED
    raise NotRun(f"{left_out} leaves out the neighbours of the images in {work_dir}; {remedy} finds them")
