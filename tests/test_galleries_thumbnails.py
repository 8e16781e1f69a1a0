"""Thumbnails: made once, from the right pixels, bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastdup_db.galleries import thumbnails, writer
from fastdup_db.galleries.pictures import Picture, names
from fastdup_db.models.download import temporary_folder


class Images:
    """Counts what it opens."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def __call__(self, ids: list[int], *, crops: bool) -> Iterator[np.ndarray | None]:
        for i in ids:
            self.opened.append(i)
            yield None if i == 13 else np.full((40 + i, 300, 3), (i, 100, 200), np.uint8)


def picture(i: int, **facts: object) -> Picture:
    return Picture(id=i, image_id=i, filename=f"/photos/{i}.jpg", **facts)  # type: ignore[arg-type]


def test_each_is_made_once_and_knows_the_size_of_its_original(tmp_path: Path) -> None:
    images = Images()
    pictures = [picture(i) for i in range(20)]
    made = thumbnails.make(pictures, folder=tmp_path, open_images=images, side=100, threads=3)
    assert sorted(images.opened) == list(range(20))
    assert sorted(made) == [i for i in range(20) if i != 13]
    assert {(t.width, t.height) for t in made.values()} == {(300, 40 + i) for i in range(20) if i != 13}
    for i, thumbnail in made.items():
        shown = cv2.imread(str(thumbnail.path))
        assert max(shown.shape[:2]) == 100
        assert np.abs(shown.mean((0, 1)) - (200, 100, i)).max() < 4  # OpenCV reads BGR
    again = thumbnails.make(pictures, folder=tmp_path, open_images=images, side=100)
    assert again == made
    assert images.opened.count(13) == 2  # what could not be had is tried again, the rest is not
    assert len(images.opened) == 21


def test_what_macos_writes_beside_files_is_none(tmp_path: Path) -> None:
    (thumbnail,) = thumbnails.make([picture(1)], folder=tmp_path, open_images=Images(), side=100).values()
    thumbnail.path.with_name(f"._{thumbnail.path.name}").write_bytes(b"\0\5\x16\7")
    images = Images()
    assert thumbnails.make([picture(1)], folder=tmp_path, open_images=images, side=100) == {1: thumbnail}
    assert not images.opened


def test_a_changed_file_size_or_side_makes_a_new_one(tmp_path: Path) -> None:
    images = Images()
    for changed in (picture(1), picture(1, version="2"), picture(1, file_size=9)):
        thumbnails.make([changed], folder=tmp_path, open_images=images, side=100)
    thumbnails.make([picture(1)], folder=tmp_path, open_images=images, side=50)
    thumbnails.make([picture(1)], folder=tmp_path, open_images=images, side=50, gray=True)
    assert images.opened == [1] * 5


def test_boxes_share_the_whole_image_but_not_the_crops(tmp_path: Path) -> None:
    images = Images()
    boxes = [
        Picture(id=i, image_id=0, filename="/photos/0.jpg", corners=((i, 0), (9, 0), (9, 9), (i, 9))) for i in (1, 2)
    ]
    made = thumbnails.make(boxes, folder=tmp_path, open_images=images, side=100, crops=False)
    assert made[1] == made[2]
    assert images.opened == [2]
    made = thumbnails.make(boxes, folder=tmp_path, open_images=images, side=100, crops=True)
    assert made[1] != made[2]


def test_the_folder_is_bounded_and_the_least_recent_goes_first(tmp_path: Path) -> None:
    images = Images()
    old = thumbnails.make(
        [picture(i) for i in range(4)], folder=tmp_path, open_images=images, side=100, max_bytes=10**9
    )
    for i, thumbnail in old.items():
        os.utime(thumbnail.path, (1000 - i, 1000 - i))  # number 3 was shown the longest time ago
    total = sum(t.path.stat().st_size for t in old.values())
    new = thumbnails.make([picture(9)], folder=tmp_path, open_images=images, side=100, max_bytes=total)
    assert not old[3].path.exists()
    assert old[0].path.exists()
    assert new[9].path.exists()
    shown = thumbnails.make([picture(i) for i in range(4)], folder=tmp_path, open_images=images, side=100, max_bytes=1)
    assert all(t.path.exists() for t in shown.values())  # what is being shown stays, whatever the bound
    assert not new[9].path.exists()


@pytest.mark.parametrize("shape", [(30, 20), (30, 20, 1), (30, 20, 3), (30, 20, 4), (1, 1), (2, 5000, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_image_shrinks(shape: tuple[int, ...], dtype: type) -> None:
    value = 200 if dtype is np.uint8 else 200 << 8
    data = thumbnails.shrink(np.full(shape, value, dtype), side=100)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert max(shown.shape[:2]) == min(100, max(shape[:2]))
    assert abs(float(shown.mean()) - 200) < 3


def test_pages_of_many_pictures_stay_within_their_size() -> None:
    sides = [thumbnails.side_for(count) for count in (1, 60, 61, 250, 251, 1300, 1301, 2000)]
    assert sides == [768, 768, 512, 512, 256, 256, 192, 192]
    assert thumbnails.side_for(20_000, inlined=False) == 256, "beside the page they cost it nothing"


def test_small_images_are_kept_exactly() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    shown = cv2.imdecode(np.frombuffer(thumbnails.shrink(noise, side=256), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(shown[:, :, ::-1], noise)


def test_names_are_cut_at_the_folder_they_share() -> None:
    pictures = [Picture(1, 1, "/data/train/cat/1.jpg"), Picture(2, 2, "/data/train/car/2.jpg")]
    assert names(pictures) == {1: "cat/1.jpg", 2: "car/2.jpg"}
    assert names(pictures[:1]) == {1: "1.jpg"}
    assert names([]) == {}
    assert names(pictures, rename=str.upper)[2] == "/DATA/TRAIN/CAR/2.JPG"
    assert names([Picture(1, 1, "s3://a/x.jpg"), Picture(2, 2, "t.jpg")]) == {1: "s3://a/x.jpg", 2: "t.jpg"}


def test_where_neither_the_work_dir_nor_the_cache_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "file" / "cache"))
    assert writer._thumbnails(tmp_path / "gone") == temporary_folder() / "thumbnails"
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))
    assert writer._thumbnails(tmp_path / "gone") == tmp_path / "cache" / "thumbnails"
    assert writer._thumbnails(tmp_path) == tmp_path / "thumbnails"
