"""The main job on a drawn collection whose problems are planted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import BadArgument, BadInput, NotRun


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "images"
    demo.draw(folder)
    return folder


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("work"), images)
    assert fd.run(progress=False, run_advanced_stats=True) == 0
    return fd


@pytest.fixture
def copy(done: fastdup_db.Fastdup, images: Path, tmp_path: Path) -> fastdup_db.Fastdup:
    """The finished run in another work_dir, for one test alone."""
    return fastdup_db.create(shutil.copytree(done.work_dir, tmp_path / "copy"), images)


def _names(frame: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(Path(v).name for v in row) for row in frame[list(columns)].to_numpy()]


def test_every_planted_problem_is_found(done):
    missing = [finding.planted for finding in demo.check(done) if not finding.found]
    assert not missing


def test_annotations_are_the_listing_in_order(done, images):
    frame = done.annotations(valid_only=False)
    assert list(frame.columns) == ["filename", "index", "error_code", "is_valid", "fd_index"]
    assert frame["filename"].tolist() == sorted(str(p) for p in images.iterdir())
    assert frame["index"].tolist() == list(range(len(frame)))
    valid = done.annotations()
    assert len(valid) == done.num_instances() == len(frame) - 3
    assert valid.index.tolist() == valid["fd_index"].tolist(), "gaps of invalid files stay"
    assert done.num_instances(valid_only=False) == len(frame)


def test_invalid_rows_say_why(done):
    frame = done.invalid_instances()
    every = done.annotations(valid_only=False)
    pd.testing.assert_frame_equal(frame, every[~every["is_valid"]])
    assert dict(_names(frame.assign(code=frame["error_code"]), "filename", "code")) == {
        "empty.jpg": "ERROR_ZERO_SIZE_FILE",
        "text.jpg": "ERROR_CORRUPT_IMAGE",
        "tiny.png": "ERROR_IMAGE_TOO_SMALL",
    }


def test_similarity_is_sorted_and_merged_on_both_sides(done):
    bare, full = done.similarity(data=False), done.similarity()
    assert list(bare.columns) == ["from", "to", "distance"]
    assert [str(t) for t in bare.dtypes] == ["int64", "int64", "float64"]
    assert bare.equals(full[["from", "to", "distance"]])
    ordered = bare.sort_values(["distance", "from", "to"], ascending=[False, True, True], ignore_index=True)
    assert bare.equals(ordered)
    assert (bare["distance"] >= 0.9).all() and (bare["from"] != bare["to"]).all()
    sides = ["filename", "index", "error_code", "is_valid", "fd_index"]
    assert list(full.columns[3:]) == [f"{c}_from" for c in sides] + [f"{c}_to" for c in sides]
    lookup = done.annotations(valid_only=False)["filename"]
    assert (full["filename_to"].to_numpy() == lookup[full["to"]].to_numpy()).all()


def test_edges_are_the_exact_neighbours_of_the_search_vectors(done):
    """Each image has min(k, n-1) rows, itself excluded, and they are the best by matrix product."""
    from fastdup_db.graph.adapt import C2
    from fastdup_db.pipeline.tables import table
    from fastdup_db.store.lance import VECTORS

    ids, matrix = table(Path(done.work_dir), VECTORS).matrix()
    cosines = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    best = np.sort(cosines, axis=1)[:, ::-1][:, :2]
    edges = done.sql("select * from edges order by from_id, rank")
    assert edges.groupby("from_id").size().eq(2).all() and len(edges) == 2 * len(ids)
    found = edges["similarity"].to_numpy().reshape(-1, 2)
    assert np.allclose(found, (best + C2) / (1 + C2), atol=2e-6)


def test_outliers_are_the_least_similar_share(done):
    frame = done.outliers()
    valid = done.num_instances()
    assert len(frame) == int(np.ceil(0.05 * valid))
    nearest = done.sql(
        "select from_id, similarity, length, distance from edges join feature_lengths as l on l.id = from_id "
        "join mean_distances as d on d.id = from_id where rank = 1"
    )
    factors = (nearest["length"] / nearest["length"].quantile(0.95)).clip(lower=1)
    factors *= (nearest["distance"] / nearest["distance"].median()).clip(lower=1)
    lowered = (1 - (1 - nearest["similarity"]) * factors**2).to_numpy()
    first = np.lexsort((nearest["from_id"], lowered))[: len(frame)]
    assert frame["outlier"].tolist() == nearest["from_id"].to_numpy()[first].tolist()
    assert frame["distance"].to_numpy() == pytest.approx(lowered[first])
    assert list(frame.columns[:4]) == ["outlier", "nearest", "distance", "filename_outlier"]


def test_pictures_that_are_no_photographs_are_outliers_among_photographs(real_images, tmp_path):
    names = sorted((real_images / "imagenet-sample").iterdir())[:300]
    random = np.random.default_rng(0)
    board = (np.indices((300, 400)).sum(axis=0) // 25 % 2 * 255).astype(np.uint8)
    page = np.full((300, 400, 3), 235, np.uint8)
    for row in range(20, 300, 14):
        cv2.putText(page, "lorem ipsum dolor sit amet consectetur", (10, row), cv2.FONT_HERSHEY_PLAIN, 1, (0, 0, 0))
    chart = np.full((300, 400, 3), 245, np.uint8)
    for bar in range(8):
        height, colour = int(random.integers(20, 250)), random.integers(0, 255, 3).tolist()
        cv2.rectangle(chart, (20 + bar * 45, 280 - height), (50 + bar * 45, 280), colour, -1)
    drawn = {
        "noise": random.integers(0, 256, (300, 400, 3), dtype=np.uint8),
        "gradient": np.tile(np.linspace(0, 255, 400).astype(np.uint8), (300, 1)),
        "board": board, "page": page, "chart": chart,
    }  # fmt: skip
    for name, picture in drawn.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    twin = tmp_path / "noise.png"
    fd = fastdup_db.create(tmp_path / "results", [*names, *(tmp_path / f"{name}.png" for name in drawn)])
    fd.run(progress=False)
    found = [Path(name).stem for name in fd.outliers()["filename_outlier"]]
    assert set(found) >= set(drawn)
    (tmp_path / "copy.png").write_bytes(twin.read_bytes())
    fd.run([*names, twin, tmp_path / "copy.png"], overwrite=False, progress=False)
    assert not {"noise", "copy"} & {Path(name).stem for name in fd.outliers()["filename_outlier"]}


def test_photographs_among_garments_are_outliers(real_images, tmp_path):
    """21 of the 25 are among the lowest 25; by the neighbours of unit vectors and the features' length alone 14 are."""
    garments = sorted((real_images / "clothing").rglob("*.jpg"))
    planted = sorted((real_images / "imagenet-sample").iterdir())[20::40]
    fd = fastdup_db.create(tmp_path / "results", [*garments, *planted])
    fd.run(progress=False, outlier_percentile=len(planted) / len([*garments, *planted]))
    found = fd.outliers()["filename_outlier"]
    assert len(found) == len(planted) == 25
    assert len({Path(name).name for name in found} & {path.name for path in planted}) >= 19


