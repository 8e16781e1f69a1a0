"""Real photographs in every form they come in: the same boxes, archives and frames give the same answers."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import av
import cv2
import numpy as np
import pandas as pd
import pytest

import fastdup_db

FILMED = 30
FLOORS = {5: 0.4, 10: 0.4}  # of label_quality by k: measured 0.53 and 0.53, less two of the 15


def run(work_dir: Path, source: object, **arguments: object) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(work_dir, source)
    fd.run(progress=False, **arguments)
    return fd


# ---- one set of boxes, four forms ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[40, pytest.param(128, marks=pytest.mark.slow)])
def coco(request, real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first photographs of coco128, their labels and their part of the COCO json, laid out as there."""
    given, folder = real_images / "coco128", tmp_path_factory.mktemp("coco")
    for name, suffix in (("images", ".jpg"), ("labels", ".txt")):
        (folder / name / "train2017").mkdir(parents=True)
        for photograph in sorted((given / "images" / "train2017").iterdir())[: request.param]:
            path = Path(name, "train2017", photograph.stem + suffix)
            if (given / path).exists():  # not the labels of photographs without boxes
                (folder / path).symlink_to(given / path)
    shutil.copy(given / "coco128.yaml", folder)
    read = json.loads((given / "instances_train2017.json").read_text())
    read["images"] = [i for i in read["images"] if (folder / "images" / "train2017" / i["file_name"]).exists()]
    kept = {i["id"] for i in read["images"]}
    read["annotations"] = [a for a in read["annotations"] if a["image_id"] in kept]
    (folder / "instances_train2017.json").write_text(json.dumps(read))
    return folder


@pytest.fixture(scope="module")
def boxes(coco: Path) -> pd.DataFrame:
    """The boxes of the COCO json, 929 in all, as a user would write them into a frame."""
    read = json.loads((coco / "instances_train2017.json").read_text())
    images = {i["id"]: i["file_name"] for i in read["images"]}
    names = {c["id"]: c["name"] for c in read["categories"]}
    return pd.DataFrame(
        [(images[a["image_id"]], *a["bbox"], names[a["category_id"]]) for a in read["annotations"]],
        columns=["filename", "col_x", "row_y", "width", "height", "label"],
    )


