"""Pairs with a known answer: copies with a planted transform, and pictures that only look alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from fastdup_db.graph.verify import SCHEMA, verify_pairs
from fastdup_db.imaging import keypoints as kp
from tests import scenes
from tests.benchmarks import edits, heavy_edits

KIND_OF = {
    "original": "exact",
    "crop_80": "cropped",
    "flip_horizontal": "mirrored",
    "flip_vertical": "mirrored",
    "rotate_25": "rotated",
    "square": "resized",
    "jpeg_q20": "recompressed",
    "half_size": "resized",
    "brighter": "edited",
    "text": "edited",
    "crop_50": "cropped",
    "corner_70": "cropped",
    "overlay": "edited",
    "colour_shift": "edited",
    "perspective": "edited",
    "quarter_turn": "rotated",
}


def checked(images: list[np.ndarray], pairs: object = None, **options: object) -> pd.DataFrame:
    """The verdicts on `pairs`, by default of every image with the first."""
    features = [kp.extract(image) for image in images]
    wanted = [(0, i) for i in range(1, len(images))] if pairs is None else pairs
    return verify_pairs(np.array(wanted), lambda ids: [features[i] for i in ids], **options).to_pandas()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def copies() -> pd.DataFrame:
    """The verdicts on one scene and each edit of it, by edit."""
    image = scenes.scene(11)
    made = dict(edits.copies(image)) | dict(heavy_edits.heavy_copies(image, other=scenes.scene(12)))
    through = {
        n: e if n == "original" else scenes.through_jpeg(e, 20 if n == "jpeg_q20" else 92) for n, e in made.items()
    }
    return checked([image, *through.values()]).set_index(pd.Index(list(through)))


def test_every_edit_is_found(copies: pd.DataFrame) -> None:
    assert copies.index[~copies["is_duplicate"]].tolist() == []


@pytest.mark.parametrize("edit", KIND_OF)
def test_it_says_what_was_done(copies: pd.DataFrame, edit: str) -> None:
    assert copies.loc[edit, "kind"] == KIND_OF[edit]


def test_the_transform_is_the_planted_one(copies: pd.DataFrame) -> None:
    assert copies.loc["rotate_25", "rotation"] == pytest.approx(-25, abs=1)
    assert copies.loc["quarter_turn", "rotation"] == pytest.approx(-90, abs=1)
    assert copies.loc["half_size", "scale"] == pytest.approx(0.5, abs=0.01)
    assert copies.loc["flip_vertical", "mirror"]
    crop = copies.loc["crop_80", ["crop_x", "crop_y", "crop_width", "crop_height"]].astype(float)
    np.testing.assert_allclose(crop, [32, 24, 256, 192], atol=4)
    a, b, c, d, e, f, g, h = copies.loc["crop_50", "transform"]
    for x, y in ((80, 60), (240, 60), (160, 120)):  # the crop's own corners and its middle
        depth = g * x + h * y + 1
        assert (a * x + b * y + c) / depth == pytest.approx(x - 80, abs=4)
        assert (d * x + e * y + f) / depth == pytest.approx(y - 60, abs=4)


def test_different_pictures_are_different() -> None:
    table = checked([scenes.scene(seed) for seed in range(20, 44)], list(combinations(range(24), 2)))
    assert not table["is_duplicate"].any()
    assert table["score"].max() < 0.2
    assert table["kind"].isna().all() and table["transform"].isna().all()


def test_the_same_frame_and_caption_around_different_pictures() -> None:
    framed = [
        heavy_edits.captioned(scenes.scene(seed), border=border) for border in (0.05, 0.12) for seed in range(50, 56)
    ]
    assert not checked(framed, [p for p in combinations(range(12), 2) if p[0] // 6 == p[1] // 6])["is_duplicate"].any()


def test_the_same_window_around_different_pictures() -> None:
    nothing = scenes.scene(0)
    shots = [heavy_edits.screenshot(scenes.scene(seed), nothing) for seed in range(60, 68)]
    assert not checked(shots, list(combinations(range(8), 2)))["is_duplicate"].any()


def test_the_same_logo_on_different_pictures() -> None:
    logo = scenes.scene(70)
    branded = [heavy_edits.overlay(scenes.scene(seed), logo) for seed in range(71, 79)]
    assert not checked(branded, list(combinations(range(8), 2)))["is_duplicate"].any()


def test_the_same_words_on_different_pictures() -> None:
    lettered = [edits.text(scenes.scene(seed)) for seed in range(80, 88)]
    assert not checked(lettered, list(combinations(range(8), 2)))["is_duplicate"].any()


@pytest.mark.parametrize("seed", range(90, 98))
def test_shots_of_one_scene_between_which_things_moved(seed: int) -> None:
    things = [scenes.scene(1000 + 10 * seed + i, things=15) for i in range(3)]
    shots = heavy_edits.shots(scenes.scene(seed), things=things, seed=seed, count=3)
    assert not checked(shots, list(combinations(range(3), 2)))["is_duplicate"].any()


def test_tiled_walls_of_other_tiles_are_different() -> None:
    walls = [scenes.checkers(cell, seed=cell) for cell in (12, 17, 23, 31, 40)]
    assert not checked(walls, list(combinations(range(5), 2)))["is_duplicate"].any()


def test_without_texture_the_hash_and_the_colour_decide() -> None:
    sky = scenes.gradient(30)
    red, blue = (np.full((200, 300, 3), c, np.uint8) for c in ((200, 30, 30), (30, 30, 255)))
    table = checked(
        [
            sky,
            scenes.through_jpeg(sky, 40),
            scenes.gradient(80),
            sky[:, ::-1].copy(),
            red,
            scenes.through_jpeg(red),
            blue,
        ],
        [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (0, 4)],
    )
    assert table["is_duplicate"].tolist() == [True, False, True, True, False, False]
    assert set(table["reason"]) == {"hash agrees, no texture", "hash differs, no texture"}


def test_the_order_of_a_pair_hardly_matters() -> None:
    image = scenes.scene(100)
    images = [image, edits.crop_80(image), scenes.scene(101)]
    table = checked(images, [(0, 1), (1, 0), (0, 2), (2, 0)])
    assert table["is_duplicate"].tolist() == [True, True, False, False]
    assert table["scale"][0] == pytest.approx(1 / table["scale"][1], rel=0.02)


def test_threads_do_not_change_a_bit() -> None:
    images = [
        edit(scenes.scene(seed)) for seed in range(110, 116) for edit in (edits.unchanged, edits.crop_80, edits.text)
    ]
    pairs = list(combinations(range(18), 2))
    one, many = (checked(images, pairs, threads=n) for n in (1, 4))
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert one["is_duplicate"].sum() == 18  # six scenes, three pairs each


def test_no_pairs_give_an_empty_table() -> None:
    table = verify_pairs(np.empty((0, 2), np.int64), lambda ids: [])
    assert table.schema == SCHEMA and table.num_rows == 0


def test_a_similarity_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="similarity"):
        verify_pairs(np.array([[0, 1]]), lambda ids: [], similarity=np.zeros(2))
