"""Near-identical frames of videos.

    python examples/video.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import fastdup_db
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    fd = fastdup_db.create(work_dir, images)
    fd.run(video_fps=2)
    print(fd.annotations()["filename"].head())
    print(fd.connected_components_grouped()[["files", "len", "distance"]])


def draw(images: Path) -> None:
    """A clip of three scenes, two seconds each."""
    import cv2

    images.mkdir(parents=True)
    clip = cv2.VideoWriter(str(images / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    for frame in range(60):
        clip.write(demo.scene(frame // 20))
    clip.release()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            draw(images)
        main(images, Path(folder) / "work")
