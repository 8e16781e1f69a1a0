"""Which file an annotation means: relative names, names that are no images, selections, vectors of the user's."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument, BadInput
from fastdup_db.pipeline import listing
from tests import drawn

UNREADABLE, MISSING = "ERROR_UNREADABLE_FILE", "ERROR_MISSING_FILE"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """train/a0 … a4, test/t0 … t2, odd/o0 and packed.zip beside them."""
    folder = tmp_path / "data"
    for split, letter, count in (("train", "a", 5), ("test", "t", 3), ("odd", "o", 1)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            drawn.draw(folder / split / f"{letter}{number}.png", seed=number)
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.write(folder / "odd" / "o0.png", "inside.png")
    return folder


def codes(fd: fastdup_db.Fastdup) -> dict[str, str]:
    frame = fd.annotations(valid_only=False, include_unannotated=True)
    return dict(zip(frame["filename"], frame["error_code"], strict=True))


def measure(fd: fastdup_db.Fastdup, **settings: object) -> None:
    """The shortest run: it lists, reads and measures the same images as any other, and makes no vectors."""
    fd.run(run_stats_only=True, progress=False, **settings)


# ---- where names lie -----------------------------------------------------------------------------------------------


def test_names_lie_under_the_first_base_that_has_them_else_where_python_runs(data, tmp_path, monkeypatch):
    """Those of folders that are not there, of broken links and of files in both places, too."""
    here = tmp_path / "here"
    (here / "only").mkdir(parents=True)
    for name in ("a0.png", "only/mine.png", "t0.png"):
        (here / name).touch()
    (data / "train" / "broken.png").symlink_to("nothing")
    (here / "broken.png").touch()
    (here / "way.png").symlink_to("t0.png")
    monkeypatch.chdir(here)
    expected = {
        "a0.png": data / "train/a0.png",
        "t1.png": data / "test/t1.png",
        "t0.png": data / "test/t0.png",
        "only/mine.png": here / "only/mine.png",
        "./way.png": here / "way.png",
        "broken.png": here / "broken.png",
        "../odd//o0.png": data / "odd/o0.png",
        f"{data}/nowhere/../odd/o0.png": data / "odd/o0.png",
    }
    elsewhere = ["only", "", "absent.png", "absent/a0.png", "a0.png/a0.png", "s3://bucket/a0.png", f"{data}/odd"]
    bases = [str(data / "train"), str(data / "test")]
    found = listing.places([*expected, *elsewhere], bases=bases)
    assert found == [*map(str, expected.values()), *elsewhere]


def test_of_many_names_those_that_are_not_there_are_missing_images(data, tmp_path):
    absent = [f"{folder}x{number}.png" for folder in ("", "gone/", f"{data}/odd/") for number in range(200)]
    names = ["t0.png", "../odd/o0.png", *absent, "t2.png"]
    fd = fastdup_db.create(tmp_path / "work", data / "test")
    measure(fd, annotations=names)
    there = {str(data / name): "VALID" for name in ("test/t0.png", "test/t1.png", "test/t2.png", "odd/o0.png")}
    assert codes(fd) == there | {str(data / "test" / name): MISSING for name in absent}


@pytest.mark.parametrize("others", [0, 300, 6000])
def test_files_are_found_after_many_names_that_are_not_there(data, tmp_path, monkeypatch, others):
    """Folders are listed then, but for one that holds many more; files in both places come from the first."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for number in range(others):
        (here / f"{number}.txt").touch()
    absent = [f"x{number}.png" for number in range(700)]
    (here / "mine.png").touch()
    (here / "T1.PNG").touch()
    (here / "t1.png").touch()
    (data / "test" / "linked.png").symlink_to("t2.png")
    names = ["mine.png", "T1.PNG", "t1.png", "linked.png", "../odd/o0.png", "", "."]
    places = [here / "mine.png", here / "T1.PNG", *(data / p for p in ("test/t1.png", "test/linked.png", "odd/o0.png"))]
    found = listing.places([*absent, *names, *absent], bases=[str(data / "test")])
    assert found == [*absent, *map(str, places), "", ".", *absent]


