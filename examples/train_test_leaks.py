"""Images of the test split that are also in the training split.

    python examples/train_test_leaks.py [folder of images]

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
    names = sorted(p.name for p in images.iterdir())
    splits = ["test" if number % 3 == 0 else "train" for number in range(len(names))]
    fd = fastdup_db.create(work_dir, images)
    fd.run(annotations=pd.DataFrame({"filename": names, "split": splits}), nearest_neighbors_k=5)
    leaks = fd.similarity(between=("train", "test"), threshold=0.95)
    print(f"{len(leaks)} pairs cross the splits")
    print(leaks[["distance", "filename_from", "split_from", "filename_to", "split_to"]])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
