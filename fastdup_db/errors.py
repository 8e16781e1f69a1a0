"""Every exception of this package on one screen.

FastdupError
├── BadArgument (also ValueError)      an argument is wrong; nothing was read or written
│   └── BadInput                       the input is missing, empty, mixed, or holds no valid image
├── NotRun (also RuntimeError)         an answer was asked for before the run that makes it
├── SchemaTooNew                       the work_dir was written by a newer fastdup_db
├── WorkDirBusy                        another process is writing to the work_dir
├── WorkDirDamaged                     the work_dir's database or vectors cannot be read
├── NotStored (also OSError)           what a run found cannot be written: the disk is full, or refuses
├── MissingExtra (also ImportError)    an optional part is not installed; says the pip command
├── ModelUnavailable                   model weights cannot be had or do not fit
├── RemoteError                        a bucket or a download refused or failed for good
└── ImageError                         one image cannot be used; becomes a row with its `code`, never a crash
"""

from __future__ import annotations

from collections.abc import Iterable


class FastdupError(Exception):
    """Root of everything this package raises on purpose."""


class BadArgument(FastdupError, ValueError):
    """An argument is wrong. Raised before any work, with what is allowed."""


class BadInput(BadArgument):
    """The input is missing, empty, of mixed kinds, or has no valid image in it."""


class NotRun(FastdupError, RuntimeError):
    """An answer was asked for that no run in this work_dir has made yet."""


class SchemaTooNew(FastdupError):
    """The database was written by a newer version of fastdup_db than this one."""


class WorkDirBusy(FastdupError):
    """Another process is writing to the work_dir's database."""


class WorkDirDamaged(FastdupError):
    """The work_dir's database is cut short or no database, or its vectors are lost; `run(overwrite=True)` makes new
    ones."""


class NotStored(FastdupError, OSError):
    """What a run found cannot be written: the disk is full, or refuses. `run()` again goes on once there is room."""


class MissingExtra(FastdupError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part: pip install 'fastdup-db[{extra}]'")
        self.extra = extra


class ModelUnavailable(FastdupError):
    """Model weights are absent, do not match their checksum, or do not fit the request."""


class RemoteError(FastdupError):
    """A bucket or a server refused, or failed after all retries."""


class ImageError(FastdupError):
    """One image cannot be used. `code` is what its row says, one of `ERROR_CODES`."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


VALID = "VALID"
ZERO_SIZE_FILE = "ERROR_ZERO_SIZE_FILE"
CORRUPT_IMAGE = "ERROR_CORRUPT_IMAGE"
IMAGE_TOO_SMALL = "ERROR_IMAGE_TOO_SMALL"
IMAGE_TOO_LARGE = "ERROR_IMAGE_TOO_LARGE"
MISSING_FILE = "ERROR_MISSING_FILE"
UNREADABLE_FILE = "ERROR_UNREADABLE_FILE"
BAD_BOUNDING_BOX = "ERROR_BAD_BOUNDING_BOX"
CORRUPT_CONTAINER = "ERROR_CORRUPT_CONTAINER"

ERROR_CODES = (
    ZERO_SIZE_FILE,
    CORRUPT_IMAGE,
    IMAGE_TOO_SMALL,
    IMAGE_TOO_LARGE,
    MISSING_FILE,
    UNREADABLE_FILE,
    BAD_BOUNDING_BOX,
    CORRUPT_CONTAINER,
)


def one_of(name: str, value: object, allowed: Iterable[str]) -> BadArgument:
    """The error for a value outside a closed list, naming the list."""
    return BadArgument(f"{name}={value!r} is unknown; allowed: {', '.join(sorted(allowed))}")
