"""What an archive costs beside its folder, and boxes beside fastdup 2.54: ratio lines, each measured within one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pandas as pd
import pytest

import fastdup_db

pytestmark = pytest.mark.bench
TURNS = 3
THREADS = 2
PEER = """
import sys, time
import pandas as pd, fastdup
frame, folder, work = pd.read_csv(sys.argv[1]), sys.argv[2], sys.argv[3]
start = time.perf_counter()
fd = fastdup.create(work_dir=work, input_dir=folder)
fd.run(annotations=frame, data_type="bbox", num_threads=int(sys.argv[4]), overwrite=True,
       augmentation_horiz=0, augmentation_vert=0)
print("\\nseconds", time.perf_counter() - start, "instances", len(fd.annotations()))
"""
OURS = """
import sys, time
import pandas as pd, fastdup_db
frame, folder, work = pd.read_csv(sys.argv[1]), sys.argv[2], sys.argv[3]
start = time.perf_counter()
fd = fastdup_db.create(work, folder)
fd.run(annotations=frame, data_type="bbox", num_threads=int(sys.argv[4]), progress=False,
       augmentation_horiz=0, augmentation_vert=0)
print("\\nseconds", time.perf_counter() - start, "instances", len(fd.annotations()))
"""


def test_a_tar_is_as_fast_as_its_folder(real_images: Path, tmp_path: Path) -> None:
    folder, archive = real_images / "imagenet-sample", tmp_path / "all.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "all")
    ratios = []
    for turn in range(TURNS):
        seconds = {}
        for name, source in (("folder", folder), ("tar", archive))[:: 1 if turn % 2 else -1]:
            fd = fastdup_db.create(tmp_path / f"{name}-{turn}", source)
            start = time.perf_counter()
            fd.run(progress=False, num_threads=THREADS, num_images=400)
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["folder"] / seconds["tar"])
    print(f"\ntar: {statistics.median(ratios):.2f} of the folder's speed ({', '.join(f'{r:.2f}' for r in ratios)})")


def test_boxes_beside_fastdup(real_images: Path, tmp_path: Path) -> None:
    """929 boxes of 128 photographs, no margins, two threads; whole runs, in processes of their own, in turn."""
    peer = os.environ.get("FASTDUP_PEER_PYTHON")
    if not peer:
        pytest.skip("fastdup 2.54 is absent (set FASTDUP_PEER_PYTHON to the python it is installed for)")

    folder = real_images / "coco128" / "images" / "train2017"
    boxes = _boxes(real_images / "coco128" / "instances_train2017.json", folder)
    boxes.to_csv(tmp_path / "boxes.csv", index=False)
    seconds: dict[str, list[float]] = {"fastdup": [], "fastdup_db": []}
    instances: dict[str, int] = {}
    for turn in range(TURNS):
        for name, python, code in (("fastdup", peer, PEER), ("fastdup_db", sys.executable, OURS)):
            said = _run(python, code, tmp_path / "boxes.csv", folder, tmp_path / f"{name}-{turn}", THREADS)
            seconds[name].append(float(said[1]))
            instances[name] = int(said[3])
    ratios = [theirs / ours for theirs, ours in zip(seconds["fastdup"], seconds["fastdup_db"], strict=True)]
    print(f"\nboxes: {statistics.median(ratios):.1f} x fastdup 2.54 ({seconds}, valid instances {instances})")


def _boxes(path: Path, folder: Path) -> pd.DataFrame:
    """fastdup opens names as they are given, so they are absolute."""
    coco = json.loads(path.read_text())
    images = {i["id"]: str(folder / i["file_name"]) for i in coco["images"]}
    return pd.DataFrame(
        [(images[a["image_id"]], *map(int, a["bbox"]), str(a["category_id"])) for a in coco["annotations"]],
        columns=["filename", "col_x", "row_y", "width", "height", "label"],
    )


def _run(python: str, code: str, *arguments: object) -> list[str]:
    """The words of the last line that the code prints."""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "SENTRY_OPT_OUT": "1", "PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return next(line for line in reversed(done.stdout.splitlines()) if line.startswith("seconds")).split()
