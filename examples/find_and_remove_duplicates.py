"""Keep the best image of every group of duplicates, move the others away, and back.

    python examples/find_and_remove_duplicates.py [folder of images]

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
    fd.run(verify="auto")  # keypoints and pixels tell copies from look-alikes

    plan = fd.dedup("best", groups="duplicates")
    print(plan[["component_id", "keep", "filename", "pixels", "bits_per_pixel"]])
    print(fd.clean(plan))  # says what it would do

    done = fd.clean(plan, dry_run=False)  # moves into work_dir/quarantine/0001
    print(f"{len(done)} files moved to {done.attrs['folder']}")
    print(fd.undo())  # and back, byte for byte


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
