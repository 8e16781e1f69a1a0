"""Results in the formats of others read back by their readers, and fastdup's own results in ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import fastdup_db
from fastdup_db import annotation_forms, demo
from fastdup_db.errors import BadArgument
from fastdup_db.exchange import export, features, fileset, labels
from fastdup_db.legacy import running
from fastdup_db.store import duck
from fastdup_db.store.lance import VectorTable
from fastdup_db.store.lance_rows import READ_ROWS


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exchange") / "images"
    demo.draw(folder)
    return folder


@pytest.fixture(scope="module")
def done(images, tmp_path_factory) -> fastdup_db.Fastdup:
    names = sorted(p.name for p in images.iterdir())
    labels = pd.DataFrame({"filename": names, "label": ["scene" if n.startswith("scene") else "other" for n in names]})
    fd = fastdup_db.create(tmp_path_factory.mktemp("exchange_work") / 'it\'s "quoted"', images)
    fd.run(annotations=labels, progress=False)
    return fd


@pytest.fixture(scope="module")
def exported(done, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("file's set")
    done.export(folder)
    return folder


def test_features_are_raw_float32_rows_beside_a_csv(tmp_path):
    """The bytes are pinned: little-endian float32, row by row, no header; names quoted only where they need it."""
    matrix = np.array([[1.0, -2.5], [0.0, 3.25]], np.float32)
    features.write(tmp_path, ids=[0, 2], filenames=["a.jpg", 'b,"c".jpg'], batches=[matrix[:1], matrix[1:]])
    assert (tmp_path / "atrain_features.dat").read_bytes().hex() == "0000803f000020c00000000000005040"
    assert (tmp_path / "atrain_features.dat.csv").read_bytes() == b'index,filename\n0,a.jpg\n2,"b,""c"".jpg"\n'
    rows, back = features.read(tmp_path / "atrain_features.dat")
    assert rows["filename"].tolist() == ["a.jpg", 'b,"c".jpg'] and rows["index"].tolist() == [0, 2]
    assert back.dtype == np.float32 and (back == matrix).all()


def test_features_that_do_not_fit_are_refused(tmp_path):
    features.write(tmp_path, ids=[0, 1], filenames=["a", "b"], batches=[np.ones((2, 4), np.float32)])
    with pytest.raises(BadArgument, match="d=4 would fit"):
        features.read(tmp_path / "atrain_features.dat", d=576)
    with pytest.raises(BadArgument, match="does not exist"):
        features.read(tmp_path / "other.dat")


def test_the_file_set_holds_what_the_accessors_say(done, exported):
    assert {p.name for p in exported.iterdir()} == {
        "atrain_features.bad.csv", "atrain_features.dat", "atrain_features.dat.csv", "atrain_stats.csv",
        "component_info.csv", "config.json", "connected_components.csv", "outliers.csv", "similarity.csv",
    }  # fmt: skip
    names, matrix = done.embeddings()
    rows, back = features.read(exported / "atrain_features.dat")
    assert rows["filename"].tolist() == names and (back == matrix).all()
    pairs = pd.read_csv(exported / "similarity.csv")
    said = done.similarity(data=False)
    assert pairs[["from", "to"]].equals(said[["from", "to"]])
    assert np.abs(pairs["distance"] - said["distance"]).max() <= 5e-7
    bad = pd.read_csv(exported / "atrain_features.bad.csv")
    assert bad["filename"].tolist() == done.invalid_instances()["filename"].tolist()
    assert list(bad.columns) == ["index", "filename", "error_code", "filesize"]
    stats, own = pd.read_csv(exported / "atrain_stats.csv"), done.img_stats()
    assert list(stats.columns) == "index,width,height,unique,blur,mean,min,max,stdv,file_size,contrast".split(",")
    assert np.abs(stats["blur"] - own["blur"]).max() <= 5e-5 and stats["width"].tolist() == own["img_w"].tolist()
    assert pd.read_csv(exported / "outliers.csv")["from"].tolist() == done.outliers()["outlier"].tolist()[::-1]
    config = json.loads((exported / "config.json").read_text())
    assert config["threshold"] == 0.9 and config["d"] == matrix.shape[1] and "ccthreshold=0.96" in config["turi_param"]


def test_components_are_numbered_and_counted_as_there(done, exported):
    """count: twice the directed pairs; the number: that of the lowest member among all, singletons too."""
    members = pd.read_csv(exported / "connected_components.csv")
    assert list(members.columns) == "__id,component_id,count,mean_distance,min_distance,max_distance".split(",")
    assert len(members) == done.num_instances()
    own, _ = done.connected_components()
    mapped = own.merge(members, left_on="index", right_on="__id")
    assert mapped.groupby("component_id_x")["component_id_y"].nunique().eq(1).all()
    assert (members.loc[~members["__id"].isin(own["index"]), "count"] == 0).all()
    pairs = done.sql("select component_id, 2 * count(*) as n from component_edges group by all").set_index(
        "component_id"
    )
    for row in mapped.itertuples():
        assert row.count_y == pairs.loc[row.component_id_x, "n"]
    info = pd.read_csv(exported / "component_info.csv")
    assert set(info["component_id"]) == set(mapped["component_id_y"])


def test_names_instead_of_ids(done, tmp_path):
    done.export(tmp_path, names=True)
    pairs = pd.read_csv(tmp_path / "similarity.csv")
    assert pairs["from"].tolist() == done.similarity()["filename_from"].tolist()
    assert pd.read_csv(tmp_path / "outliers.csv")["to"].tolist() == done.outliers()["filename_nearest"].tolist()[::-1]
    assert pd.read_csv(tmp_path / "atrain_stats.csv")["filename"].tolist() == done.img_stats()["filename"].tolist()


def test_what_is_exported_is_imported_again(done, exported, tmp_path):
    fd = fastdup_db.import_work_dir(exported, tmp_path / "work")
    assert fd.annotations(False)[["filename", "error_code"]].equals(done.annotations(False)[["filename", "error_code"]])
    assert (fd.embeddings()[1] == done.embeddings()[1]).all() and fd.embeddings()[0] == done.embeddings()[0]
    for name in ("blur", "mean", "img_w", "file_size"):
        assert np.allclose(fd.img_stats()[name], done.img_stats()[name], atol=1e-4), name


def test_a_run_on_a_long_list_of_files_is_imported(images, tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(input_dir=[images, *sorted(map(str, Path(images).glob("*.jpg"))) * 60], progress=False)
    fd.export(tmp_path / "out", "fastdup")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert len(config["input_dir"]) > 5000, "longer than the name of any file"
    again = fastdup_db.import_work_dir(tmp_path / "out", tmp_path / "again")
    assert again.annotations()["filename"].tolist() == fd.annotations()["filename"].tolist()


def test_names_become_relative(done, images, tmp_path):
    done.export(tmp_path, names=True)
    changed = done.fastdup_convert_to_relpath(tmp_path, images)
    assert {p.name for p in changed} >= {"atrain_features.dat.csv", "similarity.csv", "atrain_stats.csv"}
    assert pd.read_csv(tmp_path / "atrain_features.dat.csv")["filename"].iloc[0] == "blurry.jpg"
    assert not pd.read_csv(tmp_path / "similarity.csv")["from"].str.contains("/").any()
    assert done.fastdup_convert_to_relpath(tmp_path, images) == []


def test_names_are_cut_at_backslashes_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    name = f"{tmp_path}\\sub\\a.jpg"
    pd.DataFrame({"from": [name], "to": ["b.jpg"]}).to_csv(tmp_path / "similarity.csv", index=False)
    fileset.make_relative(tmp_path, base=tmp_path)
    assert pd.read_csv(tmp_path / "similarity.csv")["from"].tolist() == ["sub\\a.jpg"]

    found = pd.DataFrame({"id": [0], "image_id": [0]})
    db = SimpleNamespace(frame=lambda name: found, row=lambda name: {"data_type": "image"})
    labels.write_huggingface(db, tmp_path, annotations=pd.DataFrame({"filename": [name]}))
    assert json.loads((tmp_path / "metadata.jsonl").read_text()) == {"file_name": "sub/a.jpg"}
    assert running._folder_of(r"C:\v\a.mp4").startswith("C__v_a.mp4-")


def test_settings_are_merged_and_checked(done):
    said = done.set_fastdup_kwargs({"threshold": 0.5, "turi_param": "ccthreshold=0.8"})
    assert (said["threshold"], said["cc_threshold"], said["nearest_neighbors_k"]) == (0.5, 0.8, 2)
    with pytest.raises(BadArgument, match="allowed"):
        done.set_fastdup_kwargs({"treshold": 0.5})


def test_parquet_by_the_names_of_the_views(done, tmp_path):
    folder = tmp_path / "it's"
    files = done.export(folder, "parquet")
    assert {p.stem for p in files} >= {"annotations", "similarity", "img_stats", "edges", "embeddings"}
    assert pd.read_parquet(folder / "similarity.parquet")["distance"].tolist() == done.similarity()["distance"].tolist()
    assert len(pd.read_parquet(folder / "embeddings.parquet")) == done.num_instances()
    for view in ("summary", "label_quality"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{view}.parquet"), done.sql(f"from {view}"))


def test_parquet_of_a_work_dir_without_the_views_of_later_versions(done, tmp_path):
    fd = fastdup_db.create(shutil.copytree(done.work_dir, tmp_path / "work"))
    with duckdb.connect(str(tmp_path / "work" / duck.FILE_NAME)) as raw:
        raw.sql("drop view summary; drop view label_quality")
    done.export(tmp_path / "files", "parquet")
    files = fd.export(tmp_path / "files", "parquet")
    assert {p.stem for p in files} == {*export.VIEWS, "embeddings"} - {"summary", "label_quality"}
    assert set(files) == set((tmp_path / "files").iterdir()), "what the export before left is gone"


def test_vectors_go_to_parquet_in_small_row_groups_and_the_order_of_ids(tmp_path):
    """Also those that an update wrote after the others."""
    table = VectorTable(tmp_path / "lance", "embeddings", "embedding")
    matrix = np.arange(3 * (READ_ROWS + 2), dtype=np.float32).reshape(-1, 3)
    ids = np.arange(len(matrix))
    late = ids % 1000 == 7
    table.append(ids[~late], matrix[~late])
    table.append(ids[late], matrix[late])
    path = tmp_path / "it's.parquet"
    export.write_vectors(table, path)
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [READ_ROWS, 2]
    back = pd.read_parquet(path)
    assert back["id"].tolist() == ids.tolist() and (np.stack(back["embedding"]) == matrix).all()
    with duck.scratch() as db:
        said = db.query("select id, embedding[3] as third from read_parquet($path)", {"path": str(path)})
    assert said["id"].tolist() == ids.tolist() and said["third"].tolist() == matrix[:, 2].tolist()


def test_coco_is_read_back(done, images, tmp_path):
    done.export(tmp_path, "coco")
    said = json.loads((tmp_path / "coco.json").read_text())
    assert len(said["images"]) == done.num_instances() and said["images"][0]["width"] == 320
    back = annotation_forms.read_coco(tmp_path / "coco.json")
    valid = done.annotations()
    assert dict(zip(back["filename"], back["label"], strict=True)) == dict(
        zip(valid["filename"], valid["label"], strict=True)
    )


def test_boxes_in_every_format(images, tmp_path):
    boxes = pd.DataFrame(
        {
            "filename": ["scene_01.jpg", "scene_01.jpg", "scene_02.jpg"],
            "col_x": [10.0, 100.0, 0.0], "row_y": [20.0, 30.0, 0.0],
            "width": [80.0, 60.0, 320.0], "height": [60.0, 90.0, 240.0],
            "label": ["cat", "dog", "cat"],
            "iscrowd": [0, 1, None],
        }
    )  # fmt: skip
    fd = fastdup_db.create(tmp_path / "work", images)
    fd.run(annotations=boxes, progress=False)
    for name in ("coco", "fiftyone", "huggingface"):
        fd.export(tmp_path / name, name)
    back = annotation_forms.read_coco(tmp_path / "coco" / "coco.json")
    columns = ["col_x", "row_y", "width", "height", "label"]
    assert back[columns].to_dict("records") == boxes[columns].to_dict("records")
    assert back["iscrowd"].tolist() == [0, 1, 0]
    labels = json.loads((tmp_path / "fiftyone" / "labels.json").read_text())
    paths = json.loads((tmp_path / "fiftyone" / "data.json").read_text())
    by_name = {Path(paths[sample]).name: found for sample, found in labels["labels"].items()}
    assert labels["classes"] == ["cat", "dog"]
    assert by_name["scene_02.jpg"] == [{"label": 0, "bounding_box": [0, 0, 1, 1]}]
    assert by_name["scene_01.jpg"][1] == {"label": 1, "bounding_box": [100 / 320, 30 / 240, 60 / 320, 90 / 240]}
    lines = [json.loads(line) for line in (tmp_path / "huggingface" / "metadata.jsonl").read_text().splitlines()]
    by_name = {Path(line["file_name"]).name: line["objects"] for line in lines}
    assert by_name["scene_01.jpg"] == {"bbox": [[10, 20, 80, 60], [100, 30, 60, 90]], "categories": ["cat", "dog"]}
    assert by_name["scene_03.jpg"] == {"bbox": [], "categories": []}, "an image without a box is one, too"
    assert len(lines) == len(paths) == len(by_name)


def test_labels_for_fiftyone_and_huggingface(done, images, tmp_path):
    done.export(tmp_path, "fiftyone")
    labels = json.loads((tmp_path / "labels.json").read_text())
    paths = json.loads((tmp_path / "data.json").read_text())
    assert labels["classes"] == ["other", "scene"]
    assert all(labels["labels"][s] == int(Path(p).name.startswith("scene")) for s, p in paths.items())
    (file,) = done.export(images, "huggingface")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    assert lines[0] == {"file_name": "blurry.jpg", "label": "other"}, "relative to the folder that holds the images"


def test_labels_of_given_embeddings_have_no_box(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    frame = pd.DataFrame({"filename": ["a", "b\rc"], "label": ["x", "y"]})
    fd.run(annotations=frame, embeddings=np.eye(2, 8, dtype=np.float32), progress=False)
    fd.export(tmp_path / "out", "coco")
    said = json.loads((tmp_path / "out" / "coco.json").read_text(), parse_constant=pytest.fail)
    assert said["annotations"] == [] and len(said["categories"]) == 2
    fd.export(tmp_path / "out", "fastdup")
    again = fastdup_db.import_work_dir(tmp_path / "out", tmp_path / "again")
    assert again.annotations()["filename"].tolist() == frame["filename"].tolist()
    with pytest.raises(BadArgument, match="is a file"):
        fd.export(tmp_path / "out" / "coco.json", "coco")


def test_an_unknown_format_is_told(done, tmp_path):
    with pytest.raises(BadArgument, match="huggingface"):
        done.export(tmp_path / "x", "tfrecord")


def test_a_folder_without_features_is_no_fastdup_work_dir(tmp_path):
    with pytest.raises(BadArgument, match="does not exist"):
        fastdup_db.import_work_dir(tmp_path, tmp_path / "work")


# ---- with the real fastdup -------------------------------------------------------------------------------------------


def _peer(code: str, *arguments: object) -> str:
    python = os.environ.get("FASTDUP_PEER_PYTHON")
    if not python:
        pytest.skip("fastdup 2.54 is absent (set FASTDUP_PEER_PYTHON to the python it is installed for)")
    env = {**os.environ, "SENTRY_OPT_OUT": "1"}
    command = [python, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_real_work_dir_is_imported_and_answers_like_it(real_images, tmp_path):
    files = sorted((real_images / "imagenet-sample").rglob("*.[jJ][pP]*[gG]"))[:150]
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, file in enumerate(files):
        os.link(file, folder / f"{number:03d}.jpg") if file.stat().st_dev == folder.stat().st_dev else (
            folder / f"{number:03d}.jpg"
        ).write_bytes(file.read_bytes())
    for number in range(6):
        (folder / f"{number:03d}_again.jpg").write_bytes(files[number].read_bytes())
    (folder / "bad.jpg").write_bytes(b"no picture")
    code = (
        "import sys, fastdup; fd = fastdup.create(sys.argv[1], sys.argv[2]); "
        "fd.run(threshold=0.7, cc_threshold=0.8); "
        "fd.similarity(data=False).to_csv(sys.argv[1] + '/said_similarity.csv', index=False); "
        "fd.img_stats().to_csv(sys.argv[1] + '/said_stats.csv', index=False); "
        "fd.connected_components()[0].to_csv(sys.argv[1] + '/said_components.csv', index=False)"
    )
    peer = tmp_path / "peer"
    _peer(code, peer, folder)
    fd = fastdup_db.import_work_dir(peer, tmp_path / "work")
    said = pd.read_csv(peer / "said_similarity.csv").set_index(["from", "to"])["distance"]
    ours = fd.similarity(data=False).set_index(["from", "to"])["distance"]
    both = pd.concat([said, ours], axis=1, keys=["said", "ours"])
    assert len(said) > 10 and both.notna().all(axis=None) and (both["said"] - both["ours"]).abs().max() < 2e-6
    stats = pd.read_csv(peer / "said_stats.csv")
    for name in ("index", "img_w", "img_h", "unique", "blur", "mean", "stdv", "file_size", "contrast", "filename"):
        assert fd.img_stats()[name].tolist() == stats[name].tolist(), name
    components = pd.read_csv(peer / "said_components.csv")
    groups = fd.connected_components()[0].groupby("component_id")["index"].agg(tuple)
    assert sorted(groups) == sorted(components.groupby("component_id")["index"].agg(tuple))
    assert fd.invalid_instances()["error_code"].tolist() == ["ERROR_CORRUPT_IMAGE"]
    assert fd.config["threshold"] == 0.7 and fd.config["cc_threshold"] == 0.8


@pytest.mark.slow
def test_fastdup_reads_our_features(exported, done, tmp_path):
    code = (
        "import sys, fastdup, numpy as np; names, m = fastdup.load_binary_feature(sys.argv[1], d=int(sys.argv[2])); "
        "np.save(sys.argv[3], m); open(sys.argv[3] + '.txt', 'w').write('\\n'.join(names))"
    )
    names, matrix = done.embeddings()
    _peer(code, exported / "atrain_features.dat", matrix.shape[1], tmp_path / "back.npy")
    assert (np.load(tmp_path / "back.npy") == matrix).all()
    assert (tmp_path / "back.npy.txt").read_text().split("\n") == names


def test_annotations_are_read_for_the_formats_that_hold_them(tmp_path, monkeypatch):
    fd = fastdup_db.create(tmp_path / "work")
    fd.run(annotations=["a", "b"], embeddings=np.eye(2, 8, dtype=np.float32), progress=False)
    asked, annotations = [], fd.annotations
    monkeypatch.setattr(fd, "annotations", lambda: asked.append(1) or annotations())
    for format, times in (("fastdup", 0), ("parquet", 0), ("coco", 1), ("fiftyone", 1), ("huggingface", 1)):
        asked.clear()
        fd.export(tmp_path / format, format)
        assert len(asked) == times, format
