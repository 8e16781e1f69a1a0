"""Which image of each group to keep, and taking the others away: facts by SQL, files by `cleaning`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fastdup_db.cleaning import cleaner
from fastdup_db.cleaning.cleaner import Known, Step
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.sources.files import opened_by
from fastdup_db.store import duck
from fastdup_db.store.duck import Database

if TYPE_CHECKING:
    import pandas as pd

RULES = ("best", "first", "largest", "least_compressed", "oldest", "sharpest")
"""What `dedup` can keep; each is a statement in sql/dedup/."""
GROUPS = ("components", "duplicates", "exact")
HOWS = ("delete", "quarantine")
QUARANTINE = "quarantine"
_COLUMNS = ("filename", "status", "target")


def keep_one(db: Database, *, keep: str, groups: str) -> pd.DataFrame:
    """One row per member of a group, by the rule `keep`; the temp tables of `groups` are made by the caller."""
    if keep not in RULES:
        raise one_of("keep", keep, RULES)
    if groups not in GROUPS:
        raise one_of("groups", groups, GROUPS)
    db.execute(f"dedup/choose_{groups}")
    db.execute("dedup/choose_members")
    db.execute(f"dedup/{keep}")
    return db.frame("dedup/rows")


def going(plan: pd.DataFrame | Sequence[str]) -> list[str]:
    """The file names that a plan takes away: the rows of a frame whose `keep` is False, or all names.

    Raises BadArgument for a frame without `filename`, or one that keeps and drops the same file.
    """
    import pandas as pd

    if not isinstance(plan, pd.DataFrame):
        if isinstance(plan, str):
            raise BadArgument("a plan is a frame or a list of file names, not one name")
        return [os.fspath(name) for name in plan]
    if "filename" not in plan.columns:
        raise BadArgument(f"a plan needs the column 'filename'; it has {', '.join(map(str, plan.columns))}")
    if "keep" not in plan.columns:
        return plan["filename"].astype(str).tolist()
    keep = plan["keep"].astype(bool)
    gone = list(dict.fromkeys(plan.loc[~keep, "filename"].astype(str)))
    both = sorted(set(gone) & set(plan.loc[keep, "filename"].astype(str)))
    if both:
        raise BadArgument(f"the plan keeps and takes away {both[0]!r}")
    return gone


def clean(work_dir: Path, plan: pd.DataFrame | Sequence[str], *, how: str, folder: Any, dry_run: bool) -> pd.DataFrame:
    """Take away the files of a plan; see `Fastdup.clean`."""
    if how not in HOWS:
        raise one_of("how", how, HOWS)
    names = going(plan)
    with duck.connect(work_dir) as db:
        steps = _steps(db, names)
    target = Path(folder) if folder is not None else next_folder(work_dir)
    if not dry_run and any(step.status == cleaner.PLANNED for step in steps):
        steps = (cleaner.quarantine if how == "quarantine" else cleaner.delete)(steps, folder=target)
    return frame(steps, folder=target)


def frame(steps: Sequence[Step], *, folder: Path) -> pd.DataFrame:
    """`filename, status, target`, one row per step; `attrs['folder']` is what `undo` takes."""
    import pandas as pd

    rows = pd.DataFrame([asdict(step) for step in steps], columns=[*_COLUMNS, "path", "size", "mtime_ns"])
    rows = rows[list(_COLUMNS)].astype(object)
    rows.attrs["folder"] = str(folder)
    return rows


def next_folder(work_dir: Path) -> Path:
    """`quarantine/0001`, or the next number, in the work_dir."""
    return Path(work_dir) / QUARANTINE / f"{max(_numbers(work_dir), default=0) + 1:04d}"


def last_folder(work_dir: Path) -> Path:
    """The quarantine of the work_dir that was made last. Raises BadArgument where there is none."""
    numbers = _numbers(work_dir)
    if not numbers:
        raise BadArgument(f"{Path(work_dir) / QUARANTINE} holds no clean-up; give its folder")
    return Path(work_dir) / QUARANTINE / f"{max(numbers):04d}"


def _numbers(work_dir: Path) -> list[int]:
    base = Path(work_dir) / QUARANTINE
    return [int(p.name) for p in base.iterdir() if p.name.isdigit()] if base.is_dir() else []


def _steps(db: Database, names: Sequence[str]) -> list[Step]:
    """The plan for names of the listing. Raises BadArgument where one is not in it, or is no plain file."""
    wanted = pa.table({"filename": pa.array(dict.fromkeys(names), pa.string())})
    found = db.arrow("cleaning/known_files", wanted=wanted).to_pylist()
    known = {row["filename"]: row for row in found}
    strange = [name for name in names if name not in known]
    if strange:
        raise BadArgument(
            f"{len(strange)} of {len(names)} files are not in the input of this run, first {strange[0]!r}; "
            "nothing was touched"
        )
    bound = [row["filename"] for row in found if not row["is_plain"]]
    if bound:
        raise BadArgument(
            f"{len(bound)} of {len(names)} images lie in an archive, a video or a bucket, first {bound[0]!r}; "
            "only files of this machine can be taken away; nothing was touched"
        )
    last = db.row("run/current") or {}
    twins = db.arrow("cleaning/kept_twins", wanted=wanted).column("opened_by").to_pylist()
    looked_at = last.get("data_type") != "embedding"
    return cleaner.plan(_known(known, names, looked_at=looked_at), kept=map(opened_by, twins))


def _known(rows: dict[str, dict[str, Any]], names: Sequence[str], *, looked_at: bool) -> Iterator[Known]:
    for name in dict.fromkeys(names):
        row = rows[name]
        was_file = looked_at and row["version"].isdigit()
        yield Known(
            filename=name,
            path=opened_by(row["opened_by"]),
            size=row["file_size"] if was_file else None,
            mtime_ns=int(row["version"]) if was_file else None,
        )
