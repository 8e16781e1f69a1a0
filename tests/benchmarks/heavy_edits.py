"""Heavy edits: copies that most people still call the same picture, and that vectors mostly lose.

Each takes the photograph and another one (for what is laid over it), both RGB uint8, and is not random. Beside them,
`shots` draws hard negatives: two pictures of one scene, things moved in between: no copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

Image = np.ndarray


def crop_50(image: Image, other: Image) -> Image:
    """The middle, half of both sides: a quarter of the picture."""
    height, width = image.shape[:2]
    return image[height // 4 : height - height // 4, width // 4 : width - width // 4]


def corner_70(image: Image, other: Image) -> Image:
    """The upper left 70 % of both sides."""
    height, width = image.shape[:2]
    return image[: height * 7 // 10, : width * 7 // 10]


def overlay(image: Image, other: Image) -> Image:
    """Another photograph pasted over the lower right corner, 45 % of both sides."""
    out = np.ascontiguousarray(image).copy()
    height, width = (side * 45 // 100 for side in out.shape[:2])
    out[-height:, -width:] = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    return out


def blur(image: Image, other: Image) -> Image:
    """Gaussian, sigma 1 % of the longer side: no detail finer than a hundredth is left."""
    return cv2.GaussianBlur(image, (0, 0), max(image.shape[:2]) / 100)


def colour_shift(image: Image, other: Image) -> Image:
    """Channels shifted apart: red up by 40, green down by 30, blue gamma 1.6."""
    red, green, blue = (image[:, :, c].astype(np.float32) for c in range(3))
    return np.clip(np.stack((red + 40, green - 30, 255 * (blue / 255) ** 1.6), axis=2), 0, 255).astype(np.uint8)


def perspective(image: Image, other: Image) -> Image:
    """Looked at from the side: the right edge shrinks to 70 %."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array([[0, 0], [0.95 * width, 0.15 * height], [0.95 * width, 0.85 * height], [0, height]], np.float32)
    return cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, seen), (width, height))


def screenshot(image: Image, other: Image) -> Image:
    """Shown in a window: a title bar with letters, a light page around the picture, which is 65 % of both sides."""
    height, width = image.shape[:2]
    page = np.full((height, width, 3), 244, np.uint8)
    page[: max(height // 14, 8)] = (60, 62, 70)
    scale = height / 600
    cv2.putText(page, "Photo viewer - File Edit View", (width // 30, height // 18), 0, scale, (230, 230, 230), 1)
    small = cv2.resize(image, (width * 65 // 100, height * 65 // 100), interpolation=cv2.INTER_AREA)
    top, left = height // 6, width // 8
    page[top : top + small.shape[0], left : left + small.shape[1]] = small
    cv2.putText(page, "1 of 27   100%", (width // 8, height * 93 // 100), 0, scale, (40, 40, 40), 1)
    return page


def quarter_turn(image: Image, other: Image) -> Image:
    """Turned by 90°."""
    return np.rot90(image)


HEAVY_EDITS: dict[str, Callable[[Image, Image], Image]] = {
    "crop_50": crop_50,
    "corner_70": corner_70,
    "overlay": overlay,
    "blur": blur,
    "colour_shift": colour_shift,
    "perspective": perspective,
    "screenshot": screenshot,
    "quarter_turn": quarter_turn,
}


def heavy_copies(image: Image, *, other: Image) -> Iterator[tuple[str, Image]]:
    """Every heavy edit of one photograph: (name, image)."""
    for name, edit in HEAVY_EDITS.items():
        yield name, np.ascontiguousarray(edit(image, other))


def shots(background: Image, *, things: list[Image], seed: int, count: int = 2) -> list[Image]:
    """`count` pictures of one scene: the same background seen from slightly different places, with `things` (elliptic
    cut-outs, each a third of the sides) standing elsewhere in each."""
    random = np.random.default_rng(seed)
    height, width = background.shape[:2]
    taken = []
    for _ in range(count):
        shift = random.uniform(-0.06, 0.06, (4, 2)) * (width, height)
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        view = cv2.getPerspectiveTransform((corners + shift).astype(np.float32), corners)
        shot = cv2.warpPerspective(background, view, (width, height), borderMode=cv2.BORDER_REFLECT)
        for thing in things:
            h, w = (round(side * random.uniform(0.3, 0.42)) for side in (height, width))
            top, left = random.integers(0, height - h), random.integers(0, width - w)
            mask = cv2.ellipse(np.zeros((h, w), np.uint8), (w // 2, h // 2), (w // 2, h // 2), 0, 0, 360, 255, -1) > 0
            piece = cv2.resize(thing, (w, h), interpolation=cv2.INTER_AREA)
            shot[top : top + h, left : left + w][mask] = piece[mask]
        taken.append(shot)
    return taken


def captioned(image: Image, *, border: float = 0.12, caption: str = "www.example.org") -> Image:
    """Inside a thick frame with a caption, as a shop or a meme page does to all of its pictures."""
    height, width = image.shape[:2]
    page = np.full((height, width, 3), (24, 32, 120), np.uint8)
    y, x = round(height * border), round(width * border)
    page[y : height - 2 * y, x : width - x] = cv2.resize(
        image, (width - 2 * x, height - 3 * y), interpolation=cv2.INTER_AREA
    )
    cv2.putText(page, caption, (x, height - y // 2), 0, height / 350, (255, 220, 0), 2)
    cv2.putText(page, "SALE -20%", (x + width // 3, y - y // 4), 0, height / 500, (255, 255, 255), 1)
    return page