def test_a_work_dir_from_before_lengths_were_kept_answers_and_is_brought_up_to_date(done, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(done.work_dir, old)
    with duckdb.connect(str(old / "fastdup.duckdb")) as db:
        db.execute("drop view outlier_edges; drop table feature_lengths; drop table mean_distances")
        db.execute("delete from schema_versions where version > 6")
        db.execute("alter table runs drop column verifying; alter table runs drop column verified_run")
        db.execute(
            "create or replace view nearest_neighbors as select from_id as outlier, to_id as nearest, similarity as "
            "distance, row_number() over (order by similarity, from_id) as place, count(*) over () as instances "
            "from edges where rank = 1"
        )
    fd = fastdup_db.create(old)
    assert len(fd.outliers()) == len(done.outliers()) and fd.duplicates().empty
    assert Path(fd.vis.outliers_gallery()).is_file()
    fd.run(done.input_dir, progress=False, overwrite=False, run_advanced_stats=True)
    assert len(fd.outliers()) == len(done.outliers())
    assert fd.sql("from feature_lengths").empty, "no image was read again"
    distances = "from mean_distances order by id"
    pd.testing.assert_frame_equal(fd.sql(distances), done.sql(distances))


def test_components_count_images_not_edges(done):
    members, info = done.connected_components()
    burst = members[[Path(n).name.startswith(("burst", "scene_11")) for n in members["filename"]]]
    assert len(burst) == 5 and burst["count"].eq(5).all() and burst["component_id"].nunique() == 1
    assert burst["component_id"].iloc[0] == burst["index"].min(), "named after its lowest member"
    assert info.set_index("component_id").loc[burst["component_id"].iloc[0], "count"] == 5
    assert (info["count"] >= 2).all() and (info["min"] >= 0.96).all()
    assert (info["min"] <= info["mean"]).all() and (info["mean"] <= info["max"]).all()


def test_grouped_view_sorts_and_measures(done):
    grouped = done.connected_components_grouped(metric="blur")
    assert grouped["len"].tolist() == sorted(grouped["len"], reverse=True), "largest first by default"
    assert grouped["len"].iloc[0] == 5 and len(grouped["files"].iloc[0]) == 5
    stats = done.img_stats().set_index("index")["blur"]
    assert grouped["blur"].iloc[0] == pytest.approx(stats[grouped["files_ids"].iloc[0]].mean())
    assert done.connected_components_grouped(ascending=True)["len"].iloc[0] == 2
    with pytest.raises(BadArgument, match="comp_size"):
        done.connected_components_grouped(sort_by="zzz")
    with pytest.raises(BadArgument, match="blur"):
        done.connected_components_grouped(metric="zzz")
    with pytest.raises(BadArgument, match="label"):
        done.connected_components_grouped(group_by="label")


def test_statistics_have_the_known_columns(done):
    frame = done.img_stats()
    basic = "index img_w img_h unique blur mean min max stdv file_size contrast".split()
    assert list(frame.columns[:11]) == basic
    assert {"mean_saturation", "edge_density", "mean_r", "truncated", "filename"} <= set(frame.columns)
    assert list(done.img_stats(data=False).columns[:11]) == basic
    assert len(frame) == done.num_instances()


def test_embeddings_are_unit_vectors_in_id_order(done):
    files, matrix = done.embeddings()
    assert files == done.annotations()["filename"].tolist()
    assert matrix.dtype == np.float32 and matrix.shape == (len(files), 576)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    with pytest.raises(BadArgument, match="576"):
        done.embeddings(d=512)


def test_item_and_config(done):
    assert Path(done[0]["filename"]).name == "blurry.jpg"
    for wrong in (10_000, -1, "0", True):
        with pytest.raises(IndexError, match="invalid"):
            done[wrong]
    config = done.config
    assert json.loads(json.dumps(config)) == config and datetime.fromisoformat(config["finished_at"])
    assert config["threshold"] == 0.9 and config["nearest_neighbors_k"] == 2 and config["dimension"] == 576


def test_summary_counts_images(done, capsys):
    lines = done.summary()
    assert "\n".join(lines) in capsys.readouterr().out.replace("\n    ", "\n")
    total = done.num_instances(valid_only=False)
    assert lines[0] == f"Dataset contains {total} images"
    assert any("Largest cluster has 5 " in line for line in lines)
    assert any("(1) that are dark" in line for line in lines)
    assert done.summary(verbose=False) == lines and capsys.readouterr().out == ""


def test_the_view_summary_counts_what_the_answers_have(done):
    (row,) = done.sql("from summary").to_dict("records")
    members, info = done.connected_components()
    stats = done.img_stats()
    assert row == {
        "images": done.num_instances(valid_only=False),
        "valid": done.num_instances(),
        "invalid": len(done.invalid_instances()),
        "components": len(info),
        "clustered": len(members),
        "largest_component": info["count"].max(),
        "outliers": len(done.outliers()),
        "blurry": (stats["blur"] < 150).sum(),
        "bright": (stats["mean"] > 253).sum(),
        "dark": (stats["mean"] < 4).sum(),
    }
    assert all(row.values())


def test_sql_reads_tables_views_and_vectors_and_writes_nothing(done):
    row = done.sql("select count(*) as n, len(any_value(embedding)) as d from embeddings").iloc[0]
    assert (row["n"], row["d"]) == (done.num_instances(), 576)
    strict = done.sql("from similarity_at($t)", t=0.99)
    assert 0 < len(strict) <= len(done.sql("from similarity")) and (strict["distance"] >= 0.99).all()
    again = done.sql("from components_at(0.96)")
    assert again["id"].tolist() == done.connected_components()[0]["index"].tolist()
    assert len(done.sql("from outliers_at(0.5)")) == int(np.ceil(0.5 * done.num_instances()))
    for bad in ("delete from edges", "create table t as select 1", "selec 1", "from no_such"):
        with pytest.raises(BadArgument, match="refused"):
            done.sql(bad)


def test_the_file_is_read_by_plain_duckdb_while_the_object_lives(done):
    """Another process, nothing of ours: every view answers."""
    code = (
        "import duckdb, json, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
        'names = [r[0] for r in c.execute("select view_name from duckdb_views() where not internal").fetchall()]; '
        "print(json.dumps({n: len(c.execute(f'select * from {n}').fetchall()) for n in names}))"
    )
    path = str(Path(done.work_dir) / "fastdup.duckdb")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    out = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, cwd="/", env=env, check=True
    )
    rows = json.loads(out.stdout)
    assert rows["annotations"] == done.num_instances(valid_only=False)
    assert rows["similarity"] == len(done.similarity()) and rows["outliers"] == len(done.outliers())
    assert rows["img_stats"] == done.num_instances() and rows["invalid_instances"] == 3
    assert {"connected_components", "component_info", "nearest_neighbors", "exact_duplicates"} <= set(rows)