@pytest.fixture(scope="module")
def by_frame(coco: Path, boxes: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    return run(tmp_path_factory.mktemp("frame"), coco / "images" / "train2017", annotations=boxes)


def test_coco_json_and_dict_equal_the_frame(
    coco: Path, boxes: pd.DataFrame, by_frame: fastdup_db.Fastdup, tmp_path: Path
) -> None:
    assert by_frame.num_instances(valid_only=False) == len(boxes)
    folder, path = coco / "images" / "train2017", coco / "instances_train2017.json"
    for name, given in (("json", path), ("dict", json.loads(path.read_text()))):
        fd = run(tmp_path / name, folder, annotations=given)
        pd.testing.assert_frame_equal(fd.annotations(False), by_frame.annotations(False))
        pd.testing.assert_frame_equal(fd.img_stats(), by_frame.img_stats())
        assert fd.sql("from edges order by all").equals(by_frame.sql("from edges order by all"))
        assert fd.sql("from components order by all").equals(by_frame.sql("from components order by all"))


def test_yolo_labels_give_the_same_instances_crops_and_neighbours(
    coco: Path, boxes: pd.DataFrame, by_frame: fastdup_db.Fastdup, tmp_path: Path
) -> None:
    """The labels are written in fractions, so a box may lie a hundredth of a pixel off: whole pixels decide."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        os.symlink(coco / part / "train2017", tmp_path / part / "train2017")
    names = (coco / "coco128.yaml").read_text().partition("names:")[2]
    (tmp_path / "train.yaml").write_text(f"path: .\ntrain: images/train2017\nnames:{names}")
    yolo = run(tmp_path / "yolo", tmp_path / "train.yaml")
    ours, given = (_by_box(fd) for fd in (yolo, by_frame))
    assert len(ours) == len(given) == len(boxes)
    assert (ours[["name", "label", "error_code"]] == given[["name", "label", "error_code"]]).all(axis=None)
    edges = ["col_x", "row_y", "width", "height"]
    assert np.abs(ours[edges].to_numpy() - given[edges].to_numpy()).max() < 0.011

    cut = ["img_w", "img_h", "blur", "mean", "min", "max", "stdv"]
    same = ours["is_valid"] & (ours[edges].astype(int) == given[edges].astype(int)).all(axis=1)
    assert same.sum() > 0.95 * ours["is_valid"].sum(), "most boxes are cut at the same pixels"
    np.testing.assert_allclose(ours.loc[same, cut].astype(float), given.loc[same, cut].astype(float))

    to_given = dict(zip(ours["fd_index"], given["fd_index"], strict=True))
    found = _nearest(yolo)
    found = {to_given[a]: to_given[b] for a, b in found.items()}
    wanted = _nearest(by_frame)
    kept = [a for a, b in wanted.items() if found[a] == b]
    assert len(kept) > 0.93 * len(wanted), "a box one pixel off may find another neighbour; the others find theirs"


def _by_box(fd: fastdup_db.Fastdup) -> pd.DataFrame:
    """Instances with their statistics, in an order that does not depend on the form: by file, then by box."""
    frame = fd.annotations(False).merge(
        fd.img_stats(data=False).rename(columns={"index": "fd_index"}), on="fd_index", how="left"
    )
    frame["name"] = frame["filename"].map(lambda f: Path(f).name)
    rounded = frame[["col_x", "row_y", "width", "height"]].round(0).add_prefix("order_")
    frame = frame.join(rounded)
    return frame.sort_values(["name", "label", *rounded.columns, "fd_index"], ignore_index=True)


def _nearest(fd: fastdup_db.Fastdup) -> dict[int, int]:
    first = fd.sql("select from_id, to_id from edges where rank = (select min(rank) from edges)")
    return dict(zip(first["from_id"], first["to_id"], strict=True))


# ---- one set of photographs, packed --------------------------------------------------------------------------------


def _tar(folder: Path, target: Path, mode: str) -> Path:
    with tarfile.open(target, mode) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"{folder.name}/{path.name}")
    return target


def _zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(folder.iterdir()):
            packed.write(path, f"{folder.name}/{path.name}")
    return target


PACKINGS: dict[str, Callable[[Path, Path], Path]] = {
    "tar": lambda folder, to: _tar(folder, to / "all.tar", "w"),
    "tgz": lambda folder, to: _tar(folder, to / "all.tgz", "w:gz"),
    "zip": lambda folder, to: _zip(folder, to / "all.zip"),
}


@pytest.fixture(scope="module", params=[40, pytest.param(1000, marks=pytest.mark.slow)])
def in_folder(request, real_images: Path, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    folder = tmp_path_factory.mktemp("packed") / "photographs"
    folder.mkdir()
    for path in sorted((real_images / "imagenet-sample").iterdir())[: request.param - 3]:
        shutil.copy(path, folder)
    photograph = cv2.imread(str(sorted(folder.iterdir())[10]))
    for number, quality in enumerate((90, 60, 30)):  # one group of copies, so that there is a component to compare
        cv2.imwrite(str(folder / f"z_copy_{number}.jpg"), photograph, [cv2.IMWRITE_JPEG_QUALITY, quality])
    fd = run(folder.parent / "work", folder)
    assert len(fd.connected_components()[0]) >= 3
    return fd


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_archive_answers_like_the_folder(in_folder: fastdup_db.Fastdup, packing: str, tmp_path: Path) -> None:
    archive = PACKINGS[packing](Path(in_folder.input_dir), tmp_path)
    packed = run(tmp_path / "work", archive)
    names = packed.annotations(False)["filename"]
    assert names.str.startswith(f"{archive}/photographs/").all()
    for answer in (
        lambda fd: fd.annotations(False),
        lambda fd: fd.img_stats(),
        lambda fd: fd.similarity(threshold=0),
        lambda fd: fd.outliers(),
        lambda fd: fd.connected_components()[0],
        lambda fd: fd.connected_components()[1],
    ):
        pd.testing.assert_frame_equal(_only_last_names(answer(packed)), _only_last_names(answer(in_folder)))
    assert (packed.embeddings()[1] == in_folder.embeddings()[1]).all()


def _only_last_names(frame: pd.DataFrame) -> pd.DataFrame:
    columns = [c for c in frame.columns if c.startswith("filename")]
    return frame.assign(**{c: frame[c].map(lambda name: PurePosixPath(name).name) for c in columns})


# ---- photographs as a film -----------------------------------------------------------------------------------------


def test_a_film_of_thirty_photographs_finds_each_of_them(real_images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    frames = []
    for number, path in enumerate(sorted((real_images / "imagenet-sample").iterdir())[:FILMED]):
        image = cv2.resize(cv2.imread(str(path)), (320, 240), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:02d}.png"), image)
        frames.append(image)
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as out:
        stream = out.add_stream("libx264", rate=1, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode(None))

    fd = run(tmp_path / "work", folder, test_dir=film, nearest_neighbors_k=1, threshold=0.0)
    pairs = fd.similarity()
    assert len(pairs) == FILMED
    found = {name.partition("#t=")[2]: Path(to).stem for name, to in pairs[["filename_from", "filename_to"]].to_numpy()}
    assert found == {f"{second}.000": f"{second:02d}" for second in range(FILMED)}

    alone = run(tmp_path / "film", film)
    names, vectors = fd.embeddings()
    photographs = vectors[[name.endswith(".png") for name in names]]
    cosine = alone.embeddings()[1] @ photographs.T
    assert (cosine.argmax(axis=1) == np.arange(FILMED)).all()
    kept = alone.sql("select frame_ms, frame_number from listing order by image_id")
    assert kept["frame_ms"].tolist() == [1000 * second for second in range(FILMED)]
    assert kept["frame_number"].tolist() == list(range(FILMED))


# ---- wrong labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [5, pytest.param(10, marks=pytest.mark.slow)])
def test_swapped_labels_of_garments_come_first(real_images: Path, tmp_path: Path, k: int) -> None:
    """500 photographs of 5 classes, every 33rd labelled as the next class: how many of the first 15 are those?"""
    folder = real_images / "clothing"
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg"))
    frame = pd.DataFrame({"filename": names, "label": [Path(n).parent.name for n in names]})
    classes = sorted(frame["label"].unique())
    swapped = np.random.default_rng(0).choice(len(frame), round(0.03 * len(frame)), replace=False)
    frame.loc[swapped, "label"] = frame.loc[swapped, "label"].map(
        lambda label: classes[(classes.index(label) + 1) % len(classes)]
    )
    fd = run(tmp_path / "work", folder, annotations=frame, nearest_neighbors_k=k)
    ranked = fd.label_quality()["filename"].map(lambda f: str(Path(f).relative_to(folder)))
    wrong = set(frame.loc[swapped, "filename"])
    precision = len(wrong & set(ranked.head(len(wrong)))) / len(wrong)
    print(f"\nlabel_quality, k={k}: precision {precision:.2f} at {len(wrong)} of {len(frame)}")
    assert precision >= FLOORS[k]
