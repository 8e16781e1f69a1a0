"""Names on disks that take several spellings for one file: in other case (macOS, Windows), in another Unicode form
(macOS)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from unicodedata import normalize


@dataclass(slots=True)
class Spelling:
    """Tells how the disk itself spells a path.

    Remembers the folders that it has looked into, so that many names of one folder cost little: make a new one for
    every listing.
    """

    _folders: dict[str, _Folder] = field(default_factory=dict)

    def __call__(self, path: str, *, there: bool = True) -> str:
        """An absolute path with every name as its folder has it.

        Unchanged on disks that tell spellings apart, and from the first name on that is not there. there: False where
        the caller knows that nothing lies at the path, so that the disk need not be asked.
        """
        folder, name = os.path.split(path)
        if not name:
            return path
        if folder not in self._folders:
            self._folders[folder] = _Folder(self(folder))
        return self._folders[folder].spelled(name, there=there)


def real(path: str) -> str:
    """`os.path.realpath`, as the disk spells it: two paths of one folder are equal texts."""
    return Spelling()(os.path.realpath(path))


@dataclass(slots=True)
class _Folder:
    """A folder, whether it takes other spellings (None: not known yet), and its names by what they fold to."""

    path: str
    folds: bool | None = None
    names: dict[str, str] = field(default_factory=dict)

    def spelled(self, name: str, *, there: bool) -> str:
        path = os.path.join(self.path, name)
        if self.folds is None and there:
            self._try(path, name)
        if not self.names:
            return path
        return os.path.join(self.path, self.names.get(name) or self.names.get(folded(name), name))

    def _try(self, path: str, name: str) -> None:
        others = {name.swapcase(), normalize("NFC", name), normalize("NFD", name)} - {name}
        if not others or not os.path.lexists(path):
            return
        self.folds = any(_is_one_entry(path, os.path.join(self.path, other)) for other in others)
        if self.folds:
            self.names = _names(self.path)


def _names(folder: str) -> dict[str, str]:
    """The names in a folder, by themselves and by what they fold to; none where it cannot be listed."""
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    return {folded(name): name for name in names} | {name: name for name in names}


def folded(name: str) -> str:
    """The same text for all spellings of a name or path on such a disk."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _is_one_entry(path: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.lstat(other))
    except (OSError, ValueError):
        return False
