"""Boxes: good and bad ones, margins, rotated ones, the one box for all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdup_db.engines.parts import parts_of
from fastdup_db.engines.task import Boxes, Task, WorkSpec
from fastdup_db.errors import BadArgument
from fastdup_db.imaging.crops import (
    GlobalBox,
    Margin,
    crop,
    crops,
    parse_global_box,
    pixel_boxes,
    straighten,
    valid_boxes,
    valid_quads,
)
from fastdup_db.imaging.decode import decode
from fastdup_db.imaging.encode import to_jpeg
from fastdup_db.sources import Reference

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def image() -> np.ndarray:
    """150 rows, 200 columns; a pixel's value tells its place: (column, row, 7)."""
    rows, columns = np.mgrid[:150, :200]
    return np.dstack([columns, rows, np.full_like(rows, 7)]).astype(np.uint8)


def test_a_crop_is_the_boxes_pixels_and_no_copy(image: np.ndarray) -> None:
    found = crop(image, box=(20, 30, 40, 50))
    assert found is not None and found.shape == (50, 40, 3) and found.base is image
    assert found[0, 0].tolist() == [20, 30, 7] and found[-1, -1].tolist() == [59, 79, 7]


@pytest.mark.parametrize(
    "box",
    [
        (-1, 0, 20, 20),
        (0, -0.5, 20, 20),
        (181, 0, 20, 20),
        (0, 140, 20, 11),
        (500, 500, 20, 20),
        (0, 0, 9, 20),
        (0, 0, 20, 9.9),
        (0, 0, 0, 20),
        (0, 0, 20, 0),
        (0, 0, -20, 20),
        (NAN, 0, 20, 20),
        (0, 0, 20, NAN),
        (0, INF, 20, 20),
        (0, 0, INF, 20),
        (1e300, 0, 20, 20),
    ],
)
def test_bad_boxes(image: np.ndarray, box: tuple[float, float, float, float]) -> None:
    assert crop(image, box=box) is None
    mixed = crops(image, boxes=np.array([(0, 0, 20, 20), box, (180, 130, 20, 20)]))
    assert [c is None for c in mixed] == [False, True, False]


@pytest.mark.parametrize("box", [(0, 0, 10, 10), (0, 0, 200, 150), (190, 140, 10, 10), (190.4, 0, 10.6, 10)])
def test_good_boxes_at_the_limits(image: np.ndarray, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = map(int, box)
    np.testing.assert_array_equal(crop(image, box=box), image[y : y + height, x : x + width])


def test_fractions_are_cut_and_rounding_noise_is_not(image: np.ndarray) -> None:
    edges = pixel_boxes(np.array([(5.5, 6.9, 20.7, 30.2), (99.9997, 50.0003, 19.9996, 20)]), width=200, height=150)
    assert edges.tolist() == [[5, 6, 25, 36], [100, 50, 120, 70]]


@pytest.mark.parametrize(
    ("box", "margin", "corner", "size"),
    [
        ((10, 20, 89, 120), Margin(horiz=0.2, vert=0.2), (0, 0), (116, 150)),  # cut off at the left, top and bottom
        ((60, 40, 60, 60), Margin(horiz=0.2, vert=0.2), (48, 28), (84, 84)),
        ((60, 40, 60, 60), Margin(horiz=0.5), (30, 40), (120, 60)),
        ((60, 40, 60, 60), Margin(additive=7), (53, 33), (74, 74)),
        ((60, 40, 60, 60), Margin(), (60, 40), (60, 60)),
    ],
)
def test_margins(image: np.ndarray, box, margin: Margin, corner: tuple[int, int], size: tuple[int, int]) -> None:
    (left, top), (width, height) = corner, size
    np.testing.assert_array_equal(
        crop(image, box=box, margin=margin), image[top : top + height, left : left + width], strict=True
    )


@pytest.mark.parametrize(
    "wrong",
    [{"horiz": -0.1}, {"vert": 1.5}, {"horiz": NAN}, {"additive": -1}, {"additive": 2.5}, {"additive": 3, "vert": 0.1}],
)
def test_wrong_margins_are_refused(wrong: dict) -> None:
    with pytest.raises(BadArgument, match="augmentation"):
        Margin(**wrong)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True) | st.integers(-20, 220)] * 4), max_size=20),
    st.floats(0, 1),
)
def test_crops_lie_inside_and_hold_their_box(boxes: list[tuple[float, ...]], share: float) -> None:
    array = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    canvas = np.zeros((150, 200), np.uint8)
    found = crops(canvas, boxes=array, margin=Margin(horiz=share, vert=share))
    valid = valid_boxes(array, width=200, height=150)
    assert [c is not None for c in found] == valid.tolist()
    for one, box in zip(found, array, strict=True):
        if one is not None:
            assert one.shape[1] >= int(box[2]) >= 10 and one.shape[0] >= int(box[3]) >= 10


