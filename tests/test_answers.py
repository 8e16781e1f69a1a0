"""Answers about part of a collection, of nothing, and to questions that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument, BadInput, NotRun
from fastdup_db.galleries import writer
from fastdup_db.sources import kinds
from fastdup_db.store import duck
from tests import drawn

PICTURES = 4
"""Each lies in the folder three times: as `p<n>_0.png` to `p<n>_2.png`."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("answers") / "photos"
    for picture in range(PICTURES):
        for copy in range(3):
            drawn.draw(folder / f"p{picture}_{copy}.png", seed=picture)
    return folder


@pytest.fixture(scope="module")
def labelled(photos, tmp_path_factory) -> fastdup_db.Fastdup:
    """Picture 0 and 1 are cats, 2 and 3 dogs; the last copy of each is the test split."""
    names = sorted(path.name for path in photos.iterdir())
    frame = pd.DataFrame({"filename": names})
    frame["label"] = ["cat" if name[1] in "01" else "dog" for name in names]
    frame["split"] = ["test" if name.endswith("_2.png") else "train" for name in names]
    frame["blur"] = -1.0
    frame["img_w"] = [f"wide {name}" for name in names]
    fd = fastdup_db.create(tmp_path_factory.mktemp("labelled"), photos)
    fd.run(annotations=frame, progress=False, outlier_percentile=0.5)
    return fd


def test_summary_of_partly_annotated_images_counts_what_the_answers_have(photos, tmp_path):
    fd = fastdup_db.create(tmp_path, photos)
    # two copies of picture 0 and one of picture 1
    fd.run(annotations=["p0_0.png", "p0_1.png", "p1_0.png"], progress=False)
    members, _ = fd.connected_components()
    assert len(members) == 2 and fd.num_instances() == 3
    said = "\n".join(fd.summary(verbose=False))
    assert "Similarity: 66.67% (2) belong to 1 similarity" in said
    assert "33.33% (1) images do not belong to any similarity cluster" in said
    assert "Largest cluster has 2 (66.67%) images" in said
    assert f"({len(fd.outliers())}) of images are possible" in said


def test_a_row_of_pairs_names_images_by_floats(labelled):
    """As the API's first example does: a row of ids and a similarity is one of floats."""
    pairs = labelled.similarity(data=False)
    first, second, similarity = pairs.iloc[0]
    assert isinstance(first, float) and similarity == 1
    found = [labelled[first]["filename"], labelled[np.float32(second)]["filename"]]
    assert found == labelled.similarity().loc[0, ["filename_from", "filename_to"]].tolist()
    for wrong in (0.5, np.nan, np.inf, -1.0, "0", True, None):
        with pytest.raises(IndexError, match="is invalid"):
            labelled[wrong]


def test_labels_are_grouped_with_the_metric_and_the_order_asked_for(labelled):
    stats = labelled.img_stats().set_index("index")
    found = labelled.connected_components_grouped(group_by="label", metric="mean", sort_by="mean", ascending=True)
    assert list(found.columns) == ["label", "files", "component_id", "files_ids", "distance", "len", "mean"]
    assert found["len"].tolist() == [6, 6]
    for _, row in found.iterrows():
        assert row["mean"] == pytest.approx(stats.loc[row["files_ids"], "mean"].mean())
    assert found["mean"].is_monotonic_increasing
    backwards = labelled.connected_components_grouped(group_by="label", metric="mean", sort_by="mean", ascending=False)
    assert backwards["label"].tolist() == found["label"].tolist()[::-1]


def test_a_statistic_keeps_its_name_beside_a_column_of_the_users(labelled):
    stats = labelled.img_stats()
    assert stats["img_w"].tolist() == [32] * len(stats) and (stats["blur"] > 0).all()
    assert (stats["blur_1"] == -1).all() and stats["img_w_1"].str.startswith("wide").all()
    assert (labelled.annotations()["blur"] == -1).all()
    name = labelled.annotations()["filename"].iloc[0]
    assert len(labelled.search(name, where="blur > 0 and img_w = 32 and blur_1 = -1"))


@pytest.mark.parametrize("between", ["train", ("train",), ("train", "train"), ("train", "test", "train"), ()])
def test_between_is_two_different_splits(labelled, between):
    with pytest.raises(BadArgument, match="two different splits"):
        labelled.similarity(between=between)


