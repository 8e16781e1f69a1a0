"""Where the names of annotations and of the user's vectors lie."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from fastdup_db.sources import files, kinds, naming
from fastdup_db.spelling import Spelling, folded


class Finder:
    """Tells where names lie: under the first base that has them, else under the current directory.

    Asks the disk once for a name and place, and not at all in folders that are not there, or in those that have been
    listed because many names were not in them: make a new one for every list of names.
    """

    def __init__(self, bases: Sequence[str]) -> None:
        self._bases = [*bases, os.getcwd()]
        self._joined = [joining(base) for base in self._bases]
        self._spelled = Spelling()
        self._folders: dict[str, _Folder] = {}

    def place(self, name: str) -> str:
        """The absolute path of a name, or its URL; of one that is nowhere, that under the first base.

        A folder keeps the name's ending: `sub` is not `sub/`.
        """
        place, there, mode = self._meant(name)
        return place if "://" in place or stat.S_ISDIR(mode) else self._spelled(place, there=there)

    def file(self, name: str) -> str | None:
        """The absolute path of a name that is a file."""
        place, _, mode = self._meant(name)
        return self._spelled(place) if stat.S_ISREG(mode) else None

    def _meant(self, name: str) -> tuple[str, bool, int]:
        """`_found` of a name as it stands; where nothing is there, of the path that is shown so."""
        found = self._found(name)
        path = name if found[1] else files.shown_path(name)
        return meant if path != name and (meant := self._found(path))[1] else found

    def _found(self, name: str) -> tuple[str, bool, int]:
        """The place of a name, whether anything lies there, and the mode of that; nobody is asked for a URL."""
        if "://" in name:
            return name, False, 0
        if os.path.isabs(name):
            place = os.path.normpath(name)
            if place != name and stat.S_ISDIR((state := _state(name))[1]):
                return name, *state
            return place, *self._state_in_folder(place)
        first: tuple[str, bool, int] | None = None
        for base, joined in zip(self._bases, self._joined, strict=True):
            place = joined(name)
            there, mode = self._state_in_folder(place)
            if mode:
                return os.path.join(base, name) if stat.S_ISDIR(mode) else place, there, mode
            first = first or (place, there, mode)
        assert first is not None
        return first

    def _state_in_folder(self, place: str) -> tuple[bool, int]:
        cut = place.rfind(os.sep) + 1
        folder = place[:cut]
        if folder not in self._folders:
            self._folders[folder] = _Folder(folder, names=None if os.path.isdir(folder) else frozenset())
        return self._folders[folder].state(place, name=place[cut:])


@dataclass(slots=True)
class _Folder:
    """A folder that names are looked for in. names: all that it holds, by what they fold to, None while not known.

    Once 256 names were not in it, it is listed unless it holds more than 16 times as many: that costs less than to ask
    for the others one by one, over a network by far. Of a larger one that is tried again after 16 times as many.
    """

    path: str
    names: frozenset[str] | None = None
    _missed: int = 0
    _listed_after: int = 256

    def state(self, place: str, *, name: str) -> tuple[bool, int]:
        """`_state` of a place in it."""
        if self.names is not None and name and folded(name) not in self.names:
            return False, 0
        there, mode = _state(place)
        self._missed += not there
        if self.names is None and self._missed == self._listed_after:
            self._listed_after *= 16
            self.names = _listed(self.path, most=self._listed_after)
        return there, mode


def _listed(folder: str, *, most: int) -> frozenset[str] | None:
    """What the names in a folder fold to; None where there are more than `most` or they cannot be told."""
    try:
        with os.scandir(folder) as entries:
            names = [folded(entry.name) for entry in islice(entries, most + 1)]
    except OSError:
        return None
    return frozenset(names) if len(names) <= most else None


def _state(path: str) -> tuple[bool, int]:
    """Whether anything lies at a path, and the mode of what it leads to: 0 for a broken link."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):  # ValueError: a NUL
        return False, 0
    try:
        return True, os.stat(path).st_mode if stat.S_ISLNK(mode) else mode
    except OSError:
        return True, 0


def joining(base: str) -> Callable[[str], str]:
    """What gives the place of a relative name under a base."""
    if "://" in base:
        return lambda name: kinds.joined(base, name)
    if naming.WINDOWS:  # where `C:a` is relative
        return lambda name: os.path.normpath(os.path.join(base, name))
    prefix = os.path.join(base, "")  # what `join` puts before a relative name, in a fifth of its time
    return lambda name: os.path.normpath(prefix + name)