def test_no_boxes(image: np.ndarray) -> None:
    assert crops(image, boxes=np.zeros((0, 4))) == []


def corners_of(x: float, y: float, w: float, h: float) -> np.ndarray:
    return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], dtype=np.float64)


def test_an_upright_quad_is_a_crop(image: np.ndarray) -> None:
    for margin in (Margin(), Margin(horiz=0.1, vert=0.2), Margin(additive=5)):
        found = straighten(image, quad=corners_of(20, 30, 40, 50), margin=margin)
        np.testing.assert_array_equal(found, crop(image, box=(20, 30, 40, 50), margin=margin))


def test_quarter_turns_and_order_of_corners(image: np.ndarray) -> None:
    quad = corners_of(20, 30, 40, 50)
    upright = crop(image, box=(20, 30, 40, 50))
    assert upright is not None
    for turns in range(4):  # beginning at another corner turns what is seen
        found = straighten(image, quad=np.roll(quad, -turns, axis=0))
        np.testing.assert_array_equal(found, np.rot90(upright, turns))
    np.testing.assert_array_equal(straighten(image, quad=quad[[0, 3, 2, 1]]), upright)


@pytest.mark.parametrize("angle", [15, 33, -70, 160])
def test_a_turned_photograph_is_straightened(angle: float) -> None:
    small = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8), (80, 60))
    turn = cv2.getRotationMatrix2D((40, 30), angle, 1.0)
    turn[:, 2] += (60, 70)
    scene = cv2.warpAffine(small, turn, (200, 200), flags=cv2.INTER_LINEAR)
    quad = (corners_of(0, 0, 80, 60) - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5
    found = straighten(scene, quad=quad)
    assert found is not None and found.shape == small.shape
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(found[inner].astype(int) - small[inner]).mean() < 4


@pytest.mark.parametrize(
    "quad",
    [
        corners_of(-5, 0, 30, 30),
        corners_of(180, 0, 30, 30),
        corners_of(0, 0, 9, 30),
        corners_of(0, 0, 0, 0),
        corners_of(0, 0, NAN, 30),
        np.array([(10, 10), (50, 10), (10, 50), (50, 50)]),  # crossed
        np.array([(10, 10), (30, 10), (50, 10), (70, 10)]),  # flat
        np.array([(10, 10), (60, 10), (20, 20), (10, 60)]),  # hollow
    ],
)
def test_bad_quads(image: np.ndarray, quad: np.ndarray) -> None:
    assert straighten(image, quad=quad) is None
    both = np.stack([np.asarray(quad, dtype=float), corners_of(0, 0, 20, 20)])
    assert valid_quads(both, width=200, height=150).tolist() == [False, True]


def test_the_global_box() -> None:
    box = parse_global_box("row_y=10, col_x=20,height=100,width=200")
    assert box == GlobalBox(col_x=20, row_y=10, width=200, height=100)
    assert parse_global_box("width=200,height=100,col_x=20,row_y=10") == box
    assert box.clamped(width=500, height=400) == (20, 10, 200, 100)
    assert box.clamped(width=100, height=60) == (20, 10, 80, 50)
    assert box.clamped(width=29, height=60) is None
    assert box.clamped(width=10, height=10) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "face",
        "10,20,100,200",
        "row_y=10,col_x=20,height=100",
        "row_y=10,col_x=20,height=100,width=200,depth=3",
        "row_y=10,row_y=10,col_x=20,height=100,width=200",
        "row_y=1,col_x=20,height=100,height=200",
        "row_y=-1,col_x=20,height=100,width=200",
        "row_y=1.5,col_x=20,height=100,width=200",
        "row_y=a,col_x=20,height=100,width=200",
        "row_y=1;col_x=20;height=100;width=200",
        "row_y=1,col_x=20,height=5,width=200",
    ],
)
def test_bad_global_boxes_are_refused(text: str) -> None:
    with pytest.raises(BadArgument, match=r"row_y=<pixels>,col_x=<pixels>,height=<pixels>,width=<pixels>"):
        parse_global_box(text)


