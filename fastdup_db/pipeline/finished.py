"""Whether the last run of a work_dir has ended, found neighbours and checked them; if not, the error says what does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastdup_db.errors import NotRun
from fastdup_db.store.duck import Database

_EXTRACTED = ("run_mode=1", "run(run_mode=2), with the other settings as they were,")
_MEASURED = ("run_stats_only=True", "run() without it, with the annotations if there are any,")


def finished_run(db: Database, *, work_dir: Path) -> dict[str, Any]:
    """The last run, a row of `runs`. Raises `NotRun` where it has not ended."""
    last = db.row("run/current")
    if last is None or last["finished_at"] is None:
        raise NotRun(f"the last run in {work_dir} did not end; call run() again, it goes on where it was")
    return last


def has_neighbors(run: Mapping[str, Any]) -> bool:
    """Whether the run, a row of `runs`, has looked for the neighbours of its images."""
    return bool(run.get("vectors_version"))


def check_neighbors(run: Mapping[str, Any], *, work_dir: Path) -> None:
    """Raises `NotRun` where the last run, a row of `runs`, has left out the neighbours of its images."""
    if has_neighbors(run):
        return
    left_out, remedy = _MEASURED if json.loads(run["config"]).get("run_stats_only") else _EXTRACTED
    raise NotRun(f"{left_out} leaves out the neighbours of the images in {work_dir}; {remedy} finds them")


def check_verified(db: Database, run: Mapping[str, Any], *, work_dir: Path) -> None:
    """Raises `NotRun` where the last check of near-duplicates has not ended, or images were read since. Where none has
    begun, none are known. Verdicts stay where search vectors are made otherwise: `verified` measures them anew."""
    if run.get("verifying"):
        raise NotRun(f"the last verify() in {work_dir} did not end; call verify() again, it goes on where it was")
    since = run.get("verified_run")
    if since is None:
        return
    if images := db.value("verify/read_since", run_id=since):
        raise NotRun(f"{images} images were read since the last verify() in {work_dir}; call verify()")
