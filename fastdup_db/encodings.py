"""How the text files of users are encoded, told by their first bytes."""

from __future__ import annotations

import codecs
import os

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def of(head: bytes) -> str:
    """utf-16 where the bytes begin with its byte order mark, as PowerShell writes it; else utf-8-sig."""
    return "utf-16" if head.startswith(UTF16) else "utf-8-sig"


def of_file(path: str | os.PathLike[str]) -> str:
    """`of` a file. Raises OSError."""
    with open(path, "rb") as file:
        return of(file.read(2))
