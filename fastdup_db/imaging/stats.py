"""Numbers that say how an image looks: brightness, contrast, sharpness, colour.

All are in units of an 8-bit image, 0..255, whatever the depth: 16-bit values are divided by 257. Alpha is ignored.
Names are those of fastdup's `img_stats`; where its formula was wrong (channels named in reverse, 16-bit images
stretched to full contrast, the mean of RGBA, blur of the blue channel, all on a sample) the right one is used.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from fastdup_db.imaging.decode import to_uint8

SAMPLE_SIDE = 224
"""Blur and edges are measured on at most 224×224 pixels, as in fastdup, so that its thresholds keep their meaning."""

EDGE_THRESHOLDS = (50, 150)
"""Canny's two thresholds, those of fastdup."""

_BAND = 1 << 18
"""Pixels looked at together: one band is the whole of most photographs, and its sums of bytes are exact."""

_SPARSE = 8
"""Of every so many rows one is looked at first: in two thirds of photographs those have all 256 values already."""


class Statistics(NamedTuple):
    """Of one image, over all its pixels and colour channels; I is a value 0..255.

    unique: number of distinct byte values over all channels together, at most 256.
    blur: variance of the Laplacian (3×3 kernel 0 1 0, 1 −4 1, 0 1 0; border reflected without its edge) of the gray
        image, 0.299 R + 0.587 G + 0.114 B in bytes, sampled nearest to 224×224 if wider or higher than that.
        Below 150 is blurry, says fastdup.
    mean, min, max: of I over pixels and channels.
    stdv: the mean over channels of each channel's population standard deviation.
    contrast: Michelson's (max − min) / (max + min), 0 for an all-black image.
    """

    unique: int
    blur: float
    mean: float
    min: float
    max: float
    stdv: float
    contrast: float


class AdvancedStatistics(NamedTuple):
    """`Statistics` and, with µ_c and σ_c the mean and population standard deviation of channel c:

    rms_contrast: sqrt(mean over channels of (σ_c / µ_c)²), a black channel counting 0.
    mean_rel_intensity_r, _g, _b: µ_c / mean of the three µ; they add up to 3; 1 for gray, and for black.
    mean_hue: mean of OpenCV's hue, 0..179 (degrees / 2; 0 for gray pixels).
    mean_saturation, mean_val: means of OpenCV's saturation and value (the largest channel), 0..255.
    edge_density: share of edge pixels, Canny with thresholds 50 and 150, of the gray sample that `blur` uses.
    mean_r, mean_g, mean_b: µ_c; for a gray image all three are its mean.
    """

    unique: int
    blur: float
    mean: float
    min: float
    max: float
    stdv: float
    contrast: float
    rms_contrast: float
    mean_rel_intensity_r: float
    mean_rel_intensity_g: float
    mean_rel_intensity_b: float
    mean_hue: float
    mean_saturation: float
    mean_val: float
    edge_density: float
    mean_r: float
    mean_g: float
    mean_b: float


STAT_COLUMNS = Statistics._fields
ADVANCED_COLUMNS = AdvancedStatistics._fields[len(STAT_COLUMNS) :]


def statistics(image: np.ndarray, *, advanced: bool = False) -> Statistics | AdvancedStatistics:
    """The statistics of a decoded image (h, w), (h, w, 3) RGB or (h, w, 4) RGBA, uint8 or uint16.

    All but `blur` and `edge_density` are exact over the full image.
    """
    pixels = image.shape[0] * image.shape[1]
    unit = 1.0 if image.dtype == np.uint8 else 257.0
    moments = _moments(image)
    means = [s / pixels / unit for s, _ in moments]
    # whole numbers, of bytes exact: nothing cancels in their variance
    deviations = [math.sqrt(max(pixels * q - s * s, 0)) / pixels / unit for s, q in moments]
    found = _distinct(image)
    low, high = int(found[0]) / unit, int(found[-1]) / unit
    gray = gray_sample(image)
    basic = Statistics(
        unique=len(found) if unit == 1.0 else len(np.unique(np.rint(found / unit))),
        blur=laplacian_variance(gray),
        mean=sum(means) / len(means),
        min=low,
        max=high,
        stdv=sum(deviations) / len(deviations),
        contrast=(high - low) / (high + low) if high > 0 else 0.0,
    )
    if not advanced:
        return basic
    if len(means) == 1:
        means, deviations = means * 3, deviations * 3
    ratios = [d / m if m > 0 else 0.0 for m, d in zip(means, deviations, strict=True)]
    hue, saturation, value = _hsv_means(image)
    edges = cv2.countNonZero(cv2.Canny(gray, *EDGE_THRESHOLDS)) / gray.size
    rms = (sum(r * r for r in ratios) / len(ratios)) ** 0.5
    relative = [m / basic.mean if basic.mean > 0 else 1.0 for m in means]
    return AdvancedStatistics._make((*basic, rms, *relative, hue, saturation, value, edges, *means))


