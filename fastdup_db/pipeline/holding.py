"""One writer of a work_dir at a time: a lock file in it, and for one in a bucket a second lock there (`lease`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastdup_db.errors import BadArgument, WorkDirBusy
from fastdup_db.pipeline import remote
from fastdup_db.pipeline.files import LOCK
from fastdup_db.store.forked import check_not_forked


@contextmanager
def writing(work_dir: Path) -> Iterator[None]:
    """Hold the work_dir's write lock during a block; one process at a time can. Creates the folder if it is missing.

    For a work_dir in a bucket, the block starts from the bucket's database, and the result is uploaded at its end.
    Raises `WorkDirBusy`, `BadArgument` if nothing can be written, and `FastdupError` in a process forked from one that
    had worked with vectors. If the block fails, a folder made here is removed.
    """
    check_not_forked()
    uri = remote.uri_of(work_dir)
    if uri is not None:
        from fastdup_db.sources import objects

        objects.folder_exists(uri)  # raises where there is no such bucket, before any work
    with _made(work_dir), _locked(work_dir, uri or str(work_dir)):
        if uri is None:
            yield
            return
        from fastdup_db.pipeline import lease

        with lease.held(uri, holder=remote.holder(work_dir)):
            remote.refresh(work_dir)
            yield
            remote.upload(work_dir)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BadArgument(f"work_dir {str(folder)!r} cannot be made: {exc.strerror}") from exc
    try:
        yield
    except BaseException:
        if missing:
            (folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # one that is not empty stays
            for path in missing:
                path.rmdir()
        raise


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as exc:
        raise WorkDirBusy(f"{name} is being written by another process; try again when its run has ended") from exc
    except OSError as exc:
        raise BadArgument(f"work_dir {str(folder)!r} cannot be written: {exc.strerror}") from exc
    try:
        yield
    finally:
        lock.release()
