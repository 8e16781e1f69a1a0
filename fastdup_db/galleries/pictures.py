"""The images behind the cards: what each is called, where it lies, and which box of it is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a collection, or one box of it.

    id: of the image or of the box; image_id: of the image it lies in. is_file: a plain file or object, neither a member
    of an archive nor a frame of a video. version, file_size (bytes): change when the content changes.
    corners: of the box, clockwise, in pixels of the upright image; empty without a box.
    """

    id: int
    image_id: int
    filename: str
    is_file: bool = True
    version: str = ""
    file_size: int = -1
    corners: tuple[Point, ...] = ()

    @property
    def local(self) -> Path | None:
        """The file on this machine, None for anything else (archive member, video frame, object in a bucket)."""
        return Path(self.filename) if self.is_file and "://" not in self.filename else None


def from_frame(frame: pd.DataFrame) -> dict[int, Picture]:
    """Pictures by id, from a frame as `galleries/places.sql` returns it."""
    return {row["id"]: _picture(row) for row in frame.to_dict("records")}


def names(pictures: Sequence[Picture], *, rename: Callable[[str], str] | None = None) -> dict[int, str]:
    """What to write under each picture, by id: its path below the folder all of them share, or what `rename` says."""
    if rename is not None:
        return {p.id: str(rename(p.filename)) for p in pictures}
    folder = _common_folder([p.filename for p in pictures])
    return {p.id: p.filename[len(folder) :] for p in pictures}


def _common_folder(filenames: Sequence[str]) -> str:
    # not commonpath: names may be URLs or lie inside archives. The first and the last in order differ the most
    first, last = min(filenames, default=""), max(filenames, default="")
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return first[: max(first.rfind("/", 0, same), first.rfind("\\", 0, same)) + 1]


def _picture(row: dict[str, Any]) -> Picture:
    return Picture(
        id=int(row["id"]),
        image_id=int(row["image_id"]),
        filename=row["filename"],
        is_file=not row["container"],
        version=str(row["version"]),
        file_size=-1 if pd.isna(row["file_size"]) else int(row["file_size"]),
        corners=_corners(row),
    )


def _corners(row: dict[str, Any]) -> tuple[Point, ...]:
    if not pd.isna(row["x1"]):
        return tuple((float(row[f"x{i}"]), float(row[f"y{i}"])) for i in (1, 2, 3, 4))
    if pd.isna(row["col_x"]):
        return ()
    x, y, w, h = (float(row[c]) for c in ("col_x", "row_y", "width", "height"))
    return ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
