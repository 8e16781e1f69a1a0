"""Search: planted copies come first, in whatever form the query comes, filtered or not, after updates too."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fastdup_db
from fastdup_db import cli, demo
from fastdup_db.errors import BadArgument, ImageError, NotRun

SCENES = 24


def write(path: Path, seed: int, *options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, demo.scene(seed), list(options))[1].tobytes())
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Scenes 0 to 23 and a recompressed copy of scenes 3 and 7."""
    folder = tmp_path_factory.mktemp("search") / "images"
    for number in range(SCENES):
        write(folder / f"scene_{number:02d}.png", number)
    for number in (3, 7):
        write(folder / f"copy_{number:02d}.jpg", number, cv2.IMWRITE_JPEG_QUALITY, 50)
    (folder / "broken.jpg").write_bytes(b"no picture at all, only text")
    return folder


@pytest.fixture(scope="module")
def labels(images: Path) -> pd.DataFrame:
    names = sorted(p.name for p in images.iterdir())
    frame = pd.DataFrame({"filename": [str(images / n) for n in names]})
    frame["label"] = ["copy" if n.startswith("copy") else "even" if i % 2 else "odd" for i, n in enumerate(names)]
    return frame


@pytest.fixture(scope="module")
def done(images: Path, labels: pd.DataFrame, tmp_path_factory) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(tmp_path_factory.mktemp("work"), images)
    fd.run(annotations=labels, progress=False)
    return fd


def shown(frame: pd.DataFrame) -> list[str]:
    return [Path(name).name for name in frame["to"]]


def rgb(seed: int) -> np.ndarray:
    return np.ascontiguousarray(demo.scene(seed)[..., ::-1])


def png(seed: int) -> bytes:
    return cv2.imencode(".png", demo.scene(seed))[1].tobytes()


def test_an_image_finds_itself_and_its_copy_first(done: fastdup_db.Fastdup, images: Path) -> None:
    query = str(images / "scene_03.png")
    frame = done.search(query, k=5)
    assert list(frame.columns) == ["from", "to", "distance"] and len(frame) == 5
    assert set(frame["from"]) == {query} and frame["distance"].dtype == np.float64
    assert shown(frame)[:2] == ["scene_03.png", "copy_03.jpg"]
    assert frame["distance"].is_monotonic_decreasing
    assert frame["distance"].iloc[0] == pytest.approx(1, abs=1e-6) and frame["distance"].iloc[1] > 0.95
    assert frame["distance"].iloc[2] < 0.95


def test_searched_distances_are_those_of_the_graph(done: fastdup_db.Fastdup, images: Path) -> None:
    frame = done.search([str(images / f"scene_{n:02d}.png") for n in range(SCENES)], k=3)
    name = dict(zip(done.annotations()["index"], done.annotations()["filename"], strict=True))
    edges = done.sql("select * from edges where rank = 1")
    stored = {name[e.from_id]: (name[e.to_id], e.similarity) for e in edges.itertuples()}
    for query, rows in frame.groupby("from", sort=False):
        other = rows[rows["to"] != query].iloc[0]
        assert other["to"] == stored[query][0] and other["distance"] == pytest.approx(stored[query][1], abs=1e-5)


@pytest.mark.parametrize("form", ["path", "Path", "bytes", "array", "pil", "pil with alpha", "named", "fastdup's img"])
def test_every_form_of_a_query_gives_the_same(done: fastdup_db.Fastdup, images: Path, form: str) -> None:
    path = images / "scene_07.png"
    asked = {
        "path": lambda: done.search(str(path), k=4),
        "Path": lambda: done.search(path, k=4),
        "bytes": lambda: done.search("x", png(7), k=4),
        "array": lambda: done.search("x", rgb(7), k=4),
        "pil": lambda: done.search("x", Image.open(path), k=4),
        "pil with alpha": lambda: done.search("x", Image.fromarray(rgb(7)).convert("RGBA"), k=4),
        "named": lambda: done.search(rgb(7), k=4),
        "fastdup's img": lambda: done.search("x", img=rgb(7), k=4),
    }[form]()
    expected = done.search(str(path), k=4)
    assert shown(asked)[:2] == ["scene_07.png", "copy_07.jpg"]
    assert asked["to"].tolist() == expected["to"].tolist()
    assert np.allclose(asked["distance"], expected["distance"])
    name = {"path": str(path), "Path": str(path), "named": "query_image"}.get(form, "x")
    assert set(asked["from"]) == {name}