def gray_sample(image: np.ndarray) -> np.ndarray:
    """The image in gray, uint8, sampled nearest to 224×224 (aspect ignored) if wider or higher than that."""
    height, width = image.shape[:2]
    if height * width <= _BAND:  # picking from one channel is faster by more than making them one costs
        image = _gray(image)
    if height > SAMPLE_SIDE or width > SAMPLE_SIDE:
        image = cv2.resize(image, (SAMPLE_SIDE, SAMPLE_SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
    return _gray(image)


def laplacian_variance(gray: np.ndarray) -> float:
    """Variance of the Laplacian of a uint8 gray image: small is blurry (Pech-Pacheco et al., ICPR 2000)."""
    # int16 holds every value (±1020) and is the fastest of OpenCV's output types here; both sums are whole numbers,
    # exact when rounded, and taken in a fifth of the time of meanStdDev
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    total, squares = round(cv2.sumElems(laplacian)[0]), round(cv2.norm(laplacian, cv2.NORM_L2SQR))
    return (laplacian.size * squares - total * total) / laplacian.size**2


def _gray(image: np.ndarray) -> np.ndarray:
    image = to_uint8(image)
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY if image.shape[2] == 3 else cv2.COLOR_RGBA2GRAY)


def _moments(image: np.ndarray) -> list[tuple[int, int]]:
    """Sum and sum of squares of every colour channel; of bytes exact."""
    channels = 1 if image.ndim == 2 else 3
    sums = [(0, 0)] * channels
    for band in _bands(image):
        count = band.shape[0] * band.shape[1]
        if band.ndim == 3 and band.shape[2] == 3:
            band = cv2.cvtColor(band, cv2.COLOR_RGB2RGBA)  # four channels are summed with vector code, three are not
        mean, deviation = (found.ravel().tolist() for found in cv2.meanStdDev(band))
        sums = [
            (s + round(m * count), q + round((d * d + m * m) * count))
            for (s, q), m, d in zip(sums, mean[:channels], deviation[:channels], strict=True)
        ]
    return sums


def _distinct(image: np.ndarray) -> np.ndarray:
    """Every value that occurs in any colour channel, ascending."""
    seen = _seen(image[::_SPARSE])
    for band in _bands(image):
        if seen.all():
            break
        seen |= _seen(band)
    return np.flatnonzero(seen)


def _seen(image: np.ndarray) -> np.ndarray:
    """bool (256,) or (65536,): whether the value occurs in any colour channel."""
    levels = 256 if image.dtype == np.uint8 else 65536
    if image.ndim == 3 and image.shape[2] == 4:
        counts = [cv2.calcHist([image], [channel], None, [levels], [0, levels]) for channel in range(3)]
        return np.max(counts, axis=0).ravel() > 0
    return cv2.calcHist([image.reshape(1, -1)], [0], None, [levels], [0, levels]).ravel() > 0


def _bands(image: np.ndarray) -> list[np.ndarray]:
    """The image in parts of at most `_BAND` pixels, so that no copy of a large one is made."""
    rows = max(1, _BAND // image.shape[1])
    return [image[top : top + rows] for top in range(0, image.shape[0], rows)]


def _hsv_means(image: np.ndarray) -> tuple[float, float, float]:
    image = to_uint8(image)
    if image.ndim == 2:
        return 0.0, 0.0, float(cv2.mean(image)[0])
    hue, saturation, value, _ = cv2.mean(cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2HSV))
    return hue, saturation, value
