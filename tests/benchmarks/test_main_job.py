"""The main job in ratios measured in one run: images a second against fastdup 2.54, import time, memory of ingest.

    FASTDUP_PEER_PYTHON=/path/to/its/python pytest -m bench -s tests/benchmarks/test_main_job.py

The peer has an environment of its own (`pip install fastdup==2.54`). Both sides are whole processes on 2 threads, in
turn; processor time is printed beside wall time, since wall time tells little on a busy machine.
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
import pytest

from tests.conftest import data_folder

pytestmark = pytest.mark.bench

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = "import sys, fastdup_db; fastdup_db.create(sys.argv[2], sys.argv[1]).run(num_threads=2, progress=False)"
PEER = "import sys, fastdup; fastdup.create(work_dir=sys.argv[2], input_dir=sys.argv[1]).run(num_threads=2)"
ROUNDS = 2


def _timed(python: str, code: str, *arguments: object) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    env = {**os.environ, "SENTRY_OPT_OUT": "1", "PYTHONPATH": str(REPOSITORY) if python == sys.executable else ""}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode, as the peer's does here
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu, after.ru_maxrss / 1024


def _link(photographs: list[Path], folder: Path, *, count: int) -> None:
    """A new folder of so many names of the photographs."""
    folder.mkdir()
    for number in range(count):
        source = photographs[number % len(photographs)]
        (folder / f"{number:06d}{source.suffix}").symlink_to(source)


def _compare(images: Path, count: int, tmp_path: Path) -> None:
    peer = os.environ.get("FASTDUP_PEER_PYTHON")
    if not peer:
        pytest.skip("fastdup 2.54 is absent (set FASTDUP_PEER_PYTHON to the Python that has it)")
    ours, theirs = [], []
    for turn in range(ROUNDS):
        ours.append(_timed(sys.executable, OURS, images, tmp_path / f"ours{turn}"))
        theirs.append(_timed(peer, PEER, images, tmp_path / f"peer{turn}"))
    (wall, cpu, _), (peer_wall, peer_cpu, _) = min(ours), min(theirs)
    print(
        f"\n{images.name}: {count} images, ours {count / wall:.0f}/s ({1000 * cpu / count:.1f} ms CPU each), "
        f"fastdup {count / peer_wall:.0f}/s ({1000 * peer_cpu / count:.1f} ms CPU each): "
        f"{peer_wall / wall:.1f} times as fast, {peer_cpu / cpu:.1f} times less CPU"
    )


def test_photographs(tmp_path):
    data = data_folder()
    if data is None:
        pytest.skip("real images are absent (set FASTDUP_DB_DATA)")
    _compare(data / "imagenet-sample", 1000, tmp_path)


def test_five_thousand_photographs(tmp_path):
    """What starting and ending a process hides in the thousand: the same files, each under five names."""
    data = data_folder()
    if data is None:
        pytest.skip("real images are absent (set FASTDUP_DB_DATA)")
    folder = tmp_path / "five times"
    _link(sorted((data / "imagenet-sample").iterdir()), folder, count=5000)
    _compare(folder, 5000, tmp_path)


def test_small_images(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5000):
        picture = cv2.resize(
            random.integers(0, 256, (5, 5, 3), dtype=np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC
        )
        cv2.imwrite(str(folder / f"{number:05d}.png"), picture)
    _compare(folder, 5000, tmp_path)


def test_importing():
    code = "import time; t = time.perf_counter(); import fastdup_db; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"\nimport fastdup_db: {1000 * min(seconds):.0f} ms")


def test_memory_does_not_grow_with_the_collection(tmp_path):
    """Peak of a run that only extracts, 1,000 and 20,000 photographs (the sample, linked under many names)."""
    data = data_folder()
    if data is None:
        pytest.skip("real images are absent (set FASTDUP_DB_DATA)")
    photographs = sorted((data / "imagenet-sample").iterdir())
    code = (
        "import sys, resource, fastdup_db; "
        "fastdup_db.create(sys.argv[2], sys.argv[1]).run(num_threads=2, progress=False, run_mode=1); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peaks = {}
    for count in (1000, 20_000):
        folder = tmp_path / str(count)
        _link(photographs, folder, count=count)
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        out = subprocess.run(
            [sys.executable, "-c", code, folder, tmp_path / f"work{count}"],
            env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks[count] = float(out.stdout)
    small, large = peaks[1000], peaks[20_000]
    print(f"\npeak memory: 1,000 images {small:.0f} MB, 20,000 images {large:.0f} MB (ratio {large / small:.2f})")