def test_every_view_answers_in_a_file_that_is_attached_by_another_name(done):
    with duckdb.connect() as db:
        db.execute(f"attach '{done.work_dir}/fastdup.duckdb' as mine (read_only)")
        names = db.sql("select view_name from duckdb_views() where database_name = 'mine' and not internal").fetchall()
        found = {name: len(db.sql(f"from mine.{name}").fetchall()) for (name,) in names}
    assert found["similarity"] == len(done.similarity()) and found["summary"] == 1
    assert found["annotated_components"] == len(done.connected_components()[0]) > 0


def test_views_carry_comments(done):
    comments = done.sql("select view_name, comment from duckdb_views() where not internal")
    public = comments[~comments["view_name"].isin(["facts", "current_run", "embeddings"])]
    assert public["comment"].notna().all(), public[public["comment"].isna()]


def test_a_work_dir_can_be_moved_and_read_without_the_images(done, tmp_path, monkeypatch):
    moved = tmp_path / "moved results"
    shutil.copytree(done.work_dir, moved)
    monkeypatch.chdir(tmp_path)
    opened = fastdup_db.create("moved results")
    assert opened.similarity().equals(done.similarity())
    assert opened.embeddings()[1].shape == done.embeddings()[1].shape
    assert opened.input_dir == done.input_dir


