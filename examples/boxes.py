"""Objects instead of images: every box is cut out and compared.

    python examples/boxes.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pandas as pd

import fastdup_db
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    names = sorted(p.name for p in images.glob("scene_*.jpg")) or sorted(p.name for p in images.iterdir())
    boxes = pd.DataFrame({"filename": names, "col_x": 40, "row_y": 30, "width": 120, "height": 120, "label": "thing"})
    fd = fastdup_db.create(work_dir, images)
    fd.run(annotations=boxes)
    print(fd.annotations()[["filename", "col_x", "row_y", "width", "height", "label"]].head())
    print(fd.similarity(threshold=0.8)[["distance", "filename_from", "filename_to"]].head())
    print("page:", fd.vis.outliers_gallery(draw_bbox=True))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
