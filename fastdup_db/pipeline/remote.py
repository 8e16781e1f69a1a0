"""A work_dir that lies in a bucket: `s3://bucket/prefix`.

DuckDB can only write to local files, so this machine keeps a copy of the database in the cache folder, which answers
are read from; the Lance tables and the rows on their way from workers are in the bucket only. `opened` fetches the
database if the bucket's has changed; a run uploads it at its checkpoints, as one object, so readers never see half of
it. Crops, galleries and thumbnails stay on this machine.

Runs are kept apart by a lock on this machine and by one in the bucket (`holding`, `lease`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from fastdup_db.config import RunConfig
from fastdup_db.errors import MISSING_FILE, BadArgument, RemoteError, WorkDirBusy
from fastdup_db.pipeline.files import LOCK
from fastdup_db.places import Place
from fastdup_db.store import duck
from fastdup_db.store.lance import VectorTable

log = logging.getLogger(__name__)

FOLDER = "work_dirs"
"""In the cache folder: one folder for each work_dir in a bucket."""
MARKER = "remote.json"
"""In that folder: the work_dir's name, the ETag of the database that the copy was at last the same as, and a name for
this machine."""
CHECKPOINT_SECONDS = 30.0
"""A killed driver loses at most this to another machine, or ..."""
CHECKPOINT_SHARE = 0.05
"""... as long that uploads take no more than this share of the time: the file grows with the collection."""


def opened(work_dir: str | os.PathLike[str]) -> Path:
    """The folder of a work_dir: itself, or the copy of one in a bucket, brought up to date.

    Raises `BadArgument`, `RemoteError`.
    """
    name = work_dir.as_posix() if isinstance(work_dir, PurePath) else os.fspath(work_dir)
    if name.startswith("s3:/") and not name.startswith("s3://"):  # a Path keeps one slash only
        name = name.replace("s3:/", "s3://", 1)
    if "://" not in name:
        return Path(os.path.abspath(os.path.expanduser(name)))
    if not name.startswith("s3://"):
        raise BadArgument(f"work_dir={name!r}; allowed: a folder, or s3://bucket/prefix")
    from filelock import FileLock, Timeout

    from fastdup_db.models.download import cache_folder
    from fastdup_db.sources import bucket

    location = bucket.parse(name)
    if not location.key.strip("/"):
        raise BadArgument(f"work_dir={name!r} is a whole bucket; give a prefix in it: s3://{location.bucket}/results")
    if {"", ".", ".."}.intersection(location.key.rstrip("/").split("/")):
        raise BadArgument(f"work_dir={name!r}; allowed: s3://bucket/prefix without '//', '.' and '..' in the prefix")
    uri = name.rstrip("/")
    digest = hashlib.sha256(f"{bucket.server().endpoint_url} {uri}".encode()).hexdigest()[:16]
    folder = cache_folder() / FOLDER / f"{location.bucket}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (found := _marker(folder)) or not found.get("copy"):  # of before there were locks
        _note(folder, uri=uri, etag=found["etag"] if found else "")
    try:
        with FileLock(folder / LOCK, timeout=0):
            refresh(folder)
    except Timeout:
        log.info("a run on this machine is writing to %s", uri)
    return folder


def uri_of(work_dir: Path) -> str | None:
    """The bucket's name for a work_dir that is the copy of one; None for others."""
    found = _marker(work_dir)
    return found["uri"] if found else None


def place(work_dir: Path, name: str) -> Place:
    """A folder of the work_dir that workers write to: in the bucket, or in the work_dir."""
    uri = uri_of(work_dir)
    if uri is None:
        return Place.of(Path(work_dir) / name)
    from fastdup_db.sources import bucket

    server = bucket.server()
    return Place(f"{uri}/{name}", server.endpoint_url, server.region, server.anonymous)


def check_current(work_dir: Path) -> None:
    """Raises `WorkDirBusy` where the bucket's database is no longer the one that this machine's copy came from."""
    found = _marker(work_dir)
    if found is not None and _etag(f"{found['uri']}/{duck.FILE_NAME}") != found["etag"]:
        raise WorkDirBusy(f"another machine has written to {found['uri']} meanwhile; open it again")


def check(work_dir: Path, config: RunConfig) -> None:
    """Raises `BadArgument` for what cannot be together with a work_dir in a bucket."""
    if uri_of(work_dir) is None:
        return
    if config.s3_endpoint_url or config.s3_region or config.s3_anonymous:
        raise BadArgument("a work_dir in a bucket is reached as the environment says: set AWS_ENDPOINT_URL, AWS_REGION")
    for name in ("save_crops", "sync_s3_to_local"):
        if getattr(config, name):
            raise BadArgument(f"{name} needs a work_dir on a disk: a bucket holds no files that images are read from")


