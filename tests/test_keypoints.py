"""Keypoints of one image: repeatable, storable, the same in a mirror."""

from __future__ import annotations

import numpy as np
import pytest

from fastdup_db.imaging import keypoints as kp
from tests import scenes


def test_the_same_image_gives_the_same_bytes() -> None:
    image = scenes.scene(1)
    assert kp.extract(image).to_bytes() == kp.extract(image.copy()).to_bytes()


def test_bytes_come_back_as_they_were() -> None:
    features = kp.extract(scenes.scene(2, height=300, width=170))
    again = kp.Keypoints.from_bytes(features.to_bytes())
    assert (again.width, again.height, again.colour, again.frame) == (170, 300, features.colour, features.frame)
    for name in ("position", "size", "angle", "descriptor", "thumbnail"):
        np.testing.assert_array_equal(getattr(again, name), getattr(features, name))
    assert len(again) == len(features) > 30
    assert len(features.to_bytes()) < 14_000


def test_bytes_that_are_cut_or_foreign_are_refused() -> None:
    data = kp.extract(scenes.scene(3)).to_bytes()
    for bad in (b"", data[:-1], data + b"\0", b"\7" + data[1:]):
        with pytest.raises(ValueError, match="keypoints"):
            kp.Keypoints.from_bytes(bad)


def test_the_mirrored_image_has_the_permuted_descriptors() -> None:
    image = scenes.scene(4, height=96, width=128)
    one, other = kp.extract(image), kp.extract(np.ascontiguousarray(image[:, ::-1]))
    x, y = one.position.astype(float).T / 256
    there = other.position.astype(float) / 256
    away = np.hypot(127 - x[:, None] - there[:, 0], y[:, None] - there[:, 1])
    nearest = away.argmin(axis=1)
    found = away.min(axis=1) < 1  # OpenCV puts a keypoint up to half a pixel aside of its mirror image
    apart = np.abs(
        kp.unpack_descriptors(one.descriptor)[:, kp.MIRROR] - kp.unpack_descriptors(other.descriptor)[nearest]
    ).mean(axis=1)
    assert found.mean() > 0.7
    assert np.median(apart[found]) < 1  # of 15 levels


def test_grey_is_the_same_as_grey_in_three_channels() -> None:
    grey = scenes.scene(5)[:, :, 0].copy()
    assert kp.extract(grey).to_bytes() == kp.extract(np.repeat(grey[:, :, None], 3, axis=2)).to_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (200, 10)])
def test_plain_and_tiny_images_have_few_keypoints_and_no_error(shape: tuple[int, int]) -> None:
    features = kp.extract(np.full((*shape, 3), 90, np.uint8))
    assert len(features) == 0
    assert len(kp.Keypoints.from_bytes(features.to_bytes())) == 0


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_8_bit_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        kp.extract(image)
