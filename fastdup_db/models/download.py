"""Model files fetched on first use: progress bar, resume, checksum, one cache folder.

    path = fetch(RemoteFile("resnet50-v1-12.onnx", url="https://…", sha256="ab65…"))

Nothing here runs unless the user named a model that is not bundled. A thin layer over `requests`, because the
kept libraries stop short of the task: pooch starts a cut download again from its first byte, and
huggingface_hub resumes but only knows its own hub, while half of our files lie elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastdup_db.errors import ModelUnavailable

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

CACHE_VARIABLE = "FASTDUP_DB_CACHE"
OFFLINE_VARIABLE = "FASTDUP_DB_OFFLINE"
CHUNK_BYTES = 1 << 16  # what a cut loses: an answer broken off inside a chunk yields none of it
TIMEOUT_S = (10, 60)  # to connect, and between two pieces of the body
ATTEMPTS = 5
LOCK_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a provider.

    filename: its name in the cache folder, unique among all files.
    sha256: lower-case hex digest; None when nobody could state it for certain ("not pinned").
    size: bytes, -1 when not known.
    """

    filename: str
    url: str
    sha256: str | None = None
    size: int = -1
    licence: str = ""


def cache_folder() -> Path:
    """`$FASTDUP_DB_CACHE`, else the platform's cache folder for `fastdup_db`. Not created here.

    `temporary_folder` for a user without a home, as containers run with a bare user id.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    try:
        return user_cache_path("fastdup_db", appauthor=False)
    except RuntimeError:
        return temporary_folder()


def temporary_folder() -> Path:
    """This user's folder among the temporary files. Not created here."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""  # on Windows each has temporary files of his own
    return Path(tempfile.gettempdir()) / f"fastdup_db{user}"


def is_offline() -> bool:
    """Whether the user forbade the network by `FASTDUP_DB_OFFLINE` (or the hub's `HF_HUB_OFFLINE`)."""
    return any(
        os.environ.get(v, "").lower() in ("1", "true", "yes", "on") for v in (OFFLINE_VARIABLE, "HF_HUB_OFFLINE")
    )


def fetch(file: RemoteFile, *, folder: Path | None = None, progress: bool = True, backoff_s: float = 1.0) -> Path:
    """The verified local path of `file`, downloaded when the cache does not hold it.

    Bytes go to `<name>.part`; a cut connection goes on where it stopped, in this call (until five attempts in a
    row bring nothing, waiting `backoff_s` · 2^n between them) or in the next one. The file gets its name, atomically,
    only after its size and checksum are right; processes that want the same file wait for each other.

    Raises `ModelUnavailable`, saying which file to put where, when it cannot be had or is not what it should be.
    """
    target = (folder or cache_folder()) / file.filename
    if target.is_file():
        _verify_cached(file, target)
        return target
    if is_offline():
        raise _unavailable(file, target, f"it is not in the cache and {OFFLINE_VARIABLE} forbids the network")

    from filelock import FileLock, Timeout

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=LOCK_TIMEOUT_S):
            if not target.is_file():
                _download(file, target, progress=progress, backoff_s=backoff_s)
    except Timeout as exc:
        raise _unavailable(file, target, "another process has been downloading it for an hour") from exc
    except OSError as exc:
        raise _unavailable(file, target, f"the cache folder cannot be written: {exc}") from exc
    return target


def _download(file: RemoteFile, target: Path, *, progress: bool, backoff_s: float) -> None:
    import requests

    from fastdup_db.progress import progress_bar

    part = target.with_name(f"{target.name}.part")
    resumed = part.is_file() and part.stat().st_size > 0
    idle_attempts = 0
    with (
        requests.Session() as session,
        progress_bar(shown=progress, desc=file.filename, unit="B", unit_scale=True, leave=False) as bar,
    ):
        while True:
            before = _size(part)
            try:
                total = _append(session, file.url, part, bar)
                if total >= 0 and _size(part) < total:
                    raise requests.ConnectionError(f"cut after {_size(part):,} of {total:,} bytes")
            except requests.RequestException as exc:
                status = exc.response.status_code if exc.response is not None else None
                if status is not None and status < 500 and status not in (408, 429):
                    raise _unavailable(file, target, f"the server answered {status}") from exc
                resumed = resumed or _size(part) > 0
                idle_attempts = 0 if _size(part) > before else idle_attempts + 1
                if idle_attempts >= ATTEMPTS:
                    raise _unavailable(file, target, f"the download failed: {exc}") from exc
                log.info("%s: %s; going on from byte %d", file.filename, exc, _size(part))
                time.sleep(backoff_s * 2**idle_attempts)
                continue
            problem = _problem(file, part)
            if not problem:
                break
            part.unlink()
            if not resumed:
                raise _unavailable(file, target, f"{problem}; what came was thrown away")
            # the pieces may come from two versions of the file: one whole download decides
            log.warning("%s: %s after a resumed download, starting again", file.filename, problem)
            resumed = False
    part.replace(target)
    _write_stamp(file, target)