# ---- names that are no images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("boxes", [False, True])
def test_a_row_that_names_no_image_stays_a_row_and_lists_nothing_else(data, tmp_path, boxes):
    names = ["a0.png", "../odd", "", ".", "..", "../odd/", "../packed.zip", "no.mp4", str(data), f"{data}/odd/../test"]
    frame = pd.DataFrame({"filename": names, "label": list("abcdefghij")})
    if boxes:
        frame = frame.assign(col_x=0, row_y=0, width=20, height=20)
    fd = fastdup_db.create(tmp_path / "work", data / "train")
    measure(fd, annotations=frame)
    found = fd.annotations(valid_only=False).set_index("label")["error_code"].to_dict()
    assert found == {"a": "VALID", "h": MISSING} | dict.fromkeys("bcdefgij", UNREADABLE)
    known = {str(data / "train" / f"a{number}.png") for number in range(5)}
    listed = set(fd.sql("from listing")["filename"])
    assert known <= listed and len(listed) == 5 + 9, "nothing of what the folders and the archive hold"


def test_a_list_of_annotations_alone_may_name_a_folder_and_an_archive(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    names = [str(data / name) for name in ("train/a0.png", "odd", "packed.zip", "no.png")]
    measure(fd, annotations=names)
    assert codes(fd) == dict(zip(names, ["VALID", UNREADABLE, UNREADABLE, MISSING], strict=True))


# ---- what relative names count from --------------------------------------------------------------------------------


def test_relative_names_of_an_input_and_its_test_dir(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", data / "train")
    measure(fd, annotations=["a0.png", "t1.png"], test_dir=data / "test")
    assert [Path(name).name for name in fd.annotations()["filename"]] == ["a0.png", "t1.png"]
    assert fd.invalid_instances().empty


def test_relative_names_beside_listed_files(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", [data / "train" / "a0.png", data / "odd" / "o0.png"])
    measure(fd, annotations=["a0.png", "o0.png", "a1.png", "none.png"])
    wanted = {str(data / name): "VALID" for name in ("train/a0.png", "odd/o0.png", "train/a1.png")}
    assert codes(fd) == wanted | {str(data / "train" / "none.png"): MISSING}


def test_relative_names_beside_a_yaml(data, tmp_path):
    (data / "data.yaml").write_text("train: train\nval: test\nnames: [thing]\n")
    fd = fastdup_db.create(tmp_path / "work", data / "data.yaml")
    measure(fd, annotations=pd.DataFrame({"filename": ["train/a0.png", "test/t0.png"], "label": ["x", "y"]}))
    found = fd.annotations()
    assert found["filename"].tolist() == [str(data / "train" / "a0.png"), str(data / "test" / "t0.png")]
    assert found["label"].tolist() == ["x", "y"]


def test_relative_names_in_and_beside_an_archive(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", data / "packed.zip")
    measure(fd, annotations=["inside.png", "train/a0.png"])
    assert set(codes(fd)) == {f"{data}/packed.zip/inside.png", f"{data}/train/a0.png"}


def test_an_absolute_name_with_detours_is_the_listed_file(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", data / "train")
    measure(fd, annotations=[f"{data}//train/../train/a0.png", f"{data}/train/../odd/o0.png"])
    assert fd.annotations()["filename"].tolist() == [str(data / "train/a0.png"), str(data / "odd/o0.png")]


# ---- selections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        ({"num_images": 2}, ["a0.png", "a1.png"]),
        ({"find_regex": r"a[34]\.png"}, ["a3.png", "a4.png"]),
        ({"min_offset": 1, "max_offset": 3}, ["a1.png", "a2.png"]),
        ({"min_offset": 1, "num_images": 1}, ["a1.png"]),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("boxes", [False, True])
def test_a_selection_goes_for_annotated_files_too(data, tmp_path, selection, kept, alone, boxes):
    names = [str(data / "train" / f"a{number}.png") for number in range(5)]
    frame = pd.DataFrame({"filename": names, "label": list("abcde")})
    if boxes:
        frame = pd.concat([frame, frame], ignore_index=True).assign(col_x=0, row_y=0, width=20, height=20)
    fd = fastdup_db.create(tmp_path / "work", None if alone else data / "train")
    measure(fd, annotations=frame, **selection)
    found = fd.annotations(include_unannotated=True)
    assert sorted(Path(name).name for name in found["filename"]) == sorted(kept * (2 if boxes else 1))
    assert set(found["label"]) == {"abcde"[int(name[1])] for name in kept}


def test_a_selection_that_leaves_no_annotation_is_refused(data, tmp_path):
    with pytest.raises(BadInput, match="num_images"):
        fastdup_db.create(tmp_path / "work", data / "train").run(annotations=["a4.png"], num_images=2, progress=False)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("subset", [[5], "a0.png", [], [b"a0.png"], 5, {"a0.png"}])
def test_a_subset_that_is_no_list_of_names_is_refused(data, tmp_path, subset):
    with pytest.raises(BadArgument, match="subset"):
        fastdup_db.create(tmp_path / "work", data / "train").run(subset=subset, progress=False)


@pytest.mark.parametrize("form", [pd.Series, pd.Index, np.array])
def test_columns_of_paths_are_lists_of_paths(data, tmp_path, form):
    paths = [str(data / "train" / f"a{number}.png") for number in range(3)]
    fd = fastdup_db.create(tmp_path / "work", form(paths))
    measure(fd, subset=form(["a0.png", paths[2]]), annotations=form(["a0.png", "a1.png", "a2.png"]))
    assert fd.annotations()["filename"].tolist() == [paths[0], paths[2]]


# ---- stages --------------------------------------------------------------------------------------------------------


def test_the_graph_alone_keeps_annotations_and_boxes(data, tmp_path):
    frame = pd.DataFrame({"filename": ["a0.png", "a0.png", "a1.png"], "label": list("abc")})
    frame = frame.assign(col_x=[0, 0, 5], row_y=0, width=20, height=20)
    fd = fastdup_db.create(tmp_path / "work", data / "train")
    fd.run(annotations=frame, run_mode=1, progress=False)
    before = fd.annotations()
    for more in ({"annotations": frame}, {"subset": ["a0.png"]}):
        with pytest.raises(BadArgument, match="run_mode=2"):
            fd.run(run_mode=2, progress=False, **more)
    fd.run(run_mode=2, adapt=False, progress=False)
    pd.testing.assert_frame_equal(fd.annotations(), before)
    assert fd.num_instances() == 3 and fd.config["data_type"] == "boxes"
    assert fd.similarity().iloc[0][["label_from", "label_to"]].tolist() == ["a", "b"]


def test_the_graph_alone_hides_what_is_not_annotated(data, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", data / "train")
    fd.run(annotations=["a0.png", "a3.png"], run_mode=1, progress=False)
    fd.run(run_mode=2, adapt=False, progress=False)
    assert [Path(name).name for name in fd.annotations()["filename"]] == ["a0.png", "a3.png"]


# ---- vectors of the user's -----------------------------------------------------------------------------------------


BOXED = pd.DataFrame(
    {"filename": ["x.jpg", "x.jpg", "y.jpg", "./x.jpg"], "col_x": [1, 2, 3, 4], "row_y": 0, "width": 30, "height": 30}
)
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0.01]], np.float32)


def test_a_vector_belongs_to_its_row_also_where_rows_name_one_file(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(annotations=BOXED, embeddings=VECTORS, progress=False)
    found = fd.annotations()
    assert found["filename"].tolist() == BOXED["filename"].tolist() and found["col_x"].tolist() == [1, 2, 3, 4]
    names, stored = fd.embeddings()
    assert names == BOXED["filename"].tolist() and np.allclose(stored, VECTORS)
    best = fd.similarity().iloc[0]
    assert [best["col_x_from"], best["col_x_to"]] == [2, 4]
    with pytest.raises(BadArgument, match="overwrite=True"):
        fd.run(annotations=BOXED, embeddings=VECTORS, progress=False, overwrite=False)
    with pytest.raises(BadArgument, match="overwrite=True"):
        fd.run(annotations=BOXED.iloc[1:3], embeddings=VECTORS[1:3], progress=False, overwrite=False)
    pd.testing.assert_frame_equal(fd.annotations(), found)


def test_a_run_on_repeated_names_that_was_killed_is_made_anew(tmp_path, monkeypatch):
    from fastdup_db.pipeline import extract

    fd = fastdup_db.create(tmp_path / "work")
    with monkeypatch.context() as patched:
        patched.setattr(extract, "pending", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fd.run(annotations=BOXED, embeddings=VECTORS, progress=False)
    fd.run(annotations=BOXED, embeddings=VECTORS, progress=False)
    assert fd.annotations()["col_x"].tolist() == [1, 2, 3, 4]


def test_vectors_given_again_in_another_order_keep_their_columns(tmp_path):
    frame = pd.DataFrame({"filename": ["x", "y", "z"], "weight": [1, 2, 3]})
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(annotations=frame, embeddings=VECTORS[:3], progress=False)
    fd.run(annotations=frame.iloc[[2, 0, 1]], embeddings=VECTORS[[2, 0, 1]], progress=False, overwrite=False)
    names, stored = fd.embeddings()
    assert names == ["x", "y", "z"] and np.allclose(stored, VECTORS[:3])
    assert fd.annotations()["weight"].tolist() == [1, 2, 3]


def test_vectors_that_others_come_before_are_not_read_again(tmp_path):
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"filename": [f"m{n:03d}" for n in range(200)], "weight": range(200)})
    matrix = random.normal(size=(200, 16)).astype(np.float32)
    more = pd.DataFrame({"filename": [f"a{n}" for n in range(10)], "weight": range(500, 510)})
    vectors = random.normal(size=(10, 16)).astype(np.float32)
    vectors[9] = matrix[3] + vectors[9] / 10
    both, whole = pd.concat([more, frame], ignore_index=True), np.concatenate([vectors, matrix])
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(annotations=frame, embeddings=matrix, progress=False, threshold=0.2)
    fd.run(annotations=both, embeddings=whole, progress=False, threshold=0.2, overwrite=False)
    assert fd.sql("select images from batches order by batch_id")["images"].tolist() == [200, 10]
    fresh = fastdup_db.create(tmp_path / "fresh")
    fresh.run(annotations=both, embeddings=whole, progress=False, threshold=0.2)
    for columns, ask in (
        (["filename", "weight"], "annotations"),
        (["filename_from", "weight_from", "filename_to", "distance"], "similarity"),
        (["filename_outlier", "filename_nearest", "distance"], "outliers"),
    ):
        mine, theirs = (getattr(f, ask)()[columns].sort_values(columns, ignore_index=True) for f in (fd, fresh))
        pd.testing.assert_frame_equal(mine, theirs)
    mine, theirs = (dict(zip(n, rows.tolist(), strict=True)) for n, rows in (fd.embeddings(), fresh.embeddings()))
    assert mine == theirs
    fd.run(annotations=frame, embeddings=matrix, progress=False, threshold=0.2, overwrite=False)
    assert fd.sql("select images from batches order by batch_id")["images"].tolist() == [200, 10]
    assert fd.annotations()["weight"].tolist() == list(range(200))


def test_names_of_one_file_without_boxes_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data / "train")
    fd = fastdup_db.create(tmp_path / "work")
    for names in (["a0.png", "a0.png"], ["a0.png", "./a0.png"]):
        with pytest.raises(BadArgument, match=r"a0\.png"):
            fd.run(annotations=names, embeddings=VECTORS[:2], progress=False)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("more", [{"num_images": 1}, {"find_regex": "x"}, {"test_dir": "."}])
def test_vectors_are_not_selected_from(tmp_path, more):
    with pytest.raises(BadArgument, match=next(iter(more))):
        fastdup_db.create(tmp_path / "work").run(annotations=["x"], embeddings=VECTORS[:1], progress=False, **more)


# ---- test_dir ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["folder beside it", "folder above it", "its files", "a link above it"])
def test_what_test_dir_lists_is_the_test_split_whatever_else_lists_it(data, tmp_path, way):
    (data / "packed.zip").unlink()
    (data / "odd" / "o0.png").unlink()
    (tmp_path / "link").symlink_to(data)
    files = [str(path) for path in sorted(data.rglob("*.png"))]
    inputs = {
        "folder beside it": data / "train",
        "folder above it": data,
        "its files": files,
        "a link above it": tmp_path / "link",
    }
    fd = fastdup_db.create(tmp_path / "work", inputs[way])
    fd.run(test_dir=data / "test", adapt=False, progress=False)
    pairs = fd.similarity()
    named = {tuple(Path(name).name for name in row) for row in pairs[["filename_from", "filename_to"]].to_numpy()}
    assert {("t0.png", "a0.png"), ("t1.png", "a1.png"), ("t2.png", "a2.png")} <= named
    assert set(pairs["split_from"]) == {"test"} and set(pairs["split_to"]) == {"train"}
    assert fd.annotations()["split"].value_counts().to_dict() == {"train": 5, "test": 3}


@pytest.mark.parametrize("inputs", ["test", ["test"], ["test/t0.png", "test/t1.png"]])
def test_a_test_dir_that_is_all_of_the_input_is_refused(data, tmp_path, inputs):
    whole = data / inputs if isinstance(inputs, str) else [data / name for name in inputs]
    with pytest.raises(BadInput, match="test_dir"):
        fastdup_db.create(tmp_path / "work", whole).run(test_dir=data / "test", progress=False)
    with pytest.raises(BadInput, match="input_dir"):
        fastdup_db.create(tmp_path / "work").run(annotations=["x"], test_dir=data / "test", progress=False)
    assert not (tmp_path / "work").exists()