def clear(work_dir: Path) -> None:
    """Remove the bucket's database, if there is a bucket: it is what says that the rest is there."""
    if (found := _marker(work_dir)) is not None:
        (place(work_dir, duck.FILE_NAME)).delete()
        _note(work_dir, uri=found["uri"], etag="")


@dataclass(slots=True)
class Checkpoints:
    """Puts the database of a run into the bucket every now and then; does nothing for a work_dir on a disk."""

    work_dir: Path
    vectors: VectorTable
    """What the rows stand for: the version they name stays restorable, however many commits follow."""
    _due: float = field(default_factory=lambda: time.monotonic() + CHECKPOINT_SECONDS)

    def __call__(self) -> None:
        """After a commit."""
        if time.monotonic() < self._due or uri_of(self.work_dir) is None:
            return
        begun = time.monotonic()
        if self.vectors.exists():
            self.vectors.hold(self.vectors.version)
        upload(self.work_dir)
        took = time.monotonic() - begun
        self._due = time.monotonic() + max(CHECKPOINT_SECONDS, took / CHECKPOINT_SHARE)
        log.info("checkpoint in the bucket after %.1f s", took)


def refresh(work_dir: Path) -> None:
    """Fetch the bucket's database where it is not the one that the copy came from.

    Otherwise the copy stays, also with what was committed since: a run that was killed on this machine.
    """
    from fastdup_db.sources import bucket

    found = _marker(work_dir) or {}
    source = f"{found['uri']}/{duck.FILE_NAME}"
    etag = _etag(source)
    if etag == found["etag"]:
        return
    duck.remove(work_dir)
    if etag:
        location = bucket.parse(source)
        part = work_dir / f"{duck.FILE_NAME}.part"
        client = bucket.client(location)
        bucket.call(source, lambda: client.download_file(location.bucket, location.key, str(part)))
        os.replace(part, work_dir / duck.FILE_NAME)
    _note(work_dir, uri=found["uri"], etag=etag)


def upload(work_dir: Path) -> None:
    """Put what is committed in place of the bucket's database, in one step. Nobody may commit meanwhile.

    Raises `WorkDirBusy` where another machine has taken the work_dir, as this one was paused or cut off, or where the
    bucket's database is not the one that this copy came from: something was published there.
    """
    from fastdup_db.pipeline import lease
    from fastdup_db.sources import copies

    found = _marker(work_dir) or {}
    target = f"{found['uri']}/{duck.FILE_NAME}"
    lease.check(found["uri"], holder=holder(work_dir))
    check_current(work_dir)
    with tempfile.TemporaryDirectory(dir=work_dir, prefix="upload-") as folder:
        # By a process of its own: one that closes any handle of a file loses DuckDB's lock on it (POSIX locks).
        there = [str(path) for path in (work_dir / duck.FILE_NAME, work_dir / duck.LOG_NAME) if path.exists()]
        copy = "import shutil, sys; [shutil.copy(name, sys.argv[1]) for name in sys.argv[2:]]"
        subprocess.run([sys.executable, "-I", "-S", "-c", copy, folder, *there], check=True)
        with duck.connect(Path(folder), read_only=False):
            pass  # closing writes the log into the copy
        copies.upload_file(Path(folder) / duck.FILE_NAME, uri=target)
    _note(work_dir, uri=found["uri"], etag=_etag(target))


def holder(work_dir: Path) -> str:
    """This machine in the lock: a run that was killed here is known again, and need not be waited for."""
    from fastdup_db.pipeline import lease

    return lease.holder((_marker(work_dir) or {})["copy"])


def _etag(uri: str) -> str:
    """The ETag of an object, empty where there is none. Raises `RemoteError` where one may not ask."""
    from fastdup_db.sources import objects

    there = objects.reference(uri)
    if there.error_code not in ("", MISSING_FILE):
        raise RemoteError(f"{uri}: the server refuses to say what is there")
    return "" if there.error_code else there.version


def _marker(work_dir: Path) -> dict[str, Any] | None:
    try:
        return json.loads((Path(work_dir) / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _note(work_dir: Path, *, uri: str, etag: str) -> None:
    part = work_dir / f"{MARKER}.part"
    copy = (_marker(work_dir) or {}).get("copy") or uuid.uuid4().hex
    part.write_text(json.dumps({"uri": uri, "etag": etag, "copy": copy}), encoding="utf-8")
    os.replace(part, work_dir / MARKER)
