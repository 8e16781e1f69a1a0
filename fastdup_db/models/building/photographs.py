"""Crops of photographs: what the bundled models' statistics are estimated from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fastdup_db.errors import BadInput
from fastdup_db.imaging.resize import to_input

SUFFIXES = {".jpg", ".jpeg", ".png"}


def find(folders: list[Path]) -> list[Path]:
    """Every photograph below the folders, sorted. Raises BadInput when there is none."""
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise BadInput(f"no photographs in {', '.join(map(str, folders))}")
    return found


def crops(path: Path, *, size: int, count: int, seed: int) -> np.ndarray:
    """uint8 (count, size, size, 3): the whole photograph, then random crops of 35 to 100 % of its area, half of them
    mirrored, sides stretched by up to e^±0.3. The same for the same seed."""
    random = np.random.default_rng(seed)
    decoded = cv2.imread(str(path))
    if decoded is None:
        raise BadInput(f"{path} is no image")
    image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    out = [to_input(image, size=(size, size))]
    for _ in range(count - 1):
        side, stretch = np.sqrt(random.uniform(0.35, 1)), np.exp(random.uniform(-0.3, 0.3))
        rows, columns = min(int(height * side * stretch), height), min(int(width * side / stretch), width)
        top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
        crop = image[top : top + rows, left : left + columns]
        out.append(to_input(np.ascontiguousarray(crop[:, ::-1] if random.random() < 0.5 else crop), size=(size, size)))
    return np.stack(out)


def batches(paths: list[Path], *, size: int, count: int, photographs: int = 4) -> Iterator[np.ndarray]:
    """Crops of `photographs` files at a time, seeded by the file's position; a short rest is left out."""
    for start in range(0, len(paths) - photographs + 1, photographs):
        chosen = range(start, start + photographs)
        yield np.concatenate([crops(paths[i], size=size, count=count, seed=i) for i in chosen])
