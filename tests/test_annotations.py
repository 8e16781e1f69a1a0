"""Labels, splits, boxes and own embeddings, on drawn images with planted answers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import BadArgument, BadInput


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """scene 0..19; copies of 0, 1, 2 called leak_*; two scenes nobody annotates."""
    folder = tmp_path_factory.mktemp("annotated") / "images"
    (folder / "sub dir").mkdir(parents=True)
    for number in range(20):
        cv2.imwrite(str(folder / "sub dir" / f"s{number:02d}.jpg"), demo.scene(number))
    for number in range(3):
        cv2.imwrite(str(folder / f"leak_{number}.jpg"), demo.scene(number), [cv2.IMWRITE_JPEG_QUALITY, 60])
    for number in (90, 91):
        cv2.imwrite(str(folder / f"unannotated_{number}.jpg"), demo.scene(number))
    return folder


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rows = [
        {"filename": f"sub dir/s{n:02d}.jpg", "label": "even" if n % 2 == 0 else "odd", "split": "train", "weight": n}
        for n in range(20)
    ]
    rows += [
        {"filename": f"leak_{n}.jpg", "label": "even" if n % 2 == 0 else "odd", "split": "test", "weight": -n}
        for n in range(3)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def labelled(images, frame, tmp_path_factory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("labelled"), images)
    fd.run(annotations=frame, progress=False, nearest_neighbors_k=3)
    return fd


def test_user_columns_are_kept_typed_and_joined_on_both_sides(labelled, frame):
    annotations = labelled.annotations()
    assert list(annotations.columns) == [
        "filename", "label", "split", "weight", "index", "error_code", "is_valid", "fd_index",
    ]  # fmt: skip
    assert len(annotations) == len(frame) and str(annotations["weight"].dtype) == "int64"
    by_name = dict(zip(annotations["filename"].map(lambda f: Path(f).name), annotations["weight"], strict=True))
    assert by_name["s07.jpg"] == 7 and by_name["leak_2.jpg"] == -2
    pairs = labelled.similarity()
    assert {"label_from", "label_to", "weight_from", "split_to", "index_from", "index_to"} <= set(pairs.columns)
    assert labelled.sql("select sum(weight) as w from annotations")["w"].iloc[0] == frame["weight"].sum()


def test_unannotated_images_are_processed_and_hidden(labelled, images):
    assert len(labelled.annotations(include_unannotated=True)) == 25
    assert labelled.num_instances() == 23
    ids = set(labelled.annotations()["fd_index"])
    assert set(labelled.similarity(data=False)["from"]) <= ids
    everyone = labelled.img_stats(include_unannotated=True)
    assert len(everyone) == 25 and len(labelled.img_stats()) == 23


def test_splits_and_leaks(labelled):
    train = labelled.similarity(split="train")
    assert set(train["split_from"]) | set(train["split_to"]) <= {"train"}
    leaks = labelled.similarity(between=("train", "test"))
    named = leaks[["filename_from", "filename_to"]].to_numpy()
    assert {frozenset((Path(a).stem[-1], Path(b).stem[-1])) for a, b in named} >= set(map(frozenset, "012"))
    assert (leaks["split_from"] != leaks["split_to"]).all()
    assert labelled.similarity(between=("train", "test"), data=False).equals(leaks[["from", "to", "distance"]])
    with pytest.raises(BadArgument, match="test, train"):
        labelled.similarity(split="dev")
    with pytest.raises(BadArgument, match="split"):
        labelled.similarity(split=[["train"]])


def test_components_are_computed_anew_within_a_split(labelled):
    members, info = labelled.connected_components()
    assert sorted(info["count"]) == [2, 2, 2]
    within, info = labelled.connected_components(split="train")
    assert within.empty and info.empty and list(within.columns) == list(members.columns)
    both, info = labelled.connected_components(split=["train", "test"])
    assert len(both) == 6 and (both["count"] == 2).all()
    grouped = labelled.connected_components_grouped()
    assert grouped["label"].tolist() == [["even", "even"], ["odd", "odd"], ["even", "even"]]
    by_label = labelled.connected_components_grouped(group_by="label")
    assert by_label["label"].tolist() == ["even", "odd"] and by_label["len"].tolist() == [4, 2]


def test_wrong_labels_rank_first(images, frame, tmp_path):
    wrong = frame.copy()
    wrong.loc[wrong["filename"] == "leak_1.jpg", "label"] = "even"
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(annotations=wrong, progress=False, nearest_neighbors_k=1)
    ranked = fd.label_quality()
    top = {Path(f).name for f in ranked["filename"].head(2)}
    assert top == {"leak_1.jpg", "s01.jpg"} and ranked["score"].iloc[0] == 0
    assert ranked["score"].is_monotonic_increasing
    assert {"index", "filename", "label", "score", "neighbors", "other_label", "distance"} == set(ranked.columns)
    assert len(fd.sql("from label_quality")) == len(ranked)


def test_the_view_of_labels_is_the_answer_of_label_quality(tmp_path):
    rng = np.random.default_rng(4)
    fd = fastdup_db.create(tmp_path / "work")
    labelled = pd.DataFrame({"filename": [f"{i}.jpg" for i in range(60)], "label": rng.choice(list("abc"), 60)})
    labelled.loc[7, "label"] = None
    fd.run(annotations=labelled, embeddings=rng.normal(size=(60, 8)), nearest_neighbors_k=5, progress=False)
    pd.testing.assert_frame_equal(fd.sql("from label_quality"), fd.label_quality())


@pytest.mark.parametrize("form", ["csv", "parquet", "list", "absolute"])
def test_forms_of_annotations(images, frame, tmp_path, form):
    given = frame
    if form == "csv":
        frame.to_csv(tmp_path / "a.csv", index=False)
        given = str(tmp_path / "a.csv")
    elif form == "parquet":
        frame.to_parquet(tmp_path / "a.parquet")
        given = tmp_path / "a.parquet"
    elif form == "list":
        given = frame["filename"].tolist()
    else:
        given = frame.assign(filename=[str(images / n) for n in frame["filename"]])
    fd = fastdup_db.create(tmp_path / "work", None if form == "absolute" else images)
    fd.run(annotations=given, run_stats_only=True, progress=False)
    assert fd.num_instances() == 23
    assert ("label" in fd.annotations().columns) == (form != "list")


def test_annotated_file_that_is_missing_is_a_row(images, frame, tmp_path):
    more = pd.concat([frame, pd.DataFrame([{"filename": "no/such.jpg", "label": "odd", "split": "train"}])])
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(annotations=more, run_mode=1, progress=False)
    bad = fd.invalid_instances()
    assert bad["error_code"].tolist() == ["ERROR_MISSING_FILE"] and bad["label"].tolist() == ["odd"]
    assert bad["filename"].iloc[0] == str(images / "no" / "such.jpg")


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (pd.DataFrame({"name": ["a"]}), "filename"),
        (pd.DataFrame({"filename": []}), "filename"),
        (pd.DataFrame({"filename": ["a.jpg", "a.jpg"]}), "more than once"),
        (pd.DataFrame({"filename": ["a.jpg"], "index": [0]}), "index"),
        (pd.DataFrame({"filename": ["a.jpg"], "label": [["x"]]}), "label"),
        (pd.DataFrame({"filename": ["a.jpg", None]}), "without a filename"),
        ("no_such.csv", "does not exist"),
        ({"images": []}, "COCO"),
        (5, "DataFrame"),
    ],
)
def test_bad_annotations_are_refused(images, tmp_path, annotations, said):
    with pytest.raises(BadArgument, match=said):
        fastdup_db.create(tmp_path / "work", images).run(annotations=annotations, progress=False)
    assert not (tmp_path / "work").exists()


def test_subset_by_relative_and_absolute_names(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(subset=["leak_0.jpg", str(images / "sub dir" / "s00.jpg")], run_stats_only=True, progress=False)
    assert [Path(f).name for f in fd.annotations()["filename"]] == ["leak_0.jpg", "s00.jpg"]


def test_class_folders_as_labels(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(label_from_folder=True, run_stats_only=True, progress=False)
    labels = fd.annotations()
    in_folder = labels["filename"].str.contains("sub dir")
    assert labels.loc[in_folder, "label"].eq("sub dir").all() and labels.loc[~in_folder, "label"].isna().all()


# ---- boxes ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boxed(images, tmp_path_factory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("boxed"), images)
    fd.run(annotations=BOXES, progress=False, save_crops=True)
    return fd


BOXES = pd.DataFrame(
    [
        ("sub dir/s00.jpg", 10, 20, 100, 90, "a"),
        ("leak_0.jpg", 10, 20, 100, 90, "a"),
        ("leak_0.jpg", 10, 20, 100, 90, "b"),  # the same box twice
        ("leak_0.jpg", 150.7, 60.2, 80, 70, "c"),
        ("sub dir/s03.jpg", -5, 0, 50, 50, "negative"),
        ("sub dir/s03.jpg", 300, 0, 50, 50, "outside"),
        ("sub dir/s03.jpg", 0, 0, 9, 50, "small"),
        ("sub dir/s03.jpg", 0, 0, 0, 0, "zero"),
        ("sub dir/s03.jpg", np.nan, 0, 50, 50, "nan"),
        ("no_such.jpg", 0, 0, 50, 50, "missing"),
    ],
    columns=["filename", "col_x", "row_y", "width", "height", "label"],
)


def test_boxes_are_instances_in_the_order_given(boxed):
    frame = boxed.annotations(valid_only=False)
    assert frame["label"].tolist() == BOXES["label"].tolist() and frame["index"].tolist() == list(range(10))
    assert frame["col_x"].tolist()[:4] == BOXES["col_x"].tolist()[:4]
    assert boxed.num_instances() == 4 and boxed.num_instances(valid_only=False) == 10
    bad = boxed.invalid_instances()
    assert bad["error_code"].tolist() == ["ERROR_BAD_BOUNDING_BOX"] * 5 + ["ERROR_MISSING_FILE"]
    assert bad["filename"].notna().all() and bad["index"].tolist() == list(range(4, 10))
    assert "objects" in boxed.summary(verbose=False)[0]


def test_crops_are_compared_measured_and_saved(boxed):
    stats = boxed.img_stats().set_index("index")
    assert stats.loc[0, ["img_w", "img_h"]].tolist() == [100, 90]
    assert stats.loc[3, ["img_w", "img_h"]].tolist() == [80, 70], "coordinates are cut to whole pixels"
    pairs = boxed.similarity(data=False)
    assert {(1, 2), (2, 1)} <= set(map(tuple, pairs[["from", "to"]].to_numpy().tolist()))
    assert pairs.set_index(["from", "to"]).loc[(1, 2), "distance"] == 1.0, "the same box twice, no cross join"
    crops = boxed.annotations()
    image = cv2.imread(str(Path(boxed.work_dir) / "crops" / crops["crop_filename"].iloc[0]))
    assert image.shape == (90, 100, 3)
    loaded = boxed.similarity(load_crops=True)
    assert all(Path(f).is_file() for f in loaded["crop_filename_from"])
    grouped = boxed.connected_components_grouped()
    assert set(grouped["crop_filename"].iloc[0]) <= set(crops["crop_filename"])
    (files,) = boxed.connected_components_grouped(load_crops=True)["crop_filename"]
    assert len(files) == grouped["len"].iloc[0] and all(Path(file).is_file() for file in files)


def test_boxes_in_a_coco_dict_and_file_give_the_same(images, boxed, tmp_path):
    files = BOXES["filename"].drop_duplicates().tolist()
    coco = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(files)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(BOXES["label"].drop_duplicates())],
        "annotations": [
            {"id": n, "image_id": files.index(r.filename), "bbox": [r.col_x, r.row_y, r.width, r.height],
             "category_id": BOXES["label"].drop_duplicates().tolist().index(r.label)}
            for n, r in enumerate(BOXES.itertuples())
        ],
    }  # fmt: skip
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco))
    for number, given in enumerate((coco, str(path))):
        fd = fastdup_db.create(tmp_path / str(number), images)
        fd.run(annotations=given, progress=False)
        assert fd.sql("from edges order by all").equals(boxed.sql("from edges order by all"))
        columns = ["filename", "label", "col_x", "row_y", "width", "height", "error_code", "index"]
        assert fd.annotations(False)[columns].equals(boxed.annotations(False)[columns])


def test_margins_and_rotated_boxes(images, tmp_path):
    upright = pd.DataFrame([("leak_0.jpg", 60, 60, 60, 60)], columns=["filename", "col_x", "row_y", "width", "height"])
    fd = fastdup_db.create(tmp_path / "m", images)
    fd.run(annotations=upright, run_mode=1, progress=False, augmentation_horiz=0.2, augmentation_vert=0.1)
    assert fd.img_stats().loc[0, ["img_w", "img_h"]].tolist() == [84, 72]
    with pytest.raises(BadArgument, match="save_crops=True"):
        fd.img_stats(load_crops=True)
    corners = [60, 60, 120, 60, 120, 120, 60, 120]
    rotated = pd.DataFrame([["leak_0.jpg", *corners]], columns=["filename", *"x1 y1 x2 y2 x3 y3 x4 y4".split()])
    other = fastdup_db.create(tmp_path / "r", images)
    other.run(annotations=rotated, run_mode=1, progress=False)
    plain = fastdup_db.create(tmp_path / "p", images)
    plain.run(annotations=upright, run_mode=1, progress=False)
    assert (other.embeddings()[1] == plain.embeddings()[1]).all(), "corners along the axes are the upright box"
    with pytest.raises(BadArgument, match="exclude"):
        plain.run(annotations=upright, augmentation_horiz=0.2, augmentation_additive_margin=3)


def test_one_global_box_for_every_image(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "g", images)
    fd.run(bounding_box="row_y=200,col_x=100,height=100,width=50", run_stats_only=True, progress=False)
    assert fd.img_stats()[["img_w", "img_h"]].drop_duplicates().to_numpy().tolist() == [[50, 40]], "clamped at 240"
    box = "row_y=100,col_x=100,height=100,width=50"
    for margin, size in (
        ({"augmentation_horiz": 0.2, "augmentation_vert": 0.1}, [70, 120]),
        ({"augmentation_additive_margin": 5}, [60, 110]),
    ):
        fd.run(bounding_box=box, run_stats_only=True, progress=False, **margin)
        assert fd.img_stats()[["img_w", "img_h"]].drop_duplicates().to_numpy().tolist() == [size]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bounding_box": "row_y=900,col_x=900,height=50,width=50"}, "lies in none of 25 images"),
        ({"annotations": BOXES.iloc[:1].assign(col_x=9000)}, "none of the boxes can be used"),
        ({"bounding_box": "xywh_bbox"}, "'xywh_bbox' needs annotations with the columns"),
    ],
)
def test_a_box_outside_of_every_image_is_no_broken_image(images, tmp_path, settings, said):
    with pytest.raises((BadInput, BadArgument), match=said):
        fastdup_db.create(tmp_path, images).run(progress=False, **settings)


def test_annotations_grouped_by_image(boxed):
    grouped = boxed.img_grouped_annot()
    leak = grouped[grouped["filename"].str.endswith("leak_0.jpg")].iloc[0]
    assert list(leak["label"]) == ["a", "b", "c"] and list(leak["index"]) == [1, 2, 3]
    assert len(grouped) == 4


def test_update_with_other_boxes_redoes_only_those_images(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(annotations=BOXES.iloc[:4], run_mode=1, progress=False)
    changed = BOXES.iloc[:4].copy()
    changed.loc[0, "width"] = 90
    fd.run(annotations=changed, run_mode=1, progress=False, overwrite=False)
    assert fd.sql("select images from batches order by batch_id")["images"].tolist()[1] == 1
    frame = fd.annotations()
    assert sorted(zip(frame["label"], frame["width"], strict=True)) == [("a", 90), ("a", 100), ("b", 100), ("c", 80)]


# ---- own embeddings ------------------------------------------------------------------------------------------------


def test_own_embeddings_need_no_images(tmp_path):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(50, 12))
    matrix[7] = matrix[3] * 2
    names = [f"thing {n}" for n in range(50)]
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(annotations=names, embeddings=matrix, progress=False)
    files, stored = fd.embeddings()
    assert files == names and stored.dtype == np.float32 and np.allclose(stored, matrix, atol=1e-6)
    best = fd.similarity().iloc[0]
    assert {best["filename_from"], best["filename_to"]} == {"thing 3", "thing 7"}
    assert best["distance"] == pytest.approx(1.0, abs=1e-6)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    edges = fd.sql("from edges")
    assert np.allclose(edges["similarity"], (unit[edges["from_id"]] * unit[edges["to_id"]]).sum(axis=1), atol=1e-5)
    matrix[9] = matrix[20]
    fd.run(annotations=names, embeddings=matrix, progress=False, overwrite=False)
    assert fd.sql("select images from batches order by batch_id")["images"].tolist() == [50, 1]
    assert set(fd.similarity().iloc[2][["filename_from", "filename_to"]]) == {"thing 9", "thing 20"}


def test_vectors_of_several_batches_are_those_of_one(tmp_path, monkeypatch):
    matrix = np.random.default_rng(1).standard_normal((5000, 8)).astype(np.float32)
    matrix[4999] = matrix[3]
    names = [f"thing {n}" for n in range(5000)]
    answers = []
    for number, rows in enumerate((5000, 700)):
        monkeypatch.setattr("fastdup_db.pipeline.given._BATCH_ROWS", rows)
        fd = fastdup_db.create(tmp_path / str(number))
        fd.run(annotations=names, embeddings=matrix, progress=False)
        answers.append((fd.sql("from edges"), fd.annotations()))
        files, stored = fd.embeddings()
        assert files == names and np.array_equal(stored, matrix)
        best = fd.similarity().iloc[0]
        assert {best["filename_from"], best["filename_to"]} == {"thing 3", "thing 4999"}
    assert fd.sql("select count(*) as n from batches")["n"][0] > 1
    for one, several in zip(*answers, strict=True):
        pd.testing.assert_frame_equal(one, several)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.zeros((3, 4), np.float32), "3 rows"),
        (np.zeros(4, np.float32), "shape"),
        (np.array([[1.0, np.nan], [1, 2]]), "NaN"),
        (np.array([["a", "b"], ["c", "d"]]), "dtype"),
        (np.zeros((2, 4), np.float32), "d=5"),
    ],
)
def test_bad_embeddings_are_refused(tmp_path, matrix, said):
    with pytest.raises(BadArgument, match=said):
        fastdup_db.create(tmp_path / "work").run(annotations=["a", "b"], embeddings=matrix, d=5, progress=False)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("factor", "said"), [(1e-60, "row 0"), (1e-40, "multiply all"), (1e60, "beyond")])
def test_embeddings_that_float32_does_not_hold_are_refused(tmp_path, factor, said):
    """Of the small ones all would be zero, and so one and the same."""
    matrix = np.array([[3.0, 1.0], [1.0, 3.0]])
    fd = fastdup_db.create(tmp_path / "work")
    with pytest.raises(BadArgument, match=said):
        fd.run(annotations=["a", "b"], embeddings=matrix * factor, progress=False)
    fd.run(annotations=["a", "b"], embeddings=matrix * 1e-30, progress=False)
    assert fd.similarity(threshold=0)["distance"].round(5).tolist() == [0.6, 0.6]
    with pytest.raises(BadArgument, match="beyond"):
        fd.vector_search(vec=np.full(2, factor if factor > 1 else 1e60))


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_of_embeddings_that_are_not_finite_are_refused_in_every_width(tmp_path, dtype, wrong):
    matrix = np.array([[1, 2], [wrong, 1]], dtype)
    with pytest.raises(BadArgument, match=r"1 rows of embeddings hold NaN, infinite values.* first row 1"):
        fastdup_db.create(tmp_path / "work").run(annotations=["a", "b"], embeddings=matrix, progress=False)


def test_masked_values_of_embeddings_are_none(tmp_path):
    masked = np.ma.masked_array(np.ones((2, 2)), [[False, False], [True, False]])
    with pytest.raises(BadArgument, match="first row 1"):
        fastdup_db.create(tmp_path / "work").run(annotations=["a", "b"], embeddings=masked, progress=False)