def test_a_pil_image_is_turned_upright(done: fastdup_db.Fastdup) -> None:
    turned = Image.fromarray(rgb(7)).transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[274] = 6
    assert shown(done.search("x", turned, k=1)) == ["scene_07.png"]


def test_a_batch_answers_each_in_order(done: fastdup_db.Fastdup, images: Path) -> None:
    paths = [str(images / f"scene_{n % SCENES:02d}.png") for n in range(40)]
    frame = done.search(paths, k=1)
    assert frame["from"].tolist() == paths == frame["to"].tolist()
    mixed = done.search([paths[2], rgb(5), png(9)], k=1)
    assert mixed["from"].tolist() == [paths[2], "query_image_1", "query_image_2"]
    assert shown(mixed) == ["scene_02.png", "scene_05.png", "scene_09.png"]
    stacked = done.search("q", np.stack([rgb(4), rgb(6)]), k=1)
    assert stacked["from"].tolist() == ["q_0", "q_1"] and shown(stacked) == ["scene_04.png", "scene_06.png"]


def test_where_filters_by_label_and_statistics_and_still_gives_k(
    done: fastdup_db.Fastdup, images: Path, labels: pd.DataFrame
) -> None:
    query = str(images / "scene_03.png")
    label = dict(zip(labels["filename"], labels["label"], strict=True))
    assert shown(done.search(query, k=9, where="label = 'copy'")) == ["copy_03.jpg", "copy_07.jpg"]
    odd = done.search(query, k=6, where="label = 'odd'")
    assert len(odd) == 6 and {label[name] for name in odd["to"]} == {"odd"}
    blur = done.img_stats().set_index("filename")["blur"]
    sharp = done.search(query, k=5, where=f"blur > {blur.median()} and label <> 'copy'")
    assert len(sharp) == 5 and (blur[sharp["to"]] > blur.median()).all()
    assert len(done.search(query, k=5, where="img_w = 320 and file_size > 0 and filename like '%scene%'")) == 5


def test_a_bad_condition_is_refused_and_harmless(done: fastdup_db.Fastdup, images: Path) -> None:
    query = str(images / "scene_03.png")
    for condition in ("colour = 'red'", "label = ", "true; drop table runs", "select 1"):
        with pytest.raises(BadArgument, match="where="):
            done.search(query, where=condition)
    assert len(done.search(query, k=1)) == 1


@pytest.mark.parametrize("store_int", [0, 1])
def test_no_answer_keeps_columns_and_dtypes(done: fastdup_db.Fastdup, images: Path, store_int: int) -> None:
    fd = fastdup_db.create(done.work_dir)
    fd.init_search(3, store_int=store_int)
    some, none = (fd.search(str(images / "scene_03.png"), where=w) for w in (None, "label = 'nothing'"))
    assert len(none) == 0 and list(none.columns) == ["from", "to", "distance"]
    assert none.dtypes.tolist() == some.dtypes.tolist()
    assert some["to"].dtype == (np.int64 if store_int else done.annotations()["filename"].dtype)
    nobody = fd.search([])
    assert len(nobody) == 0 and nobody.dtypes.tolist() == some.dtypes.tolist()


def test_init_search_sets_k_threshold_and_ids(done: fastdup_db.Fastdup, images: Path) -> None:
    fd = fastdup_db.create(done.work_dir)
    assert fd.init_search(3, d=576, store_int=1, threshold=0.95, license="none", verbose=True) == 0
    frame = fd.search(str(images / "scene_03.png"))
    name = done.annotations().set_index("index")["filename"]
    assert [Path(name[i]).name for i in frame["to"]] == ["scene_03.png", "copy_03.jpg"]
    assert len(fd.search(str(images / "scene_03.png"), threshold=0.0)) == 3
    assert len(fd.search(str(images / "scene_03.png"), k=2000, threshold=0.0)) == done.num_instances()


def test_wrong_widths_name_d(done: fastdup_db.Fastdup, tmp_path: Path) -> None:
    fd = fastdup_db.create(done.work_dir)
    with pytest.raises(BadArgument, match=r"d=960.*d=576"):
        fd.init_search(5, d=960)
    with pytest.raises(BadArgument, match="d=576"):
        fd.vector_search(vec=np.zeros(10))
    with pytest.raises(BadArgument, match="d=576"):
        fd.vector_search(vec=np.zeros((2, 3, 576)))
    with pytest.raises(BadArgument, match="vec is missing"):
        fd.vector_search()
    with pytest.raises(BadArgument, match="NaN"):
        fd.vector_search(vec=np.full(576, np.nan))
    fd.init_search(5, model_path="high_accuracy")
    with pytest.raises(BadArgument, match="d=576"):
        fd.search("x", rgb(1))
    with pytest.raises(BadArgument, match="k=0"):
        fd.init_search(0)
    with pytest.raises(NotRun):
        fastdup_db.create(tmp_path / "none").search("x", rgb(1))


