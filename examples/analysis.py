"""Quick analysis, as in fastdup's documentation: one import is changed.

    python examples/analysis.py [folder of images]

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
    fd.summary()
    fd.vis.duplicates_gallery()
    fd.vis.outliers_gallery()
    fd.vis.component_gallery()
    fd.vis.stats_gallery(metric="blur")
    fd.vis.stats_gallery(metric="dark")
    fd.vis.similarity_gallery()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
