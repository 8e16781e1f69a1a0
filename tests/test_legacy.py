"""The v0 functions, each on a collection whose answer is planted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from galleries_rig import cards, ids

import fastdup_db as fastdup
from fastdup_db import demo
from fastdup_db.errors import BadArgument, BadInput, NotRun
from fastdup_db.store import duck


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Four shots of each of five scenes, named after them, and one dark image that is alone."""
    folder = tmp_path_factory.mktemp("legacy") / "images"
    folder.mkdir()
    for scene in range(5):
        for shot in range(4):
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95 - 10 * shot]
            cv2.imwrite(str(folder / f"{'abcde'[scene]}_{shot}.jpg"), demo.scene(scene + 20), quality)
    cv2.imwrite(str(folder / "z_dark.jpg"), (demo.scene(77) * 0.02).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def work(images, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp("legacy_work")
    assert fastdup.run(str(images), work_dir, nearest_neighbors_k=3, turi_param="ccthreshold=0.95") == 0
    return work_dir


@pytest.fixture
def opened(work) -> Iterator[Path]:
    """The same, its database open all the while: galleries open it many times, which costs most of their time."""
    with duck.connect(work):
        yield work


@pytest.fixture
def own(images, work, tmp_path_factory) -> Iterator[tuple[Path, Path]]:
    """The images and the run on them for what takes files away: afterwards they are put back."""
    kept = tmp_path_factory.mktemp("kept")
    for folder in (images, work):
        shutil.copytree(folder, kept / folder.name)
    yield images, work
    for folder in (images, work):
        shutil.rmtree(folder)
        shutil.copytree(kept / folder.name, folder)


def _letter(path: str) -> str:
    return Path(path).name[0]


def _names(paths) -> list[str]:
    return [Path(p).name for p in paths]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_modules_have_fastdups_names(opened):
    """As `import fastdup_db as fastdup` finds them, and as a script imports them."""
    code = (
        "import fastdup_db as fastdup\n"
        "assert fastdup.engine.Fastdup is fastdup.Fastdup\n"
        "assert fastdup.fastdup_controller.FastdupController is fastdup.FastdupController\n"
        "from fastdup_db.fastdup_visualizer import FastdupVisualizer\n"
        "assert fastdup.fastdup_galleries.FastdupVisualizer is FastdupVisualizer\n"
        "assert {'engine', 'fastdup_controller', 'fastdup_galleries'} <= set(dir(fastdup))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = fastdup.fastdup_galleries.FastdupVisualizer(fastdup.fastdup_controller.FastdupController(opened))
    assert len(cards(shown.duplicates_gallery(show=False))) > 0


# ---- running, features -----------------------------------------------------------------------------------------------


def test_run_writes_fastdups_files_with_names(work, images):
    pairs = pd.read_csv(work / "similarity.csv")
    assert len(pairs) >= 40 and all(_letter(a) == _letter(b) for a, b in pairs[["from", "to"]].to_numpy()[:40])
    assert fastdup.load_config(work)["nearest_neighbors_k"] == 3
    names, matrix = fastdup.load_binary_feature(str(work / "atrain_features.dat"))
    assert names == sorted(str(p) for p in images.iterdir()) and matrix.shape == (21, matrix.shape[1])
    assert "filename" in pd.read_csv(work / "atrain_stats.csv").columns


def test_features_of_ones_own_become_the_run(images, tmp_path):
    """Three groups of names in features that say nothing of the pictures; the graph is of the features."""
    names = sorted(str(p) for p in images.iterdir())
    rng = np.random.default_rng(0)
    matrix = np.repeat(rng.normal(size=(7, 32)), 3, axis=0) + rng.normal(size=(21, 32)) * 0.01
    matrix = matrix.astype(np.float32)
    fastdup.save_binary_feature(tmp_path, names, matrix)
    assert fastdup.run(tmp_path / "atrain_features.dat.csv", work_dir=tmp_path, d=32, run_mode=2) == 0
    pairs = pd.read_csv(tmp_path / "similarity.csv")
    assert len(pairs) == 42 and (pairs["from"].map(names.index) // 3 == pairs["to"].map(names.index) // 3).all()
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    first = pairs.iloc[0]
    assert first["distance"] == pytest.approx(
        unit[names.index(first["from"])] @ unit[names.index(first["to"])], abs=1e-5
    )
    top = fastdup.find_top_components(tmp_path)
    assert sorted(map(sorted, top["files"])) == [names[start : start + 3] for start in range(0, 21, 3)]
    fastdup.init_search(3, tmp_path)
    assert set(fastdup.vector_search("q", matrix[:1])["to"]) == set(names[:3])
    again = fastdup.create(tmp_path).config["run_id"]
    fastdup.run(images, work_dir=tmp_path, run_mode=2, threshold=1)
    assert fastdup.create(tmp_path).config["run_id"] > again and len(pd.read_csv(tmp_path / "similarity.csv")) < 42
    assert np.array_equal(fastdup.create(tmp_path).embeddings()[1], matrix), "the stored ones, which the file repeats"


def test_features_that_were_worked_on_take_the_place_of_the_runs(work, images, tmp_path):
    worked_on, late = (shutil.copytree(work, tmp_path / name) for name in ("worked_on", "late"))
    names, matrix = fastdup.load_binary_feature(worked_on / "atrain_features.dat")
    fastdup.save_binary_feature(worked_on, names[::-1], np.ascontiguousarray(matrix[::-1, :100]))
    fastdup.run(images, worked_on, run_mode=2)
    files, stored = fastdup.create(worked_on).embeddings()
    assert files == names[::-1] and np.array_equal(stored, matrix[::-1, :100])
    old = (worked_on / "atrain_features.dat").read_bytes()[:-4] + bytes(4)
    (late / "atrain_features.dat").write_bytes(old)
    os.utime(late / "atrain_features.dat", (0, 0))
    fastdup.run(images, late, run_mode=2)
    assert fastdup.create(late).embeddings()[1].shape == matrix.shape, "a file from before the run is not its"


def test_features_of_ones_own_need_no_images_and_are_checked(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    matrix[3] = matrix[0]
    fastdup.save_binary_feature(tmp_path, [f"page {n}" for n in range(6)], matrix)
    with pytest.raises(BadArgument, match="d=8 would fit"):
        fastdup.run("", work_dir=tmp_path, d=20, run_mode=2)
    with pytest.raises(BadArgument, match="num_images"):
        fastdup.run("", work_dir=tmp_path, num_images=3, run_mode=2)
    fastdup.run("", work_dir=tmp_path, run_mode=2, turi_param="ccthreshold=0.99")
    assert sorted(fastdup.find_top_components(tmp_path)["files"].iloc[0]) == ["page 0", "page 3"]
    assert set(pd.read_csv(tmp_path / "similarity.csv").loc[0, ["from", "to"]]) == {"page 0", "page 3"}
    fastdup.run("", work_dir=tmp_path, run_mode=2, turi_param="nnmodel=0, store_int=1")
    ids = pd.read_csv(tmp_path / "similarity.csv")
    assert set(ids.loc[0, ["from", "to"]]) == {0, 3} and "filename" not in pd.read_csv(tmp_path / "atrain_stats.csv")
    joined = ids.merge(pd.read_csv(tmp_path / "atrain_features.dat.csv"), left_on="from", right_on="index")
    assert set(joined["filename"]) == {"page 0", "page 3"}
    with pytest.raises(NotRun, match="run_mode=2"):
        fastdup.run("", work_dir=tmp_path / "empty", run_mode=2)


def test_extract_first_then_neighbours(images, tmp_path):
    fastdup.run(images, tmp_path, run_mode=1)
    assert fastdup.load_binary_feature(tmp_path / "atrain_features.dat")[1].shape[0] == 21
    fastdup.run(images, tmp_path, run_mode=2)
    assert len(pd.read_csv(tmp_path / "similarity.csv")) > 20


def test_the_width_of_an_embedding_need_not_be_said(images, tmp_path):
    few = sorted(str(p) for p in images.iterdir())[:5]
    fastdup.run(few, tmp_path, model_path="high_accuracy")
    assert fastdup.load_binary_feature(tmp_path / "atrain_features.dat")[1].shape == (5, 960)
    fastdup.run_kmeans(few, tmp_path / "clusters", model_path="high_accuracy", num_clusters=2)
    assert len(pd.read_csv(tmp_path / "clusters" / "kmeans_centroids.csv", header=None).columns) == 960


def test_a_file_may_be_called_like_nothing(tmp_path):
    (tmp_path / "images").mkdir()
    for scene in range(4):
        (tmp_path / "images" / ("NA" if scene == 3 else f"{scene}.png")).write_bytes(_png(scene))
    fastdup.run_kmeans([str(p) for p in sorted((tmp_path / "images").iterdir())], tmp_path, num_clusters=2)
    frame = fastdup.find_top_components(tmp_path, comp_type="cluster", min_items=1)
    assert "NA" in {Path(name).name for files in frame["files"] for name in files}


def _png(scene: int) -> bytes:
    return cv2.imencode(".png", demo.scene(scene + 20))[1].tobytes()


def test_version_is_told(capsys):
    assert fastdup.run(version=True) == 0
    assert capsys.readouterr().out == f"{fastdup.__version__}\n"


def test_config_comes_from_the_database_too(work, tmp_path):
    shutil.copy(work / "fastdup.duckdb", tmp_path)
    assert fastdup.load_config(tmp_path)["nearest_neighbors_k"] == 3
    with pytest.raises(NotRun):
        fastdup.load_config(tmp_path / "nothing")


def test_features_are_saved_and_loaded(tmp_path):
    matrix = np.random.default_rng(0).random((3, 5), np.float32)
    assert fastdup.save_binary_feature(tmp_path, ["a", "b", "c"], matrix, save_prefix="mine_") == 0
    names, back = fastdup.load_binary_feature(tmp_path / "mine_atrain_features.dat", d=5)
    assert names == ["a", "b", "c"] and (back == matrix).all()
    for wrong in (matrix.astype(np.float64), matrix[:2]):
        with pytest.raises(BadArgument, match="float32"):
            fastdup.save_binary_feature(tmp_path, ["a", "b", "c"], wrong)


def test_labels_of_coco_and_yolo(tmp_path):
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"image_id": 2, "category_id": 7}, {"image_id": 1, "category_id": 8}],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert fastdup.read_coco_labels(tmp_path / "coco.json") == {"b.jpg": "cat", "a.jpg": "dog"}
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "x.txt").write_text("1 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.1 0.1\n")
    (labels / "._x.txt").write_bytes(b"\0\5\x16\xb0")  # of macOS
    (labels / "empty.txt").write_text("")
    assert fastdup.read_coco_labels(labels) == {str(tmp_path / "images" / "train" / "x.jpg"): "1"}
    (labels / "classes.txt").write_text("cat\ndog\n")
    assert list(fastdup.read_coco_labels(labels).values()) == ["dog"]
    with pytest.raises(BadArgument, match="does not exist"):
        fastdup.read_coco_labels(tmp_path / "nothing")


def test_frames_of_a_video(tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (320, 240))
    for number in range(20):
        video.write(demo.scene(number // 5))
    video.release()
    assert fastdup.extract_video_frames(tmp_path / "clip.avi", tmp_path / "work", keyframes_only=0) == 0
    (folder,) = (tmp_path / "work" / "tmp").iterdir()
    assert sorted(p.name for p in folder.iterdir()) == [f"output_{n:06d}.jpg" for n in range(1, 5)]
    second = cv2.imread(str(folder / "output_000002.jpg")).astype(int)
    assert np.abs(second - demo.scene(1)).mean() < 12 < np.abs(second - demo.scene(0)).mean()
    fastdup.extract_video_frames(tmp_path / "clip.avi", tmp_path / "small", keyframes_only=0, resize_video=100)
    small = next((tmp_path / "small").rglob("*.jpg"))
    assert cv2.imread(str(small)).shape == (75, 100, 3)
    (tmp_path / "still").mkdir()
    cv2.imwrite(str(tmp_path / "still" / "a.png"), demo.scene(1))
    with pytest.raises(BadInput, match="no video"):
        fastdup.extract_video_frames(tmp_path / "still", tmp_path / "none")


def test_frames_of_videos_with_like_paths_are_apart(tmp_path):
    for number, name in enumerate(("v/a/b.avi", "v/a_b.avi")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 1, (400, 300))
        for scene in range(3):
            writer.write(cv2.resize(demo.scene(10 * number + scene), (400, 300)))
        writer.release()
    work = tmp_path / "work"
    fastdup.extract_video_frames(tmp_path / "v", work, keyframes_only=0, max_offset=4)
    fastdup.extract_video_frames(tmp_path / "v", work, keyframes_only=0, min_offset=4, max_offset=6)
    found = sorted(path.name for path in (work / "tmp").rglob("*.jpg"))
    assert found == sorted([f"output_{number:06d}.jpg" for number in (1, 2, 3)] * 2)
    for folder in (work / "tmp").iterdir():
        first = 10 * ("a_b.avi" in folder.name and _mean(folder, 0) > _mean(folder, 10))
        for scene in range(3):
            frame = cv2.imread(str(folder / f"output_{scene + 1:06d}.jpg")).astype(int)
            assert np.abs(frame - cv2.resize(demo.scene(first + scene), (400, 300))).mean() < 12


def _mean(folder: Path, scene: int) -> float:
    """How far the first frame is from that scene."""
    frame = cv2.imread(str(folder / "output_000001.jpg")).astype(int)
    return float(np.abs(frame - cv2.resize(demo.scene(scene), (400, 300))).mean())


def test_sprites_show_what_lies_in_archives_and_boxes(tmp_path):
    colours = {"red.png": (0, 0, 255), "blue.png": (255, 0, 0)}
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for name, colour in colours.items():
            cv2.imwrite(str(tmp_path / name), np.full((40, 40, 3), colour, np.uint8))
            tar.add(tmp_path / name, name)
    fastdup.create(tmp_path / "work", tmp_path / "photos.tar").run(progress=False)
    path, _ = fastdup.generate_sprite_image(tmp_path / "work", 4, tmp_path / "log")
    assert _tiles(path) == list(colours.values())
    names = fastdup.create(tmp_path / "work").annotations()["filename"].tolist()
    path, _ = fastdup.generate_sprite_image([*names, str(tmp_path / "red.png")], 2, tmp_path / "log")
    assert _tiles(path) == list(colours.values())
    fastdup.export_to_tensorboard_projector(tmp_path / "work", tmp_path / "projector")
    assert _tiles(tmp_path / "projector" / "sprite.png") == list(colours.values())
    halves = np.full((40, 80, 3), (0, 0, 255), np.uint8)
    halves[:, 40:] = (255, 0, 0)
    cv2.imwrite(str(tmp_path / "halves.png"), halves)
    boxes = pd.DataFrame({"filename": ["halves.png"] * 2, "col_x": [0, 40], "row_y": 0, "width": 40, "height": 40})
    fastdup.create(tmp_path / "boxes", str(tmp_path / "halves.png")).run(annotations=boxes, progress=False)
    path, _ = fastdup.generate_sprite_image(tmp_path / "boxes", 2, tmp_path / "log")
    assert _tiles(path) == list(colours.values())


def _tiles(path: str | Path) -> list[tuple[int, ...]]:
    """The colours in the middle of the first two tiles."""
    sprite = cv2.imread(str(path))
    side = sprite.shape[0] if sprite.shape[1] > sprite.shape[0] else sprite.shape[0] // 2
    return [tuple(sprite[side // 2, side // 2 + tile * side].tolist()) for tile in range(2)]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda f, work, p: f.delete_or_retag_stats_outliers(p / "none.csv", "blur", upper_threshold=1), "as a csv"),
        (lambda f, work, p: f.delete_or_retag_stats_outliers(work, "blur", upper_percentile=5), "from 0 to 1"),
        (lambda f, work, p: f.delete_or_retag_stats_outliers(work, "filename", upper_threshold=1), "than numbers"),
        (lambda f, work, p: f.delete_components_by_label(p / "none.parquet"), "as Parquet"),
        (lambda f, work, p: f.delete_components(pd.DataFrame({"files": []})), "lacks the columns component_id"),
        (lambda f, work, p: f.delete_components("components"), "of type str; allowed: a DataFrame"),
        (lambda f, work, p: f.find_top_components(work, threshold="x"), "from -1 to 1"),
        (lambda f, work, p: f.create_knn_classifier(work, 3, p / "none.csv"), "as a csv"),
        (lambda f, work, p: f.create_duplicates_gallery(pd.DataFrame({"a": []}), p), "lacks the columns from, to"),
        (lambda f, work, p: f.create_stats_gallery(pd.DataFrame({"a": []}), p), "lacks the columns index"),
    ],
)
def test_what_does_not_fit_is_told(work, tmp_path, call, told):
    with pytest.raises(BadArgument, match=told):
        call(fastdup, work, tmp_path)


# ---- labels, clusters ------------------------------------------------------------------------------------------------


def test_the_label_of_most_neighbours():
    assert fastdup.top_k_label(["a", "b"], [0.97, 0.9], threshold=0.97, unknown_class="?") == "a"
    assert fastdup.top_k_label(["a", "b", "b", "a", "a"], [0.9, 0.8, 0.7, 0.1, 0.05], k=3) == "b"
    assert fastdup.top_k_label(["a", "b"], [0.8, 0.9]) == "b", "a tie goes to the most similar"
    assert fastdup.top_k_label(["a", "b"], [0.8, 0.9], threshold=0.95, unknown_class="?") == "?"
    assert fastdup.top_k_label(["a", "b"], [0.8, 0.9], min_count=2) is None


def test_neighbours_vote_on_a_wrong_label(work, images):
    wrong = str(images / "b_2.jpg")
    said = {str(p): "a" if str(p) == wrong else _letter(str(p)) for p in images.iterdir()}
    found = fastdup.create_knn_classifier(work, 3, said)
    assert list(found.columns) == ["prediction", "label", "filename"]
    odd = found[(found["prediction"] != found["label"]) & ~found["filename"].str.endswith("z_dark.jpg")]
    assert odd["filename"].tolist() == [wrong] and odd["prediction"].tolist() == ["b"]
    near = fastdup.create_knn_classifier(work, 3, said, threshold=0.95).set_index("filename")
    assert near.loc[str(images / "z_dark.jpg"), "prediction"] == "N/A"


def test_clusters_are_the_scenes_and_the_same_every_time(work, images):
    assert fastdup.run_kmeans_on_extracted(work_dir=work, num_clusters=6) == 0
    first = pd.read_csv(work / "kmeans_assignments.csv")
    assert list(first.columns) == ["index", "filename", "cluster", "distance"]
    by_scene = first.groupby(first["filename"].map(_letter))["cluster"]
    assert by_scene.nunique().eq(1).all() and by_scene.first().nunique() == 6
    assert np.loadtxt(work / "kmeans_centroids.csv", delimiter=",").shape[0] == 6
    before = (work / "kmeans_assignments.csv").read_bytes()
    fastdup.run_kmeans_on_extracted(work_dir=work, num_clusters=6)
    assert (work / "kmeans_assignments.csv").read_bytes() == before
    wrong = {str(p): "a" if p.name == "b_2.jpg" else _letter(str(p)) for p in images.iterdir()}
    found = fastdup.create_kmeans_classifier(work, 6, wrong)
    assert _names(found.loc[found["prediction"] != found["label"], "filename"]) == ["b_2.jpg"]


def test_kmeans_from_images(images, tmp_path):
    assert fastdup.run_kmeans(images, tmp_path, num_clusters=2) == 0
    assert set(pd.read_csv(tmp_path / "kmeans_assignments.csv")["cluster"]) == {0, 1}
    with pytest.raises(NotRun, match="run_kmeans"):
        fastdup.create_kmeans_clusters_gallery(tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize("again", [False, True])
def test_kmeans_of_features_of_ones_own(work, images, tmp_path, again):
    """Three groups that the pictures know nothing of, in a bare folder or over those of a run."""
    if again:
        shutil.copytree(work, tmp_path, dirs_exist_ok=True)
    names = sorted(str(p) for p in images.iterdir())
    matrix = np.repeat(np.eye(3, 16, dtype=np.float32), 7, axis=0)
    fastdup.save_binary_feature(tmp_path, names[::-1], matrix)
    if again:
        fastdup.run_kmeans_on_extracted(images, tmp_path, num_clusters=3)
    else:
        fastdup.run(images, tmp_path, run_mode=6)  # of at most 100 clusters, those that there are
    found = pd.read_csv(tmp_path / "kmeans_assignments.csv")
    assert found["filename"].tolist() == names[::-1]
    assert found.groupby(found.index // 7)["cluster"].nunique().eq(1).all() and found["cluster"].nunique() == 3
    with duck.connect(tmp_path):
        fastdup.create_kmeans_clusters_gallery(tmp_path, tmp_path / "page")
    shown = cards(tmp_path / "page" / "components.html")
    assert len(shown) == 3 and all(len(card.select("img")) == 7 for card in shown)
    with pytest.raises(BadArgument, match="d=16 would fit"):
        fastdup.save_binary_feature(tmp_path, names, matrix)
        fastdup.run_kmeans_on_extracted(images, tmp_path, num_clusters=3, d=20)
    fastdup.run_kmeans(images, tmp_path, num_clusters=2)
    assert fastdup.create(tmp_path).config["embeddings_dim"] > 16, "the images are embedded, as they are asked to be"


def test_features_to_look_up_are_searched_for(work, images, tmp_path):
    """fastdup's run_mode=4 with features in test_dir is a search for vectors here, and says so."""
    names, matrix = fastdup.load_binary_feature(work)
    fastdup.save_binary_feature(tmp_path, ["one of b"], matrix[names.index(str(images / "b_1.jpg"))][None])
    with pytest.raises(BadArgument, match="holds features") as told:
        fastdup.run(images, work, test_dir=tmp_path, run_mode=4)
    assert "vector_search(*load_binary_feature(test_dir))" in str(told.value)
    fastdup.init_search(4, work)
    found = fastdup.vector_search(*fastdup.load_binary_feature(tmp_path))
    assert set(found["from"]) == {"one of b"} and sorted(_letter(p) for p in found["to"]) == ["b"] * 4


@pytest.mark.parametrize("wrong", [{"num_clusters": 0}, {"num_em_iter": 0}, {"num_clusters": 2.5}])
def test_kmeans_refuses_before_it_runs(images, tmp_path, wrong):
    with pytest.raises(BadArgument, match="at least 1"):
        fastdup.run_kmeans(images, tmp_path / "work", **wrong)
    assert not (tmp_path / "work").exists()


def test_the_bucket_question_has_fastdups_argument():
    with pytest.raises(BadInput):
        fastdup.s3_folder_exists_and_not_empty(s3_path="no-bucket")


def test_a_run_that_clusters_takes_all_arguments(images, tmp_path):
    fastdup.run(images, tmp_path, run_mode=5, high_accuracy=True, nearest_neighbors_k=3, num_images=15)
    fd = fastdup.create(tmp_path)
    assert fd.embeddings()[1].shape == (15, 960) and fd.config["nearest_neighbors_k"] == 3
    assert len(pd.read_csv(tmp_path / "kmeans_assignments.csv")) == 15
    before = (tmp_path / "kmeans_assignments.csv").read_bytes()
    (tmp_path / "kmeans_assignments.csv").unlink()
    fastdup.run(images, tmp_path, run_mode=6)
    assert (tmp_path / "kmeans_assignments.csv").read_bytes() == before


# ---- components and what goes ----------------------------------------------------------------------------------------


def test_top_components(opened, tmp_path):
    frame = fastdup.find_top_components(opened, get_label_func=_letter, metric="blur", save_path=tmp_path)
    assert len(frame) == 5 and frame["len"].eq(4).all() and frame["distance"].ge(0.95).all()
    assert all(len({_letter(f) for f in files}) == 1 for files in frame["files"])
    assert (
        frame["avg_blur"].is_monotonic_decreasing and frame["label"].iloc[0] == [_letter(frame["files"].iloc[0][0])] * 4
    )
    assert frame["avg_metric"].equals(frame["avg_blur"])
    assert list(frame.columns[-5:]) == ["distance", "blur", "len", "avg_metric", "avg_blur"]
    by_label = fastdup.find_top_components(opened, get_label_func=_letter, group_by="label")
    assert by_label.columns[0] == "label" and by_label["label"].tolist() == list("abcde")
    assert len(fastdup.find_top_components(opened, _letter, slice="c")) == 1
    assert fastdup.find_top_components(opened, _letter, slice="diff").empty
    assert fastdup.find_top_components(opened, _letter, keyword="d")["label"].tolist() == [["d"] * 4]
    assert fastdup.find_top_components(opened, max_items=3).empty
    with pytest.raises(BadArgument, match="get_label_func"):
        fastdup.find_top_components(opened, keyword="d")
    assert len(pd.read_parquet(tmp_path / "top_components.parquet")) == 5


def test_components_go_but_for_their_first_file(own, capsys):
    images, work = own
    top = fastdup.find_top_components(work)
    files = fastdup.delete_components(top, min_distance=0.9)
    assert len(files) == 15 and not any(f.endswith("_0.jpg") for f in files)
    assert capsys.readouterr().out.count("rm -f ") == 15 and len(list(images.iterdir())) == 21
    fastdup.delete_components(top, to_delete=[top["component_id"].iloc[0]], min_distance=0.9, how="all", dry_run=False)
    assert len(list(images.iterdir())) == 17


def test_in_a_label_each_component_keeps_its_first_file(own):
    images, work = own
    top = fastdup.find_top_components(work, get_label_func=lambda file: "all", group_by="label")
    assert len(top) == 1 and len(set(top["component_id"].iloc[0])) == 5
    one = fastdup.delete_components(top, to_delete=[top["component_id"].iloc[0][0]], min_distance=0.5)
    assert len(one) == 3 and len({_letter(file) for file in one}) == 1
    with pytest.raises(BadArgument, match="group_by='visual'"):
        fastdup.delete_components_by_label(top, min_items=1, min_distance=0.5, work_dir=work)
    fastdup.delete_components(top, min_distance=0.5, dry_run=False, verbose=False)
    assert sorted(p.name for p in images.iterdir()) == [*(f"{letter}_0.jpg" for letter in "abcde"), "z_dark.jpg"]


def test_what_names_no_component_keeps_its_first_file(work):
    assert fastdup.delete_components(fastdup.find_top_components(work, min_items=99)) == []
    frame = pd.DataFrame({"component_id": [0, None], "files": [["a", "b"], ["c", "d"]], "distance": [1.0, 1.0]})
    assert fastdup.delete_components(frame.head(1).assign(distance=0.5), verbose=False) == []
    for named in ([0, None], [None, None], pd.Categorical([0, 0])):
        assert fastdup.delete_components(frame.assign(component_id=named), verbose=False) == ["b", "d"]
    twice = pd.DataFrame({"component_id": [1], "files": [["a", "a", "b", "b"]], "distance": [0.97]})  # of boxes
    assert fastdup.delete_components(twice, min_distance=0.97, verbose=False) == ["b"]
    with pytest.raises(BadArgument, match="min_distance='x'"):
        fastdup.delete_components(twice, min_distance="x")
    rows = pd.DataFrame(
        {"component_id": [(1, 2), [2, 1]], "files": [["a", "b"], np.array(["c", "a"])], "distance": 1.0}
    )
    assert fastdup.delete_components(rows, verbose=False) == []


def test_components_whose_first_file_is_gone_stay(own):
    images, work = own
    top = fastdup.find_top_components(work)
    (images / "a_0.jpg").unlink()
    files = fastdup.delete_components(top, min_distance=0.9, dry_run=False)
    assert len(files) == 12 and {p.name for p in images.glob("a_*")} == {"a_1.jpg", "a_2.jpg", "a_3.jpg"}
    labels = ["b", "b", "b", "a"]
    frame = top.assign(label=[labels if f[0].endswith("a_0.jpg") else ["x"] * len(f) for f in top["files"]])
    assert fastdup.delete_components_by_label(frame, 4, 0.9, dry_run=False, work_dir=work) == []
    assert (images / "a_3.jpg").exists()
    nothing = frame.assign(label=[[None] * len(f) for f in top["files"]])
    assert fastdup.delete_components_by_label(nothing, 4, 0.9, work_dir=work) == [], "nothing disagrees with no label"


def test_pages_number_components_as_delete_components_does(opened, tmp_path):
    top = fastdup.find_top_components(opened)
    fastdup.create_components_gallery(opened, tmp_path)
    page = tmp_path / "components.html"
    titles = [card.select_one("h2, h3, .title").get_text() for card in cards(page)]
    assert [title.split()[-1] for title in titles] == top["component_id"].astype(str).tolist()
    assert ids(page) == top["files_ids"].tolist()
    fastdup.create_components_gallery(opened, tmp_path, get_label_func=_letter, group_by="label")
    by_label = fastdup.find_top_components(opened, _letter, "label")
    assert ids(page) == by_label["files_ids"].tolist()
    assert all(label in card.get_text() for card, label in zip(cards(page), by_label["label"], strict=True))


def test_a_frame_of_nobodys_run_deletes_nothing(own, tmp_path):
    images, work = own
    stranger = tmp_path / "stranger.jpg"
    stranger.write_bytes(b"mine")
    frame = pd.DataFrame({"component_id": [0], "files": [[str(images / "a_0.jpg"), str(stranger)]], "distance": [1.0]})
    with pytest.raises(BadArgument, match="work_dir"):
        fastdup.delete_components(frame, dry_run=False)
    with pytest.raises(BadArgument, match="not in the input"):
        fastdup.delete_components(frame, dry_run=False, work_dir=work)
    assert stranger.exists()


def test_those_that_disagree_with_their_component_go(own, tmp_path):
    images, work = own
    wrong = {str(p): "wrong" if p.name == "c_3.jpg" else _letter(str(p)) for p in images.iterdir()}
    fastdup.find_top_components(work, wrong, save_path=tmp_path)
    top = tmp_path / "top_components.parquet"
    files = fastdup.delete_components_by_label(top, min_items=4, min_distance=0.9, work_dir=work, verbose=False)
    assert _names(files) == ["c_3.jpg"]
    everything = fastdup.delete_components_by_label(top, 4, 0.9, how="all", work_dir=work, verbose=False)
    assert len(everything) == 20
    with pytest.raises(BadArgument, match="pickle"):
        fastdup.delete_components_by_label("top_components.pkl")
    quarantine = tmp_path / "q"
    fastdup.delete_components_by_label(top, 4, 0.9, dry_run=False, work_dir=work, quarantine=quarantine)
    assert not (images / "c_3.jpg").exists()
    fastdup.create(work).undo(quarantine)
    assert (images / "c_3.jpg").exists()


def test_outliers_of_a_statistic_go_or_are_tagged(own, tmp_path):
    images, work = own
    assert _names(fastdup.delete_or_retag_stats_outliers(work, "mean", lower_threshold=10)) == ["z_dark.jpg"]
    stats = fastdup.create(work).img_stats()
    tagged = tmp_path / "tagged.csv"
    said = {"how": "retag", "label_col": "kind", "save_path": tagged, "dry_run": False}
    fastdup.delete_or_retag_stats_outliers(stats.assign(kind="ok"), "mean", lower_percentile=0.04, **said)
    assert _names(pd.read_csv(tagged).query("kind == 'outlier'")["filename"]) == ["z_dark.jpg"]
    fastdup.delete_or_retag_stats_outliers(
        work, "mean", lower_threshold=10, how="move", save_path=tmp_path / "dark", dry_run=False
    )
    assert not (images / "z_dark.jpg").exists()
    fastdup.create(work).undo(tmp_path / "dark")
    assert (images / "z_dark.jpg").exists()
    with pytest.raises(BadArgument, match="blur"):
        fastdup.delete_or_retag_stats_outliers(work, "nonsense", lower_threshold=1)


def test_wrong_labels_and_outliers_go_as_tutorials_take_them_away(own, tmp_path):
    images, work = own
    wrong = fastdup.create_similarity_gallery(
        work, tmp_path / "page", get_label_func=lambda f: "a" if f.endswith("b_2.jpg") else _letter(f)
    )
    said = {"metric": "score", "filename_col": "from", "lower_threshold": 40}
    assert _names(fastdup.delete_or_retag_stats_outliers(wrong, **said, verbose=False)) == ["b_2.jpg"]
    fastdup.delete_or_retag_stats_outliers(wrong, **said, dry_run=False)
    assert not (images / "b_2.jpg").exists() and len(list(images.iterdir())) == 20
    for name, column in (("outliers.csv", "from"), ("similarity.csv", "to"), ("atrain_stats.csv", "filename")):
        said = {"filename_col": column, "verbose": False, "upper_threshold": -1e9}
        metric = "mean" if column == "filename" else "distance"
        there = fastdup.delete_or_retag_stats_outliers(work / name, metric, **said, lower_threshold=0.9)
        (work / name).unlink()
        gone = fastdup.delete_or_retag_stats_outliers(work / name, metric, **said, lower_threshold=0.9)
        assert sorted(set(gone)) == sorted(set(there)) and gone
    stranger = pd.DataFrame({"from": [str(images / "a_0.jpg")], "to": [str(images / "a_1.jpg")], "distance": [0.9]})
    page = fastdup.create_similarity_gallery(stranger, tmp_path / "page")
    assert "work_dir" not in page.attrs, "its run is gone"


def test_a_frame_of_statistics_knows_its_run(own):
    stats = fastdup.create(own[1]).img_stats()
    gone = fastdup.delete_or_retag_stats_outliers(stats, "mean", lower_threshold=10, dry_run=False)
    assert _names(gone) == ["z_dark.jpg"] and not (own[0] / "z_dark.jpg").exists()


def test_duplicates_of_a_folder(images, tmp_path):
    shutil.copytree(images, tmp_path / "images")
    assert len(fastdup.remove_duplicates(tmp_path / "images", distance=0.95, verbose=False)) == 15
    assert len(list((tmp_path / "images").iterdir())) == 21, "dry by default"
    fastdup.remove_duplicates(tmp_path / "images", tmp_path / "work", distance=0.95, dry_run=False)
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [
        "a_0.jpg", "b_0.jpg", "c_0.jpg", "d_0.jpg", "e_0.jpg", "z_dark.jpg",
    ]  # fmt: skip


# ---- galleries, pictures ---------------------------------------------------------------------------------------------


def test_galleries_of_a_work_dir_and_of_its_files(opened, tmp_path):
    for source in (opened, opened / "similarity.csv", pd.read_csv(opened / "similarity.csv")):
        assert fastdup.create_duplicates_gallery(source, tmp_path, num_images=5, work_dir=opened) == 0
        assert len(cards(tmp_path / "duplicates.html")) == 5
    assert fastdup.create_outliers_gallery(opened / "outliers.csv", tmp_path) == 0
    assert cards(tmp_path / "outliers.html")
    assert fastdup.create_stats_gallery(opened / "atrain_stats.csv", tmp_path, metric="mean", num_images=3) == 0
    assert ids(tmp_path / "mean.html")[0] == [20]
    assert fastdup.create_components_gallery(opened, tmp_path, get_label_func=_letter) == 0
    page = next(p for p in tmp_path.glob("component*.html"))
    assert sorted(len(group) for group in ids(page)) == [4] * 5
    fastdup.run_kmeans_on_extracted(work_dir=opened, num_clusters=6)
    assert fastdup.create_kmeans_clusters_gallery(opened, tmp_path / "k") == 0
    assert len(cards(next((tmp_path / "k").glob("component*.html")))) == 5, "the dark image is a cluster of one"


def test_rows_that_are_none_and_counts_that_are_none(opened, images, tmp_path):
    fastdup.init_search(3, opened)
    nothing = fastdup.search(str(images / "a_0.jpg"), where="blur < 0")
    assert nothing.empty and fastdup.create_duplicates_gallery(nothing, tmp_path) == 0
    with pytest.raises(BadArgument, match="no row to show"):
        fastdup.create_duplicates_gallery(pd.DataFrame({"from": [], "to": [], "distance": []}), tmp_path)
    assert fastdup.create_similarity_gallery(opened, tmp_path, min_items=4).empty  # k is 3
    for wrong in ({"min_items": "a"}, {"max_items": "a"}):
        with pytest.raises(BadArgument, match="whole number"):
            fastdup.create_similarity_gallery(opened, tmp_path, **wrong)
    with pytest.raises(BadArgument, match="a work_dir, a csv file, a DataFrame"):
        fastdup.create_duplicates_gallery(5, tmp_path)


def test_outliers_of_a_work_dir_are_as_many_as_those_of_its_file(opened, tmp_path):
    pages = []
    for source in (opened, opened / "outliers.csv"):
        fastdup.create_outliers_gallery(source, tmp_path)
        pages.append((tmp_path / "outliers.html").read_text().count('class="card"'))
    assert pages[0] == pages[1] > 0


def test_labels_and_slices_of_ones_own(opened, tmp_path):
    frame = fastdup.create_similarity_gallery(opened / "similarity.csv", tmp_path, get_label_func=_letter)
    scores = frame.set_index(frame["from"].map(lambda n: Path(n).name))["score"]
    assert scores["a_0.jpg"] == 100 and set(frame.columns) == {
        "from", "to", "label", "label2", "score", "distance", "length",
    }  # fmt: skip
    fastdup.create_duplicates_gallery(opened, tmp_path, get_label_func=_letter, slice="c", num_images=50)
    assert len(cards(tmp_path / "duplicates.html")) == 6 and "c" in cards(tmp_path / "duplicates.html")[0].get_text()


def test_a_frame_of_files_needs_no_run(images, tmp_path):
    frame = pd.DataFrame({"from": ["a_0.jpg"], "to": [str(images / "b_0.jpg")], "distance": [0.5]})
    assert fastdup.create_duplicates_gallery(frame, tmp_path, input_dir=images) == 0
    assert len(cards(tmp_path / "duplicates.html")) == 1
    with pytest.raises(BadArgument, match="work_dir"):
        fastdup.create_duplicates_gallery(pd.DataFrame({"from": [0], "to": [1], "distance": [0.5]}), tmp_path)


def test_a_sprite_holds_the_images_row_by_row(images, tmp_path):
    names = sorted(str(p) for p in images.iterdir())[:5]
    path, labels = fastdup.generate_sprite_image(names, 5, tmp_path, get_label_func=_letter, h=30, w=40)
    assert path == str(tmp_path / "sprite.png") and labels == ["a", "a", "a", "a", "b"]
    sprite = cv2.imread(path)
    assert sprite.shape == (60, 120, 3)
    fifth = cv2.resize(cv2.imread(names[4]), (40, 30), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(sprite[30:60, 40:80] - fifth).mean() < 3
    assert not sprite[30:, 80:].any()
    with pytest.raises(BadArgument, match="alternative_width=-1"):
        fastdup.generate_sprite_image(names, 5, tmp_path, alternative_width=-1)
    of_each = {"dict": {names[1]: "x"}, "list": ["v", "w", "x", "y", "z"]}
    found = {kind: fastdup.generate_sprite_image(names, 2, tmp_path, given)[1] for kind, given in of_each.items()}
    assert found == {"dict": ["N/A", "x"], "list": ["v", "w"]}
    for wrong, told in ((["x"], "1 labels for 5 images"), ("labels.csv", "of type str; allowed: a function")):
        with pytest.raises(BadArgument, match=told):
            fastdup.generate_sprite_image(names, 5, tmp_path, get_label_func=wrong)


def test_settings_that_are_no_json_object_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(BadArgument, match="no JSON object"):
        fastdup.load_config(tmp_path)


def test_files_for_the_projector(work, tmp_path):
    config = fastdup.export_to_tensorboard_projector(work, tmp_path, sample_size=10, get_label_func=_letter)
    assert 'tensor_path: "tensors.tsv"' in config.read_text() and "single_image_dim: 64" in config.read_text()
    metadata = pd.read_csv(tmp_path / "metadata.tsv", sep="\t")
    vectors = np.loadtxt(tmp_path / "tensors.tsv", delimiter="\t")
    names, matrix = fastdup.create(work).embeddings()
    rows = [names.index(name) for name in metadata["filename"]]
    assert len(metadata) == 10 and np.allclose(vectors, matrix[rows], atol=1e-6)
    assert metadata["label"].tolist() == [_letter(n) for n in metadata["filename"]]
    assert cv2.imread(str(tmp_path / "sprite.png")).shape == (3 * 64, 4 * 64, 3)
