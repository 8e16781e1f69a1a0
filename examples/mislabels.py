"""Images whose neighbours have another label.

    python examples/mislabels.py [folder of images]

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
    """The label of an image is its name up to the first underscore; one is planted wrong."""
    names = sorted(p.name for p in images.iterdir())
    labels = pd.DataFrame({"filename": names, "label": [name.split("_")[0] for name in names]})
    labels.loc[0, "label"] = labels["label"].iloc[-1]
    fd = fastdup_db.create(work_dir, images)
    fd.run(annotations=labels, nearest_neighbors_k=5)
    print(fd.label_quality().head())
    print("page:", fd.vis.similarity_gallery(slice="diff", threshold=0))


def draw(images: Path) -> None:
    """Five shots each of six scenes."""
    import cv2

    images.mkdir(parents=True)
    for scene in range(6):
        for shot in range(5):
            cv2.imwrite(str(images / f"{'abcdef'[scene]}_{shot}.jpg"), demo.scene(scene)[: 240 - 4 * shot])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            draw(images)
        main(images, Path(folder) / "work")
