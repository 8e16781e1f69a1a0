"""What a source yields: where one image lies, without any of its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastdup_db.errors import FastdupError

Load = Callable[[], "bytes | np.ndarray"]
"""Returns an image's encoded bytes, or a decoded video frame as RGB uint8 (h, w, 3).

Raises `ImageError` with the row's error code when the image cannot be had.
"""


def failing(error: FastdupError) -> Load:
    """A load that raises this error."""

    def load() -> bytes:
        raise error

    return load


@dataclass(frozen=True, slots=True)
class Reference:
    """One image of a collection: cheap, picklable, enough to read it again years later.

    filename: the name users see and join on: an absolute path, `s3://bucket/key`, `/dir/a.tar/inner/name.jpg`,
        `/dir/v.mp4#t=12.000`. Unique within a collection unless the user listed a name twice.
        Bytes that are no UTF-8 are shown as `\\xNN`, and the backslash of a name that holds such a sequence itself
        as `\\x5c`; `container` or `member` then holds the true path as a URL.
    container: path or URL of the archive or video it lies in; empty for a plain file.
    member: its name inside the archive; `keyframe` for a frame that was listed as one.
    offset: where the member's bytes begin in the tar (compressed or not: in the uncompressed stream), where its header
        begins in a zip; -1 when not known.
    file_size: size in bytes of the encoded image, -1 when not known.
    version: what changes when the content changes: mtime in ns of the file or archive, the ETag of an object,
        the checksum of a zip's member.
    frame_ms, frame_number: presentation time, and 0-based place in the order of showing, of a video frame, else -1.
    label, split: what the layout of the input says (folder name, YOLO yaml), empty when it says nothing.
    error_code: set when listing already showed that it cannot be read (missing file, broken archive).
    """

    filename: str
    container: str = ""
    member: str = ""
    offset: int = -1
    file_size: int = -1
    version: str = ""
    frame_ms: int = -1
    frame_number: int = -1
    label: str = ""
    split: str = ""
    error_code: str = ""
