"""From the name of one image back to where it lies, when nothing but the name is known."""

from __future__ import annotations

import os
import re

from fastdup_db import errors
from fastdup_db.sources import files, kinds
from fastdup_db.sources.reference import Reference

_TIME = "#t="
WINDOWS = os.name == "nt"


def named(name: str) -> Reference:
    """The reference of a name as listings give it: of a file, an object, an archive's member or a video's frame.

    Archives are walked up to the member. A name of nothing that is there is ERROR_MISSING_FILE; `RemoteError` as for
    listings.
    """
    name = name if kinds.is_remote(name) else os.path.abspath(name)
    path = _path(name)
    if path:
        return _reference(path)
    head, _, time = name.rpartition(_TIME)
    video = _path(head) if kinds.kind_of(head) == kinds.VIDEO else ""
    if video and time.replace(".", "", 1).isdecimal():
        return Reference(name, container=files.stored(video), frame_ms=round(float(time) * 1000))
    member = next(filter(None, map(_member, reversed(spellings(name)))), None)
    return Reference(name, error_code=errors.MISSING_FILE) if member is None else member


def spellings(path: str) -> list[str]:
    """A path, and what listings call it if a name in it is an archive's: on Windows `\\` separates folders and `/` what
    lies in an archive, and `os.path` turns the one into the other."""
    if not WINDOWS or kinds.is_remote(path):
        return [path]
    ends = [found.start() for found in re.finditer(r"[/\\]", path)]
    inside = (path[:end] + path[end:].replace("\\", "/") for end in ends if kinds.kind_of(path[:end]) == kinds.ARCHIVE)
    return [path, *inside]


def _member(name: str) -> Reference | None:
    from fastdup_db.sources import archives

    end = name.find("/", 1)
    while end >= 0:
        archive = _path(name[:end]) if kinds.kind_of(name[:end]) == kinds.ARCHIVE else ""
        if archive and (kinds.is_remote(archive) or not os.path.isdir(archive)):
            return next((r for r in archives.references(files.stored(archive)) if r.filename == name), None)
        end = name.find("/", end + 1)
    return None


def _path(name: str) -> str:
    """The file or object that a name means as it stands or as it is shown; empty when there is none."""
    if kinds.is_remote(name):
        from fastdup_db.sources import objects

        return name if name and objects.exists(name) else ""
    return next((path for path in (name, files.shown_path(name)) if files.exists(path)), "")


def _reference(path: str) -> Reference:
    if kinds.is_remote(path):
        from fastdup_db.sources import objects

        return objects.reference(path)
    return files.reference(path)
