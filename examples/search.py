"""Which stored images look like this one?

    python examples/search.py [folder of images]

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
    query = fd.annotations()["filename"].iloc[0]
    fd.init_search(k=5)
    print(fd.search(query))
    _, matrix = fd.embeddings()
    print(fd.vector_search(vec=matrix[0]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
