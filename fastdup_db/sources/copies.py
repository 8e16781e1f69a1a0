"""Copies between buckets and folders: images down before a run, a work_dir up after it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from fastdup_db import checks
from fastdup_db.errors import MISSING_FILE, BadInput, ImageError, RemoteError
from fastdup_db.sources import bucket, objects
from fastdup_db.sources.folder import WALKED
from fastdup_db.sources.kinds import kind_of
from fastdup_db.sources.local_names import Names, below, folds_case, local_name
from fastdup_db.sources.reference import Reference
from fastdup_db.threads import mapped

log = logging.getLogger(__name__)

MANIFEST = ".fastdup_db_copied.jsonl"
"""In the folder copied to: one JSON line per copied file. Files not listed in it are the user's own."""
_MTIME = "mtime-ns"
_PART = ".fastdup_db_part"
_THREADS = 16
_SENDING_THREADS = 4
_MULTIPART_BYTES = 64 << 20
_TRANSFER = TransferConfig(
    multipart_threshold=_MULTIPART_BYTES, multipart_chunksize=_MULTIPART_BYTES, max_concurrency=4
)

Progress = Callable[[int], object]
"""Called with the number of files done since the last call."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One line of the manifest. path: relative to the folder; mtime_ns: as this module left it."""

    uri: str
    path: str
    size: int
    version: str
    mtime_ns: int


def sync_s3_to_local(
    uri: str,
    *,
    folder: str | os.PathLike[str],
    threads: int | None = None,
    progress: Progress | None = None,
    prune: bool = False,
) -> Path:
    """Copies every image, archive and video under a prefix (or one object) into a folder; returns the manifest's path.

    Only what is new or changed is fetched (by ETag, size and the local file's own mtime), each file under a temporary
    name until it is whole, so a copy that was cut off goes on where it was. prune: copies whose object is gone from
    the bucket are deleted, unless somebody changed them; else they stay. Of keys that the disk takes for one name, such
    as A.jpg and a.jpg on Windows and macOS, all but one get a digest into theirs.

    Raises `BadInput` before it would overwrite a file that it did not copy itself, `RemoteError` when the bucket
    refuses. Objects that vanish or are forbidden meanwhile are left out, with a warning in the log.
    """
    home = Path(folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    manifest = home / MANIFEST
    entries = list(read_manifest(manifest))
    known = {entry.path: entry for entry in entries}
    if manifest.exists():
        _write_manifest(manifest, entries)  # without a cut last line, which would spoil the next one
    lock = threading.Lock()
    listed: set[str] = set()
    prefix, wanted = _objects(uri)
    names = Names(prefix, folds_case=folds_case(home))
    for entry in known.values():
        if entry.uri.startswith(prefix):
            names.keep(entry.path, uri=entry.uri)

    def fetch(found: tuple[Reference, str]) -> None:
        reference, inner = found
        listed.add(inner)
        target, entry = below(home, inner), known.get(inner)
        if entry is not None and entry.version == reference.version and _untouched(target, entry):
            return
        if entry is None and target.exists():
            raise BadInput(f"{target} exists and was not copied from {uri}; choose another folder")
        copied = _download(reference, target, inner, append)
        if copied is not None:
            known[inner] = copied

    def append(entry: Copied) -> None:
        with lock, manifest.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")

    pairs = ((reference, names.of(reference.filename)) for reference in wanted)
    for _ in mapped(fetch, pairs, threads=threads or _THREADS):
        if progress is not None:
            progress(1)
    manifest.touch()
    if prune:
        _delete(manifest, lambda entry: entry.path not in listed)
    return manifest


def delete_copied(manifest: str | os.PathLike[str], *, kinds: Collection[str] = WALKED) -> int:
    """Deletes what `sync_s3_to_local` copied and nobody changed since; returns how many files.

    kinds: of `kinds.IMAGE`, `kinds.ARCHIVE`, `kinds.VIDEO`. Folders left empty go too; the user's own files never do.
    """
    manifest = Path(manifest)
    deleted = _delete(manifest, lambda entry: kind_of(entry.path) in kinds)
    if not next(read_manifest(manifest), None):
        manifest.unlink(missing_ok=True)
    return deleted


def _delete(manifest: Path, unwanted: Callable[[Copied], bool]) -> int:
    if not manifest.exists():
        return 0
    home = manifest.parent
    kept, deleted = [], 0
    for entry in {e.path: e for e in read_manifest(manifest)}.values():
        target = home / entry.path
        if not unwanted(entry) or not _untouched(target, entry):
            kept.append(entry)
            continue
        target.unlink()
        deleted += 1
        for parent in target.parents:
            if parent == home or any(parent.iterdir()):
                break
            parent.rmdir()
    _write_manifest(manifest, [entry for entry in kept if (home / entry.path).exists()])
    return deleted


def _write_manifest(manifest: Path, entries: Iterable[Copied]) -> None:
    part = manifest.with_name(manifest.name + _PART)
    part.write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in entries), encoding="utf-8")
    os.replace(part, manifest)


def _objects(uri: str) -> tuple[str, Iterator[Reference]]:
    """What to cut off names, and the objects wanted: those under a prefix, or the one of exactly this name."""
    base = bucket.parse(uri)
    if kind_of(uri) in WALKED and objects.exists(uri):
        return uri.rpartition("/")[0] + "/", iter([objects.reference(uri)])
    found = (r for r in objects.listed(uri) if kind_of(r.filename) in WALKED)
    return base.uri(base.key.rstrip("/") + "/" if base.key else ""), found