def test_splits_are_named_once(labelled):
    assert len(labelled.similarity(between=("train", "test")))
    with pytest.raises(BadArgument, match="exclude each other"):
        labelled.similarity(between=("train", "test"), split="train")
    for wrong in (1, [], "neither"):
        with pytest.raises(BadArgument, match="split"):
            labelled.similarity(split=wrong)


@pytest.mark.parametrize("threshold", ["x", 2, -1.5, float("nan"), True])
def test_a_threshold_is_a_number(labelled, threshold):
    for ask in (labelled.similarity, labelled.connected_components, labelled.init_search):
        with pytest.raises(BadArgument, match="threshold"):
            ask(threshold=threshold)
    with pytest.raises(BadArgument, match="blur_threshold"):
        labelled.summary(blur_threshold="sharp")


def test_an_empty_answer_has_the_dtypes_of_a_filled_one(labelled, tmp_path, photos):
    none = fastdup_db.create(tmp_path, photos)
    frame = labelled.annotations()[["filename", "label", "split", "blur", "img_w"]]
    none.run(annotations=frame, progress=False, threshold=1, cc_threshold=1, outlier_percentile=0, subset=["p0_0.png"])
    for ask in ("similarity", "outliers", "invalid_instances", "duplicates"):
        filled, empty = getattr(labelled, ask)(), getattr(none, ask)()
        assert not len(empty)
        if len(filled):
            pd.testing.assert_series_equal(empty.dtypes, filled.dtypes)
    for filled, empty in zip(labelled.connected_components(), none.connected_components(), strict=True):
        assert len(filled) and not len(empty)
        pd.testing.assert_series_equal(empty.dtypes, filled.dtypes)
    filled, empty = labelled.connected_components_grouped(), none.connected_components_grouped()
    pd.testing.assert_series_equal(empty.dtypes, filled.dtypes)


def test_one_row_a_file_has_values_not_lists(labelled):
    frame = labelled.img_grouped_annot()
    assert frame["index"].tolist() == list(range(3 * PICTURES))
    assert frame["is_valid"].tolist() == [True] * 3 * PICTURES
    assert frame["split"].tolist() == labelled.annotations()["split"].tolist()


def test_columns_of_an_image_are_values_and_others_lists_whatever_they_are_called(tmp_path):
    boxes = pd.DataFrame({"filename": ["b", "a", "b", "a"], "col": [1, None, 3, 4], "label": list("wxyz"), "name": 7})
    boxes = boxes.assign(col_x=0, row_y=0, width=9, height=9)
    fd = fastdup_db.create(tmp_path)
    fd.run(annotations=boxes, embeddings=np.eye(4, dtype=np.float32), progress=False)
    frame = fd.img_grouped_annot(["name", "col"])
    assert list(frame.columns) == list(fd.annotations().columns)
    assert frame["filename"].tolist() == ["b", "a"] and frame["name"].tolist() == [7, 7]
    assert frame["col"].fillna(-1).tolist() == [1, -1]
    assert frame["label"].tolist() == [["w", "y"], ["x", "z"]]
    assert frame["fd_index"].tolist() == [[0, 2], [1, 3]]
    every = fd.img_grouped_annot(list(frame.columns))
    assert every["filename"].tolist() == ["b", "a"] and every["fd_index"].tolist() == [0, 1]
    assert fd.img_grouped_annot([])["name"].tolist() == [[7, 7], [7, 7]]
    with pytest.raises(BadArgument, match="image_level_columns"):
        fd.img_grouped_annot(["nothing"])


def test_a_threshold_that_joins_everything_is_warned_of(photos, tmp_path, caplog):
    fd = fastdup_db.create(tmp_path / "results", photos)
    fd.run(progress=False, run_mode=1)
    for settings, warned in (
        ({"cc_threshold": 0.7}, True),
        ({"cc_threshold": 0.7, "adapt": False}, False),
        ({"cc_threshold": 0.7, "run_cc": False}, False),
        ({}, False),
    ):
        caplog.clear()
        fd.run(progress=False, run_mode=2, **settings)
        assert ("nothing in common" in caplog.text) is warned, settings


def test_components_that_were_not_asked_for_are_not_found(photos, tmp_path):
    fd = fastdup_db.create(tmp_path, photos)
    frame = pd.DataFrame({"filename": sorted(p.name for p in photos.iterdir()), "split": "train"})
    fd.run(annotations=frame, run_cc=False, progress=False)
    for split in (None, "train"):
        assert [len(part) for part in fd.connected_components(split=split)] == [0, 0]
    assert any("run_cc=False" in line for line in fd.summary(verbose=False))


