"""Photographs and edited copies of them: what the bundled models' projection and statistics are estimated from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from fastdup_db.errors import BadInput
from fastdup_db.imaging.resize import to_input

SUFFIXES = {".jpg", ".jpeg", ".png"}
Edit = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From a uint8 (h, w, 3) photograph to a copy of it."""


def find(folders: list[Path]) -> list[Path]:
    """Every photograph below the folders, sorted. Raises BadInput when there is none."""
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise BadInput(f"no photographs in {', '.join(map(str, folders))}")
    return found


def _crop(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """40 to 100 % of the area, sides stretched by up to e^±0.2."""
    height, width = image.shape[:2]
    side, stretch = np.sqrt(random.uniform(0.4, 1)), np.exp(random.uniform(-0.2, 0.2))
    rows, columns = min(int(height * side * stretch), height), min(int(width * side / stretch), width)
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    return image[top : top + rows, left : left + columns]


def _mirrored_crop(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _crop(image, random)[:, ::-1]


def _upside_down(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return image[::-1]


def _mirror(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return image[:, ::-1]


def _turn(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """By up to 40° about the middle, black corners."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-40, 40), 1.0)
    return cv2.warpAffine(image, turn, (width, height))


def _recompress(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """JPEG of quality 8 to 39."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(8, 40))])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def _shrink(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """To 25 to 70 % of both sides."""
    height, width = image.shape[:2]
    by = random.uniform(0.25, 0.7)
    return cv2.resize(image, (max(int(width * by), 16), max(int(height * by), 16)), interpolation=cv2.INTER_AREA)


def _expose(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """0.6 to 1.5 times as bright, −20 to +30 of 255."""
    return cv2.convertScaleAbs(image, alpha=random.uniform(0.6, 1.5), beta=random.uniform(-20, 30))


def _write(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Eight letters of any colour and size somewhere on it."""
    out = image.copy()
    height, width = image.shape[:2]
    scale = height / 300 * random.uniform(0.5, 2)
    letters = "".join(map(chr, random.integers(ord("A"), ord("Z") + 1, 8)))
    where = int(random.integers(0, width // 3)), int(random.integers(height // 5, height))
    colour = random.integers(0, 256, 3).tolist()
    cv2.putText(out, letters, where, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, int(3 * scale) + 1)
    return out


EDITS: tuple[Edit, ...] = (
    _crop,
    _mirrored_crop,
    _upside_down,
    _mirror,
    _turn,
    _recompress,
    _shrink,
    _expose,
    _write,
)


def copies(path: Path, *, size: int, count: int, seed: int) -> np.ndarray:
    """uint8 (count, size, size, 3): the whole photograph, then one copy of each edit, then of edits drawn at random.
    The same for the same seed."""
    random = np.random.default_rng(seed)
    decoded = cv2.imread(str(path))
    if decoded is None:
        raise BadInput(f"{path} is no image")
    image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    out = [image]
    for k in range(count - 1):
        edit = EDITS[k if k < len(EDITS) else random.integers(len(EDITS))]
        out.append(np.ascontiguousarray(edit(image, random)))
    return np.stack([to_input(copy, size=(size, size)) for copy in out])


def batches(paths: list[Path], *, size: int, count: int) -> Iterator[np.ndarray]:
    """`copies` of one photograph after the other, seeded by its position."""
    for seed, path in enumerate(paths):
        yield copies(path, size=size, count=count, seed=seed)
