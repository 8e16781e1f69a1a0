"""List files: one image, folder, archive or URL a row."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TextIO

from fastdup_db import encodings
from fastdup_db.errors import ZERO_SIZE_FILE, BadInput, ImageError
from fastdup_db.sources import files
from fastdup_db.sources.kinds import is_remote

HEADER = "filename"
_SEPARATORS = ",;\t"
_SNIFFED_BYTES = 4096


def rows(path: str, *, text: str | None = None) -> Iterator[str]:
    """The entries of a list file, in its order, streamed; blank lines are passed over.

    Text: each line is one name, taken as it stands (spaces, commas and quotes belong to it; but see `resolve`). CSV:
    the same, but a line in double quotes is unquoted; when the first row has a column `filename`, in any case, that
    column of a proper CSV separated by commas, semicolons or tabs (quoted fields may hold these, and newlines).
    UTF-8, or UTF-16 with its byte order mark; bytes that are no UTF-8 survive as surrogate escapes.

    text: the content, when it came from elsewhere (a bucket). Raises OSError when the file cannot be read, BadInput for
    a CSV whose quotes do not close.
    """
    is_csv = path.lower().endswith(".csv")
    try:
        if text is not None:
            yield from _rows(io.StringIO(text, newline=""), is_csv=is_csv)
            return
        with open(path, "rb") as data:
            encoding, on_error = _encoding(data.read(2))
        with open(path, encoding=encoding, errors=on_error, newline="") as file:
            yield from _rows(file, is_csv=is_csv)
    except csv.Error as exc:
        raise BadInput(f"list file {path!r} is no proper CSV: {exc}") from exc


def remote_rows(uri: str) -> Iterator[str]:
    """`rows` of an object, which is fetched at once. Raises `BadInput`: not there, not to be read, or without a name;
    `RemoteError` without long waiting."""
    from fastdup_db.sources import objects

    try:
        data = objects.read(uri, patient=False)
    except ImageError as exc:
        if exc.code != ZERO_SIZE_FILE:
            raise BadInput(f"list file {uri} cannot be read ({exc.code})") from exc
        data = b""
    encoding, on_error = _encoding(data[:2])
    found = rows(uri, text=data.decode(encoding, on_error))
    first = next(found, None)
    if first is None:
        raise BadInput(f"list file {uri} holds no names; it wants one path a row")
    return chain([first], found)


def _rows(file: TextIO, *, is_csv: bool) -> Iterator[str]:
    if not is_csv:
        yield from _lines(file, is_csv=False)
        return
    first = file.readline()
    for separator in _SEPARATORS:
        header = [field.strip().lower() for field in next(csv.reader([first], delimiter=separator), [])]
        if HEADER in header:
            column = header.index(HEADER)
            values = (row[column] for row in _fields(file, separator) if len(row) > column)
            yield from (value for value in values if value.strip())
            return
    yield from _lines(chain([first], file), is_csv=True)


def _fields(file: TextIO, separator: str) -> Iterator[list[str]]:
    """The rows of a CSV. Raises csv.Error where a quote is open at the end: the rows behind it would be lost in it."""
    is_over = False

    def lines() -> Iterator[str]:
        nonlocal is_over
        yield from file
        is_over = True

    reader = csv.reader(lines(), delimiter=separator)
    start = 0
    for row in reader:
        if is_over:  # a row that is whole comes before its reader has looked for another line
            raise csv.Error(f"a quote that opens in line {start + 2} does not close")
        start = reader.line_num
        yield row


def _lines(lines: Iterable[str], *, is_csv: bool) -> Iterator[str]:
    for line in lines:
        name = line.rstrip("\r\n")
        if not name.strip():
            continue
        if is_csv and name.startswith('"'):
            name = next(csv.reader([name]))[0]
        yield name


def resolve(name: str, *, folder: str) -> str:
    """The absolute path an entry means: as it is, else beside the list file, else under the current directory. What is
    missing is missed beside the list file.

    An entry with blanks or double quotes around it means the name without them, unless a file with them exists.
    """
    bare = stripped(name)
    if is_remote(bare):
        return bare
    for place in ("",) if os.path.isabs(bare) else (folder, ""):
        for spelling in (name, name.strip(), bare):
            path = os.path.join(place, spelling)
            if files.exists(path):
                return os.path.abspath(path)
    return os.path.abspath(os.path.join(folder, bare))


def stripped(name: str) -> str:
    """An entry without the blanks and the double quotes around it."""
    name = name.strip()
    return name[1:-1].strip() if len(name) > 2 and name[0] == name[-1] == '"' else name


def looks_like_text(path: str) -> bool:
    """True when the file's beginning holds no NUL byte and is not empty: what a list file looks like, and no image.

    UTF-16, which holds many, is told by its byte order mark.
    """
    with open(path, "rb") as file:
        head = file.read(_SNIFFED_BYTES)
    return head.startswith(encodings.UTF16) or (bool(head.strip()) and b"\0" not in head)


def _encoding(head: bytes) -> tuple[str, str]:
    """`(encoding, what is done about bytes that are none)` by the first two bytes."""
    encoding = encodings.of(head)
    return encoding, "replace" if encoding == "utf-16" else "surrogateescape"
