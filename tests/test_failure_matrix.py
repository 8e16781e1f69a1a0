"""What is wrong with inputs and arguments, as whole runs: a clear error, or a row with its code and its name.

Rows of the failure matrix that other modules plant: arguments (`test_run.py`), annotations and boxes
(`test_annotations.py`), listing (`test_sources_*.py`), pixels (`test_decode.py`).
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import BadArgument, BadInput, NotRun

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """b/2.jpg, b/3.jpg, a/1.jpg: names that only sorting puts in order."""
    folder = tmp_path_factory.mktemp("few") / "images"
    for name, number in (("b/2.jpg", 2), ("b/3.jpg", 3), ("a/1.jpg", 1)):
        draw(folder / name, number)
    return folder


def draw(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), demo.scene(number))
    return path


def film(path: Path, *numbers: int) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in numbers:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(demo.scene(number), format="bgr24")))
        out.mux(stream.encode(None))
    return path


def run(work_dir: Path, source: object, **arguments: object) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(work_dir, source)
    assert fd.run(progress=False, **arguments) == 0
    return fd


def measured(work_dir: Path, source: object, **arguments: object) -> fastdup_db.Fastdup:
    """The shortest run: it lists, reads and measures the same images as any other, and makes no vectors."""
    return run(work_dir, source, run_stats_only=True, **arguments)


def codes(fd: fastdup_db.Fastdup) -> dict[str, str]:
    frame = fd.annotations(valid_only=False)
    return dict(zip(frame["filename"].map(lambda f: Path(f).name), frame["error_code"], strict=True))


# ---- one file as the input -----------------------------------------------------------------------------------------


def test_a_single_image_is_an_input(images: Path, tmp_path: Path) -> None:
    fd = run(tmp_path / "work", images / "a" / "1.jpg")
    assert codes(fd) == {"1.jpg": "VALID"}
    assert fd.similarity().empty and fd.outliers().empty and fd.connected_components()[0].empty


def tar(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz" if target.suffix == ".tgz" else "w") as packed:
        packed.add(folder, "in")
    return target


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(folder.rglob("*.jpg")):
            packed.write(path, f"in/{path.relative_to(folder)}")
    return target


@pytest.mark.parametrize(("pack", "name"), [(tar, "x.tar"), (tar, "x.tgz"), (zipped, "x.zip")])
@pytest.mark.parametrize("arguments", [{}, {"tar_only": True}])
def test_a_run_reads_the_images_in_an_archive(
    images: Path, tmp_path: Path, pack: Callable[[Path, Path], Path], name: str, arguments: dict
) -> None:
    """Not one valid row for the archive itself, with an empty vector."""
    archive = pack(images, tmp_path / name)
    fd = run(tmp_path / "work", archive, run_mode=1, **arguments)
    inside = [f"{archive}/in/{member}" for member in ("a/1.jpg", "b/2.jpg", "b/3.jpg")]
    assert fd.annotations()["filename"].tolist() == inside
    assert fd.img_stats()["img_w"].tolist() == [WIDTH] * 3 and np.linalg.norm(fd.embeddings()[1], axis=1).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["work", name], "nothing is unpacked"


def test_a_default_run_reads_the_frames_of_a_video(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", 1, 2, 1)
    fd = run(tmp_path / "work", path)
    assert fd.annotations()["filename"].tolist() == [f"{path}#t={second}.000" for second in range(3)]
    assert fd.img_stats()["img_h"].tolist() == [HEIGHT] * 3
    best = fd.similarity(data=False, threshold=0).iloc[0]
    assert {best["from"], best["to"]} == {0, 2}


def test_images_beside_videos_or_archives_are_refused_not_ignored(images: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(images, mixed)
    clip = film(mixed / "clip.mp4", 7, 8)
    with pytest.raises(BadInput, match=r"mixes.*clip\.mp4.*tar_only"):
        measured(tmp_path / "work", mixed)
    assert not (tmp_path / "work").exists()
    fd = measured(tmp_path / "work", mixed, tar_only=True)
    assert fd.annotations()["filename"].tolist() == [f"{clip}#t=0.000", f"{clip}#t=1.000"]
    clip.unlink()
    tar(images, mixed / "x.tar")
    with pytest.raises(BadInput, match=r"mixes.*x\.tar"):
        measured(tmp_path / "other", mixed)


def test_broken_archives_and_videos_are_rows_beside_the_good_ones(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    tar(images, folder / "good.tar")
    (folder / "broken.tar").write_text("no archive" * 100)
    (folder / "broken.zip").write_bytes(b"PK\3\4" + b"\0" * 300)
    (folder / "broken.mp4").write_bytes(b"\0" * 3000)
    fd = measured(tmp_path / "work", folder)
    assert {n: c for n, c in codes(fd).items() if c != "VALID"} == dict.fromkeys(
        ("broken.tar", "broken.zip", "broken.mp4"), "ERROR_CORRUPT_CONTAINER"
    )
    assert fd.num_instances() == 3


# ---- lists ---------------------------------------------------------------------------------------------------------


def test_a_missing_file_of_a_list_file_is_a_row_in_its_place(images: Path, tmp_path: Path) -> None:
    names = [images / "b/3.jpg", tmp_path / "no such.jpg", images / "a/1.jpg"]
    listed = tmp_path / "files.txt"
    listed.write_text("\n\n".join(map(str, names)) + "\n")
    fd = run(tmp_path / "work", listed)
    assert fd.annotations(valid_only=False)["filename"].tolist() == list(map(str, names)), "in the order of the list"
    assert fd.invalid_instances()["error_code"].to_dict() == {1: "ERROR_MISSING_FILE"}


def test_a_missing_file_of_a_list_is_a_row_too(images: Path, tmp_path: Path) -> None:
    fd = measured(tmp_path / "work", [str(images / "b/3.jpg"), tmp_path / "gone.jpg", str(images / "b/2.jpg")])
    assert codes(fd) == {"3.jpg": "VALID", "gone.jpg": "ERROR_MISSING_FILE", "2.jpg": "VALID"}


def test_folders_of_a_list_are_sorted_within(images: Path, tmp_path: Path) -> None:
    fd = measured(tmp_path / "work", [images / "b", images / "a"])
    assert list(codes(fd)) == ["2.jpg", "3.jpg", "1.jpg"]


def test_only_missing_files_end_in_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="MISSING_FILE"):
        measured(tmp_path / "work", [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")])


def test_what_a_list_names_is_read_whatever_its_extension(images: Path, tmp_path: Path) -> None:
    """Extension-less files are passed over in folders and read where they are named; a .gif is its first frame."""
    folder = tmp_path / "in"
    draw(folder / "1.jpg", 1)
    shutil.copy(images / "b/2.jpg", folder / "bare")
    gif = np.zeros((40, 60, 3), np.uint8)
    gif[:, 30:] = 200
    (folder / "moving.gif").write_bytes(_gif(gif))
    assert list(codes(measured(tmp_path / "walked", folder))) == ["1.jpg", "moving.gif"]
    listed = tmp_path / "files.txt"
    listed.write_text("\n".join(str(folder / name) for name in ("bare", "moving.gif")))
    fd = measured(tmp_path / "listed", listed)
    assert codes(fd) == {"bare": "VALID", "moving.gif": "VALID"}
    assert fd.img_stats()[["img_w", "img_h"]].to_numpy().tolist() == [[WIDTH, HEIGHT], [60, 40]]


def _gif(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "gif")
    return out.getvalue()


# ---- names and arguments -------------------------------------------------------------------------------------------


def test_a_missing_name_of_a_subset_is_named_and_nothing_stale_is_served(images: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"no_such\.jpg"):
        run(tmp_path / "work", images, subset=["a/1.jpg", "no_such.jpg"])
    with pytest.raises(NotRun):
        fastdup_db.create(tmp_path / "work").similarity()
    fd = measured(tmp_path / "work", images, subset=["a/1.jpg"])
    assert list(codes(fd)) == ["1.jpg"]


def test_annotated_names_are_found_absolute_in_the_input_and_in_the_current_folder(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    names = [str(images / "a/1.jpg"), "b/2.jpg", "images/b/3.jpg"]
    fd = measured(tmp_path / "work", images, annotations=pd.DataFrame({"filename": names, "label": list("xyz")}))
    frame = fd.annotations(valid_only=False)
    assert dict(zip(frame["filename"].map(lambda f: Path(f).name), frame["label"], strict=True)) == {
        "1.jpg": "x", "2.jpg": "y", "3.jpg": "z",
    }  # fmt: skip
    assert frame["is_valid"].all() and fd.num_instances() == 3


def test_one_file_annotated_under_two_names_is_refused(images: Path, tmp_path: Path) -> None:
    twice = pd.DataFrame({"filename": ["a/1.jpg", str(images / "a/1.jpg")], "label": ["x", "y"]})
    with pytest.raises(BadArgument, match=r"1\.jpg"):
        measured(tmp_path / "work", images, annotations=twice)


@pytest.mark.parametrize("arguments", [{"threshold": 0.5, "nearest_neighbors_k": 50}, {"num_images": 2}])
def test_more_neighbours_than_images_are_all_of_them(images: Path, tmp_path: Path, arguments: dict) -> None:
    fd = run(tmp_path / "work", images, adapt=False, **arguments)
    n = fd.num_instances()
    assert n == arguments.get("num_images", 3)
    assert fd.sql("select count(*) as n from edges")["n"].iloc[0] == n * (n - 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"nnf_mode": "foo"}, "foo"),
        ({"model_path": "no_such.onnx", "d": 5}, "no_such"),
        ({"augmentation_horiz": -0.1}, "augmentation_horiz"),
        ({"num_threads": 0}, "num_threads"),
        ({"video_fps": 0}, "video_fps"),
        ({"nearest_neighbors_k": 2.5}, "nearest_neighbors_k"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"subset": "a/1.jpg"}, "subset"),
        ({"test_dir": "no/such/folder"}, "no/such/folder"),
        ({"bounding_box": "row_y=0,col_x=0,height=0,width=5"}, "height"),
        ({"bounding_box": "row_y=0,col_x=0,height=9,width=5,depth=2"}, "depth"),
        ({"annotations": "labels.txt"}, "labels.txt"),
        ({"embeddings": np.zeros((3, 4)), "annotations": ["a", "b"]}, "3"),
    ],
)
def test_bad_arguments_are_refused_with_nothing_written(
    images: Path, tmp_path: Path, arguments: dict, said: str
) -> None:
    with pytest.raises((BadArgument, fastdup_db.ModelUnavailable), match=said):
        run(tmp_path / "work", images, **arguments)
    assert not (tmp_path / "work").exists()


def test_a_failed_run_leaves_the_results_before_it(images: Path, tmp_path: Path) -> None:
    fd = run(tmp_path / "work", images, adapt=False)
    before = fd.similarity(threshold=0)
    for arguments in ({"nearest_neighbors_k": 0}, {"input_dir": tmp_path / "absent"}, {"annotations": "no.csv"}):
        with pytest.raises(BadArgument):
            fd.run(progress=False, **arguments)
    assert fd.similarity(threshold=0).equals(before)


# ---- rotated boxes, the same box many times ------------------------------------------------------------------------


def test_rotated_boxes_need_no_label(images: Path, tmp_path: Path) -> None:
    corners = pd.DataFrame(
        [["a/1.jpg", 60, 80, 130, 40, 160, 90, 90, 130], ["b/2.jpg", 0, 0, 5, 0, 5, 5, 0, 5]],
        columns=["filename", *"x1 y1 x2 y2 x3 y3 x4 y4".split()],
    )
    fd = run(tmp_path / "work", images, annotations=corners, data_type="bbox", run_mode=1)
    frame = fd.annotations(valid_only=False)
    assert frame["error_code"].tolist() == ["VALID", "ERROR_BAD_BOUNDING_BOX"]
    assert frame[["x1", "y3"]].to_numpy().tolist() == [[60, 90], [0, 5]]
    width, height = fd.img_stats()[["img_w", "img_h"]].iloc[0]
    assert sorted((width, height)) == pytest.approx([np.hypot(30, 50), np.hypot(70, 40)], abs=1.5)


def test_one_box_listed_five_times_is_five_rows_not_twenty_five(images: Path, tmp_path: Path) -> None:
    boxes = pd.DataFrame([("a/1.jpg", 20, 30, 90, 80)] * 5, columns=["filename", "col_x", "row_y", "width", "height"])
    fd = run(tmp_path / "work", images, annotations=boxes, nearest_neighbors_k=4)
    assert fd.num_instances(valid_only=False) == len(fd.annotations(valid_only=False)) == 5
    pairs = fd.similarity()
    assert len(pairs) == 20 and pairs["distance"].eq(1).all()
    assert fd.connected_components()[1]["count"].tolist() == [5]


# ---- pixels and files ----------------------------------------------------------------------------------------------


def test_gray_deep_and_transparent_images_are_valid(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    draw(folder / "rgb.png", 1)
    scene = demo.scene(1)
    gray = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
    made = {
        "gray.png": gray,
        "gray16.png": gray.astype(np.uint16) * 257,
        "rgb16.tiff": scene.astype(np.uint16) * 257,
        "rgba.png": cv2.cvtColor(scene, cv2.COLOR_BGR2BGRA),
        "photo.bmp": scene,
        "photo.webp": scene,
    }
    for name, image in made.items():
        assert cv2.imwrite(str(folder / name), image)
    fd = run(tmp_path / "work", folder, nearest_neighbors_k=6)
    assert set(codes(fd).values()) == {"VALID"} and len(codes(fd)) == 7
    stats = fd.img_stats().assign(name=lambda f: f["filename"].map(lambda n: Path(n).name)).set_index("name")
    mean = stats["mean"].to_dict()
    assert mean["gray16.png"] == pytest.approx(mean["gray.png"]), "16 bits are measured on the scale of 8"
    assert mean["rgb16.tiff"] == pytest.approx(mean["rgb.png"]) and mean["rgba.png"] == pytest.approx(mean["rgb.png"])
    same = fd.similarity(data=False, threshold=0.999)
    rgb = {
        i for i, f in enumerate(fd.annotations()["filename"]) if Path(f).name in ("rgb.png", "rgba.png", "rgb16.tiff")
    }
    assert {(a, b) for a in rgb for b in rgb if a != b} <= set(same[["from", "to"]].itertuples(index=False, name=None))


def test_too_small_is_below_ten_pixels(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for height, width in ((10, 10), (9, 100), (100, 9)):
        cv2.imwrite(str(folder / f"{height}x{width}.png"), demo.scene(1)[:height, :width])
    fd = run(tmp_path / "work", folder, run_mode=1)
    assert codes(fd) == {
        "10x10.png": "VALID", "100x9.png": "ERROR_IMAGE_TOO_SMALL", "9x100.png": "ERROR_IMAGE_TOO_SMALL",
    }  # fmt: skip


def test_an_image_that_declares_huge_dimensions_is_a_row(images: Path, tmp_path: Path) -> None:
    """A few bytes of PNG that would be 3.6 GB of pixels."""
    folder = tmp_path / "in"
    shutil.copytree(images, folder)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 20_000, 8, 2, 0, 0, 0)
    (folder / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )
    fd = run(tmp_path / "work", folder, run_mode=1)
    assert codes(fd)["bomb.png"] == "ERROR_IMAGE_TOO_LARGE" and fd.num_instances() == 3


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_row(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(images, folder)
    (folder / "a" / "1.jpg").chmod(0)
    assert codes(run(tmp_path / "work", folder, run_mode=1))["1.jpg"] == "ERROR_UNREADABLE_FILE"


def test_a_file_that_vanishes_between_listing_and_reading_is_a_row(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastdup_db.pipeline import extract

    folder = tmp_path / "in"
    shutil.copytree(images, folder)
    tasks = extract.tasks

    def late(*arguments: Any, **named: Any) -> Any:
        (folder / "b" / "2.jpg").unlink()
        return tasks(*arguments, **named)

    monkeypatch.setattr(extract, "tasks", late)
    assert codes(run(tmp_path / "work", folder, run_mode=1)) == {
        "1.jpg": "VALID", "2.jpg": "ERROR_MISSING_FILE", "3.jpg": "VALID",
    }  # fmt: skip


def test_names_with_spaces_commas_quotes_and_umlauts(tmp_path: Path) -> None:
    folder = tmp_path / 'in, it\'s "odd" – ü'
    names = ["a b.jpg", "a,b.jpg", "naïve 写真.jpg", "it's.jpg", "100%.jpg", "#1?.jpg"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(cv2.imencode(".jpg", demo.scene(number))[1].tobytes())
    fd = run(tmp_path / "wörk, dir", folder)
    assert codes(fd) == dict.fromkeys(names, "VALID")
    assert fd.annotations()["filename"].tolist() == sorted(str(folder / name) for name in names)
    again = measured(tmp_path / "again", folder, annotations=pd.DataFrame({"filename": names, "label": names}))
    assert [Path(f).name for f in again.annotations()["filename"]] == again.annotations()["label"].tolist()