def test_one_thread_and_four_give_the_same(done, images, tmp_path):
    one = fastdup_db.create(tmp_path / "one", images)
    one.run(progress=False, run_advanced_stats=True, num_threads=1)
    four = fastdup_db.create(tmp_path / "four", images)
    four.run(progress=False, run_advanced_stats=True, num_threads=4)
    for table in ("listing", "images", "instances", "stats", "advanced_stats", "edges", "components"):
        query = f"from {table} order by all"
        assert one.sql(query).equals(four.sql(query)), table
    assert (one.embeddings()[1] == four.embeddings()[1]).all()


def test_nothing_is_printed(images, tmp_path, capfd):
    fastdup_db.create(tmp_path / "quiet", images).run(progress=False)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_service_has_no_streams(images, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr("sys.stdout", None)
    fd = fastdup_db.create(tmp_path / "service", images)
    fd.run(num_images=8)
    fd.verify()
    assert fd.summary()


# ---- small collections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 10])
def test_small_collections_answer_sanely(tmp_path, count):
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), demo.scene(number))
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False, threshold=0.0)
    pairs = fd.similarity()
    assert len(pairs) == count * min(2, count - 1)
    assert pairs.empty or 0.5 < pairs["distance"].max() < 0.96, "drawn scenes are alike, but no copies"
    assert len(fd.outliers()) == (0 if count == 1 else 1)
    assert "filename_from" in pairs.columns and str(pairs["from"].dtype) == "int64"
    members, info = fd.connected_components()
    assert members.empty and info.empty and "component_id" in members.columns


def test_equal_images_are_exactly_one(tmp_path):
    folder = tmp_path / "same"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), demo.scene(1))
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False, nearest_neighbors_k=3)
    pairs = fd.similarity(data=False)
    assert len(pairs) == 12 and pairs["distance"].eq(1.0).all()
    assert fd.connected_components()[1]["count"].tolist() == [4]
    assert len(fd.sql("from exact_duplicates")["filenames"].iloc[0]) == 4


