"""Milliseconds an image of decoding and statistics, on one core, each the minimum of several turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdup_db.imaging import stats
from fastdup_db.imaging.decode import decode
from fastdup_db.imaging.exif import content_hash, exif

pytestmark = pytest.mark.bench


def milliseconds(parts: dict[str, Callable[[int], object]], *, count: int, turns: int = 5) -> dict[str, float]:
    """The parts take turns image by image, so that a busy machine slows all alike."""
    total = dict.fromkeys(parts, 0.0)
    for i in range(count):
        best = dict.fromkeys(parts, float("inf"))
        for _ in range(turns):
            for name, part in parts.items():
                start = time.perf_counter()
                part(i)
                best[name] = min(best[name], time.perf_counter() - start)
        for name, seconds in best.items():
            total[name] += seconds
    return {name: seconds / count * 1000 for name, seconds in total.items()}


def show(title: str, found: dict[str, float]) -> None:
    print(f"\n{title}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in found.items()))


def test_photographs(real_images: Path) -> None:
    cv2.setNumThreads(1)
    files = [path.read_bytes() for path in sorted((real_images / "imagenet-sample").iterdir())[::5]]
    images = [decode(data).image for data in files]
    gray = [stats.gray_sample(image) for image in images]
    found = milliseconds(
        {
            "OpenCV's decode": lambda i: cv2.imdecode(np.frombuffer(files[i], np.uint8), cv2.IMREAD_COLOR_RGB),
            "decode": lambda i: decode(files[i]),
            "statistics": lambda i: stats.statistics(images[i]),
            "moments": lambda i: stats._moments(images[i]),
            "distinct values": lambda i: stats._distinct(images[i]),
            "gray sample": lambda i: stats.gray_sample(images[i]),
            "Laplacian": lambda i: stats.laplacian_variance(gray[i]),
            "advanced": lambda i: stats.statistics(images[i], advanced=True),
            "decode + statistics": lambda i: stats.statistics(decode(files[i]).image),
            "exif": lambda i: exif(files[i]),
            "hash": lambda i: content_hash(files[i]),
        },
        count=len(files),
    )
    show(f"{len(files)} photographs, {np.mean([i.size // 3 for i in images]) / 1e6:.2f} megapixels", found)


def test_small_images() -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    images = [cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (32, 32)) for _ in range(200)]
    pngs, jpegs = ([cv2.imencode(kind, image)[1].tobytes() for image in images] for kind in (".png", ".jpg"))
    found = milliseconds(
        {
            "PNG decode": lambda i: decode(pngs[i]),
            "JPEG decode": lambda i: decode(jpegs[i]),
            "statistics": lambda i: stats.statistics(images[i]),
        },
        count=len(images),
    )
    show("32×32", found)
