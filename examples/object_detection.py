"""Object detection with boxes, as in fastdup's documentation.

    python examples/object_detection.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pandas as pd

import fastdup_db as fastdup
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    names = sorted(p.name for p in images.glob("scene_*.jpg")) or sorted(p.name for p in images.iterdir())
    boxes = [
        {"filename": name, "col_x": x, "row_y": 20, "width": 140, "height": 180, "label": label}
        for name in names
        for x, label in ((0, "left"), (170, "right"))
    ]
    fd = fastdup.create(work_dir=str(work_dir), input_dir=str(images))
    fd.run(annotations=pd.DataFrame(boxes))
    fd.vis.component_gallery(num_images=10, slice="left")
    fd.vis.outliers_gallery(draw_bbox=True)
    fd.vis.stats_gallery(metric="size")
    print(fd.img_stats().head())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
