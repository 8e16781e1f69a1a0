"""Moves one file without ever overwriting anything or losing a byte, even when interrupted."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from fastdup_db.spelling import Spelling

PART = ".part"
"""Ends the name of a copy that is not yet complete."""

# what a filesystem without hard links answers
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_WINDOWS = os.name == "nt"


def move(source: str, target: str) -> None:
    """Move a file (or a symbolic link, as a link). Raises FileExistsError where there is something at `target`.

    A new name is made before the old one goes (`rename` would silently replace what lies at the target, but on Windows,
    where it refuses): a kill in between leaves one file under two names, which `finish` mends. To another filesystem
    the bytes are copied under a temporary name, forced to disk and named at once; only then is the source removed.
    """
    try:
        _rename(source, target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        _copy(source, target)
        _leave(source, target)


def links_on(path: str) -> int:
    """How many links lie on the way from a path to the file itself: 0 of a file, 2 of a link to a link."""
    seen: set[str] = set()
    while path not in seen and os.path.islink(path):
        seen.add(path)
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return len(seen)


def part_of(target: str) -> str:
    """The name of the copy on its way to `target`: one that no file of a user's has, in the folder of a user's files as
    well, and short, however long the name of the target is."""
    folder, name = os.path.split(target)
    digest = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return os.path.join(folder, f".fastdup-{digest}{PART}")


def forget_part(target: str) -> None:
    """Remove the copy that a killed `move` to `target` has left."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(part_of(target))


def finish(source: str, target: str) -> bool:
    """Whether both names hold the same file, left by a killed `move`; then the name `source` is removed."""
    if not is_same(source, target):
        return False
    os.unlink(source)
    return True


def is_same(first: str, second: str) -> bool:
    """Whether two paths are one file, or files of equal bytes."""
    one, other = os.lstat(first), os.lstat(second)
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return True
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(first) == os.readlink(second)
    return stat.S_ISREG(one.st_mode) and filecmp.cmp(first, second, shallow=False)


def place(path: str, *, spelled: Spelling) -> str:
    """A unique path for a directory entry, however it is spelled: links in its parent folders are resolved, the entry
    itself is not."""
    folder, name = os.path.split(os.path.abspath(path))
    return spelled(os.path.join(os.path.realpath(folder), name))


def is_entry_of(path: str, other: str) -> bool:
    """Whether taking `path` away would take what `other` leads to: the same file, which has no second name."""
    try:
        entry = os.lstat(path)
        return entry.st_nlink == 1 and os.path.samestat(entry, os.stat(other))
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk; Windows, which opens no folders, does it in its own time."""
    if _WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(source: str, target: str) -> None:
    """`move` within a filesystem; raises OSError with EXDEV where there are two."""
    if _WINDOWS:
        os.rename(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from exc
        os.rename(source, target)
        return
    _leave(source, target)


def _leave(source: str, target: str) -> None:
    """Remove the old name; in a folder where that is refused it stays the only one."""
    try:
        os.unlink(source)
    except OSError:
        if os.path.lexists(source):
            os.unlink(target)
        raise


def _copy(source: str, target: str) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    forget_part(target)
    before, part = _state(source), part_of(target)
    try:
        _write_copy(source, part)
        if _state(source) != before:
            raise OSError(errno.EBUSY, "it changed while it was copied", source)
        _rename(part, target)
    except BaseException:
        forget_part(target)  # on a full disk it would be in the way
        raise
    sync_folder(Path(target).parent)


def _write_copy(source: str, part: str) -> None:
    shutil.copyfile(source, part, follow_symlinks=False)
    if os.path.islink(part):
        shutil.copystat(source, part, follow_symlinks=False)
        return
    with open(part, "r+b") as file:  # Windows syncs what is open for writing; the mode may forbid that afterwards
        shutil.copystat(source, part)
        os.fsync(file.fileno())


def _state(path: str) -> tuple[int, ...]:
    status = os.lstat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
