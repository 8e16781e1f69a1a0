"""Refuses an unusable input before any of it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from fastdup_db.errors import BadInput
from fastdup_db.sources import kinds
from fastdup_db.sources.inputs import ALLOWED, InputDir, candidates, guarded, plain
from fastdup_db.sources.options import ListingOptions
from fastdup_db.spelling import real

_REMOTE_NAMES = 1000


def check_input(
    input_dir: InputDir | None,
    *,
    work_dir: str | os.PathLike[str] | None = None,
    options: ListingOptions | None = None,
) -> None:
    """Refuses an input that no run can use, by names alone: nothing is opened, nothing written.

    Raises `BadInput`, saying what is allowed: no input, a missing or unreadable one, one without a single known
    file, plain images mixed with archives or videos, a work_dir that is a file or the input itself.
    Of a bucket only the first thousand names are asked for; a server that refuses or is away raises `RemoteError`.
    """
    options = options or ListingOptions()
    if work_dir is not None:
        _check_work_dir(input_dir, os.fspath(work_dir))
    if input_dir is None:
        raise BadInput(f"input_dir is missing; give {ALLOWED}")
    found = guarded(candidates(input_dir, options=options), options=options)
    limit = _REMOTE_NAMES if isinstance(input_dir, str) and kinds.is_remote(input_dir) else None
    if not sum(1 for _ in islice(found, limit)):
        what = "archive or video" if options.tar_only else "image, archive or video"
        raise BadInput(f"{input_dir}: no {what} found; known extensions: {kinds.allowed_extensions()}")


def _check_work_dir(input_dir: object, work_dir: str) -> None:
    if os.path.exists(work_dir) and not os.path.isdir(work_dir):
        raise BadInput(f"work_dir {work_dir!r} is a file; give a folder that exists or may be created")
    input_dir = plain(input_dir)
    named = input_dir if isinstance(input_dir, Sequence) and not isinstance(input_dir, str) else [input_dir]
    paths = (os.fspath(item) for item in named if isinstance(item, str | Path))
    own = real(work_dir)
    if any("\0" not in path and real(path) == own for path in paths):
        raise BadInput(f"work_dir and input_dir are the same folder {work_dir!r}; results need one of their own")
