"""Small images drawn for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fastdup_db import demo


def jpeg(seed: int = 0, *, height: int = 24, width: int = 32, suffix: str = ".jpg") -> bytes:
    """An encoded image of noise that no other seed gives."""
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


def draw(path: Path, *, seed: int = 0) -> Path:
    """Writes such an image, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(seed, suffix=path.suffix if path.suffix.lower() in (".png", ".bmp") else ".jpg"))
    return path


def draw_scenes(folder: Path, *, count: int) -> Path:
    """Makes a folder of 0.bmp, 1.bmp, …: the demo's scenes from 20 on, files of one size."""
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.bmp"), demo.scene(number + 20))
    return folder
