"""Whether a process of the cluster sees a folder: it looks for a probe file that was written there."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from fastdup_db.places import Place

log = logging.getLogger(__name__)


@contextmanager
def probe(folder: Place) -> Iterator[Place]:
    """A file in `folder`, there for as long as the block runs."""
    file = folder / f".fastdup-db-shared-{uuid.uuid4().hex}"
    with file.files.open_output_stream(file.path) as stream:
        stream.write(b"seen")
    try:
        yield file
    finally:
        file.delete()


def sees(file: Place) -> bool:
    """Whether this process can read a file; an error counts as no, and does not fail the run."""
    try:
        return file.exists()
    except OSError as exc:
        log.warning("a node does not see %s: %s", file.uri, exc)
        return False
