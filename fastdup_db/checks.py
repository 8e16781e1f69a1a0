"""Checks of arguments: each raises `BadArgument` saying what is allowed."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastdup_db.errors import BadArgument, one_of

_LONGEST = 255
"""Bytes that a file name may have on all common file systems."""


def member(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of the words."""
    words = tuple(allowed)
    if not isinstance(value, str) or value not in words:
        raise one_of(name, value, words)
    return value


def text(name: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise BadArgument(f"{name}={value!r}; allowed: a text")
    return value


def is_address(endpoint: str) -> bool:
    """Whether it is the URL of a server, `http://host:port` or `https://host`."""
    try:
        parts = urlsplit(endpoint)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not close
        return False


def between(name: str, value: object, low: float, high: float) -> float:
    """A number from `low` to `high`, both included; NaN is refused."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise BadArgument(f"{name}={value!r}; allowed: a number from {low:g} to {high:g}")
    return float(value)


def at_least(name: str, value: object, low: int) -> int:
    """A whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < low:
        raise BadArgument(f"{name}={value!r}; allowed: a whole number of at least {low}")
    return int(value)


def pattern(name: str, value: object) -> None:
    """A regular expression."""
    try:
        re.compile(text(name, value))
    except re.error as exc:
        raise BadArgument(f"{name}={value!r} is no regular expression: {exc}") from exc


def rate(name: str, value: object) -> float:
    """A number of frames per second, above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise BadArgument(f"{name}={value!r}; allowed: a number of frames per second above 0")
    return float(value)


def offsets(min_offset: int | None, max_offset: int | None) -> None:
    """The part of a listing from `min_offset` up to, but not including, `max_offset`: not empty."""
    if max_offset is not None and max_offset <= (min_offset or 0):
        raise BadArgument(f"max_offset={max_offset} must be above min_offset={min_offset or 0}")


def flag(name: str, value: object) -> bool:
    """True or False, also NumPy's, and 1 or 0."""
    try:
        if not isinstance(value, str) and value in (True, False):
            return bool(value)
    except (TypeError, ValueError):  # of an array, or of pandas' NA
        pass
    raise BadArgument(f"{name}={value!r}; allowed: True or False")


def names(name: str, value: object) -> list[str]:
    """A list of names; a single string is refused."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise BadArgument(f"{name}={value!r}; allowed: a list of names")
    found = list(value)
    wrong = next((one for one in found if not isinstance(one, str)), None)
    if wrong is not None:
        raise BadArgument(f"{name} holds {wrong!r}; allowed: a list of names")
    return found


def on_disk(name: str, value: str | os.PathLike[str]) -> None:
    """A path on this machine. URLs are refused: `s3://…` would become a folder `s3:` in the current directory."""
    if not isinstance(value, str | os.PathLike):
        raise BadArgument(f"{name}={value!r}; allowed: a path on a disk")
    if "://" in os.fspath(value) or os.fspath(value).startswith(("s3:/", "minio:/")):
        raise BadArgument(
            f"{name}={os.fspath(value)!r}; allowed: a path on a disk. publish() puts results into a bucket"
        )
    if not all(map(_can_be, Path(value).parts)):
        raise BadArgument(f"{name}={os.fspath(value)!r}; allowed: names of at most {_LONGEST} bytes, without NUL")


def in_utf8(name: str, value: str | os.PathLike[str]) -> None:
    """A path that DuckDB can open: not one with bytes that are no UTF-8."""
    try:
        os.fspath(value).encode()
    except UnicodeEncodeError as exc:
        raise BadArgument(f"{name}={os.fspath(value)!r}; allowed: a path in UTF-8, as DuckDB needs it") from exc


def _can_be(part: str) -> bool:
    """Whether it is a legal file name."""
    try:
        return "\0" not in part and len(os.fsencode(part)) <= _LONGEST
    except UnicodeEncodeError:
        return False


def folder(name: str, value: Path) -> None:
    """A folder that is writable, or can be created because no file is in the way."""
    for place in (value, *value.parents):
        if place.is_dir():
            if not os.access(place, os.W_OK | os.X_OK):
                raise BadArgument(f"{name}={str(value)!r}; allowed: a folder that can be written ({place} cannot)")
            return
        if place.exists():
            raise BadArgument(f"{name}={str(value)!r}; allowed: a folder, there or to be made ({place} is a file)")


def function(name: str, value: object) -> None:
    """A function, or None."""
    if value is not None and not callable(value):
        raise BadArgument(f"{name} of type {type(value).__name__}; allowed: a function of the file name")
