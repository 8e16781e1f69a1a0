"""The statistics against plain numpy, formula by formula."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdup_db.imaging.stats import ADVANCED_COLUMNS, STAT_COLUMNS, AdvancedStatistics, Statistics, statistics


def plain(image: np.ndarray) -> dict[str, float]:
    """`statistics` over again, in numpy alone, for images up to 224×224 and without the gray conversion's own code."""
    unit = 1.0 if image.dtype == np.uint8 else 257.0
    colour = image[..., None] if image.ndim == 2 else image[..., :3]
    values = colour.astype(np.float64) / unit
    per_channel = values.reshape(-1, values.shape[2])
    mean, std = per_channel.mean(axis=0), per_channel.std(axis=0)
    low, high = values.min(), values.max()
    return {
        "unique": len(np.unique(np.rint(values))),
        "mean": values.mean(),
        "min": low,
        "max": high,
        "stdv": std.mean(),
        "contrast": (high - low) / (high + low) if high else 0.0,
        "mean_r": mean[0],
        "mean_g": mean[len(mean) // 2],
        "mean_b": mean[-1],
        "rms_contrast": np.sqrt(np.mean(np.where(mean > 0, std / np.where(mean > 0, mean, 1), 0) ** 2)),
    }


def plain_laplacian_variance(gray: np.ndarray) -> float:
    padded = np.pad(gray.astype(np.float64), 1, mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return float((around - 4 * padded[1:-1, 1:-1]).var())


def random_image(shape: tuple[int, ...], dtype: type = np.uint8, *, seed: int = 0) -> np.ndarray:
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 3), (40, 30, 4), (375, 500, 3), (10, 300)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_against_numpy(shape: tuple[int, ...], dtype: type) -> None:
    image = random_image(shape, dtype)
    image[: len(image) // 2] //= 3
    found = statistics(image, advanced=True)._asdict()
    for name, value in plain(image).items():
        assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 1000),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_any_range_of_values(shape: tuple[int, int, int], dtype: type, seed: int, a: int, b: int) -> None:
    low, high = sorted((a, b))
    scale = 1 if dtype == np.uint8 else 257
    image = np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(dtype) * dtype(scale)
    image = image[..., 0] if shape[2] == 1 else image
    found = statistics(image, advanced=True)
    assert np.isfinite(found).all()
    for name, value in plain(image).items():
        assert found._asdict()[name] == pytest.approx(value, rel=1e-12, abs=1e-9), name


def test_blur_is_the_variance_of_the_laplacian() -> None:
    gray = random_image((100, 120))
    assert statistics(gray).blur == pytest.approx(plain_laplacian_variance(gray), rel=1e-12)
    colour = random_image((90, 80, 3))
    seen = np.rint(colour @ np.array([0.299, 0.587, 0.114]))
    assert statistics(colour).blur == pytest.approx(plain_laplacian_variance(seen), rel=0.01)


def test_blur_of_a_large_image_is_taken_on_a_sample() -> None:
    large = random_image((448, 672))
    rows, columns = np.arange(224) * 2 + 1, np.arange(224) * 3 + 1  # pixel centres of 224 equal cells
    assert statistics(large).blur == pytest.approx(plain_laplacian_variance(large[np.ix_(rows, columns)]), rel=1e-12)


def test_blurred_photographs_have_less_of_it() -> None:
    sharp = random_image((300, 400, 3))
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    assert statistics(blurred).blur < 150 < statistics(sharp).blur


def test_full_image_not_a_sample() -> None:
    image = np.full((1000, 1000, 3), 100, np.uint8)
    image[500, 501] = (1, 2, 250)  # one pixel, which a 224×224 sample misses
    found = statistics(image)
    assert (found.min, found.max, found.unique) == (1, 250, 4)


def test_planted_colours() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = 200, 50, 50
    found = statistics(image, advanced=True)
    assert (found.mean_r, found.mean_g, found.mean_b) == (200, 50, 50)
    assert (found.mean_rel_intensity_r, found.mean_rel_intensity_g, found.mean_rel_intensity_b) == (2.0, 0.5, 0.5)
    assert (found.mean_hue, found.mean_saturation, found.mean_val) == (0, 191, 200)
    assert (found.mean, found.stdv, found.unique, found.blur, found.edge_density) == (100, 0, 2, 0, 0)
    blue = image[..., ::-1].copy()
    assert statistics(blue, advanced=True).mean_hue == 120  # 240° / 2


def test_edge_density_counts_edges() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[:, 50:] = 255
    assert 0.009 <= statistics(image, advanced=True).edge_density <= 0.021


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("shape", [(30, 30), (30, 30, 3), (30, 30, 4)])
def test_plain_images(value: int, shape: tuple[int, ...]) -> None:
    found = statistics(np.full(shape, value, np.uint8), advanced=True)
    assert found[:7] == (1, 0, value, value, value, 0, 0)
    assert found.rms_contrast == 0 and found.mean_rel_intensity_g == 1
    assert found.mean_r == found.mean_g == found.mean_b == found.mean_val == value


def test_alpha_is_ignored() -> None:
    rgb = random_image((50, 60, 3))
    rgba = np.dstack([rgb, random_image((50, 60), seed=5)])
    assert statistics(rgba, advanced=True) == statistics(rgb, advanced=True)


def test_gray_equals_its_rgb_copy() -> None:
    gray = random_image((300, 300))
    assert statistics(gray, advanced=True) == pytest.approx(
        statistics(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), advanced=True), rel=1e-12
    )


def test_sixteen_bits_are_scaled_not_stretched() -> None:
    dim = random_image((250, 260, 3)) // 4
    assert statistics(dim.astype(np.uint16) * 257, advanced=True) == pytest.approx(
        statistics(dim, advanced=True), rel=1e-12
    )


def test_views_of_an_image_are_measured_alone() -> None:
    image = random_image((200, 200, 3))
    view = image[20:90, 30:110]
    assert statistics(view, advanced=True) == statistics(view.copy(), advanced=True)


def test_images_of_more_than_sixteen_million_pixels_are_counted_exactly() -> None:
    image = np.zeros((4200, 4200), np.uint8)
    image[-1, -3:] = 255
    assert statistics(image).mean == pytest.approx(3 * 255 / 4200**2, rel=1e-12)


def test_large_even_images_of_sixteen_bits_have_no_deviation() -> None:
    found = statistics(np.full((2100, 2100), 65533, np.uint16))
    assert found.stdv == pytest.approx(0, abs=1e-4) and found.mean == pytest.approx(65533 / 257)


def test_columns() -> None:
    assert STAT_COLUMNS == ("unique", "blur", "mean", "min", "max", "stdv", "contrast") == Statistics._fields
    assert AdvancedStatistics._fields == STAT_COLUMNS + ADVANCED_COLUMNS
    assert isinstance(statistics(random_image((20, 20))), Statistics)
