"""What a listing keeps, and how it looks at folders and videos."""

from __future__ import annotations

from dataclasses import dataclass

from fastdup_db import checks


@dataclass(frozen=True, slots=True)
class ListingOptions:
    """How `listing` selects. A wrong value raises `BadArgument` here, before anything is touched.

    find_regex: kept are references whose filename (inner names of archives included) it matches anywhere.
    num_images: the first n references only; None or 0 means all.
    min_offset, max_offset: positions in the whole listing, end exclusive; None means open.
    min_file_size: smaller images, in bytes, are passed over; frames and images of unknown size are kept.
    tar_only: archives and videos only; plain images are ignored instead of refused.
    sort: full-path order; False keeps the file system's own order (faster to start, not reproducible).
    label_from_folder: label = class folder (`root/cat/1.jpg`, `root/train/cat/1.jpg`, also inside archives).
    video_fps: frames a second; each is the first one at or after its time. video_keyframes_only: every keyframe.
    follow_symlinks: enter linked folders (linked files are always read).
    exclude: absolute paths of folders to pass over, such as the work_dir when it lies inside the input.
    """

    find_regex: str = ""
    num_images: int | None = None
    min_offset: int | None = None
    max_offset: int | None = None
    min_file_size: int = 0
    tar_only: bool = False
    sort: bool = True
    label_from_folder: bool = False
    video_fps: float = 1.0
    video_keyframes_only: bool = False
    follow_symlinks: bool = True
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.pattern("find_regex", self.find_regex)
        for name in ("num_images", "min_offset", "max_offset", "min_file_size"):
            value = getattr(self, name)
            if value is not None:
                checks.at_least(name, value, 0)
        checks.offsets(self.min_offset, self.max_offset)
        checks.rate("video_fps", self.video_fps)
