"""A work_dir in a bucket: the DuckDB file, the Lance tables and the public views as Parquet; only what has changed."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from fastdup_db.errors import BadArgument
from fastdup_db.exchange import export
from fastdup_db.pipeline import lease, remote
from fastdup_db.pipeline.files import LANCE_FOLDER
from fastdup_db.pipeline.finished import finished_run
from fastdup_db.sources import bucket, copies
from fastdup_db.store import duck

PARQUET = "parquet"


def publish(work_dir: Path, uri: str) -> list[str]:
    """Uploads a finished run below `uri` and returns the names of what had changed, sorted.

    Below `lance/` and `parquet/` the bucket is made equal to the work_dir: a stale version of a Lance table left there
    would be the one that readers open. Nothing else in the bucket is touched. A run cannot begin meanwhile, nor can
    another machine write there.

    Raises `NotRun`, `WorkDirBusy`, `BadArgument`, `BadInput` (no such bucket, or something of another's below `lance/`
    or `parquet/`) or `RemoteError`.
    """
    if "://" not in uri:
        raise BadArgument(f"{uri!r} is no bucket; allowed: s3://bucket/prefix, minio://alias/bucket/prefix")
    bucket.parse(uri)
    if (there := remote.uri_of(work_dir)) is not None:
        raise BadArgument(f"this work_dir lies in a bucket: {there}; everybody can open it there")
    base = uri.rstrip("/")
    database = work_dir / duck.FILE_NAME
    if duck.exists(work_dir) and database.with_name(duck.LOG_NAME).exists():
        with duck.connect(work_dir, read_only=False):
            pass  # closing writes what a killed run left in the log into the file
    with (
        duck.connect(work_dir) as db,
        lease.held(base, holder=lease.holder(uuid.uuid4().hex)),
        tempfile.TemporaryDirectory(prefix="fastdup_db_") as temporary,
    ):
        finished_run(db, work_dir=work_dir)
        changed = []
        if (work_dir / LANCE_FOLDER).is_dir():
            sent = copies.upload_folder(work_dir / LANCE_FOLDER, uri=f"{base}/{LANCE_FOLDER}", prune=True)
            changed += [f"{LANCE_FOLDER}/{name}" for name in sent]
        parquet = Path(temporary) / PARQUET
        parquet.mkdir()
        export.write_parquet(db, parquet, work_dir=work_dir)
        _dated(parquet, like=database)
        changed += [f"{PARQUET}/{name}" for name in copies.upload_folder(parquet, uri=f"{base}/{PARQUET}", prune=True)]
        # last, because it is what says that the rest is there
        alone = Path(temporary) / "database"
        alone.mkdir()
        _linked(database, alone / duck.FILE_NAME)
        changed += copies.upload_folder(alone, uri=base)
    return sorted(changed)


def _dated(folder: Path, *, like: Path) -> None:
    """Gives files the time of what they were made from: large ones are known as unchanged by it."""
    stamp = like.stat().st_mtime_ns
    for path in folder.iterdir():
        os.utime(path, ns=(stamp, stamp))


def _linked(path: Path, link: Path) -> None:
    try:
        link.symlink_to(path.absolute())
    except OSError:  # no links here, as on Windows without the right to make them
        shutil.copy2(path, link)