def test_vector_search_takes_one_vector_or_many(done: fastdup_db.Fastdup) -> None:
    names, matrix = done.embeddings()
    one = done.vector_search("mine", matrix[5], k=2)
    assert set(one["from"]) == {"mine"} and one["to"].iloc[0] == names[5]
    assert one.equals(done.vector_search("mine", matrix[5:6], k=2))
    many = done.vector_search("mine", matrix[:3].tolist(), k=1, where="true")
    assert many["from"].tolist() == ["mine_0", "mine_1", "mine_2"] and many["to"].tolist() == names[:3]
    with pytest.raises(BadArgument, match="2 names for 3 vectors"):
        done.vector_search(["a", "b"], matrix[:3])


def test_bad_queries_say_why(done: fastdup_db.Fastdup, images: Path) -> None:
    with pytest.raises(ImageError, match=r"broken\.jpg: ERROR_CORRUPT_IMAGE"):
        done.search(str(images / "broken.jpg"))
    with pytest.raises(ImageError, match="ERROR_MISSING_FILE"):
        done.search([str(images / "scene_00.png"), str(images / "not_there.jpg")])
    for form in (rgb(0).astype(np.float32), np.zeros((3, 4, 5), np.uint8), 7, {"a": 1}):
        with pytest.raises(BadArgument, match="is no image; give a path"):
            done.search("x", form)
    with pytest.raises(BadArgument, match="2 names for 1 images"):
        done.search(["a", "b"], [rgb(0)])


def test_given_embeddings_are_searched_by_vectors_only(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).standard_normal((30, 16)).astype(np.float32)
    fd = fastdup_db.create(tmp_path)
    fd.run(annotations=[f"image_{i:02d}.jpg" for i in range(30)], embeddings=matrix, progress=False)
    assert shown(fd.vector_search(vec=matrix[4], k=1)) == ["image_04.jpg"]
    with pytest.raises(BadArgument, match="were given, not computed"):
        fd.search("x", rgb(1))