def test_embeddings_without_a_run_are_a_controllers_verbs_too(labelled, photos):
    vector, names = labelled.feature_vector(photos / "p0_0.png")
    stored = dict(zip(*labelled.embeddings(), strict=True))
    np.testing.assert_array_equal(vector[0], stored[names[0]])
    assert labelled.feature_vectors(photos)[0].shape == (3 * PICTURES, 576)


def test_turi_param_sets_numbers_whose_default_is_none(photos, tmp_path):
    fd = fastdup_db.create(tmp_path, photos)
    fd.run(turi_param="num_images=5,run_cc=false,ccthreshold=0.5", run_mode=1, progress=False)
    assert fd.num_instances() == 5 and fd.config["cc_threshold"] == 0.5 and fd.config["run_cc"] is False


def test_numbers_may_be_texts_and_offsets_nothing(photos, tmp_path):
    fd = fastdup_db.create(tmp_path, photos)
    fd.run(ccthreshold="0.5", nearest_neighbors_k="3", min_offset=0, max_offset=0, run_mode=1, progress=False)
    assert fd.num_instances() == 3 * PICTURES
    assert (fd.config["cc_threshold"], fd.config["nearest_neighbors_k"], fd.config["max_offset"]) == (0.5, 3, None)
    for wrong in ({"ccthreshold": "high"}, {"nearest_neighbors_k": "1.5"}, {"min_offset": 5, "max_offset": 3}):
        with pytest.raises(BadArgument, match=list(wrong)[-1]):
            fd.run(**wrong, progress=False)


@pytest.mark.parametrize("text", ["ccthreshold=abc", "run_cc=maybe", "num_images=1.5", "no such=1", "num_images"])
def test_turi_param_says_what_is_wrong(photos, tmp_path, text):
    with pytest.raises(BadArgument):
        fastdup_db.create(tmp_path / "work", photos).run(turi_param=text, progress=False)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["overwrite", "run_stats", "high_accuracy", "run_cc", "adapt", "tar_only"])
def test_flags_are_true_or_false(photos, tmp_path, name):
    for wrong in ("no", "False", 2):
        with pytest.raises(BadArgument, match=f"{name}=.*True or False"):
            fastdup_db.create(tmp_path / "work", photos).run(**{name: wrong}, progress=False)
    assert fastdup_db.Fastdup(tmp_path / "work").set_fastdup_kwargs({name: np.True_})[name] is True


@pytest.mark.parametrize("kwargs", [None, {"find_regex": 5}, {"turi_param": 5}, {"video_fps": "x"}])
def test_settings_of_another_kind_are_refused(tmp_path, kwargs):
    with pytest.raises(BadArgument):
        fastdup_db.Fastdup(tmp_path).set_fastdup_kwargs(kwargs)


def test_sql_can_be_asked_where_no_run_ended(tmp_path):
    with pytest.raises(NotRun):
        fastdup_db.create(tmp_path).sql("select 1")


def test_vectors_too_long_for_a_metric_are_refused_before_a_run(tmp_path):
    vectors = np.eye(3, 4, dtype=np.float32) * 1e20
    fd = fastdup_db.create(tmp_path / "work")
    with pytest.raises(BadArgument, match="euclidean"):
        fd.run(annotations=["a", "b", "c"], embeddings=vectors, distance="euclidean", nnf_mode="Flat", progress=False)
    assert not (tmp_path / "work").exists()


def test_a_statistic_keeps_its_name_among_the_advanced_too(photos, tmp_path):
    frame = pd.DataFrame({"filename": sorted(path.name for path in photos.iterdir())})
    frame = frame.assign(truncated="mine", mean_hue="mine")
    fd = fastdup_db.create(tmp_path, photos)
    fd.run(annotations=frame, run_advanced_stats=True, run_mode=1, progress=False)
    for stats in (fd.img_stats(), fd.sql("from img_stats_advanced")):
        assert stats.columns.is_unique
        assert not stats["truncated"].any() and (stats["mean_hue"] >= 0).all()
        assert (stats["truncated_1"] == "mine").all() and (stats["mean_hue_1"] == "mine").all()


