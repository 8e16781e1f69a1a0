"""The results are a DuckDB file: read it with plain duckdb, SQL, pandas and a plot.

    python examples/sql_and_bi.py [folder of images]

Without a folder it draws some images of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import duckdb

import fastdup_db
from fastdup_db import demo


def main(images: Path, work_dir: Path) -> None:
    fd = fastdup_db.create(work_dir, images)
    fd.run()
    print(fd.sql("select filename, blur from img_stats order by blur limit $n", n=3))
    with duckdb.connect(str(work_dir / "fastdup.duckdb"), read_only=True) as db:  # nothing of ours needed
        print(db.sql("select view_name, comment from duckdb_views() where comment is not null order by all"))
        stats = db.sql("select mean, blur from img_stats").df()
    print(fd.export(work_dir / "parquet", "parquet"))
    try:
        import matplotlib
    except ImportError:
        return  # the plot needs the extra 'report'
    matplotlib.use("Agg")
    stats.plot.scatter("mean", "blur", logy=True).figure.savefig(work_dir / "blur.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "images"
        if len(sys.argv) == 1:
            demo.draw(images)
        main(images, Path(folder) / "work")
