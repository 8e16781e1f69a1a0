"""The distances from the collection's mean: of every image, by the transform of the run, none where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pytest
from drawn import draw_scenes

import fastdup_db
from fastdup_db import demo
from fastdup_db.graph import adapt
from fastdup_db.pipeline.tables import table
from fastdup_db.store.lance import EMBEDDINGS
from tests.finished import Finished

JUDGED = "from_id, to_id, round(similarity, 6) as similarity, rank"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Scenes 0 to 9, with a run on them."""
    home = tmp_path_factory.mktemp("distances")
    fastdup_db.create(home / "work", draw_scenes(home / "photos", count=10)).run(progress=False)
    return Finished(home)


@pytest.fixture
def photos(finished: Finished) -> Path:
    return finished.photos()


@pytest.fixture
def filled(finished: Finished, photos: Path, tmp_path: Path) -> fastdup_db.Fastdup:
    return fastdup_db.create(finished.work_dir(tmp_path / "work"), photos)


def check(fd: fastdup_db.Fastdup) -> None:
    """Every valid image has one distance, which is that of its embedding from the mean of the stored transform."""
    stored = fd.sql("from mean_distances order by id")
    ids, matrix = table(Path(fd.work_dir), EMBEDDINGS).matrix()
    run = fd.sql("select transform from runs order by run_id desc limit 1")
    transform = adapt.Transform.from_bytes(bytes(run["transform"].iloc[0]))
    assert len(ids) == fd.num_instances()
    assert stored["id"].tolist() == ids.tolist()
    assert stored["distance"].tolist() == transform.distances(matrix).tolist()


def change(photos: Path) -> None:
    """One more, one other, one less."""
    cv2.imwrite(str(photos / "a.bmp"), demo.scene(50))
    cv2.imwrite(str(photos / "0.bmp"), demo.scene(51)[:-16])
    (photos / "1.bmp").unlink()


@pytest.mark.parametrize("kept", [False, True])
def test_an_update_measures_what_has_none(filled, photos, monkeypatch, kept):
    """kept: the transform of the first run, as where many images change little."""
    check(filled)
    if kept:
        monkeypatch.setattr(adapt, "REFITTED", 0)
    before = filled.sql("from mean_distances")
    change(photos)
    filled.run(progress=False, overwrite=False)
    check(filled)
    both = before.merge(filled.sql("from mean_distances"), on="id")
    assert len(both) >= 8 and (both["distance_x"] == both["distance_y"]).sum() >= 8 * kept


def test_an_update_answers_as_a_fresh_run(filled, photos, tmp_path):
    change(photos)
    filled.run(progress=False, overwrite=False)
    fresh = fastdup_db.create(tmp_path / "fresh", photos)
    fresh.run(progress=False)
    found = [fd.sql("from nearest_neighbors join annotations on fd_index = outlier") for fd in (filled, fresh)]
    updated, new = (frame.set_index("filename")["distance"].sort_index() for frame in found)
    assert updated.index.tolist() == new.index.tolist()
    np.testing.assert_allclose(updated, new, atol=1e-5)


def test_vectors_searched_as_they_are_have_none(filled):
    filled.run(progress=False, overwrite=False, adapt=False)
    assert filled.sql("from mean_distances").empty and len(filled.outliers())


def test_no_own_vector_is_judged_by_it(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    vectors = np.random.default_rng(0).standard_normal((20, 32)).astype(np.float32)
    fd.run(annotations=[f"{n}.jpg" for n in range(20)], embeddings=vectors, progress=False)
    assert fd.sql("from mean_distances").empty
    assert fd.sql(f"select {JUDGED} from outlier_edges except select {JUDGED} from edges").empty


def test_a_work_dir_from_before_is_measured_by_its_next_run(filled, tmp_path):
    distances, outliers = filled.sql("from mean_distances order by id"), filled.sql("from nearest_neighbors")
    with duckdb.connect(str(Path(filled.work_dir) / "fastdup.duckdb")) as db:
        db.execute("delete from mean_distances")
    assert len(filled.outliers()) and filled.sql("from nearest_neighbors")["distance"].max() <= 1
    filled.run(progress=False, overwrite=False)
    assert filled.sql("from mean_distances order by id").equals(distances)
    assert filled.sql("from nearest_neighbors").equals(outliers)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_few_and_of_copies(tmp_path, photos, count):
    """A picture and its copies are at similarity 1, however far from the mean; one alone has no neighbour."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(count):
        shutil.copy(photos / "3.bmp", folder / f"{number}.bmp")
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False)
    check(fd)
    nearest = fd.sql("from nearest_neighbors")
    assert len(nearest) == (count if count > 1 else 0)
    assert (nearest["distance"] == 1).all()
    cv2.imwrite(str(folder / "other.bmp"), demo.scene(60))
    fd.run(progress=False, overwrite=False)
    judged = fd.sql("select filename, distance from nearest_neighbors join annotations on fd_index = outlier")
    least = judged.loc[judged["distance"].idxmin(), "filename"]
    assert count == 1 or (Path(least).name == "other.bmp" and (judged["distance"] == 1).sum() == count)