def test_numbers_of_other_libraries_are_numbers(photos, tmp_path):
    fd = fastdup_db.create(tmp_path, photos)
    fd.run(
        run_mode=np.int64(1),
        nearest_neighbors_k=np.uint8(2),
        num_images=np.int64(8),
        threshold=np.float32(0.5),
        run_stats=np.True_,
        num_threads=-1,  # fastdup's default: all cores
        test_dir="",
        progress=False,
    )
    assert fd.num_instances() == 8 and fd.config["nearest_neighbors_k"] == 2 and fd.config["num_threads"] is None
    for wrong in ({"run_mode": np.array([0])}, {"run_stats": pd.NA}, {"run_mode": 9}, {"num_threads": -2}):
        with pytest.raises(BadArgument):
            fd.run(**wrong, progress=False)
    assert fd.num_instances() == 8


def test_accessors_take_numbers_and_flags_of_numpy_and_nothing_else(labelled):
    assert labelled.num_instances(np.True_) == labelled.num_instances()
    assert labelled.annotations(include_unannotated=np.False_).equals(labelled.annotations())
    assert labelled.similarity(np.False_).equals(labelled.similarity(data=False))
    assert labelled.summary(False, blur_threshold=np.float32(150)) == labelled.summary(False)
    for name in ("data", "load_crops", "include_unannotated"):
        for verb in (labelled.similarity, labelled.outliers, labelled.img_stats, labelled.connected_components):
            with pytest.raises(BadArgument, match=f"{name}='x'; allowed: True or False"):
                verb(**{name: "x"})
    with pytest.raises(BadArgument, match="ascending='x'"):
        labelled.connected_components_grouped(ascending="x")
    for wrong in ({"metric": ["blur"]}, {"sort_by": ["len"]}):
        with pytest.raises(BadArgument, match="is unknown; allowed"):
            labelled.connected_components_grouped(**wrong)
    with pytest.raises(BadArgument, match="a list of names"):
        labelled.img_grouped_annot(5)


@pytest.mark.parametrize(
    "call",
    [
        lambda fd, _: fd.caption(batch_size="a"),
        lambda fd, _: fd.caption(subset=5),
        lambda fd, _: fd.caption(kwargs=5),
        lambda fd, _: fd.caption(model_name=3),
        lambda fd, _: fd.vector_search(filename=5, vec=fd.embeddings()[1][0]),
        lambda fd, photos: fd.search(str(next(photos.iterdir())), where=5),
        lambda fd, photos: fd.feature_vector(str(photos / "0.jpg"), model_path=5),
        lambda fd, photos: fd.fastdup_convert_to_relpath(5, photos),
        lambda fd, photos: fd.fastdup_convert_to_relpath("/nowhere", photos),
        lambda fd, _: fd.s3_folder_exists_and_not_empty(None),
        lambda fd, _: fd.run(bounding_box=5),
        lambda fd, _: fd.run(bounding_box={"row_y": 1}),
        lambda fd, _: fd.run(nnf_mode=5),
        lambda fd, _: fd.run(nnf_param=5),
        lambda fd, _: fd.vis.stats_gallery(lazy_load="x"),
        lambda fd, _: fd.vis.outliers_gallery(draw_bbox="x"),
        lambda fd, _: fd.vis.component_gallery(save_artifacts="x"),
    ],
)
def test_what_is_of_another_kind_is_refused(labelled, photos, call):
    with pytest.raises((BadArgument, BadInput), match="allowed: "):
        call(labelled, photos)


def test_what_was_not_measured_sorts_no_components(labelled, photos, tmp_path):
    with pytest.raises(BadArgument, match="run_advanced_stats=True"):
        labelled.connected_components_grouped(metric="mean_hue")
    fd = fastdup_db.create(tmp_path, photos)
    fd.run(run_stats=False, progress=False)
    with pytest.raises(BadArgument, match="run with run_stats=True"):
        fd.connected_components_grouped(metric="blur")