def saved(image: np.ndarray, folder: Path, *, rectangles: np.ndarray, corners: np.ndarray, name: str = "a.jpg") -> list:
    """The parts of an image whose crops are kept in `folder`."""
    boxes = Boxes(np.arange(len(rectangles)), rectangles, corners)
    spec = WorkSpec(mode="boxes", crops_dir=str(folder))
    return list(parts_of(image, Task(3, Reference(f"/photos/{name}"), boxes), spec))


def test_every_saved_crop_has_a_file_and_pixels_of_its_own(image: np.ndarray, tmp_path: Path) -> None:
    quads = np.stack([corners_of(20, 30, 40, 50)] * 4)
    quads[1, :2, 1] += 0.9  # the names of all are cut to the same whole pixels
    quads[2, 1:3, 0] += 0.6
    found = saved(image, tmp_path, rectangles=np.full((4, 4), 20.0), corners=quads.reshape(4, 8))
    names = [part.crop_filename for part in found]
    whole = "000000003_a_20_30_60_30_60_80_20_80"
    assert names == [f"{whole}.jpg", f"{whole}_2.jpg", f"{whole}_3.jpg", f"{whole}_4.jpg"]
    for part in found:
        assert part.pixels is not None and part.crop_filename is not None
        assert (tmp_path / part.crop_filename).read_bytes() == to_jpeg(part.pixels)
    assert len({part.pixels.tobytes() for part in found}) == 3, "the last one is the first again"


def test_crops_of_upright_boxes_keep_their_names(image: np.ndarray, tmp_path: Path) -> None:
    boxes = np.array([(20, 30, 40, 50), (60, 30, 40, 50), (20.4, 30, 40, 50)])
    found = saved(image, tmp_path, rectangles=boxes, corners=np.full((3, 8), NAN))
    names = [part.crop_filename for part in found]
    assert names == ["000000003_a_20_30_40_50.jpg", "000000003_a_60_30_40_50.jpg", "000000003_a_20_30_40_50_2.jpg"]


def test_crops_of_an_image_with_a_long_name_are_saved(image: np.ndarray, tmp_path: Path) -> None:
    corners = np.stack([corners_of(20, 30, 40, 50)] * 2).reshape(2, 8)
    found = saved(image, tmp_path, rectangles=np.full((2, 4), 20.0), corners=corners, name="猫" * 80 + ".jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(part.crop_filename for part in found)


def test_crops_have_names_that_windows_can_have(image: np.ndarray, tmp_path: Path) -> None:
    box, none = np.full((1, 4), 20.0), np.full((1, 8), NAN)
    for name, stem in (('a\\b:"c"\n<?*|>.jpg', "a_b__c_______"), ("été 1.jpg", "été 1")):
        (part,) = saved(image, tmp_path, rectangles=box, corners=none, name=name)
        assert part.crop_filename == f"000000003_{stem}_20_20_20_20.jpg" and (tmp_path / part.crop_filename).is_file()


@pytest.mark.parametrize("shape", [(300, 600), (300, 600, 3), (300, 600, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_as_jpeg(shape: tuple[int, ...], dtype: type) -> None:
    image = np.full(shape, np.iinfo(dtype).max // 2, dtype)
    if len(shape) == 3:
        image[..., 0] = np.iinfo(dtype).max
    for data, size in (
        (to_jpeg(image, max_side=120), (120, 60)),
        (to_jpeg(image[:50, :40], max_side=256), (40, 50)),
        (to_jpeg(image), (600, 300)),
    ):
        found = decode(data)
        assert (found.width, found.height) == size
        if len(shape) == 3:
            assert found.image[..., 0].mean() > found.image[..., 2].mean() + 50  # red stays red
