"""Quarantine, delete, resume, undo: each returns what became of every file.

steps = plan(known)                        # nothing is touched
steps = quarantine(steps, folder=folder)   # manifest first, then the moves
undo(folder)                               # byte for byte, whenever the above was interrupted
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastdup_db.cleaning import files, manifest
from fastdup_db.cleaning.manifest import Move
from fastdup_db.errors import BadArgument

PLANNED, MOVED, DELETED, RESTORED = "planned", "moved", "deleted", "restored"
MISSING, CHANGED, NOT_A_FILE, SHARED = "missing", "changed since the run", "not a file", "is also a kept image"
IN_PLACE, OCCUPIED, GONE, FAILED = "in place", "another file is there", "gone", "failed"
STATUSES = (
    *(PLANNED, MOVED, DELETED, RESTORED, MISSING, CHANGED, NOT_A_FILE, SHARED, IN_PLACE, OCCUPIED, GONE, FAILED),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A file of a run: what users call it, its absolute path, and its size (bytes) and time when it was listed.

    size and mtime_ns are None where the run did not look at the file (embeddings brought by the user).
    """

    filename: str
    path: str
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One file and what is to be, or was, done with it. `target`: where it goes or went, empty if nowhere."""

    filename: str
    path: str
    status: str
    size: int = -1
    mtime_ns: int = -1
    target: str = ""


def plan(known: Iterable[Known], *, kept: Iterable[str] = ()) -> list[Step]:
    """One step per distinct file, in order: PLANNED where it can be taken away, else why not. Nothing is touched.

    kept: paths that stay. A planned file that is one of them under another name (a folder reached through a link, the
    file a link points to) is SHARED: taking it away would take the kept one.
    """
    staying = {p for path in kept for p in (files.place(path), os.path.realpath(path))}
    steps: dict[str, Step] = {}
    for one in known:
        place = files.place(one.path)
        if place not in steps:
            steps[place] = _looked_at(one, is_kept=place in staying)
    return list(steps.values())


def quarantine(steps: Sequence[Step], *, folder: Path) -> list[Step]:
    """Move the planned files into `folder`/files; the manifest is on disk before the first move.

    A file that cannot be moved stays and is FAILED or CHANGED. Raises BadArgument where `folder` holds a clean-up.
    """
    folder = Path(os.path.abspath(folder))
    moves = _moves(steps)
    manifest.write(folder, list(moves.values()), action="quarantine")
    done = [_carried_out(step, moves, folder=folder, do=_quarantine_one) for step in steps]
    files.sync_folder(folder / manifest.FILES)
    return done


def delete(steps: Sequence[Step], *, folder: Path) -> list[Step]:
    """Remove the planned files for good. `folder` gets the manifest of what was removed; this cannot be undone."""
    folder = Path(os.path.abspath(folder))
    moves = _moves(steps)
    manifest.write(folder, list(moves.values()), action="delete")
    return [_carried_out(step, moves, folder=folder, do=_delete_one) for step in steps]


def resume(folder: Path) -> list[Step]:
    """Carry on a clean-up that was killed. What is done already stays done; files that changed meanwhile stay."""
    folder = Path(os.path.abspath(folder))
    action, moves = manifest.read(folder)
    do = _quarantine_one if action == "quarantine" else _delete_one
    by_path = {move.source: move for move in moves}
    return [_carried_out(_step(move), by_path, folder=folder, do=do) for move in moves]


def undo(folder: Path) -> list[Step]:
    """Move every file of a quarantine back where it was. May be called again after a kill, and after a killed clean-up.

    A place that another file has taken meanwhile is OCCUPIED: both files stay as they are.
    Raises BadArgument for a clean-up that deleted.
    """
    folder = Path(os.path.abspath(folder))
    action, moves = manifest.read(folder)
    if action != "quarantine":
        raise BadArgument(f"the files named in {folder / manifest.NAME} were deleted; that cannot be undone")
    return [_restored(move, folder=folder) for move in moves]


def _looked_at(one: Known, *, is_kept: bool) -> Step:
    try:
        status = os.stat(one.path)
    except (OSError, ValueError):
        return Step(one.filename, one.path, MISSING)
    if not stat.S_ISREG(status.st_mode):
        return Step(one.filename, one.path, NOT_A_FILE)
    step = Step(one.filename, one.path, PLANNED, status.st_size, status.st_mtime_ns)
    seen = (one.size, one.mtime_ns)
    if is_kept:
        return replace(step, status=SHARED)
    if None not in seen and seen != (status.st_size, status.st_mtime_ns):
        return replace(step, status=CHANGED)
    return step


def _moves(steps: Sequence[Step]) -> dict[str, Move]:
    planned = [step for step in steps if step.status == PLANNED]
    return {
        step.path: Move(step.path, f"{manifest.FILES}/{number:08d}{_suffix(step.path)}", step.size, step.mtime_ns)
        for number, step in enumerate(planned)
    }


def _suffix(path: str) -> str:
    suffix = os.path.splitext(path)[1]
    return suffix if suffix.isascii() and len(suffix) <= 16 else ""


def _step(move: Move) -> Step:
    return Step(move.source, move.source, PLANNED, move.size, move.mtime_ns)


def _carried_out(
    step: Step, moves: dict[str, Move], *, folder: Path, do: Callable[[Move, Path], tuple[str, str]]
) -> Step:
    if step.status != PLANNED:
        return step
    try:
        status, target = do(moves[step.path], folder)
    except OSError as exc:
        return replace(step, status=f"{FAILED}: {exc.strerror}")
    return replace(step, status=status, target=target)


def _quarantine_one(move: Move, folder: Path) -> tuple[str, str]:
    target = str(folder / move.target)
    if not os.path.lexists(move.source):
        return (MOVED, target) if os.path.lexists(target) else (MISSING, "")
    if os.path.lexists(target):
        return (MOVED, target) if files.finish(move.source, target) else (CHANGED, "")
    if not _is_unchanged(move):
        return CHANGED, ""
    files.move(move.source, target)
    return MOVED, target


def _delete_one(move: Move, folder: Path) -> tuple[str, str]:
    if not os.path.lexists(move.source):
        return DELETED, ""
    if not _is_unchanged(move):
        return CHANGED, ""
    os.unlink(move.source)
    return DELETED, ""


def _is_unchanged(move: Move) -> bool:
    status = os.stat(move.source)
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (move.size, move.mtime_ns)


def _restored(move: Move, *, folder: Path) -> Step:
    step, target = _step(move), str(folder / move.target)
    try:
        if not os.path.lexists(target):
            return replace(step, status=IN_PLACE if os.path.lexists(move.source) else GONE)
        if os.path.lexists(move.source):
            done = files.finish(target, move.source)
            return replace(step, status=RESTORED if done else OCCUPIED, target="" if done else target)
        os.makedirs(os.path.dirname(move.source), exist_ok=True)
        files.move(target, move.source)
    except OSError as exc:
        return replace(step, status=f"{FAILED}: {exc.strerror}", target=target)
    return replace(step, status=RESTORED)
