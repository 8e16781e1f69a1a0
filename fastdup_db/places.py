"""Folders that several machines may see: on a disk, or below `s3://`; files in them through pyarrow."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, slots=True)
class Place:
    """One folder; picklable, so that workers get it.

    uri: a path, or `s3://bucket/prefix`. endpoint, region, anonymous: how that bucket is reached. Keys are never held
    here: every process takes those of its own machine (environment, profile or role).
    """

    uri: str
    endpoint: str | None = None
    region: str | None = None
    anonymous: bool = False

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | Place) -> Place:
        """A folder on a disk as a place; a place as it is."""
        return folder if isinstance(folder, Place) else cls(os.fspath(folder))

    @property
    def is_remote(self) -> bool:
        """Whether it lies in a bucket."""
        return self.uri.startswith("s3://")

    @property
    def path(self) -> str:
        """Its path within its filesystem."""
        return self.uri.removeprefix("s3://") if self.is_remote else self.uri

    @property
    def files(self) -> FileSystem:
        """The filesystem that `path` belongs to."""
        return _bucket(self.endpoint, self.region, self.anonymous) if self.is_remote else _disk()

    @property
    def storage_options(self) -> dict[str, str] | None:
        """The same for Lance; None for a disk."""
        if not self.is_remote:
            return None
        options = {"aws_region": self.region or "us-east-1"}
        if self.endpoint:
            options["aws_endpoint"] = self.endpoint
            options["allow_http"] = str(self.endpoint.startswith("http://")).lower()
        return options | ({"aws_skip_signature": "true"} if self.anonymous else {})

    def __truediv__(self, name: str) -> Place:
        return replace(self, uri=f"{self.uri.rstrip('/')}/{name}")

    def exists(self) -> bool:
        """Whether there is a file or folder; in a bucket, a folder with files in it: some servers keep empty ones."""
        if not self.is_remote:
            return Path(self.uri).exists()
        from pyarrow.fs import FileSelector

        inside = FileSelector(self.path, allow_not_found=True)
        return self._info().is_file or any(info.is_file for info in self.files.get_file_info(inside))

    def make(self) -> None:
        """Make the folder; a bucket needs none."""
        if not self.is_remote:
            Path(self.uri).mkdir(parents=True, exist_ok=True)

    def delete(self) -> None:
        """Remove a folder with everything in it, or a file; a missing one is ignored.

        A folder on a disk is renamed first, so that a kill never leaves part of it under its name.
        """
        if not self.is_remote:
            return _delete(Path(self.uri))
        from pyarrow.fs import FileType

        kind = self._info().type
        if kind == FileType.Directory:
            self.files.delete_dir_contents(self.path, missing_dir_ok=True)
        if kind == FileType.File:
            self.files.delete_file(self.path)

    def nbytes(self) -> int:
        """Bytes of all files in a folder."""
        from pyarrow.fs import FileSelector

        found = self.files.get_file_info(FileSelector(self.path, allow_not_found=True, recursive=True))
        return sum(info.size or 0 for info in found if info.is_file)

    def _info(self):
        return self.files.get_file_info([self.path])[0]


def _delete(path: Path) -> None:
    if path.is_file():
        return path.unlink()
    going = path.with_name(f".{path.name}.going")
    shutil.rmtree(going, ignore_errors=True)  # of a process that was killed
    if path.is_dir():
        path.rename(going)
        shutil.rmtree(going, ignore_errors=True)


@functools.cache
def _disk() -> FileSystem:
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem(use_mmap=True)


@functools.cache
def _bucket(endpoint: str | None, region: str | None, anonymous: bool) -> FileSystem:
    from pyarrow.fs import S3FileSystem

    scheme, _, host = (endpoint or "").rpartition("://")
    return S3FileSystem(
        anonymous=anonymous, region=region or "us-east-1", scheme=scheme or "https", endpoint_override=host or None
    )
