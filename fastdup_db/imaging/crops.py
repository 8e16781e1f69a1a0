"""Boxes of an image: which are usable, and their pixels.

A box is `(col_x, row_y, width, height)` in pixels from the top left corner; a rotated box is four corners.
Coordinates are first rounded to 1/100 pixel, the precision annotation files have (so that 99.9997, a 100 that went
through normalised coordinates, is 100 again), then every one of the four is cut to a whole pixel, as in fastdup:
5.5 is 5.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np

from fastdup_db import checks
from fastdup_db.errors import BadArgument

BOX_COLUMNS = ("col_x", "row_y", "width", "height")
CORNER_COLUMNS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
"""How frames and tables call the numbers of an upright and of a rotated box."""

MIN_SIDE = 10
"""Pixels; a smaller box is ERROR_BAD_BOUNDING_BOX, as a smaller image is ERROR_IMAGE_TOO_SMALL."""

_DECIMALS = 2
_FORM = "row_y=<pixels>,col_x=<pixels>,height=<pixels>,width=<pixels>"
_FIELDS = ("row_y", "col_x", "height", "width")


@dataclass(frozen=True, slots=True)
class Margin:
    """What is added around a box, cut off at the border of the image.

    horiz, vert: shares of the box's width and height added on each side, 0..1 (fastdup's augmentation_horiz, _vert).
    additive: pixels added on each side; not together with the other two.
    Raises `BadArgument`.
    """

    horiz: float = 0.0
    vert: float = 0.0
    additive: int = 0

    def __post_init__(self) -> None:
        for name, value in (("augmentation_horiz", self.horiz), ("augmentation_vert", self.vert)):
            checks.between(name, value, 0, 1)
        checks.at_least("augmentation_additive_margin", self.additive, 0)
        if self.additive and (self.horiz or self.vert):
            raise BadArgument("give augmentation_additive_margin or augmentation_horiz and _vert, not both")


NO_MARGIN = Margin()


@dataclass(frozen=True, slots=True)
class GlobalBox:
    """One box for every image of a run, in pixels."""

    col_x: int
    row_y: int
    width: int
    height: int

    def clamped(self, *, width: int, height: int) -> tuple[int, int, int, int] | None:
        """The part of it inside an image as (col_x, row_y, width, height); None if under 10 pixels are left."""
        inside = (self.col_x, self.row_y, min(self.width, width - self.col_x), min(self.height, height - self.row_y))
        return inside if min(inside[2:]) >= MIN_SIDE else None


def parse_global_box(text: str) -> GlobalBox:
    """The box that `bounding_box='row_y=10,col_x=20,height=100,width=200'` names; the four in any order.

    Raises `BadArgument` for anything else: unknown, missing or repeated names, fractions, negative numbers, a side
    under 10.
    """
    pairs = [re.fullmatch(r"\s*(\w+)\s*=\s*(\d+)\s*", part) for part in text.split(",")]
    found = {pair[1]: int(pair[2]) for pair in pairs if pair}
    if len(pairs) != 4 or set(found) != set(_FIELDS):
        raise BadArgument(f"bounding_box={text!r} is not of the form '{_FORM}'")
    if min(found["height"], found["width"]) < MIN_SIDE:
        raise BadArgument(f"bounding_box={text!r}: height and width must be at least {MIN_SIDE} pixels ('{_FORM}')")
    return GlobalBox(**found)


def valid_boxes(boxes: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Which of the boxes (n, 4) are usable in an image of that size: bool (n,).

    Not usable (ERROR_BAD_BOUNDING_BOX): NaN or infinite, a negative corner, a side under `MIN_SIDE`, or a part outside.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    exact = _finite(boxes).round(_DECIMALS)
    x, y, w, h = np.trunc(exact).T
    inside = (exact[:, 0] >= 0) & (exact[:, 1] >= 0) & (x + w <= width) & (y + h <= height)
    return inside & (w >= MIN_SIDE) & (h >= MIN_SIDE)


def pixel_boxes(boxes: np.ndarray, *, width: int, height: int, margin: Margin = NO_MARGIN) -> np.ndarray:
    """The usable boxes (n, 4) with their margin, in whole pixels inside the image.

    int64 (n, 4): left, top, right, bottom, the last two exclusive. Call it with boxes that `valid_boxes` accepts.
    """
    whole = np.trunc(np.asarray(boxes, dtype=np.float64).reshape(-1, 4).round(_DECIMALS)).astype(np.int64)
    x, y, w, h = whole.T
    dx = (w * margin.horiz).astype(np.int64) + margin.additive
    dy = (h * margin.vert).astype(np.int64) + margin.additive
    edges = (
        np.maximum(x - dx, 0),
        np.maximum(y - dy, 0),
        np.minimum(x + w + dx, width),
        np.minimum(y + h + dy, height),
    )
    return np.stack(edges, axis=1)


def crops(image: np.ndarray, *, boxes: np.ndarray, margin: Margin = NO_MARGIN) -> list[np.ndarray | None]:
    """The pixels of every box (n, 4) of one image, None for an unusable one. Views: nothing is copied."""
    height, width = image.shape[:2]
    valid = valid_boxes(boxes, width=width, height=height)
    edges = pixel_boxes(np.where(valid[:, None], boxes, 0), width=width, height=height, margin=margin).tolist()
    return [image[y0:y1, x0:x1] if ok else None for ok, (x0, y0, x1, y1) in zip(valid, edges, strict=True)]


def crop(image: np.ndarray, *, box: tuple[float, float, float, float], margin: Margin = NO_MARGIN) -> np.ndarray | None:
    """The pixels of one box (col_x, row_y, width, height), a view; None if the box is unusable."""
    return crops(image, boxes=np.asarray([box], dtype=np.float64), margin=margin)[0]


def valid_quads(quads: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Which of the rotated boxes (n, 4, 2) are usable: bool (n,).

    Not usable: NaN or infinite, a corner outside the image, not convex (crossed, flat, hollow), a mean side under
    `MIN_SIDE`.
    """
    quads = np.asarray(quads, dtype=np.float64).reshape(-1, 4, 2)
    exact = _finite(quads).round(_DECIMALS)
    inside = ((exact >= 0) & (exact <= (width, height))).all(axis=(1, 2))
    sides = np.roll(exact, -1, axis=1) - exact
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    convex = (turns > 0).all(axis=1) | (turns < 0).all(axis=1)
    lengths = np.hypot(sides[..., 0], sides[..., 1])
    long = np.minimum(lengths[:, 0] + lengths[:, 2], lengths[:, 1] + lengths[:, 3]) / 2 >= MIN_SIDE
    return inside & convex & long


