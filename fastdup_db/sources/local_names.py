"""What the objects of a bucket are called as files of a folder."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastdup_db.errors import BadInput
from fastdup_db.spelling import folded

_WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = re.compile(r'[\x00-\x1f<>:"|?*\\]|[. ](?=[. ]*\Z)')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?= *(\.|\Z))", re.IGNORECASE)
"""What a file there cannot be called, and names that mean a device whatever their ending: Microsoft's "Naming Files,
Paths, and Namespaces"."""


@dataclass(frozen=True, slots=True)
class Names:
    """The path of each object below a prefix. taken: the object that has a path, by how the disk tells paths apart, and
    of a folder its path with a slash."""

    prefix: str
    folds_case: bool
    taken: dict[str, str] = field(default_factory=dict)

    def of(self, uri: str) -> str:
        """Its `local_name`, with a digest of the URL where another object has that path, and one in a folder's name
        where that is an object's: to a bucket `a.jpg` and `a.jpg/b.jpg` are two keys. They come in this order."""
        plain = self._below_folders(local_name(uri.removeprefix(self.prefix)))
        if self.taken.setdefault(self.on_disk(plain), uri) == uri:
            return plain
        return _with_digest(plain, of=uri)

    def keep(self, path: str, *, uri: str) -> None:
        """An object has this path already, and its folders theirs."""
        self.taken[self.on_disk(path)] = uri
        for folder in _folders(path):
            self.taken.setdefault(self.on_disk(folder), folder + "/")

    def _below_folders(self, path: str) -> str:
        for folder in _folders(path):
            if not self.taken.get(self.on_disk(folder), "/").endswith("/"):
                other = _with_digest(folder, of=f"{self.prefix}{folder}/")
                return self._below_folders(other + path[len(folder) :])
        return path

    def on_disk(self, path: str) -> str:
        """The same for paths that mean one file."""
        return folded(path) if self.folds_case else path


def local_name(inner: str) -> str:
    """A key as a relative path that stays inside the folder: `..`, `.` and empty parts are spelt out.

    So is, on Windows, what no file there can be called: backslashes, colons, names of devices, …
    """
    return "/".join(map(_part, inner.split("/")))


def _folders(path: str) -> Iterator[str]:
    return (path[: slash.start()] for slash in re.finditer("/", path))


def _with_digest(path: str, *, of: str) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, ending = name.partition(".")  # keeps `.tar.gz` whole
    return f"{folder}{slash}{stem}-{hashlib.sha256(of.encode()).hexdigest()[:16]}{dot}{ending}"


def below(home: Path, inner: str) -> Path:
    """The path in the folder. Raises `BadInput` where it would lie elsewhere."""
    target = home / inner
    if not Path(os.path.abspath(target)).is_relative_to(os.path.abspath(home)):
        raise BadInput(f"the name {inner!r} of an object leads out of {home}")
    return target


def folds_case(folder: Path) -> bool:
    """Whether A.jpg and a.jpg are one file in the folder."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".fastdup_db_case_") as probe:
        return (folder / Path(probe.name).name.upper()).exists()


def _part(name: str) -> str:
    name = {"": "%", ".": "%2E", "..": "%2E%2E"}.get(name, name)
    if not _WINDOWS:
        return name
    name = _NOT_ON_WINDOWS.sub(lambda found: f"%{ord(found[0]):02X}", name)
    return f"%{ord(name[0]):02X}{name[1:]}" if _DEVICE.match(name) else name
