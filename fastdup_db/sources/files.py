"""Local files: how a name is shown, what `stat` says, how bytes are read."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from urllib.parse import quote_from_bytes, unquote_to_bytes

from fastdup_db import errors
from fastdup_db.errors import ImageError
from fastdup_db.sources.reference import Reference

MAX_ENCODED_BYTES = 1 << 29
"""An encoded image larger than this (512 MiB) is not read into memory, nor inflated: ERROR_IMAGE_TOO_LARGE."""

_URL = "file://"
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_LITERAL = re.compile(r"\\(?=x[0-9a-f]{2})")
_WINDOWS = os.name == "nt"


def shown(path: str) -> str:
    """A path as it can be stored and printed: bytes that are no UTF-8 appear as `\\xNN`.

    A backslash that happens to begin such a sequence appears as `\\x5c`, so that no two paths are shown alike; not on
    Windows, where it separates folders and names are text.
    """
    if "\\x" in path and not _WINDOWS:
        path = _LITERAL.sub(r"\\x5c", path)
    return escaped(path)


def escaped(name: str) -> str:
    """A name as a user has it, typed or copied from where it was `shown`: bytes that are no UTF-8 as `\\xNN`."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def shown_path(name: str) -> str:
    """The path that `shown` was given."""
    if _WINDOWS or "\\x" not in name:
        return name
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(name)))


def stored(path: str) -> str:
    """A path as text that leads back to it: itself when it is shown as it is, else a percent-encoded `file://` URL."""
    return path if shown(path) == path else _url(path)


def stored_line(path: str) -> str:
    """`stored`, always in one line."""
    return _url(path) if "\n" in path else stored(path)


def _url(path: str) -> str:
    return _URL + quote_from_bytes(os.fsencode(path))


def opened_by(text: str) -> str:
    """The path that `stored` or `stored_line` was given."""
    return os.fsdecode(unquote_to_bytes(text[len(_URL) :])) if text.startswith(_URL) else text


def reference(path: str) -> Reference:
    """The reference of a local file at an absolute path; one that is gone or no regular file carries its code.

    Where the name is shown with `\\xNN`, `member` holds what `opened_by` turns into the true path.
    """
    name, text = shown(path), stored(path)
    member = text if text != name else ""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as exc:
        return Reference(name, member=member, error_code=code_of(exc))
    if not stat.S_ISREG(status.st_mode):
        return Reference(name, member=member, error_code=errors.UNREADABLE_FILE)
    return Reference(name, member=member, file_size=status.st_size, version=str(status.st_mtime_ns))


def exists(path: str) -> bool:
    """Whether anything lies at a path, a broken link included."""
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL
        return False


def read(path: str) -> bytes:
    """All bytes of a regular file.

    Raises `ImageError`: missing, unreadable (no permission, a folder, a pipe), zero size, or too large to read.
    """
    try:
        # O_NONBLOCK: opening a named pipe that happens to be called x.jpg must not wait for a writer
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with io.FileIO(descriptor, closefd=True) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(errors.UNREADABLE_FILE, f"{path}: not a regular file")
            if status.st_size > MAX_ENCODED_BYTES:
                raise ImageError(errors.IMAGE_TOO_LARGE, f"{path}: {status.st_size} bytes")
            data = file.readall()
    except (OSError, ValueError) as exc:
        raise ImageError(code_of(exc), f"{path}: {exc}") from exc
    if not data:
        raise ImageError(errors.ZERO_SIZE_FILE, path)
    return data


def code_of(exc: OSError | ValueError) -> str:
    """The error code of a file that could not be opened or stat'ed."""
    # ValueError is how Python refuses a NUL inside a path: no such file can exist
    absent = isinstance(exc, ValueError) or exc.errno in _ABSENT
    return errors.MISSING_FILE if absent else errors.UNREADABLE_FILE