def _append(session: requests.Session, url: str, part: Path, bar: object) -> int:
    """Ask for the bytes after those in `part` and append them; returns the whole size, -1 when it is not said."""
    have = _size(part)
    tag_file = part.with_name(f"{part.name}.etag")
    headers = {"Accept-Encoding": "identity"}  # a compressed transfer has no byte positions to resume at
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag_file.is_file():
            headers["If-Range"] = tag_file.read_text()
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # nothing after `have`: the part is whole, or longer than the file became
            whole = response.headers.get("Content-Range", "").rpartition("/")[2]
            if whole.isdigit() and int(whole) == have:
                return have
            part.unlink()
            return _append(session, url, part, bar)
        response.raise_for_status()
        goes_on = response.status_code == 206
        length = response.headers.get("Content-Length", "")
        total = int(length) + (have if goes_on else 0) if length.isdigit() else -1
        tag = response.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):  # RFC 9110, 13.1.5: a weak tag must not be used with If-Range
            tag_file.write_text(tag)
        else:
            tag_file.unlink(missing_ok=True)
        bar.total = total if total >= 0 else None  # type: ignore[attr-defined]
        bar.n = have if goes_on else 0  # type: ignore[attr-defined]
        with part.open("ab" if goes_on else "wb") as out:
            for chunk in response.iter_content(CHUNK_BYTES):
                out.write(chunk)
                bar.update(len(chunk))  # type: ignore[attr-defined]
    tag_file.unlink(missing_ok=True)
    return total


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def digest(path: Path) -> str:
    """The sha256 of a file, lower-case hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _problem(file: RemoteFile, path: Path) -> str:
    """What is wrong with the bytes at `path`, empty when nothing is."""
    if file.size >= 0 and path.stat().st_size != file.size:
        return f"it has {path.stat().st_size:,} bytes instead of {file.size:,}"
    if file.sha256 is not None and (found := digest(path)) != file.sha256:
        return f"its sha256 is {found} instead of {file.sha256}"
    return ""


def _stamp_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified.json")


def _write_stamp(file: RemoteFile, target: Path) -> None:
    """Remember what was checked, so that a gigabyte is not hashed again at every start."""
    stat = target.stat()
    stamp = {"sha256": file.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    _stamp_path(target).write_text(json.dumps(stamp))


def _verify_cached(file: RemoteFile, target: Path) -> None:
    """Check a file that somebody else may have put into the cache, once per content."""
    stat = target.stat()
    expected = {"sha256": file.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    try:
        if json.loads(_stamp_path(target).read_text()) == expected:
            return
    except (OSError, ValueError):
        pass  # no stamp, or a torn one: check the file itself
    if problem := _problem(file, target):
        raise ModelUnavailable(
            f"{target} is not {file.filename}: {problem}. Remove it to download it again from {file.url}"
        )
    try:
        _write_stamp(file, target)
    except OSError:
        log.debug("%s: the cache is read-only, so it is checked again next time", target)


def _unavailable(file: RemoteFile, target: Path, reason: str) -> ModelUnavailable:
    checksum = f" (sha256 {file.sha256})" if file.sha256 else " (no published checksum is known)"
    return ModelUnavailable(
        f"model file {file.filename} is unavailable: {reason}. On a machine with network get {file.url}{checksum} "
        f"and put it at {target}; another folder is chosen by {CACHE_VARIABLE}."
    )