# ---- updating ------------------------------------------------------------------------------------------------------


def test_update_adds_changes_and_drops_and_equals_a_fresh_run(images, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(images, folder, ignore=shutil.ignore_patterns("scene_[123]*"))
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False)
    before = fd.sql("select image_id, content_hash from images order by image_id")
    (folder / "scene_05.jpg").unlink()
    cv2.imwrite(str(folder / "scene_06.jpg"), demo.scene(500))
    cv2.imwrite(str(folder / "zz_new.jpg"), demo.scene(8))
    fd.run(progress=False, overwrite=False)
    assert fd.sql("select images from batches order by batch_id")["images"].tolist() == [len(before), 2]
    fresh = fastdup_db.create(tmp_path / "fresh", folder)
    fresh.run(progress=False)
    columns = ["filename", "error_code"]
    by_name = [f.annotations(valid_only=False)[columns].sort_values("filename", ignore_index=True) for f in (fd, fresh)]
    assert by_name[0].equals(by_name[1])
    stats = [
        f.img_stats().drop(columns=["index", "fd_index"]).sort_values("filename", ignore_index=True)
        for f in (fd, fresh)
    ]
    assert stats[0].equals(stats[1])
    assert ("scene_08.jpg", "zz_new.jpg") in _names(fd.similarity(), "filename_from", "filename_to")
    assert "scene_05.jpg" not in {n for (n,) in _names(fd.annotations(), "filename")}


def test_update_reads_nothing_again_when_nothing_changed(copy):
    fd, first = copy, copy.similarity()
    fd.run(progress=False, overwrite=False, threshold=0.8, run_advanced_stats=True)
    assert fd.sql("select count(*) as n from batches")["n"].iloc[0] == 1
    assert len(fd.similarity()) >= len(first)
    with pytest.raises(BadArgument, match="overwrite=True"):
        fd.run(progress=False, overwrite=False, high_accuracy=True, run_advanced_stats=True)


