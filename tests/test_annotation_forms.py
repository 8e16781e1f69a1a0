"""Annotations as users write them: csv text, COCO of several makers, columns of every name and kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import annotation_forms
from fastdup_db.errors import BadArgument
from tests import drawn

BOX = {"id": 1, "image_id": 1, "bbox": [1, 2, 30, 40], "category_id": 7}


def coco(*annotations: dict, categories: object = ({"id": 7, "name": "cat"},), image_id: object = 1) -> dict:
    return {
        "images": [{"id": image_id, "file_name": "a.jpg"}],
        "annotations": list(annotations),
        "categories": list(categories),
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        drawn.draw(folder / f"{number}.png", seed=number)
    return folder


# ---- csv -----------------------------------------------------------------------------------------------------------


def test_a_csv_is_taken_as_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "filename,label,split,note,zip,count,share,flag,serial\n"
        "NA,None,null,nan,00501,1,0.5,True,12345678901234567890\n"
        "007,NA,1,,10001,2,1e-3,False,2\n"
        "null,,2,n/a,90210,-3,.25,True,3\n"
    )
    frame = annotation_forms.read(path)
    assert frame["filename"].tolist() == ["NA", "007", "null"]
    assert frame["label"].tolist()[:2] == ["None", "NA"] and pd.isna(frame["label"][2])
    assert frame["split"].tolist() == ["null", "1", "2"]
    assert frame["note"].tolist()[::2] == ["nan", "n/a"] and pd.isna(frame["note"][1])
    assert frame["zip"].tolist() == ["00501", "10001", "90210"]
    assert frame["serial"].tolist() == ["12345678901234567890", "2", "3"]
    assert frame["count"].tolist() == [1, 2, -3] and frame["count"].dtype == "int64"
    assert frame["share"].tolist() == [0.5, 0.001, 0.25] and frame["flag"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("fields", "found", "dtype"),
    [
        (["0", "-3", "12"], [0, -3, 12], "int64"),
        (["5", "", "7"], [5, pd.NA, 7], "Int64"),
        (["1", "007", "2"], ["1", "007", "2"], None),
        (["1.0", "2", "3"], ["1.0", "2", "3"], None),
        (["-0", "1", "2"], ["-0", "1", "2"], None),
        (["1", "12345678901234567890", "2"], ["1", "12345678901234567890", "2"], None),
        (["True", "False", "True"], ["True", "False", "True"], None),
    ],
)
def test_labels_of_a_csv_are_numbers_where_they_are_whole(tmp_path, fields, found, dtype):
    path = tmp_path / "a.csv"
    path.write_text("filename,label,split\n" + "".join(f"{i}.png,{field},{i}\n" for i, field in enumerate(fields)))
    frame = annotation_forms.read(path)
    assert frame["label"].tolist() == found and (dtype is None or str(frame["label"].dtype) == dtype)
    assert frame["split"].tolist() == ["0", "1", "2"], "splits are named in calls"


def test_whole_numbers_as_labels_come_back_as_such(photos, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,label\n0.png,4\n1.png,\n2.png,11\n")
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(annotations=path, progress=False, threshold=0, adapt=False)
    assert fd.annotations()["label"].tolist() == [4, pd.NA, 11] and fd[2]["label"] == 11
    pairs = fd.similarity()
    assert pairs.loc[pairs["from"] == 2, "label_from"].tolist() == [11, 11]
    path.write_text("filename,label\n0.png,4\n1.png,5\n2.png,11\n")
    fd.run(annotations=path, progress=False, threshold=0, adapt=False)
    assert str(fd.annotations()["label"].dtype) == str(fd.outliers()["label_outlier"].dtype) == "int64"
    assert fd.label_quality()["label"].tolist() and fd.vis.similarity_gallery(slice=11, show=False).exists()
    fd.export(tmp_path / "coco", format="coco")
    names = {one["name"] for one in json.loads((tmp_path / "coco" / "coco.json").read_text())["categories"]}
    assert names == {"4", "5", "11"}


def test_missing_numbers_of_a_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,small,large,none\na,1,1234567890123456789,\nb,,1234567890123456789,\n", "utf-8-sig")
    frame = annotation_forms.read(path)
    assert frame["small"].dtype == "float64" and frame["small"].isna().tolist() == [False, True]
    assert frame["large"].tolist() == ["1234567890123456789"] * 2
    assert frame["none"].isna().all()


def test_boxes_of_a_csv_are_numbers_whatever_stands_there(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,col_x,row_y,width,height\na,007,nan,30,x\na,1,2,3,4\n")
    frame = annotation_forms.read(path)
    assert frame["col_x"].tolist() == [7, 1] and frame["width"].tolist() == [30, 3]
    assert frame["row_y"].isna().tolist() == frame["height"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("width", "dtype"),
    [(30, "int64"), (30.0, "int64"), ("30", "int64"), (30.5, "float64"), (None, "float64"), (2.0**60, "float64")],
)
def test_whole_boxes_are_whole_numbers(width, dtype):
    given = pd.DataFrame({"filename": ["a", "b"], "col_x": 1, "row_y": 2, "width": [width, 4], "height": 5})
    frame = annotation_forms.read(given)
    assert [str(frame[name].dtype) for name in annotation_forms.BOX_COLUMNS] == [dtype] * 4
    corners = given.rename(columns=dict(zip(annotation_forms.BOX_COLUMNS, ("x1", "y1", "x2", "y2"), strict=True)))
    corners = annotation_forms.read(corners.assign(x3=0, y3=0, x4=0, y4=0))
    assert {str(corners[name].dtype) for name in annotation_forms.CORNER_COLUMNS} == {dtype}


def test_whole_boxes_slice_an_image(photos, tmp_path):
    box = {"filename": ["0.png", "1.png"], "col_x": [3, 4], "row_y": [1, 2], "width": [12, 14], "height": [10, 11]}
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(annotations=pd.DataFrame(box), adapt=False, progress=False)
    image = np.zeros((100, 100))
    shapes = [
        image[r.row_y : r.row_y + r.height, r.col_x : r.col_x + r.width].shape for r in fd.annotations().itertuples()
    ]
    assert shapes == [(10, 12), (11, 14)] and fd.similarity(threshold=-1)["width_from"].dtype == "int64"


def test_a_csv_with_fields_that_its_header_does_not_name_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,label\na.jpg,cat,0.9\nb.jpg,dog,0.8\n")
    with pytest.raises(BadArgument, match="more fields"):
        annotation_forms.read(path)


# ---- COCO ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("box", [[1, 2, 30, 40], (1, 2, 30, 40), np.array([1, 2, 30, 40]), ["1", "2", "30", "40"]])
def test_coco_boxes_in_every_form(box):
    frame = annotation_forms.read(coco(BOX | {"bbox": box}))
    assert frame[list(annotation_forms.BOX_COLUMNS)].iloc[0].tolist() == [1, 2, 30, 40]


@pytest.mark.parametrize("box", [["a", "b", "c", "d"], [1, 2, 3], None, "1234", 5, [1, 2, 3, None]])
def test_a_coco_box_that_is_none_is_a_bad_box(box):
    frame = annotation_forms.read(coco(BOX | {"bbox": box}, BOX))
    assert frame[list(annotation_forms.BOX_COLUMNS)].isna().all(axis=1).tolist() == [True, False]
    assert frame["label"].tolist() == ["cat", "cat"]


def test_what_is_too_large_or_too_deep_for_a_coco(tmp_path):
    assert annotation_forms.read(coco(BOX | {"bbox": [10**400, 0, 9, 9]}))["col_x"].isna().all()
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(BadArgument, match="cannot be read"):
        annotation_forms.read(tmp_path / "deep.json")


def test_columns_that_are_there_are_named_where_filename_is_not(tmp_path):
    (tmp_path / "a.csv").write_text("Filename;label\n0.jpg;a\n")
    with pytest.raises(BadArgument, match="these have 1 rows and the columns 'Filename;label'"):
        annotation_forms.read(tmp_path / "a.csv")


def test_coco_labels_are_names_else_ids_else_missing():
    given = [{"category_id": 7}, {"category_id": "7"}, {"category_id": 55}, {}]
    frame = annotation_forms.read(coco(*[{"image_id": 1, "bbox": [1, 2, 30, 40]} | one for one in given]))
    assert frame["label"].tolist()[:3] == ["cat", "cat", "55"] and pd.isna(frame["label"][3])
    text_ids = coco(BOX | {"category_id": "7"}, categories=[{"id": "7", "name": "dog"}], image_id="1")
    assert annotation_forms.read(text_ids)["label"].tolist() == ["dog"]


def test_crowds_of_a_coco_are_kept_where_there_are_any():
    assert "iscrowd" not in annotation_forms.read(coco(BOX | {"iscrowd": 0}, BOX))
    crowd = BOX | {"iscrowd": 1, "segmentation": {"counts": [1, 2, 3], "size": [2, 3]}}
    assert annotation_forms.read(coco(BOX, crowd))["iscrowd"].tolist() == [0, 1]


def test_annotations_of_an_id_of_several_files_are_refused():
    twice = [{"id": 1, "file_name": "a.jpg"}, {"id": 1.0, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    assert annotation_forms.read(coco(BOX | {"image_id": 1}) | {"images": twice})["filename"].tolist() == ["a.jpg"]
    unused = [*twice, {"id": 2, "file_name": "c.jpg"}]
    assert len(annotation_forms.read(coco(BOX | {"image_id": 1}) | {"images": unused})) == 1
    with pytest.raises(BadArgument, match=r"id 2: 'b.jpg', 'c.jpg'"):
        annotation_forms.read(coco(BOX | {"image_id": 2}) | {"images": unused})


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": {"id": 1, "file_name": "a.jpg"}},
        {"annotations": {"image_id": 1}},
        {"categories": {"7": "cat"}},
        {"images": [1]},
        {"annotations": "all"},
    ],
)
def test_what_is_no_coco_is_refused(wrong):
    with pytest.raises(BadArgument, match="COCO"):
        annotation_forms.read(coco(BOX) | wrong)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.json").write_text(json.dumps(coco(BOX), ensure_ascii=False), encoding=encoding)
    assert annotation_forms.read(tmp_path / "a.json")["label"].tolist() == ["cat"]
    (tmp_path / "a.csv").write_text("filename,label\n猫.jpg,é\n", encoding=encoding)
    assert annotation_forms.read(tmp_path / "a.csv").values.tolist() == [["猫.jpg", "é"]]


# ---- names and columns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [pd.Series, pd.Index, np.array, tuple, list])
def test_names_in_a_column(form):
    assert annotation_forms.read(form(["b.jpg", "a.jpg"]))["filename"].tolist() == ["b.jpg", "a.jpg"]


def test_a_column_of_names_without_one_is_refused():
    with pytest.raises(BadArgument, match="1 rows without a filename"):
        annotation_forms.read(pd.Series(["a.jpg", None]))


@pytest.mark.parametrize("name", ["FD_INDEX", "Index", "fastdup row"])
def test_our_ids_are_reserved_in_every_case(name):
    with pytest.raises(BadArgument, match=name):
        annotation_forms.read(pd.DataFrame({"filename": ["a"], name: [1]}))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["filename", ""], r"without a name, at the positions \[1\]"),
        (["filename", None], "without a name"),
        (["filename", "a\0b"], "without a name"),
        (["filename", "label", "label"], "several columns of one name: \\['label'\\]"),
        (["filename", 1, "1"], "one name"),
    ],
)
def test_column_names_that_sql_cannot_have_are_refused(columns, said):
    with pytest.raises(BadArgument, match=said):
        annotation_forms.read(pd.DataFrame([["a.jpg", *[1] * (len(columns) - 1)]], columns=columns))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["Is_Valid", "error_code", "crop_filename"], ["Is_Valid_1", "error_code_1", "crop_filename_1"]),
        (["Label", "label", "LABEL"], ["Label_1", "label", "LABEL_2"]),
        (["is_valid_1", "is_valid", "A", "a_1", "A_2", "a"], ["is_valid_1", "is_valid_2", "A_3", "a_1", "A_2", "a"]),
        (["Filename", "id", "ID"], ["Filename_1", "id", "ID_1"]),
    ],
)
def test_names_that_sql_cannot_tell_apart_are_numbered(given, found):
    frame = pd.DataFrame([["a.jpg", *range(len(given))]], columns=["filename", *given])
    read = annotation_forms.read(frame)
    assert list(read.columns) == ["filename", *found]
    assert read.iloc[0].tolist() == frame.iloc[0].tolist()


@pytest.mark.parametrize("name", ["id", pytest.param("ID", marks=pytest.mark.slow), "Id"])
def test_a_column_called_id_comes_back_as_such_from_everything(photos, tmp_path, name):
    given = {"filename": ["0.png", "1.png", "2.png"], name: [70, 80, 90], "label": ["x", "y", "x"], "is_valid": "mine"}
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(annotations=pd.DataFrame(given | {"your id": [7, 8, 9]}), progress=False, cc_threshold=0.0)
    found = fd.annotations()
    assert list(found.columns) == [
        *("filename", name, "label", "is_valid_1", "your id"),
        *("index", "error_code", "is_valid", "fd_index"),
    ]
    assert found[name].tolist() == [70, 80, 90] and found["your id"].tolist() == [7, 8, 9]
    assert found["is_valid_1"].tolist() == ["mine"] * 3 and found["is_valid"].all() and fd[1][name] == 80
    pairs = fd.similarity(threshold=-1)
    assert (pairs[f"{name}_from"] == 70 + 10 * pairs["from"]).all() and f"{name}_nearest" in fd.outliers()
    assert fd.img_stats()[name].tolist() == fd.img_grouped_annot()[name].map(lambda ids: ids[0]).tolist()
    assert set(fd.connected_components()[0][name]) <= {70, 80, 90}
    assert fd.sql("select id from annotations order by id")[name].tolist() == [70, 80, 90]
    assert fd.search(photos / "1.png", where="id > 75 and label = 'y'")["to"].tolist() == [str(photos / "1.png")]
    fd.vis.stats_gallery(metric="blur", label_col=name, show=False)
    fd.vis.outliers_gallery(sort_by=name, show=False)
    fd.vis.component_gallery(sort_by=name, group_by="label", show=False)
    fd.run(annotations=pd.DataFrame(given), overwrite=False, progress=False)
    assert fd.annotations()[name].tolist() == [70, 80, 90]
    for format in ("fastdup", "parquet", "coco", "fiftyone", "huggingface"):
        assert fd.export(tmp_path / format, format)
    assert pd.read_parquet(tmp_path / "parquet" / "annotations.parquet")[name].tolist() == [70, 80, 90]
    assert len(fd.dedup()) and len(fd.label_quality())


def test_columns_of_several_levels_are_refused():
    frame = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_tuples([("filename", ""), ("label", "x")]))
    with pytest.raises(BadArgument, match="levels"):
        annotation_forms.read(frame)


def test_columns_of_every_kind_come_back(photos, tmp_path):
    columns = {
        "annotation_filename": ["mine", "too", "here"],
        "annotation_row": [7, 8, 9],
        3: [1, 2, 3],
        "half": np.array([0.5, 1, 2], np.float16),
        "sparse": pd.arrays.SparseArray([0, 0, 5]),
        "quarter": pd.PeriodIndex(["2020Q1", None, "2021Q2"], freq="Q"),
        "kind": pd.Categorical(["x", "y", "x"]),
        "nothing": [None, None, None],
        "huge": np.array([2**64 - 1, 0, 1], np.uint64),
    }
    fd = fastdup_db.create(tmp_path / "work", photos)
    fd.run(
        annotations=pd.DataFrame({"filename": ["0.png", "1.png", "2.png"]} | columns),
        run_stats_only=True,
        progress=False,
    )
    found = fd.annotations()
    assert list(found.columns[1:-4]) == list(map(str, columns))
    assert found["half"].tolist() == [0.5, 1, 2] and found["sparse"].tolist() == [0, 0, 5]
    assert found["quarter"].tolist()[::2] == ["2020Q1", "2021Q2"] and pd.isna(found["quarter"][1])
    assert found["annotation_filename"].tolist() == ["mine", "too", "here"] and found["annotation_row"].sum() == 24
    assert found["huge"].tolist() == [2**64 - 1, 0, 1] and found["nothing"].isna().all()
    assert found["kind"].tolist() == ["x", "y", "x"] and found["3"].tolist() == [1, 2, 3]


UNKNOWN = {
    "complex": np.array([1 + 2j, 2, 3]),
    "beyond 64 bits": [2**70, 1, 2],
    "mixed": [1, "two", 3],
    "object": [object(), 1, 2],
    "half a character": pd.Series(["\ud800", "b", "c"], dtype=object),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_columns_that_cannot_be_stored_are_named_before_anything_is_written(photos, tmp_path, kind):
    frame = pd.DataFrame({"filename": ["0.png", "1.png", "2.png"], "odd one": UNKNOWN[kind]})
    with pytest.raises(BadArgument, match="'odd one'"):
        fastdup_db.create(tmp_path / "work", photos).run(annotations=frame, progress=False)
    assert sorted(tmp_path.iterdir()) == [photos]
