"""Pictures drawn for the tests of near-duplicates: as unlike each other, and as full of corners, as photographs."""

from __future__ import annotations

import cv2
import numpy as np

Image = np.ndarray
"""uint8 (height, width, 3), RGB."""


def scene(seed: int, *, height: int = 240, width: int = 320, things: int = 40) -> Image:
    """A picture that no other seed gives: clouds, and ellipses, boxes and strokes over them."""
    random = np.random.default_rng(seed)
    clouds = random.uniform(0, 255, (6, 8, 3)).astype(np.float32)
    image = np.ascontiguousarray(cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255))
    for _ in range(things):
        x, y = (int(v) for v in random.uniform(0, 1, 2) * (width, height))
        a, b = (int(v) for v in random.uniform(4, 40, 2))
        colour = [float(v) for v in random.uniform(0, 255, 3)]
        shape = random.integers(3)
        if shape == 0:
            cv2.ellipse(image, (x, y), (a, b), float(random.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        elif shape == 1:
            cv2.rectangle(image, (x, y), (x + a, y + b), colour, -1)
        else:
            end = (x + int(random.normal(0, 50)), y + int(random.normal(0, 50)))
            cv2.line(image, (x, y), end, colour, int(random.integers(1, 6)), cv2.LINE_AA)
    return np.clip(image + random.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def jpeg(image: Image, quality: int = 92) -> bytes:
    """Encoded as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


def through_jpeg(image: Image, quality: int = 92) -> Image:
    """What comes back from such a file."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg(image, quality), np.uint8), 1), cv2.COLOR_BGR2RGB)


def checkers(cell: int, *, seed: int, height: int = 240, width: int = 320) -> Image:
    """A tiled wall in two colours."""
    colours = np.random.default_rng(seed).integers(0, 255, (2, 3))
    rows, columns = np.indices((height, width)) // cell
    return colours[(rows + columns) % 2].astype(np.uint8)


def gradient(angle: float, *, height: int = 240, width: int = 320, low: int = 40, high: int = 220) -> Image:
    """A sky: grey levels from `low` to `high` along `angle` degrees, nothing else."""
    y, x = np.indices((height, width))
    along = np.cos(np.deg2rad(angle)) * x / width + np.sin(np.deg2rad(angle)) * y / height
    level = low + (high - low) * (along - along.min()) / np.ptp(along)
    return np.repeat(level[:, :, None], 3, axis=2).astype(np.uint8)
