"""Reading members of archives back, from the reference alone."""

from __future__ import annotations

import bz2
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import BinaryIO

from fastdup_db import errors
from fastdup_db.errors import ImageError
from fastdup_db.sources import archives, containers, files
from fastdup_db.sources.kinds import is_remote
from fastdup_db.sources.prefetch import prefetched
from fastdup_db.sources.reference import Load, Reference, failing
from fastdup_db.threads import mapped

ReadAt = Callable[[str, int, int], bytes]

_DEPTH = 32
_CHUNK = 1 << 18
_HEADER_SLACK = 2048
"""Enough for a zip member's header with its name in nearly every archive; read again when it was not."""


def loads(references: Iterator[Reference], *, io_threads: int | None = None) -> Iterator[tuple[Reference, Load]]:
    """Pairs for consecutive members of one archive.

    Tars and zips: the function reads at the member's offset, in any thread and any order; in a bucket these reads are
    made ahead by `io_threads` threads. Compressed tars are read forward, a few members ahead of the caller.
    """
    first = next(references)
    packing = packing_of(first.container)
    members = chain([first], references)
    if packing == "stream":
        yield from mapped(lambda r: (r, _now(partial(read_from_stream, r))), members, depth=_DEPTH)
    else:
        remote = is_remote(first.container)
        read = read_tar if packing == "tar" else _read_zip_at_once if remote else read_zip
        pairs = ((r, partial(read, r)) for r in members)
        yield from prefetched(pairs, threads=io_threads) if remote else pairs


def packing_of(container: str) -> str:
    """By content: `zip`, `tar`, `stream` (a compressed tar). When it cannot be opened, `tar`: reading says why."""
    try:
        with containers.open_container(container) as (file, _):
            packing = archives.packing(file)
            return packing if packing in ("zip", "tar") else "stream"
    except (OSError, ValueError):
        return "tar"


def read_tar(reference: Reference, *, read_at: ReadAt = containers.read_at) -> bytes:
    """A member of an uncompressed tar. One cut off by the archive's end comes as far as it goes."""
    data = read_at(reference.container, reference.offset, checked_size(reference))
    return _not_empty(data, reference)


def read_zip(reference: Reference, *, read_at: ReadAt = containers.read_at) -> bytes:
    """A member of a zip (stored, deflated or bzip2), inflated no further than the size that the archive declares.

    Raises `ImageError`: ERROR_CORRUPT_CONTAINER when header, stream or checksum is wrong.
    """
    size, where = checked_size(reference), reference.offset
    head = read_at(reference.container, where, archives.LOCAL_HEADER.size)
    if len(head) < archives.LOCAL_HEADER.size or head[:4] != archives.LOCAL_SIGNATURE:
        raise _corrupt(reference, "no member begins here")
    _, _, _, method, *_, name_length, extra_length = archives.LOCAL_HEADER.unpack(head)
    where += archives.LOCAL_HEADER.size + name_length + extra_length
    if method == zipfile.ZIP_STORED:
        data = read_at(reference.container, where, size)
    else:
        data = _inflated(reference, where, size, method, read_at)
    if reference.version.startswith("crc32:") and f"crc32:{zlib.crc32(data):08x}" != reference.version:
        raise _corrupt(reference, "wrong checksum")
    return _not_empty(data, reference)


def _read_zip_at_once(reference: Reference) -> bytes:
    """`read_zip` with one request for header and data: at worst a deflated stream is little longer than its content."""
    start = max(0, reference.offset)
    size = checked_size(reference)
    window = containers.read_at(reference.container, start, size + size // 1000 + 3 * _HEADER_SLACK)

    def read_at(container: str, offset: int, length: int) -> bytes:
        begin = offset - start
        if begin >= 0 and begin + length <= len(window):
            return window[begin : begin + length]
        return containers.read_at(container, offset, length)

    return read_zip(reference, read_at=read_at)


def _inflated(reference: Reference, where: int, size: int, method: int, read_at: ReadAt) -> bytes:
    machine = bz2.BZ2Decompressor() if method == zipfile.ZIP_BZIP2 else zlib.decompressobj(-zlib.MAX_WBITS)
    parts, left = [], size
    try:
        while left and not machine.eof:
            packed = getattr(machine, "unconsumed_tail", b"")
            if not packed:
                packed = read_at(reference.container, where, min(_CHUNK, left + _HEADER_SLACK))
                where += len(packed)
                if not packed:
                    raise _corrupt(reference, "the archive ends inside it")
            parts.append(machine.decompress(packed, left))
            left -= len(parts[-1])
    except (zlib.error, OSError, EOFError) as exc:
        raise _corrupt(reference, str(exc)) from exc
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Open:
    container: str
    version: str
    stream: BinaryIO
    file: BinaryIO

    def close(self) -> None:
        self.stream.close()
        self.file.close()


class _Streams:
    """Decompressing readers kept open where they stopped, so that a later batch need not start from the beginning."""

    LIMIT = 4

    def __init__(self) -> None:
        self._idle: list[_Open] = []
        self._lock = threading.Lock()

    def take(self, reference: Reference) -> _Open:
        with self._lock:
            for place, idle in enumerate(self._idle):
                same = idle.container == reference.container and idle.version == reference.version
                if same and idle.stream.tell() <= reference.offset:
                    return self._idle.pop(place)
        file, _ = containers.open_binary(reference.container)
        return _Open(reference.container, reference.version, archives.tar_stream(file), file)

    def give(self, used: _Open) -> None:
        with self._lock:
            self._idle.append(used)
            dropped = self._idle.pop(0) if len(self._idle) > self.LIMIT else None
        if dropped is not None:
            dropped.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()


_streams = _Streams()


def close_idle() -> None:
    """Close the compressed tars that are kept open for members yet to be read: Windows deletes no open file."""
    _streams.close()


def read_from_stream(reference: Reference) -> bytes:
    """A member of a compressed tar: goes on from where the last one of it was read, or begins anew."""
    size = checked_size(reference)
    try:
        used = _streams.take(reference)
        used.stream.seek(reference.offset)
        data = used.stream.read(size)
    except (*archives.BROKEN, OSError, ValueError) as exc:
        raise ImageError(containers.code_of(exc), f"{reference.filename}: {exc}") from exc
    _streams.give(used)
    return _not_empty(data, reference)


def checked_size(reference: Reference) -> int:
    """The member's declared size. Raises `ImageError`: zero, too large, or no place given."""
    if reference.offset < 0 or reference.file_size < 0:
        raise _corrupt(reference, "its place in the archive is not known")
    if reference.file_size > files.MAX_ENCODED_BYTES:
        raise ImageError(errors.IMAGE_TOO_LARGE, f"{reference.filename}: {reference.file_size} bytes")
    if reference.file_size == 0:
        raise ImageError(errors.ZERO_SIZE_FILE, reference.filename)
    return reference.file_size


def _now(read: Load) -> Load:
    """Read now; an error is raised only when the returned function is called, not in the reader's loop."""
    try:
        data = read()
    except ImageError as error:
        return failing(error)
    return lambda: data


def _not_empty(data: bytes, reference: Reference) -> bytes:
    if not data:
        raise _corrupt(reference, "the archive ends before it")
    return data


def _corrupt(reference: Reference, why: str) -> ImageError:
    return ImageError(errors.CORRUPT_CONTAINER, f"{reference.filename}: {why}")