def straighten(image: np.ndarray, *, quad: np.ndarray, margin: Margin = NO_MARGIN) -> np.ndarray | None:
    """A rotated box as an upright image; None if the box is unusable.

    quad: (4, 2) corners x, y in order around the box, beginning at the top left of what it shows; corners that run
    counter-clockwise are taken as top left, bottom left, …, so that nothing comes out mirrored.
    The width is the mean of the two sides along the top and the bottom, the height that of the other two, rounded.
    Bilinear; the margin is on every side as for `crop`, and beyond the border of the image its last pixels are
    repeated. A quad with its sides along the axes and whole coordinates gives exactly the pixels of `crop`.
    """
    corners = np.asarray(quad, dtype=np.float64).reshape(4, 2)
    if not valid_quads(corners[None], width=image.shape[1], height=image.shape[0])[0]:
        return None
    corners = corners.round(_DECIMALS)
    if _signed_area(corners) < 0:
        corners = corners[[0, 3, 2, 1]]
    top, right, bottom, left = (math.dist(corners[i], corners[(i + 1) % 4]) for i in range(4))
    width, height = round((top + bottom) / 2), round((left + right) / 2)
    dx = int(width * margin.horiz) + margin.additive
    dy = int(height * margin.vert) + margin.additive
    upright = np.array([(dx, dy), (dx + width, dy), (dx + width, dy + height), (dx, dy + height)])
    # corners lie on pixel edges, OpenCV counts from pixel centres: half a pixel between them
    warp = cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), (upright - 0.5).astype(np.float32))
    size = (width + 2 * dx, height + 2 * dy)
    return cv2.warpPerspective(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _finite(values: np.ndarray) -> np.ndarray:
    """NaN as −1, which no rule lets pass, and no number so large that rounding overflows."""
    return np.clip(np.nan_to_num(values, nan=-1.0), -1e9, 1e9)


def _signed_area(corners: np.ndarray) -> float:
    """Positive for corners that run clockwise as seen on screen (y downwards): the shoelace formula."""
    x, y = corners.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
