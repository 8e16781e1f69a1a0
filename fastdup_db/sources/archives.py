"""Listing archives: which images lie in a tar, tar.gz, tgz or zip, and at which byte. Nothing is unpacked."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from fastdup_db import errors
from fastdup_db.errors import FastdupError
from fastdup_db.sources import containers, files
from fastdup_db.sources.kinds import IMAGE, JUNK_FOLDER, is_junk, kind_of
from fastdup_db.sources.reference import Reference

BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(NotImplementedError, IndexError, OverflowError),
)
"""What the standard readers raise on damaged archives, found by fuzzing; besides these, OSError and ValueError."""

LOCAL_HEADER = struct.Struct("<4sHHHHHLLLHH")
"""A zip member's own header (PKWARE APPNOTE 4.3.7): signature, version, flags, method, time, date, crc,
compressed size, size, name length, extra length."""
LOCAL_SIGNATURE = b"PK\3\4"
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_CHUNK = 1 << 20
_STARTS = {b"PK": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8


def references(container: str) -> Iterator[Reference]:
    """The images inside one archive in the order of its members, named `archive.tar/inner/name.jpg`.

    container: path or URL as `containers.open_container` takes it. `offset` is where the member's data begin in the
    (uncompressed) tar stream, or where its own header begins in a zip. A name that comes again gets `#2`, `#3`, …
    Links (their images have names of their own), archives within the archive and macOS side files are passed over.

    Damaged archives give what is readable, then one reference of the archive itself with its code: a broken archive
    is ERROR_CORRUPT_CONTAINER. Encrypted members are ERROR_UNREADABLE_FILE, too large ones ERROR_IMAGE_TOO_LARGE.
    """
    name = files.shown(files.opened_by(container))
    seen: dict[int, int] = {}
    try:
        with containers.open_container(container) as (file, version):
            if not file.read(1):
                raise tarfile.ReadError("empty file")
            for reference in _zip_members(file) if packing(file) == "zip" else _tar_members(file, version):
                yield _named(reference, container=container, name=name, seen=seen)
    except FastdupError:
        raise
    except (*BROKEN, OSError, ValueError) as exc:
        yield Reference(name, error_code=containers.code_of(exc))


def _named(reference: Reference, *, container: str, name: str, seen: dict[int, int]) -> Reference:
    """Completes a member. `seen` counts hashes of names, 8 bytes where names would be a hundred."""
    inner = files.shown(reference.member)
    inner = inner.removeprefix("./").lstrip("/")
    count = seen[hash(inner)] = seen.get(hash(inner), 0) + 1
    code = reference.error_code or (errors.IMAGE_TOO_LARGE if reference.file_size > files.MAX_ENCODED_BYTES else "")
    return Reference(
        f"{name}/{inner}" + (f"#{count}" if count > 1 else ""),
        container=container,
        member=inner,
        offset=reference.offset,
        file_size=reference.file_size,
        version=reference.version,
        error_code=code,
    )


def _wanted(name: str) -> bool:
    """An image by its extension, and not one of macOS's side files."""
    folder, _, base = name.rpartition("/")
    return kind_of(base) == IMAGE and not is_junk(base) and JUNK_FOLDER not in folder.split("/")


def packing(file: BinaryIO) -> str:
    """How an open archive is packed: `zip`, `tar`, or a tar in `gzip`, `bzip2` or `xz`: by content, not by name.

    A tar begins with the name of its first member, which may look like anything else: of `PKLot/1.jpg`, like a zip. A
    zip may follow upon something else, such as the program that unpacks it.
    """
    file.seek(0)
    head = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    if _is_tar_header(head):
        return "tar"
    found = next((kind for start, kind in _STARTS.items() if head.startswith(start)), "")
    if not found:
        found = "zip" if zipfile.is_zipfile(file) else "tar"
        file.seek(0)
    return found


def _is_tar_header(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def tar_stream(file: BinaryIO) -> BinaryIO:
    """An open tar's uncompressed bytes: the file itself, or a decompressing reader on it."""
    kind = packing(file)
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if kind == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file))
    return file


class _StrictHeader(tarfile.TarInfo):
    """Only a block of zeros ends an archive; tarfile also takes a damaged header or a missing rest for its end."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as exc:
            if not buf or bytes(buf).strip(b"\0"):
                raise tarfile.ReadError("cut off" if not buf else "damaged header") from exc
            raise


def _tar_members(file: BinaryIO, version: str) -> Iterator[Reference]:
    stream = tar_stream(file)
    with tarfile.open(fileobj=stream, mode="r:", tarinfo=_StrictHeader, errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header it has read: a gigabyte on a million members
            if info.isreg() and _wanted(info.name):
                code = errors.UNREADABLE_FILE if info.issparse() else ""
                yield Reference(
                    "", member=info.name, offset=info.offset_data, file_size=info.size, version=version, error_code=code
                )
    if stream is not file:
        _check_rest(stream)


def _check_rest(stream: BinaryIO) -> None:
    """Reads a compressed tar to its end: only there its checksum tells whether what came before is what was packed.

    What follows a gzip's end without being one is passed over, as gzip does. Raises as the stream.
    """
    try:
        while stream.read(_CHUNK):
            pass
    except gzip.BadGzipFile as exc:
        if not str(exc).startswith("Not a gzipped file"):
            raise


def _zip_members(file: BinaryIO) -> Iterator[Reference]:
    try:
        members = zipfile.ZipFile(file).infolist()
    except (*BROKEN, ValueError):  # no directory at the end, or a damaged one: the members' own headers still tell
        yield from _zip_headers(file)
        raise
    for info in members:
        if _wanted(info.filename):
            yield Reference(
                "",
                member=info.filename,
                offset=info.header_offset,
                file_size=info.file_size,
                version=f"crc32:{info.CRC:08x}",
                error_code=_zip_code(info.flag_bits, info.compress_type),
            )


def _zip_headers(file: BinaryIO) -> Iterator[Reference]:
    """Members of a zip without its directory, until the first that does not say its size beforehand."""
    end = file.seek(0, io.SEEK_END)
    offset = 0
    while offset + LOCAL_HEADER.size <= end:
        file.seek(offset)
        header = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = header
        if signature != LOCAL_SIGNATURE or flags & _SIZES_FOLLOW:
            return
        member = file.read(name_length).decode("utf-8", "surrogateescape")
        data_end = offset + LOCAL_HEADER.size + name_length + extra_length + packed
        if _wanted(member) and data_end <= end:
            yield Reference(
                "",
                member=member,
                offset=offset,
                file_size=size,
                version=f"crc32:{crc:08x}",
                error_code=_zip_code(flags, method),
            )
        offset = data_end


def _zip_code(flags: int, method: int) -> str:
    return errors.UNREADABLE_FILE if flags & _ENCRYPTED or method not in ZIP_METHODS else ""
