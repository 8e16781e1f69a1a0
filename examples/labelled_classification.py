"""A labelled collection with splits, as in fastdup's documentation.

    python examples/labelled_classification.py [folder of images]

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
    names = sorted(p.name for p in images.iterdir())
    annotations = pd.DataFrame(
        {
            "filename": names,
            "label": [name.split("_")[0].split(".")[0] for name in names],
            "split": ["train" if number % 4 else "test" for number in range(len(names))],
        }
    )
    fd = fastdup.create(work_dir=str(work_dir), input_dir=str(images))
    fd.run(annotations=annotations, overwrite=True)
    fd.vis.component_gallery(slice="diff")
    fd.vis.outliers_gallery()
    fd.vis.similarity_gallery(slice="diff", threshold=0)
    print(fd.similarity(split="train").head())
    print(fd.connected_components(split=["train", "test"])[1])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