def test_overwrite_leaves_nothing_stale(copy):
    fd = copy
    assert len(fd.img_stats()) and len(fd.connected_components()[0])
    fd.run(progress=False, run_stats=False, run_cc=False)
    assert fd.img_stats().empty and "blur" in fd.img_stats().columns
    assert fd.connected_components()[0].empty
    assert fd.sql("select count(*) as n from runs")["n"].iloc[0] == 1


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nearest_neighbors_k": 0}, "nearest_neighbors_k"),
        ({"nearest_neighbors_k": -1}, "at least 1"),
        ({"threshold": 2}, "from 0 to 1"),
        ({"threshold": -1}, "from 0 to 1"),
        ({"cc_threshold": 2}, "from 0 to 1"),
        ({"outlier_percentile": 50}, "from 0 to 1"),
        ({"num_images": -3}, "num_images"),
        ({"distance": "foo"}, "cosine, euclidean"),
        ({"model_path": "no_such_model"}, "no_such_model"),
        ({"d": 100}, "576"),
        ({"data_type": "x"}, "bbox"),
        ({"data_type": "bbox"}, "col_x"),
        ({"no_such_argument": 1}, "threshold"),
        ({"find_regex": "("}, "regular expression"),
        ({"bounding_box": "row_y=1"}, "row_y"),
        ({"augmentation_horiz": 0.2, "augmentation_additive_margin": 5}, "exclude"),
        ({"min_offset": 5, "max_offset": 3}, "max_offset"),
        ({"run_mode": 3}, "test_dir"),
        ({"subset": ["no_such.jpg"]}, "no_such.jpg"),
        ({"embeddings": np.zeros((3, 4), np.float32)}, "annotations"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_is_written(images, tmp_path, arguments, said):
    fd = fastdup_db.create(tmp_path / "work", images)
    with pytest.raises((BadArgument, fastdup_db.ModelUnavailable), match=said):
        fd.run(progress=False, **arguments)
    assert not (tmp_path / "work").exists() or "subset" in arguments


def test_bad_inputs_are_refused(tmp_path):
    work = tmp_path / "work"
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_text("no")
    (tmp_path / "file").write_text("x")
    for input_dir in (None, tmp_path / "absent", tmp_path / "empty", [], [1]):
        with pytest.raises(BadInput):
            fastdup_db.create(work, input_dir).run(progress=False)
        assert not work.exists()
    with pytest.raises(BadInput, match="CORRUPT"):
        fastdup_db.create(work, tmp_path / "broken").run(progress=False)
    with pytest.raises(BadArgument, match="is a file"):
        fastdup_db.create(tmp_path / "file", tmp_path / "broken")
    with pytest.raises(BadInput, match="same"):
        fastdup_db.create(tmp_path / "broken", tmp_path / "broken").run(progress=False)
    assert sorted(p.name for p in (tmp_path / "broken").iterdir()) == ["a.jpg"]


def test_answers_before_a_run_say_so(tmp_path):
    fd = fastdup_db.create(tmp_path / "work")
    for ask in (fd.similarity, fd.outliers, fd.img_stats, fd.annotations, fd.summary, fd.embeddings, fd.num_instances):
        with pytest.raises(NotRun, match="run"):
            ask()
    with pytest.raises(NotRun):
        fd.config  # noqa: B018


def test_a_writer_elsewhere_is_named(done, tmp_path):
    copy = tmp_path / "busy"
    shutil.copytree(done.work_dir, copy)
    code = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(copy / "fastdup.duckdb")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "open\n"
        with pytest.raises(fastdup_db.WorkDirBusy, match="another process"):
            fastdup_db.create(copy).similarity()
        writer.kill()
    assert duckdb.__version__


# ---- stages and incremental graphs ---------------------------------------------------------------------------------


def test_extract_then_neighbors_is_a_whole_run(images, done, tmp_path):
    fd = fastdup_db.create(tmp_path / "work", images)
    with pytest.raises(NotRun, match="earlier run"):
        fd.run(progress=False, run_mode=2)
    fd.run(progress=False, run_mode=1)
    assert fd.num_instances() == done.num_instances()
    for ask in (fd.similarity, fd.outliers, fd.connected_components, fd.connected_components_grouped, fd.dedup):
        with pytest.raises(NotRun, match="run_mode=2"):
            ask()
    fd.run(progress=False, run_mode=2)
    assert fd.sql("from edges order by all").equals(done.sql("from edges order by all"))
    assert fd.sql("select count(*) as n from batches")["n"].iloc[0] == 1


@pytest.mark.parametrize("mode", [0, 3])
def test_test_dir_finds_neighbours_among_the_input_only(images, copy, tmp_path, mode):
    tested = tmp_path / "tested"
    tested.mkdir()
    for number in (5, 9, 700):
        cv2.imwrite(str(tested / f"t{number}.jpg"), demo.scene(number))
    fd = copy if mode == 3 else fastdup_db.create(tmp_path / "work", images)
    fd.run(progress=False, test_dir=tested, run_mode=mode, cc_threshold=0.9, run_advanced_stats=True)
    pairs = fd.similarity()
    assert set(_names(pairs, "filename_from", "filename_to")) >= {
        ("t5.jpg", "scene_05.jpg"),
        ("t9.jpg", "scene_09.jpg"),
    }
    assert set(pairs["split_from"]) == {"test"} and set(pairs["split_to"]) == {"train"}
    assert len(fd.sql("from edges")) == 6
    assert _names(fd.outliers(), "filename_outlier") == [("t700.jpg",)]


def test_an_updated_graph_equals_a_fresh_one(tmp_path):
    """Without adapting, so that the vectors are the same: the rows of edges and components are too."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(60):
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), demo.scene(number % 50))
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False, adapt=False, nearest_neighbors_k=3)
    (folder / "031.jpg").unlink()
    (folder / "055.jpg").unlink()
    cv2.imwrite(str(folder / "zz1.jpg"), demo.scene(7))
    cv2.imwrite(str(folder / "zz2.jpg"), demo.scene(300))
    fd.run(progress=False, adapt=False, nearest_neighbors_k=3, overwrite=False)
    assert fd.config["neighbors_method"] == "update"
    fresh = fastdup_db.create(tmp_path / "fresh", folder)
    fresh.run(progress=False, adapt=False, nearest_neighbors_k=3)
    query = (
        "select a.filename as a, b.filename as b, similarity from edges as e join facts as a on a.fd_index = e.from_id "
        "join facts as b on b.fd_index = e.to_id order by all"
    )
    assert fd.sql(query).equals(fresh.sql(query))
    groups = [sorted(map(tuple, f.connected_components_grouped()["files"].map(sorted))) for f in (fd, fresh)]
    assert groups[0] == groups[1] and groups[0]
