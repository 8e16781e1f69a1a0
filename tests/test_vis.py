"""`fd.vis` over a real run: pages of real images, boxes cut out, what is gone left out."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import demo
from tests.galleries_rig import cards, ids


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> fastdup_db.Fastdup:
    folder = tmp_path_factory.mktemp("vis")
    demo.draw(folder / "images")
    fd = fastdup_db.create(folder / "work", folder / "images")
    fd.run(progress=False)
    return fd


def test_every_gallery_of_a_real_run(done):
    pairs = {frozenset(p) for p in done.similarity(data=False)[["from", "to"]].to_numpy().tolist()}
    assert {frozenset(p) for p in ids(done.vis.duplicates_gallery(show=False))} <= pairs
    assert [i for (i, *_) in ids(done.vis.outliers_gallery(how="all", show=False))] == done.outliers()[
        "outlier"
    ].tolist()
    assert len(cards(done.vis.component_gallery(show=False))) == len(done.connected_components()[1])
    darkest = done.img_stats().sort_values(["mean", "index"])["index"].iloc[0]
    assert ids(done.vis.stats_gallery(metric="dark", show=False))[0] == [darkest]
    assert cards(done.vis.similarity_gallery(show=False))


def test_images_come_in_the_order_asked_for(done):
    from fastdup_db.imaging import decode

    names = done.annotations()["filename"]
    asked = [names.index[3], names.index[0], 10_000, names.index[7]]
    found = list(done.open_images(asked))
    assert found[2] is None
    for i in (0, 1, 3):
        with open(names[asked[i]], "rb") as file:
            assert np.array_equal(found[i], decode.decode(file.read()).image)


def test_boxes_are_cut_out_and_missing_files_are_none(done, tmp_path):
    shutil.copytree(done.input_dir, tmp_path / "images")
    fd = fastdup_db.create(tmp_path / "work", tmp_path / "images")
    row = {"col_x": 10, "row_y": 20, "width": 50, "height": 40}
    fd.run(annotations=pd.DataFrame([{"filename": f"scene_0{n}.jpg", **row} for n in range(3)]), progress=False)
    cut = list(fd.open_images([0, 1, 2]))
    whole = list(fd.open_images([0, 1, 2], crops=False))
    assert all(np.array_equal(c, w[20:60, 10:60]) for c, w in zip(cut, whole, strict=True))
    (tmp_path / "images" / "scene_01.jpg").unlink()
    assert [image is None for image in fd.open_images([0, 1, 2])] == [False, True, False]
