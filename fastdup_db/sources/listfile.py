"""List files: one image, folder, archive or URL a row."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from typing import TextIO

from fastdup_db.sources.kinds import is_remote

HEADER = "filename"
_SNIFFED_BYTES = 4096


def rows(path: str, *, text: str | None = None) -> Iterator[str]:
    """The entries of a list file, in its order, streamed; blank lines are passed over.

    Text: each line is one name, taken as it stands (spaces, commas and quotes belong to it). CSV: the same, but a
    line in double quotes is unquoted; when the first row has a column `filename`, that column of a proper CSV (quoted
    fields may hold commas and newlines). Bytes that are no UTF-8 survive as surrogate escapes.

    text: the content, when it came from elsewhere (a bucket). Raises OSError when the file cannot be read.
    """
    if text is not None:
        yield from _rows(io.StringIO(text, newline=""), is_csv=path.lower().endswith(".csv"))
        return
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _rows(file, is_csv=path.lower().endswith(".csv"))


def _rows(file: TextIO, *, is_csv: bool) -> Iterator[str]:
    if is_csv:
        first = file.readline()
        header = [field.strip() for field in next(csv.reader([first]), [])]
        if HEADER in header:
            column = header.index(HEADER)
            yield from (row[column] for row in csv.reader(file) if len(row) > column and row[column].strip())
            return
        file.seek(0)
    for line in file:
        name = line.rstrip("\r\n")
        if not name.strip():
            continue
        if is_csv and name.startswith('"'):
            name = next(csv.reader([name]))[0]
        yield name


def resolve(name: str, *, folder: str) -> str:
    """The absolute path an entry means: as it is, else beside the list file, else under the current directory.

    An entry with stray blanks around it means the name without them, unless a file with the blanks exists.
    """
    if is_remote(name.strip()):
        return name.strip()
    places = (folder, "") if not os.path.isabs(name.strip()) else ("",)
    for place in places:
        for spelling in (name, name.strip()):
            path = os.path.join(place, spelling)
            if _exists(path):
                return os.path.abspath(path)
    return os.path.abspath(name.strip())


def looks_like_text(path: str) -> bool:
    """True when the file's beginning holds no NUL byte and is not empty: what a list file looks like, and no image."""
    with open(path, "rb") as file:
        head = file.read(_SNIFFED_BYTES)
    return bool(head.strip()) and b"\0" not in head


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False
