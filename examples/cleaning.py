"""Cleaning, as in fastdup's documentation: the lists of what to take out.

    python examples/cleaning.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import fastdup_db as fastdup
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    fd = fastdup.create(work_dir=str(work_dir), input_dir=str(images))
    fd.run()
    broken = fd.invalid_instances()["filename"].tolist()

    similar = fd.connected_components()[0].sort_values("component_id")
    groups = similar.groupby("component_id")["filename"].agg(list)
    duplicates = [name for files in groups for name in files[1:]]

    outliers = fd.outliers()
    odd = outliers[outliers["distance"] < 0.68]["filename_outlier"].tolist()

    stats = fd.img_stats()
    dark = stats[stats["mean"] < 13]["filename"].tolist()
    bright = stats[stats["mean"] > 220.5]["filename"].tolist()
    blurry = stats[stats["blur"] < 50]["filename"].tolist()
    for what, names in {
        "broken": broken, "duplicates": duplicates, "outliers": odd, "dark": dark, "bright": bright, "blurry": blurry,
    }.items():  # fmt: skip
        print(f"{what}: {len(names)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
