"""Opening archives and videos, wherever they lie."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from fastdup_db import errors
from fastdup_db.errors import ImageError
from fastdup_db.sources import files
from fastdup_db.sources.kinds import is_remote


@contextmanager
def open_container(container: str) -> Iterator[tuple[BinaryIO, str]]:
    """An archive or video as `(seekable binary file, version)`; version changes when its content does.

    container: a path, a `file://` URL of a path that is no UTF-8, or an object's URL (read by ranges).
    Raises OSError when it cannot be opened.
    """
    file, version = open_binary(container)
    with file:
        yield file, version


def open_binary(container: str) -> tuple[BinaryIO, str]:
    """Like `open_container`, but the caller closes the file."""
    if is_remote(container):
        from fastdup_db.sources import objects

        return objects.open_object(container)
    path = files.opened_by(container)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # asked before opening: a pipe would wait for its writer
        raise PermissionError(f"{path}: not a regular file")
    return open(path, "rb"), str(status.st_mtime_ns)


def read_at(container: str, offset: int, length: int) -> bytes:
    """Up to `length` bytes at `offset`, fewer at the end; no shared file position, so any thread may call it.

    Raises `ImageError`: missing or unreadable.
    """
    if is_remote(container):
        from fastdup_db.sources import objects

        return objects.read_at(container, offset, length)
    try:
        with open(files.opened_by(container), "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(length)
    except (OSError, ValueError) as exc:
        raise ImageError(files.code_of(exc), f"{container}: {exc}") from exc


def code_of(exc: BaseException) -> str:
    """The code of a container that failed: absent, refused, or (anything else) damaged."""
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return errors.MISSING_FILE
    if isinstance(exc, PermissionError | IsADirectoryError):
        return errors.UNREADABLE_FILE
    return errors.CORRUPT_CONTAINER