def read_manifest(manifest: str | os.PathLike[str]) -> Iterator[Copied]:
    """The entries of a manifest, later ones superseding earlier ones of the same path; a cut last line is ignored."""
    try:
        lines = Path(manifest).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    for line in lines[:-1]:  # what follows the last newline was never finished
        yield Copied(**json.loads(line))


def s3_folder_exists_and_not_empty(s3_path: str) -> bool:
    """True when at least one object lies under `s3://bucket/prefix` or `minio://alias/bucket/prefix`.

    Raises `BadInput` (no such bucket, no such form of path) or `RemoteError` (refused, no answer).
    """
    return objects.folder_exists(checks.text("s3_path", s3_path))


def upload_folder(local: str | os.PathLike[str], *, uri: str, prune: bool = False) -> list[str]:
    """Copies a folder's files under a prefix and returns the names of those that had changed, sorted.

    A file is left alone when an object of its size is there with its MD5, or, where the ETag is none (objects sent
    in parts), with its modification time. Large files go in parts. prune: afterwards everything else under the prefix
    is deleted in the bucket; else nothing is.
    Raises `BadInput` (no such folder or bucket; before anything is sent, prune where an object would go that no call
    of this put there) or `RemoteError`.
    """
    home = Path(local)
    if not home.is_dir():
        raise BadInput(f"{home} is no folder")
    base = bucket.parse(uri)
    prefix = base.key.rstrip("/") + "/" if base.key else ""
    there = {r.filename: r for r in objects.listed(uri)}
    paths = sorted(p for p in home.rglob("*") if p.is_file())
    names = {base.uri(prefix + path.relative_to(home).as_posix()) for path in paths}
    stale = [name for name in there if name not in names] if prune else []
    _check_own(stale)

    def send(path: Path) -> str | None:
        name = path.relative_to(home).as_posix()
        key = prefix + name
        if _is_there(path, there.get(base.uri(key))):
            return None
        upload_file(path, uri=base.uri(key))
        return name

    changed = [name for name in mapped(send, paths, threads=_SENDING_THREADS) if name is not None]
    _remove(stale)
    return changed


def upload_file(path: Path, *, uri: str) -> None:
    """Copies one file to an object; readers see the old one until the new one is whole. Raises as `upload_folder`."""
    location = bucket.parse(uri)
    client = bucket.client(location)
    stamp = {"Metadata": {_MTIME: str(path.stat().st_mtime_ns)}}
    try:
        bucket.call(
            uri,
            lambda: client.upload_file(str(path), location.bucket, location.key, ExtraArgs=stamp, Config=_TRANSFER),
        )
    except ImageError as exc:
        raise RemoteError(f"{uri}: the server refuses to store it") from exc


def _check_own(names: Iterable[str]) -> None:
    """Raises `BadInput` for an object that `upload_file` did not stamp."""
    for name in mapped(_not_own, names, threads=_SENDING_THREADS):
        if name is not None:
            raise BadInput(f"{name} was not put there by this package, and would be deleted; choose another place")


def _not_own(name: str) -> str | None:
    try:
        return None if _MTIME in objects.metadata(name) else name
    except ImageError as exc:
        return None if exc.code == MISSING_FILE else name  # gone since it was listed


def _remove(uris: Iterable[str]) -> None:
    for uri in uris:
        location = bucket.parse(uri)
        client = bucket.client(location)
        try:
            bucket.call(uri, partial(client.delete_object, Bucket=location.bucket, Key=location.key))
        except ImageError as exc:
            raise RemoteError(f"{uri}: the server refuses to delete it") from exc


def _download(reference: Reference, target: Path, inner: str, append: Callable[[Copied], None]) -> Copied | None:
    location = bucket.parse(reference.filename)
    part = target.with_name(f"{hashlib.sha1(target.name.encode()).hexdigest()}{_PART}")  # a long name stays legal
    client = bucket.client(location)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        bucket.call(
            reference.filename,
            lambda: client.download_file(location.bucket, location.key, str(part), Config=_TRANSFER),
        )
        status = part.stat()
        copied = Copied(reference.filename, inner, status.st_size, reference.version, status.st_mtime_ns)
        append(copied)  # first, so that a file in its place is always known as ours
        os.replace(part, target)
    except ImageError as exc:
        log.warning("not copied: %s", exc)
        return None
    finally:
        part.unlink(missing_ok=True)
    return copied


def _untouched(target: Path, entry: Copied) -> bool:
    try:
        status = target.stat()
    except OSError:
        return False
    return status.st_size == entry.size and status.st_mtime_ns == entry.mtime_ns


def renamed(manifest: str | os.PathLike[str], *, prefix: str) -> dict[str, str]:
    """The paths of those objects below a prefix (with its slash) that have another one than `local_name` says."""
    entries = read_manifest(manifest)
    mine = ((e.uri, e.path) for e in entries if e.uri.startswith(prefix))
    return {uri: path for uri, path in mine if path != local_name(uri.removeprefix(prefix))}


def _is_there(path: Path, remote: Reference | None) -> bool:
    if remote is None or remote.file_size != path.stat().st_size:
        return False
    if "-" in remote.version:  # the ETag of an object sent in parts is no MD5
        return objects.metadata(remote.filename).get(_MTIME) == str(path.stat().st_mtime_ns)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == remote.version
