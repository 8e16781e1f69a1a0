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
from fastdup_db.spelling import Spelling

PLANNED, MOVED, DELETED, RESTORED = "planned", "moved", "deleted", "restored"
MISSING, CHANGED, NOT_A_FILE, SHARED = "missing", "changed since the run", "not a file", "is also a kept image"
UNKEPT = "the image to keep is missing or changed"
IN_PLACE, OCCUPIED, GONE, FAILED = "in place", "another file is there", "gone", "failed"


@dataclass(frozen=True, slots=True)
class Known:
    """A file of a run: what users call it, its absolute path, and its size (bytes) and time when it was listed.

    size and mtime_ns are None where the run did not look at the file (embeddings brought by the user).
    keeper: the file that is kept in its place; None where the plan names none.
    """

    filename: str
    path: str
    size: int | None = None
    mtime_ns: int | None = None
    keeper: Known | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One file and what is to be, or was, done with it. `target`: where it goes or went, empty if nowhere.

    kept: the path of the file that is kept in its place, empty if none, and what that is like.
    """

    filename: str
    path: str
    status: str
    size: int = -1
    mtime_ns: int = -1
    target: str = ""
    kept: str = ""
    kept_size: int = -1
    kept_mtime_ns: int = -1


def plan(known: Iterable[Known], *, kept: Iterable[str] = ()) -> list[Step]:
    """One step per distinct file, in order: PLANNED where it can be taken away, else why not. Nothing is touched.

    kept: paths that stay. A planned file that is one of them under another name (a folder reached through a link, the
    file a link points to) is SHARED: taking it away would take the kept one. One whose keeper is missing, changed or
    planned to go as well is UNKEPT.
    """
    spelled = Spelling()
    staying = {p for path in kept for p in _places(path, spelled=spelled)}
    steps: dict[str, tuple[Step, Known | None]] = {}
    for one in known:
        place = files.place(one.path, spelled=spelled)
        if place not in steps:
            steps[place] = _looked_at(one, is_kept=place in staying), one.keeper
    leaving = {place for place, (step, _) in steps.items() if step.status == PLANNED}
    keepers = {keeper for _, keeper in steps.values() if keeper is not None}
    whole = _whole(keepers, leaving=leaving, spelled=spelled)
    return [_guarded(step, keeper, whole=whole) for step, keeper in steps.values()]


def look_at(one: Known) -> os.stat_result | None:
    """The state of a file that is there, holds something and is as it was listed; else None."""
    try:
        status = os.stat(one.path)
    except (OSError, ValueError):
        return None
    is_file = stat.S_ISREG(status.st_mode) and status.st_size > 0
    return status if is_file and not _is_other(one, status) else None


def quarantine(steps: Sequence[Step], *, folder: Path) -> list[Step]:
    """Move the planned files into `folder`/files; the manifest is on disk before the first move.

    A file that cannot be moved stays and is FAILED or CHANGED; one whose keeper has gone since the plan is UNKEPT.
    Raises BadArgument where `folder` is not new.
    """
    folder = Path(os.path.abspath(folder))
    moves = _moves(steps)
    manifest.write(folder, list(moves.values()), action="quarantine")
    done = _all_carried_out(steps, moves, folder=folder, do=_quarantine_one)
    files.sync_folder(folder / manifest.FILES)
    return done


def delete(steps: Sequence[Step], *, folder: Path) -> list[Step]:
    """Remove the planned files for good. `folder` gets the manifest of what was removed; this cannot be undone."""
    folder = Path(os.path.abspath(folder))
    moves = _moves(steps)
    manifest.write(folder, list(moves.values()), action="delete")
    return _all_carried_out(steps, moves, folder=folder, do=_delete_one)


def resume(folder: Path) -> list[Step]:
    """Carry on a clean-up that was killed. What is done already stays done; files that changed meanwhile stay.

    So do files whose keeper has gone or changed meanwhile.
    """
    folder = Path(os.path.abspath(folder))
    action, moves = manifest.read(folder)
    do = _quarantine_one if action == "quarantine" else _delete_one
    by_path = {move.source: move for move in moves}
    return _all_carried_out([_step(move) for move in moves], by_path, folder=folder, do=do)


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
    if is_kept:
        return replace(step, status=SHARED)
    return replace(step, status=CHANGED) if _is_other(one, status) else step


def _is_other(one: Known, status: os.stat_result) -> bool:
    seen = (one.size, one.mtime_ns)
    return None not in seen and seen != (status.st_size, status.st_mtime_ns)


def _places(path: str, *, spelled: Spelling) -> tuple[str, str]:
    """The directory entry that a path names, and the one that it leads to."""
    return files.place(path, spelled=spelled), spelled(os.path.realpath(path))


def _whole(keepers: Iterable[Known], *, leaving: set[str], spelled: Spelling) -> dict[Known, os.stat_result]:
    """The state of the keepers that stay and are whole; one that leads to a file that goes does not stay."""
    found = {}
    for keeper in keepers:
        if leaving.isdisjoint(_places(keeper.path, spelled=spelled)):
            status = look_at(keeper)
            if status is not None:
                found[keeper] = status
    return found


def _guarded(step: Step, keeper: Known | None, *, whole: dict[Known, os.stat_result]) -> Step:
    if keeper is None or step.status != PLANNED:
        return step
    if keeper not in whole:
        return replace(step, status=UNKEPT)
    status = whole[keeper]
    return replace(step, kept=keeper.path, kept_size=status.st_size, kept_mtime_ns=status.st_mtime_ns)


def _moves(steps: Sequence[Step]) -> dict[str, Move]:
    planned = [step for step in steps if step.status == PLANNED]
    return {
        step.path: Move(
            step.path,
            f"{manifest.FILES}/{number:08d}{_suffix(step.path)}",
            step.size,
            step.mtime_ns,
            step.kept,
            step.kept_size,
            step.kept_mtime_ns,
        )
        for number, step in enumerate(planned)
    }


def _suffix(path: str) -> str:
    suffix = os.path.splitext(path)[1]
    return suffix if suffix.isascii() and len(suffix) <= 16 else ""


def _step(move: Move) -> Step:
    return Step(move.source, move.source, PLANNED, move.size, move.mtime_ns)


def _all_carried_out(
    steps: Sequence[Step], moves: dict[str, Move], *, folder: Path, do: Callable[[Move, Path], tuple[str, str]]
) -> list[Step]:
    """What became of each step, in their order. Links go before what they may lead to: after it they would lead
    nowhere, and could not be told from changed ones."""
    done: dict[int, Step] = {}
    for number in sorted(range(len(steps)), key=lambda n: files.links_on(steps[n].path), reverse=True):
        done[number] = _carried_out(steps[number], moves, folder=folder, do=do)
    return [done[number] for number in range(len(steps))]


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
    files.forget_part(target)
    if not os.path.lexists(move.source):
        return (MOVED, target) if os.path.lexists(target) else (MISSING, "")
    if os.path.lexists(target):
        return (MOVED, target) if files.finish(move.source, target) else (CHANGED, "")
    if not _is_unchanged(move):
        return CHANGED, ""
    if not _is_kept(move):
        return UNKEPT, ""
    files.move(move.source, target)
    return MOVED, target


def _delete_one(move: Move, folder: Path) -> tuple[str, str]:
    if not os.path.lexists(move.source):
        return DELETED, ""
    if not _is_unchanged(move):
        return CHANGED, ""
    if not _is_kept(move):
        return UNKEPT, ""
    os.unlink(move.source)
    return DELETED, ""


def _is_unchanged(move: Move) -> bool:
    status = os.stat(move.source)
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (move.size, move.mtime_ns)


def _is_kept(move: Move) -> bool:
    keeper = Known(move.kept, move.kept, move.kept_size, move.kept_mtime_ns)
    return not move.kept or (look_at(keeper) is not None and not files.is_entry_of(move.source, move.kept))


def _restored(move: Move, *, folder: Path) -> Step:
    step, target = _step(move), str(folder / move.target)
    try:
        for place in (move.source, target):
            files.forget_part(place)
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
