"""Images read again after a run: whole, as boxes, from archives, and gone."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import galleries_rig as rig
import numpy as np
import pandas as pd
import pytest

from fastdup_db.engine import Fastdup
from fastdup_db.pipeline.originals import open_images


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), rig.drawn(i)[:, :, ::-1])
    return folder


def test_whole_images_in_the_order_asked_for(photos: Path, tmp_path: Path) -> None:
    fd = Fastdup(tmp_path / "work", str(photos))
    fd.run(print_summary=False)
    (photos / "4.png").unlink()
    images = list(open_images(Path(fd.work_dir), [3, 99, 4, 0]))
    assert images[1] is None
    assert images[2] is None
    assert np.array_equal(images[0], rig.drawn(3))
    assert np.array_equal(images[3], rig.drawn(0))
    vis = fd.vis
    assert len(rig.cards(vis.stats_gallery(metric="blur"))) == 6
    assert "not available" in rig.parsed(vis.stats_gallery(metric="blur")).select_one(".placeholder").get_text()
    assert rig.ids(vis.duplicates_gallery(threshold=-1.0, num_images=3))
    titles = [h.get_text() for h in rig.parsed(vis.report()).select("section > h2")]
    assert titles[:2] == ["Summary", "Statistics"]


def test_members_of_an_archive(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(photos, arcname="photos")
    fd = Fastdup(tmp_path / "work", str(archive))
    fd.run(print_summary=False)
    names = fd.annotations()["filename"].tolist()
    images = list(open_images(Path(fd.work_dir), [5, 1]))
    for image, i in zip(images, (5, 1), strict=True):
        assert np.array_equal(image, rig.drawn(int(Path(names[i]).stem)))
    page = fd.vis.stats_gallery()
    assert len(rig.parsed(page).select(".shot img[src]")) == 6


def test_boxes_are_cut_out_or_drawn(photos: Path, tmp_path: Path) -> None:
    names = [str(photos / f"{i}.png") for i in (0, 0, 1)]
    given = pd.DataFrame(
        {"filename": names, "col_x": [60, 100, 0], "row_y": [50, 60, 0], "width": [200, 90, 480], "height": 180}
    )
    fd = Fastdup(tmp_path / "work", str(photos))
    fd.run(annotations=given, print_summary=False)
    crop = next(open_images(Path(fd.work_dir), [1], crops=True))
    assert np.array_equal(crop, rig.drawn(0)[60:240, 100:190])
    whole = list(open_images(Path(fd.work_dir), [0, 1], crops=False))
    assert whole[0] is whole[1]
    page = fd.vis.stats_gallery()
    points = {card.select_one(".shot")["data-id"]: card.polygon["points"] for card in rig.cards(page)}
    assert points["1"] == "100,60 190,60 190,240 100,240"
