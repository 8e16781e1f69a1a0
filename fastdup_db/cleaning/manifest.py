"""The list of what a clean-up moves where: on disk, complete, before the first file is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastdup_db.cleaning.files import PART, sync_folder
from fastdup_db.errors import BadArgument

NAME = "manifest.jsonl"
FILES = "files"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Move:
    """One file: its absolute path, its new name below the quarantine folder, and what it was like.

    size in bytes and mtime_ns as of the plan: a file that has another size or time by then is another file.
    kept: the path of the file that is kept in its place, with the same said of it; empty where there is none.
    """

    source: str
    target: str
    size: int
    mtime_ns: int
    kept: str = ""
    kept_size: int = -1
    kept_mtime_ns: int = -1


def write(folder: Path, moves: Sequence[Move], *, action: str) -> Path:
    """Write and force to disk the manifest of a new quarantine folder. Raises BadArgument where `folder` is not new.

    JSON lines: a header, then one line per move. Names that are no UTF-8 survive, as Python's surrogates.
    """
    check_new(folder)
    path = folder / NAME
    (folder / FILES).mkdir(parents=True, exist_ok=True)
    header = {"version": VERSION, "action": action, "created_at": datetime.now(UTC).isoformat(), "files": len(moves)}
    part = folder / (NAME + PART)
    with part.open("w", encoding="ascii") as file:
        for line in (header, *(asdict(move) for move in moves)):
            file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for made in (folder / FILES, folder, folder.parent):
        sync_folder(made)
    return path


def check_new(folder: Path) -> None:
    """Raises BadArgument unless there is nothing at `folder`, or an empty folder.

    What a clean-up leaves that was killed before its manifest was complete counts as nothing.
    """
    if (folder / NAME).exists():
        raise BadArgument(f"{folder} holds a clean-up already: resume it, undo it, or give another folder")
    if not os.path.lexists(folder):
        return
    allowed = f"{folder} is not new; allowed: a folder that does not exist yet, or an empty one"
    if not folder.is_dir():
        raise BadArgument(allowed)
    names = set(os.listdir(folder))
    holds_files = FILES in names and (not (folder / FILES).is_dir() or os.listdir(folder / FILES))
    if holds_files or names - {FILES, NAME + PART}:
        raise BadArgument(allowed)


def read(folder: Path) -> tuple[str, list[Move]]:
    """The action ('quarantine' or 'delete') and the moves of a clean-up. Raises BadArgument where it is none."""
    path = folder / NAME
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
        header, moves = lines[0], [Move(**line) for line in lines[1:]]
        complete = header["version"] == VERSION and header["files"] == len(moves)
    except FileNotFoundError as exc:
        raise BadArgument(f"{folder} holds no clean-up: there is no {NAME}") from exc
    except (ValueError, TypeError, KeyError, IndexError) as exc:
        raise BadArgument(f"{path} is no manifest of a clean-up: {exc}") from exc
    if not complete:
        raise BadArgument(f"{path} is of another version or cut short")
    inside = folder.resolve()
    for move in moves:
        if not (inside / move.target).is_relative_to(inside) or ".." in Path(move.target).parts:
            raise BadArgument(f"{path} names {move.target!r}, which lies outside of {folder}")
    return str(header["action"]), moves
