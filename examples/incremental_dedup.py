"""A folder that grows: only new images are read, and only their duplicates are asked for.

    python examples/incremental_dedup.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import fastdup_db
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    arrivals = sorted(p for p in images.iterdir() if p.is_file())
    inbox = work_dir / "inbox"
    inbox.mkdir(parents=True)
    fd = fastdup_db.create(work_dir / "results", inbox)
    known = 0
    for part in (arrivals[::2], arrivals[1::2]):  # two days
        for file in part:
            shutil.copy2(file, inbox)
        fd.run(overwrite=False)
        pairs = fd.similarity(threshold=0.95)
        new = pairs[(pairs["from"] >= known) & (pairs["from"] > pairs["to"])]
        print(f"{fd.num_instances(valid_only=False) - known} images read; duplicates among them and of older ones:")
        print(new[["distance", "filename_from", "filename_to"]])
        known = fd.num_instances(valid_only=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
