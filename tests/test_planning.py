"""What a run will take."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastdup_db.errors import BadArgument
from fastdup_db.planning import estimate


def test_more_images_take_more_and_more_machines_are_faster():
    small, large = (estimate(n, workers=64, cores_per_worker=16) for n in (1e8, 1e9))
    assert large.ingest_cpu == pytest.approx(10 * small.ingest_cpu, rel=0.01)
    assert large.join_cpu > 20 * small.join_cpu, "the join grows with n^1.5"
    few = estimate(1e9, workers=8, cores_per_worker=16)
    assert few.cpu_hours == pytest.approx(large.cpu_hours, rel=0.01) and few.seconds > 3 * large.seconds
    assert large.storage_bytes > 1e9 * 2 * 4 * 576


def test_numbers_that_mean_nothing_are_refused():
    for wrong in ({"images": 0}, {"images": float("nan")}, {"images": 10, "workers": 0}, {"images": 10, "probes": 0}):
        with pytest.raises(BadArgument, match="at least 1"):
            estimate(**wrong)


def test_the_command_says_time_storage_memory_and_shuffle():
    command = [sys.executable, "-m", "fastdup_db.cli", "plan", "--images", "1e9", "--workers", "64"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "1,000,000,000 images on 1,024 cores" in said
    assert all(word in said for word in ("time ", "CPU-hours", "storage ", "memory ", "shuffle "))
