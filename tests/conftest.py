"""What every test shares: where the real images lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # before NumPy is loaded: this process is one of as many as there are cores, and threads of its linear algebra that
    # wait for a core would spin
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.ray_rig import cluster
from tests.s3_server import s3, s3_server

__all__ = ["cluster", "s3", "s3_server"]  # fixtures, here so that all modules share one server


def data_folder() -> Path | None:
    """The folder of real images: `$FASTDUP_DB_DATA`, else `shared/data` beside the checkout or above it."""
    named = os.environ.get("FASTDUP_DB_DATA")
    candidates = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    return next((c for c in candidates if c.is_dir()), None)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """`imagenet-sample`, `coco128`, `clothing` and `bsds500` lie here; skips where they are absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("real images are absent (set FASTDUP_DB_DATA)")
    return folder
