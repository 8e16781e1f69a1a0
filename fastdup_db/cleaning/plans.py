"""Which image of each group to keep, and taking the others away: facts by SQL, files by `cleaner`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fastdup_db import checks
from fastdup_db.cleaning import cleaner, manifest
from fastdup_db.cleaning.cleaner import Known, Step
from fastdup_db.errors import BadArgument
from fastdup_db.sources.files import escaped, opened_by, shown
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
_RUN = "run"  # of a plan's attrs
_NEVER = -1  # the size and time of no file
_State = tuple[int, str | None]
"""Size of a file in bytes, and its version; None where a plan says none."""


def keep_one(db: Database, *, keep: str, groups: str) -> pd.DataFrame:
    """One row per member of a group, by the rule `keep`; the temp tables of `groups` are made by the caller."""
    checks.member("keep", keep, RULES)
    checks.member("groups", groups, GROUPS)
    db.execute(f"dedup/choose_{groups}")
    db.execute("dedup/choose_members")
    _mark_changed(db)
    db.execute(f"dedup/{keep}")
    frame = db.frame("dedup/rows")
    frame.attrs[_RUN] = _run(db)
    return frame


def _mark_changed(db: Database) -> None:
    """Mark the members whose files are missing or changed since the run; looks at each file once."""
    looked_at = _looked_at(db)
    rows = db.arrow("dedup/member_files").to_pylist()
    changed = [row["index"] for row in rows if cleaner.look_at(_known(row, looked_at=looked_at)) is None]
    if changed:
        db.execute("dedup/mark_changed", ids=changed)


def going(plan: pd.DataFrame | Sequence[str]) -> dict[str, list[str]]:
    """The file names that a plan takes away: the rows of a frame whose `keep` is False, or all names.

    With each the names of which one must be there when it goes: its `keep_filename`; where there is none, or that goes
    itself, the rows of its `component_id` that stay. Empty where the plan names no such file.
    Raises BadArgument for what is no plan, a frame without `filename`, or one that keeps and drops the same file.
    """
    import pandas as pd

    if not isinstance(plan, pd.DataFrame):
        return {name: [] for name in _names(plan)}
    if "filename" not in plan.columns:
        raise BadArgument(f"a plan needs the column 'filename'; it has {', '.join(map(str, plan.columns))}")
    keep = plan["keep"].astype(bool) if "keep" in plan.columns else pd.Series(False, index=plan.index)
    kept, gone = plan[keep.to_numpy()], plan[~keep.to_numpy()]
    names = gone["filename"].astype(str).tolist()
    leaving = set(names)
    both = sorted(leaving & set(kept["filename"].astype(str)))
    if both:
        raise BadArgument(f"the plan keeps and takes away {both[0]!r}")
    nobody = [None] * len(gone)
    keepers = gone["keep_filename"] if "keep_filename" in gone.columns else nobody
    components = gone["component_id"] if "component_id" in gone.columns else nobody
    staying: dict[Any, list[str]] = {}
    if "component_id" in kept.columns:
        for component, name in zip(kept["component_id"], kept["filename"].astype(str), strict=True):
            staying.setdefault(component, []).append(name)
    found: dict[str, list[str]] = {}
    for name, keeper, component in zip(names, keepers, components, strict=True):
        named = [str(keeper)] if pd.notna(keeper) else []
        others = staying.get(component, [])
        found.setdefault(name, others if others and not set(named) - leaving else named)
    return found


def _seen(plan: pd.DataFrame | Sequence[str]) -> dict[str, _State]:
    """Size (bytes) and version that a frame of `dedup()` says its files had, which a later run may have seen change."""
    import pandas as pd

    if not isinstance(plan, pd.DataFrame) or not {"keep_filename", "file_size"} <= set(plan.columns):
        return {}
    known = plan[plan["file_size"].notna()]
    versions = known["version"].astype(str) if "version" in known.columns else [None] * len(known)
    states = zip(known["file_size"].astype(int), versions, strict=True)
    return dict(zip(known["filename"].astype(str), states, strict=True))


def _names(plan: object) -> list[str]:
    allowed = "a plan is a frame with the column 'filename', as dedup() returns it, or a list of file names"
    if isinstance(plan, str | bytes):
        raise BadArgument(f"{allowed}, not one name")
    try:
        names = [os.fspath(name) for name in plan]  # type: ignore[attr-defined]
    except TypeError as exc:
        raise BadArgument(f"{allowed}; it is {type(plan).__name__}: {exc}") from exc
    if not all(isinstance(name, str) for name in names):
        raise BadArgument(f"{allowed}, as text")
    return list(map(escaped, names))


def clean(work_dir: Path, plan: pd.DataFrame | Sequence[str], *, how: str, folder: Any, dry_run: bool) -> pd.DataFrame:
    """Take away the files of a plan; see `Fastdup.clean`."""
    checks.member("how", how, HOWS)
    names = going(plan)
    target = Path(folder) if folder is not None else next_folder(work_dir)
    manifest.check_new(target)
    if not dry_run:
        checks.folder("folder", target.absolute())
    with duck.connect(work_dir) as db:
        if getattr(plan, "attrs", {}).get(_RUN, _run(db)) != _run(db):
            raise BadArgument("the plan was made before the last run; call dedup() again; nothing was touched")
        steps = _steps(db, names, seen=_seen(plan))
    if not dry_run and any(step.status == cleaner.PLANNED for step in steps):
        steps = (cleaner.quarantine if how == "quarantine" else cleaner.delete)(steps, folder=target)
    return frame(steps, folder=target)


def frame(steps: Sequence[Step], *, folder: Path) -> pd.DataFrame:
    """`filename, status, target`, one row per step; `attrs['folder']` is what `undo` takes."""
    import pandas as pd

    said = [(step.filename, step.status, step.target) for step in steps]
    rows = pd.DataFrame(said, columns=list(_COLUMNS)).astype(object)
    rows.attrs["folder"] = str(folder)
    return rows


def named(steps: Sequence[Step]) -> list[Step]:
    """Steps read from a manifest, which has only paths, with the names that the listing uses."""
    return [replace(step, filename=shown(step.filename)) for step in steps]


def next_folder(work_dir: Path) -> Path:
    """`quarantine/0001`, or the next number, in the work_dir."""
    return Path(work_dir) / QUARANTINE / f"{max(_numbers(work_dir), default=0) + 1:04d}"


def last_folder(work_dir: Path) -> Path:
    """The clean-up of the work_dir that was made last; one that was killed before its manifest was complete is none.

    Raises BadArgument where there is none.
    """
    folders = (Path(work_dir) / QUARANTINE / f"{number:04d}" for number in sorted(_numbers(work_dir), reverse=True))
    last = next((folder for folder in folders if (folder / manifest.NAME).exists()), None)
    if last is None:
        raise BadArgument(f"{Path(work_dir) / QUARANTINE} holds no clean-up; give its folder")
    return last


def _numbers(work_dir: Path) -> list[int]:
    base = Path(work_dir) / QUARANTINE
    return [int(p.name) for p in base.iterdir() if p.name.isdigit()] if base.is_dir() else []


def _steps(db: Database, going: Mapping[str, Sequence[str]], *, seen: Mapping[str, _State]) -> list[Step]:
    """The plan for names of the listing; `seen` as in `_known`.

    Raises BadArgument where one is not in it, or is no plain file.
    """
    names = list(going)
    wanted = pa.table({"filename": pa.array(names, pa.string())})
    found = {row["filename"]: row for row in db.arrow("cleaning/known_files", wanted=wanted).to_pylist()}
    strange = [name for name in names if name not in found]
    if strange:
        raise BadArgument(
            f"{len(strange)} of {len(names)} files are not in the input of this run, first {strange[0]!r}; "
            "nothing was touched"
        )
    bound = [name for name, row in found.items() if not row["is_plain"]]
    if bound:
        raise BadArgument(
            f"{len(bound)} of {len(names)} images lie in an archive, a video or a bucket, first {bound[0]!r}; "
            "only files of this machine can be taken away; nothing was touched"
        )
    twins = db.arrow("cleaning/kept_twins", wanted=wanted).column("opened_by").to_pylist()
    looked_at = _looked_at(db)
    keepers = _keepers(db, going, seen=seen, looked_at=looked_at)
    planned = (_known(found[name], looked_at=looked_at, seen=seen, keeper=keepers.get(name)) for name in names)
    return cleaner.plan(planned, kept=map(opened_by, twins))


def _keepers(
    db: Database, going: Mapping[str, Sequence[str]], *, seen: Mapping[str, _State], looked_at: bool
) -> dict[str, Known]:
    """For each name the file that must stay for it: the first intact one, or else the first.

    Names without one are left out, and so are those whose keeper lies in a bucket, which is not looked at.
    """
    groups = {id(names): names for names in going.values() if names}
    wanted = pa.table({"filename": pa.array({name for names in groups.values() for name in names}, pa.string())})
    found = {row["filename"]: row for row in db.arrow("cleaning/known_files", wanted=wanted).to_pylist()}
    chosen: dict[int, Known] = {}
    for key, names in groups.items():
        if any(name in found and not found[name]["is_plain"] for name in names):
            continue
        known = [
            _known(found[name], looked_at=looked_at, seen=seen) if name in found else Known(name, name, _NEVER, _NEVER)
            for name in names
        ]
        chosen[key] = next((one for one in known if len(known) > 1 and cleaner.look_at(one)), known[0])
    return {name: chosen[id(names)] for name, names in going.items() if id(names) in chosen}


def _known(
    row: Mapping[str, Any], *, looked_at: bool, seen: Mapping[str, _State] | None = None, keeper: Known | None = None
) -> Known:
    """A row of cleaning/known_files or dedup/member_files. seen: state by file name, where a plan says it."""
    was_file = looked_at and row["version"].isdigit()
    size, version = (seen or {}).get(row["filename"], (row["file_size"], None))
    version = version if version is not None and version.isdigit() else row["version"]
    return Known(
        filename=row["filename"],
        path=opened_by(row["opened_by"]),
        size=size if was_file else None,
        mtime_ns=int(version) if was_file else None,
        keeper=keeper,
    )


def _looked_at(db: Database) -> bool:
    """Whether the last run saw the files themselves, not only vectors of the user's."""
    return bool((db.row("run/current") or {}).get("data_type") != "embedding")


def mark(frame: pd.DataFrame, work_dir: Path) -> None:
    """Record in the frame which run it belongs to: `clean` refuses it after another run in the work_dir."""
    with duck.connect(work_dir) as db:
        frame.attrs[_RUN] = _run(db)


def marked_as(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The frame with the mark of the one it was made from, if that has one."""
    if _RUN in other.attrs:
        frame.attrs[_RUN] = other.attrs[_RUN]
    return frame


def _run(db: Database) -> str:
    """Identifies the state of the work_dir that a plan was made for."""
    last = db.row("run/current") or {}
    return f"{last.get('run_id')} {last.get('started_at')}"