def test_a_pair_on_the_line_is_a_pair(tmp_path):
    fd = fastdup_db.create(tmp_path)
    fd.run(annotations=["a", "b"], embeddings=np.array([[1, 0], [24, 7]], np.float32), progress=False)
    assert fd.similarity(data=False, threshold=0.96)["distance"].tolist() == [np.float32(0.96)] * 2
    members, info = fd.connected_components(threshold=0.96)
    assert members["index"].tolist() == [0, 1] and info["count"].tolist() == [2]
    assert len(fd.connected_components()[0]) == len(fd.sql("from components_at(0.96)")) == 2
    assert fd.vector_search(vec=np.array([1, 0], np.float32), threshold=0.96)["to"].tolist() == ["a", "b"]
    top = fastdup_db.find_top_components(tmp_path, threshold=0.96)
    assert top["len"].tolist() == [2]
    assert len(fastdup_db.delete_components(pd.DataFrame(top.to_dict("list")), min_distance=0.96)) == 1
    fd.export(tmp_path / "files", "fastdup")
    written = pd.read_csv(tmp_path / "files" / "similarity.csv")
    for frame in (None, written, written.assign(distance=0.96)):
        page = fd.vis.duplicates_gallery(threshold=0.96, external_df=frame).read_text()
        assert page.count('class="card"') == 1


def test_sql_may_name_two_lists_alike(labelled):
    frame = labelled.sql("select [1, 2] as a, [3] as a")
    assert frame.iloc[0].tolist() == [[1, 2], [3]]


@pytest.mark.parametrize("place", ["s3://bucket/there", "s3:/bucket/there", "minio://a/b/c"])
def test_outputs_in_a_bucket_are_refused_where_only_a_disk_will_do(labelled, photos, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    labelled.export(tmp_path / "files", "fastdup")
    for ask in (
        lambda: labelled.export(place, "fastdup"),
        lambda: labelled.vis.outliers_gallery(save_path=place),
        lambda: fastdup_db.import_work_dir(tmp_path / "files", place),
        lambda: fastdup_db.run(str(photos), place),
        lambda: fastdup_db.run_kmeans(str(photos), place),
    ):
        with pytest.raises(BadArgument, match="a path on a disk"):
            ask()
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_column_called_file_name_can_be_exported(photos, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(annotations=pd.DataFrame({"filename": ["p0_0.png"], "file_name": ["mine"]}), run_mode=1, progress=False)
    fd.export(tmp_path / "out", "huggingface")
    (row,) = map(json.loads, (tmp_path / "out" / "metadata.jsonl").read_text().splitlines())
    assert row["file_name"].endswith("p0_0.png") and row["file_name_1"] == "mine"


@pytest.mark.parametrize(
    ("base", "name", "means"),
    [
        ("s3://b/a", "./0.jpg", "s3://b/a/0.jpg"),
        ("s3://b/a/", "../c/1.jpg", "s3://b/c/1.jpg"),
        ("s3://b", "../../1.jpg", "s3://b/1.jpg"),
        ("minio://m/b/a", "../1.jpg", "minio://m/b/1.jpg"),
        ("minio://m/b", "../1.jpg", "minio://m/b/1.jpg"),
        ("s3://b/a", "x//y.jpg", "s3://b/a/x//y.jpg"),
    ],
)
def test_relative_names_below_a_prefix(base, name, means):
    assert kinds.joined(base, name) == means


@pytest.mark.parametrize("work_dir", ["s3://b//x", "s3://b/x//y", "s3://b/a/../c", "s3://b/./c"])
def test_a_work_dir_in_a_bucket_has_a_plain_prefix(work_dir):
    with pytest.raises(BadArgument, match="prefix without"):
        fastdup_db.create(work_dir)


@pytest.mark.parametrize("page", ["outliers", "duplicates", "component", "similarity", "stats"])
def test_a_gallery_opens_the_database_once_and_closes_it_before_it_reads_pictures(
    labelled, tmp_path, monkeypatch, page
):
    opened, opening = [], duck._open

    def watched(path, *, read_only):
        opened.append(read_only)
        return opening(path, read_only=read_only)

    def made(*args, **options):
        with duck.connect(Path(labelled.work_dir), read_only=False):  # refused where it is open for reading
            return {}

    monkeypatch.setattr(duck, "_open", watched)
    monkeypatch.setattr(writer.thumbnails, "make", made)
    getattr(labelled.vis, f"{page}_gallery")(tmp_path, show=False)
    assert opened == [True, False]


def test_an_export_opens_the_database_once(labelled, tmp_path, monkeypatch):
    opened, opening = [], duck._open
    monkeypatch.setattr(duck, "_open", lambda path, **how: opened.append(path) or opening(path, **how))
    labelled.export(tmp_path, "coco")
    assert len(opened) == 1
