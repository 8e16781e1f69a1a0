"""Objects of a bucket: listed in pages, read whole or by ranges."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from fastdup_db import errors
from fastdup_db.errors import BadInput, ImageError, RemoteError
from fastdup_db.sources import bucket, files
from fastdup_db.sources.kinds import JUNK_FOLDER, is_junk
from fastdup_db.sources.reference import Reference

BUFFER = 4 << 20
"""Bytes asked for at once when an archive is walked: smaller members stream past, larger ones are leapt over."""


def listed(uri: str, *, page: int = 1000) -> Iterator[Reference]:
    """Every object under a prefix (taken as a folder), in the order of keys, a page at a time.

    `file_size` and `version` (the ETag) come with the listing. Folder markers and macOS side files are passed over.
    Raises `BadInput` (no such bucket) or `RemoteError` (refused, no answer), at the first page without long waiting.
    """
    location = bucket.parse(uri)
    prefix = location.key + "/" if location.key and not location.key.endswith("/") else location.key
    start: dict[str, str] = {}
    first = True
    while True:
        answer = _page(uri, location, prefix, start, page, first)
        for item in answer.get("Contents", ()):
            key = item["Key"]
            folder, _, base = key.rpartition("/")
            if base and not is_junk(base) and JUNK_FOLDER not in folder.split("/"):
                yield _reference(location.uri(key), item["Size"], item["ETag"])
        if not answer.get("IsTruncated"):
            return
        start = {"ContinuationToken": answer["NextContinuationToken"]}
        first = False


def reference(uri: str, *, patient: bool = True) -> Reference:
    """One object's reference; missing and forbidden ones carry their code. Raises `RemoteError`, `BadInput`.

    patient: wait for a server that is away, as one may that has answered before.
    """
    location = bucket.parse(uri)
    try:
        head = _head(uri, location, patient=patient)
    except ImageError as exc:
        return Reference(uri, error_code=exc.code)
    return _reference(uri, head["ContentLength"], head["ETag"])


def exists(uri: str) -> bool:
    """Whether exactly this object exists, and access to it is not refused. Raises as `listed`, without long waiting."""
    location = bucket.parse(uri)
    return bool(location.key) and not reference(uri, patient=False).error_code


def folder_exists(uri: str) -> bool:
    """Whether any object lies under a prefix. Raises as `listed`."""
    return next(listed(uri, page=10), None) is not None


def metadata(uri: str) -> dict[str, str]:
    """The user metadata that was stored with an object. Raises `ImageError` or `RemoteError`."""
    return dict(_head(uri, bucket.parse(uri)).get("Metadata", {}))


def read(uri: str, *, patient: bool = True) -> bytes:
    """A whole object. Raises `ImageError` (missing, forbidden, zero size, too large) or `RemoteError`.

    patient: as for `reference`.
    """
    location = bucket.parse(uri)

    def work() -> bytes:
        answer = bucket.client(location).get_object(Bucket=location.bucket, Key=location.key)
        if answer["ContentLength"] > files.MAX_ENCODED_BYTES:
            answer["Body"].close()
            raise ImageError(errors.IMAGE_TOO_LARGE, f"{uri}: {answer['ContentLength']} bytes")
        return answer["Body"].read()

    data = bucket.direct(location).get(location.bucket, location.key, limit=files.MAX_ENCODED_BYTES)
    if data is None:
        data = bucket.call(uri, work, patient=patient)
    if not data:
        raise ImageError(errors.ZERO_SIZE_FILE, uri)
    return data


def read_at(uri: str, offset: int, length: int) -> bytes:
    """Up to `length` bytes at `offset`, fewer at the end. Raises as `read`."""
    location = bucket.parse(uri)
    asked = f"bytes={offset}-{offset + length - 1}"

    def work() -> bytes:
        try:
            answer = bucket.client(location).get_object(Bucket=location.bucket, Key=location.key, Range=asked)
        except ClientError as exc:
            if bucket.code_in(exc) in ("InvalidRange", "416"):
                return b""
            raise
        return answer["Body"].read()

    if length <= 0:
        return b""
    data = bucket.direct(location).get(location.bucket, location.key, asked=asked, limit=length)
    return bucket.call(uri, work) if data is None else data


def open_object(uri: str) -> tuple[io.BufferedReader, str]:
    """A seekable file over an object, read by ranges as needed, and its ETag.

    Raises FileNotFoundError or PermissionError like a local file; `RemoteError` when the server is at fault.
    """
    location = bucket.parse(uri)
    try:
        head = _head(uri, location)
    except ImageError as exc:
        raise (FileNotFoundError if exc.code == errors.MISSING_FILE else PermissionError)(str(exc)) from exc
    return io.BufferedReader(_Ranged(uri, head["ContentLength"]), BUFFER), head["ETag"].strip('"')


class _Ranged(io.RawIOBase):
    """An object as a raw file; every read is one ranged request."""

    def __init__(self, uri: str, size: int) -> None:
        self._uri, self._size, self._at = uri, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        try:
            data = read_at(self._uri, self._at, wanted) if wanted > 0 else b""
        except ImageError as exc:
            raise OSError(str(exc)) from exc
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _page(
    uri: str, location: bucket.Location, prefix: str, start: dict[str, str], page: int, first: bool
) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        return bucket.client(location).list_objects_v2(Bucket=location.bucket, Prefix=prefix, MaxKeys=page, **start)

    try:
        return bucket.call(uri, work, patient=not first)
    except ImageError as exc:
        if exc.code == errors.MISSING_FILE:
            raise BadInput(f"{uri}: the bucket does not exist") from exc
        raise RemoteError(f"{uri}: the server refuses to list the bucket (access denied)") from exc


def _head(uri: str, location: bucket.Location, *, patient: bool = True) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        return bucket.client(location).head_object(Bucket=location.bucket, Key=location.key)

    try:
        return bucket.call(uri, work, patient=patient)
    except ImageError as exc:
        if exc.code == errors.UNREADABLE_FILE:
            read_at(uri, 0, 1)  # HEAD has no body to say whether the object is forbidden or the credentials are wrong
        raise


def _reference(uri: str, size: int, etag: str) -> Reference:
    return Reference(uri, file_size=size, version=etag.strip('"'))
