"""Which machine may write to a work_dir in a bucket: one at a time, for as long as it keeps saying so.

An object beside the database names the holder. It is made and renewed by conditional writes (`If-None-Match: *`,
`If-Match`: RFC 9110, sections 13.1.1 and 13.1.2), so of two machines that ask together one gets it. A holder that has
said nothing for `SILENT_SECONDS`, by the server's clock, is taken for dead.
"""

from __future__ import annotations

import json
import logging
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from fastdup_db.errors import MISSING_FILE, FastdupError, ImageError, RemoteError, WorkDirBusy
from fastdup_db.sources import bucket

log = logging.getLogger(__name__)

NAME = "fastdup.lease"
BEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""A machine that was paused for longer finds its work_dir taken."""
_REFUSED = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict", "404", "NoSuchKey"})
"""What a server says where the condition of a write does not hold; NoSuchKey: If-Match of an object that is gone."""
_UNCONDITIONAL = frozenset({"501", "NotImplemented"})


@dataclass(frozen=True, slots=True)
class _Found:
    holder: str
    etag: str
    silent: float
    """Seconds since it was written."""


def holder(copy: str) -> str:
    """The name of this machine as the holder of a lock; copy: of what, if it has several."""
    return f"{platform.node()} {copy}".strip()


@contextmanager
def held(uri: str, *, holder: str) -> Iterator[None]:
    """A block in which `holder` alone may write below `uri`; on a thread of its own it keeps saying so.

    Waits up to `SILENT_SECONDS` where another holder might be dead. Raises `WorkDirBusy` where it is not.
    """
    lock = _Lock(f"{uri}/{NAME}", holder)
    lock.take()
    over = threading.Event()
    thread = threading.Thread(target=lock.keep, args=(over,), name="fastdup lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        lock.leave()


def check(uri: str, *, holder: str) -> None:
    """Raises `WorkDirBusy` where `holder` no longer is the one that may write."""
    found = _read(f"{uri}/{NAME}")
    if found is None or found.holder != holder:
        raise WorkDirBusy(f"another machine has taken {uri} meanwhile; only one run at a time may write to it")


class _Lock:
    """The object, as its holder sees it."""

    def __init__(self, uri: str, holder: str) -> None:
        self.uri, self.holder = uri, holder
        self._etag = ""
        self._beats = 0

    def take(self) -> None:
        """Become the holder. Raises `WorkDirBusy` where another one is alive."""
        suspect = ""
        while True:
            found = _read(self.uri)
            if found is None:
                if self._write(IfNoneMatch="*"):
                    return
            elif found.holder == self.holder or found.silent >= SILENT_SECONDS:
                if self._write(IfMatch=found.etag):
                    return
            elif suspect not in ("", found.etag):  # it has spoken since
                raise WorkDirBusy(
                    f"{self.uri}: another machine ({found.holder}) is writing; only one run at a time may"
                )
            else:
                if not suspect:
                    log.warning("%s: %s holds it; waiting to see whether it is alive", self.uri, found.holder)
                suspect = found.etag
                time.sleep(min(BEAT_SECONDS / 2, SILENT_SECONDS - found.silent + 0.1))

    def keep(self, over: threading.Event) -> None:
        """Say again and again that the holder is alive, until `over`, or until another one has taken it."""
        while not over.wait(BEAT_SECONDS):
            try:
                if not self._write(IfMatch=self._etag, patient=False) and not self._is_mine():
                    log.warning("%s: another machine has taken it", self.uri)
                    return
            except FastdupError as exc:  # the server is away: it will be asked again, and `check` before any upload
                log.warning("%s", exc)

    def leave(self) -> None:
        """Remove it, unless another one has taken it."""
        if not self._etag:
            return
        try:
            self._conditional("delete_object", IfMatch=self._etag)
        except FastdupError as exc:  # what the block has done is done; the lock grows old
            log.warning("%s", exc)

    def _is_mine(self) -> bool:
        """Asked after a refusal: a write that was made twice, since its first answer was lost, is refused as well."""
        found = _read(self.uri)
        self._etag = found.etag if found is not None and found.holder == self.holder else ""
        return bool(self._etag)

    def _write(self, *, patient: bool = True, **condition: str) -> bool:
        """Whether the condition held; the object then says that the holder is alive."""
        self._beats += 1  # else its ETag would stay
        body = json.dumps({"holder": self.holder, "beats": self._beats}).encode()
        answer = self._conditional("put_object", patient=patient, Body=body, **condition)
        if answer is None:
            return False
        self._etag = answer["ETag"]
        return True

    def _conditional(self, method: str, *, patient: bool = True, **arguments: Any) -> dict[str, Any] | None:
        """The answer, None where the condition does not hold. Of a server without conditions the write is plain."""
        location = bucket.parse(self.uri)
        ask = getattr(bucket.client(location), method)

        def work() -> dict[str, Any] | None:
            try:
                return ask(Bucket=location.bucket, Key=location.key, **arguments)
            except ClientError as exc:
                code = bucket.code_in(exc)
                if code in _UNCONDITIONAL:
                    plain = {name: value for name, value in arguments.items() if not name.startswith("If")}
                    return ask(Bucket=location.bucket, Key=location.key, **plain)
                if code in _REFUSED:
                    return None
                raise

        try:
            return bucket.call(self.uri, work, patient=patient)
        except ImageError as exc:
            raise RemoteError(f"{self.uri}: the server refuses to write it") from exc


def _read(uri: str) -> _Found | None:
    location = bucket.parse(uri)

    def work() -> _Found:
        answer = bucket.client(location).get_object(Bucket=location.bucket, Key=location.key)
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        silent = (now - answer["LastModified"]).total_seconds()
        return _Found(_holder_in(answer["Body"].read()), answer["ETag"], silent)

    try:
        return bucket.call(uri, work)
    except ImageError as exc:
        if exc.code == MISSING_FILE:
            return None
        raise RemoteError(f"{uri}: the server refuses to say what is there") from exc


def _holder_in(body: bytes) -> str:
    """The holder that an object names, empty for one that somebody else has put there: it ages as any other."""
    try:
        return str(json.loads(body)["holder"])
    except (ValueError, KeyError, TypeError):
        return ""