def test_images_added_later_are_found_by_an_open_search(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for number in range(12):
        write(folder / f"scene_{number:02d}.png", number)
    fd = fastdup_db.create(tmp_path / "work", folder)
    fd.run(progress=False)
    newcomer = str(folder / "zz_new.png")
    assert fd.search("x", rgb(50), k=1)["distance"].iloc[0] < 0.95
    write(folder / "zz_new.png", 50)
    fd.run(overwrite=False, progress=False)
    found = fd.search("x", rgb(50), k=1)
    assert found["to"].tolist() == [newcomer] and found["distance"].iloc[0] == pytest.approx(1, abs=1e-6)


def test_a_leak_between_two_sets_is_found_and_nothing_is_stored(
    done: fastdup_db.Fastdup, images: Path, tmp_path: Path
) -> None:
    for number in (3, 60, 61):
        write(tmp_path / f"new_{number}.jpg", number, cv2.IMWRITE_JPEG_QUALITY, 60)
    (tmp_path / "text.jpg").write_text("no picture")
    before = (Path(done.work_dir) / "fastdup.duckdb").read_bytes()
    frame = done.cross_similarity(tmp_path)
    assert {Path(n).name for n in frame["from"]} == {"new_3.jpg"}
    assert sorted(shown(frame)) == ["copy_03.jpg", "scene_03.png"] and (frame["distance"] >= 0.9).all()
    assert [Path(n).name for n in frame.attrs["left_out"]] == ["text.jpg"]
    assert len(done.cross_similarity(tmp_path, k=5, threshold=0.0)) == 3 * 5
    assert len(done.cross_similarity([str(tmp_path / "new_61.jpg")])) == 0
    assert (Path(done.work_dir) / "fastdup.duckdb").read_bytes() == before


def test_feature_vectors_are_what_a_run_stores(done: fastdup_db.Fastdup, images: Path) -> None:
    names, stored = done.embeddings()
    vectors, found = fastdup_db.feature_vectors(str(images))
    assert found == names and vectors.dtype == np.float32, "the broken image is left out"
    assert np.array_equal(vectors, stored)
    one, name = fastdup_db.feature_vector(names[3])
    assert one.shape == (1, 576) and name == [names[3]] and np.array_equal(one[0], stored[3])
    listed, _ = fastdup_db.feature_vectors([names[4], names[2]])
    assert np.array_equal(listed, stored[[4, 2]])
    with pytest.raises(BadArgument, match="d=128"):
        fastdup_db.feature_vector(names[3], d=128)
    with pytest.raises(ImageError, match="ERROR_CORRUPT_IMAGE"):
        fastdup_db.feature_vector(str(images / "broken.jpg"))


def test_fastdups_places_of_arguments(done: fastdup_db.Fastdup) -> None:
    fd = fastdup_db.create(done.work_dir)
    assert fd.init_search(3, False, "") == fd.init_search(3, True) == 0
    assert fd.config["d"] == fd.embeddings()[1].shape[1], "as scripts hand it to load_binary_feature"
    with pytest.raises(BadArgument, match="d='576'"):
        fd.init_search(3, done.work_dir, "576")
    members, _ = fd.connected_components(True, None, False, False, True)
    assert members.equals(fd.connected_components(fast_mode=False)[0])
    assert fd.outliers(True, None, False, False, True).equals(fd.outliers(fast_mode=False))
    grouped = fd.connected_components_grouped("comp_size", False, None, None, "visual", {})
    assert grouped.equals(fd.connected_components_grouped(kwargs={}))
    assert fd.summary(False, 150.0, 253.0, 4.0, False) == fd.summary(verbose=False, show_comp=True)


def test_v0_functions(done: fastdup_db.Fastdup, images: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert fastdup_db.init_search(2, done.work_dir, d=576, verbose=True) == 0
    assert shown(fastdup_db.search(str(images / "scene_03.png"), None, True)) == ["scene_03.png", "copy_03.jpg"]
    vector, names = fastdup_db.feature_vector(str(images / "scene_07.png"))
    assert shown(fastdup_db.vector_search(names[0], vector)) == ["scene_07.png", "copy_07.jpg"]
    for name, code in (("broken.jpg", "ERROR_CORRUPT_IMAGE"), ("none.jpg", "ERROR_MISSING_FILE")):
        assert fastdup_db.search(str(images / name)) is None and code in caplog.text
        with pytest.raises(ImageError, match=code):
            done.search(str(images / name))


SEARCHES = """
    import sys
    import fastdup_db
    fd = fastdup_db.create(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(5):
        assert fd.search(sys.argv[2], k=3, where="label <> 'none'")["to"].iloc[0] == sys.argv[2]
    print("found", flush=True)
"""


def test_two_processes_search_while_a_third_reads_sql(done: fastdup_db.Fastdup, images: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SEARCHES), str(done.work_dir), str(images / "scene_03.png")]
    where = Path(fastdup_db.__file__).parents[1]
    running = [
        subprocess.Popen(command, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [p.stdout.readline() for p in running if p.stdout] == ["ready\n"] * 2
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    while any(process.poll() is None for process in running):
        assert len(done.sql("select * from edges")) > 0
    assert [process.communicate()[0] for process in running] == ["found\n"] * 2


def test_command_line(
    done: fastdup_db.Fastdup, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fastdup-db", "search", str(images / "scene_03.png"), "--work-dir", str(done.work_dir), "-k", "2"]

    def said(*options: str, exits: int) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", [*command, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == exits
        return capsys.readouterr()

    out, _ = said("--json", exits=0)
    assert [Path(row["to"]).name for row in json.loads(out)] == ["scene_03.png", "copy_03.jpg"]
    out, _ = said("--csv", "--where", "label = 'copy'", exits=0)
    assert out.splitlines()[0] == "from,to,distance" and "copy_03.jpg" in out.splitlines()[1]
    _, err = said("--where", "x y", exits=2)
    assert "where='x y'" in err


def test_a_member_of_an_archive_is_searched_for_by_its_stored_name(tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for number in range(4):
            write(tmp_path / f"p{number}.png", number // 2)
            archive.add(tmp_path / f"p{number}.png", arcname=f"inside/p{number}.png")
    fd = fastdup_db.create(tmp_path / "work", tmp_path / "photos.tar")
    fd.run(progress=False)
    names = fd.annotations()["filename"].tolist()
    found = fd.search(names[2])
    assert found["to"].tolist()[:2] == names[2:] and (found["distance"][:2] > 0.99).all()
    with pytest.raises(ImageError, match="MISSING"):
        fd.search(names[2] + "x")
