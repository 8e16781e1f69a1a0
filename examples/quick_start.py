"""Duplicates, outliers, clusters, broken and blurry files of a folder.

    python examples/quick_start.py [folder of images]

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
    fd.run()
    fd.summary()
    print(fd.similarity()[["distance", "filename_from", "filename_to"]].head())
    print(fd.outliers()[["distance", "filename_outlier"]].head())
    print(fd.connected_components_grouped(metric="blur").head())
    print(fd.invalid_instances()[["filename", "error_code"]])
    print("pages:", fd.vis.duplicates_gallery(), fd.vis.component_gallery())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
