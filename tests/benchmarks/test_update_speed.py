"""Adding m images to n: `overwrite=False` beside a fresh run of all n + m, with the same edges and components.

    FASTDUP_DB_DATA=/path/to/images pytest -m bench -s tests/benchmarks/test_update_speed.py
    UPDATE_IMAGES=100000 UPDATE_ADDED=1000 pytest -m bench -s tests/benchmarks/test_update_speed.py

The images are small crops of real photographs, each from a place of its own; every tenth added one is a stored one
saved anew. Both runs are whole processes with two threads; `nnf_mode='Flat'` and `adapt=False`, so that both look for
the exact neighbours of the same vectors. (By default an update keeps the transform of the run before, a fresh run fits
anew.)
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from tests.conftest import data_folder

pytestmark = pytest.mark.bench

STORED, ADDED = int(os.environ.get("UPDATE_IMAGES", "10000")), int(os.environ.get("UPDATE_ADDED", "100"))
SIDE = 48
"""Pixels a side: small, so that files are written and read quickly; the network sees them at its own size."""
RUN = """
import sys, fastdup_db
fastdup_db.create(sys.argv[1], sys.argv[2]).run(
    nnf_mode="Flat", adapt=False, overwrite=sys.argv[3] == "fresh", num_threads=2, progress=False
)
"""
EDGES = """
select f.filename as "from", t.filename as "to", e.similarity, e.rank
from edges as e join facts as f on f.fd_index = e.from_id join facts as t on t.fd_index = e.to_id
order by 1, 4
"""
COMPONENTS = """
select f.filename, min(f.filename) over (partition by c.component_id) as component
from components as c join facts as f on f.fd_index = c.id order by 1
"""


def save_crops(folder: Path, pictures: list[Path], *, count: int, seed: int) -> None:
    """`count` files of SIDE x SIDE pixels, cut from places drawn anew for each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    of = np.sort(rng.integers(0, len(pictures), count))
    for number, which in enumerate(of):
        if number == 0 or which != of[number - 1]:
            picture = cv2.imread(str(pictures[which]))
        short = min(picture.shape[:2])
        side = int(rng.integers(1 + short // 4, 1 + short // 2))
        y, x = (int(rng.integers(0, size - side + 1)) for size in picture.shape[:2])
        crop = cv2.resize(picture[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:07d}.png"), crop)


def timed_run(work_dir: Path, images: Path, how: str) -> tuple[float, float]:
    """Wall and CPU seconds of a whole process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", RUN, str(work_dir), str(images), how], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def test_an_update_beside_a_fresh_run(tmp_path: Path) -> None:
    data = data_folder()
    if data is None:
        pytest.skip("real images are absent (set FASTDUP_DB_DATA)")
    pictures = [p for p in sorted((data / "imagenet-sample").rglob("*.*")) if cv2.haveImageReader(str(p))]
    images, later = tmp_path / "images", tmp_path / "later"
    save_crops(images / "a", pictures, count=STORED, seed=0)
    save_crops(later, pictures, count=ADDED, seed=1)
    for number in range(0, ADDED, 10):
        again = cv2.imread(str(images / "a" / f"{number:07d}.png"))
        cv2.imwrite(str(later / f"{number:07d}.png"), cv2.convertScaleAbs(again, alpha=1.02))

    timed_run(tmp_path / "updated", images, "fresh")
    later.rename(images / "b")
    update, update_cpu = timed_run(tmp_path / "updated", images, "update")
    fresh, fresh_cpu = timed_run(tmp_path / "fresh", images, "fresh")
    print(
        f"\n{ADDED:,} images added to {STORED:,}: {update:.1f} s ({update_cpu:.1f} CPU s); all anew: {fresh:.1f} s "
        f"({fresh_cpu:.1f} CPU s): {fresh / update:.1f} times as fast, {fresh_cpu / update_cpu:.1f} times less CPU"
    )
    a, b = (fastdup_db.create(tmp_path / name) for name in ("updated", "fresh"))
    pd.testing.assert_frame_equal(a.sql(EDGES), b.sql(EDGES))
    groups = a.sql(COMPONENTS)
    pd.testing.assert_frame_equal(groups, b.sql(COMPONENTS))
    planted = groups["filename"].str.contains("/b/") & (groups["component"].str.contains("/a/"))
    assert planted.sum() >= 0.9 * (ADDED // 10)
