"""Copying a bucket first, deleting the copies, and publishing a work_dir: against a real S3 server."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.cli import app
from fastdup_db.errors import BadArgument, BadInput
from fastdup_db.sources import bucket, copies, objects
from tests.s3_server import KEY, SECRET, Server


def drawn(seed: int, quality: int = 95) -> bytes:
    small = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    image = cv2.resize(small, (120, 90), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


PICTURES = {f"in/{i % 3}/{i}-{quality}.jpg": drawn(i, quality) for i in range(12) for quality in (95, 60)}


@pytest.fixture
def pictures(s3: Server) -> str:
    client = s3.client()
    s3.fill("copying", {})
    for item in client.list_objects_v2(Bucket="copying").get("Contents", ()):
        client.delete_object(Bucket="copying", Key=item["Key"])
    s3.fill("copying", PICTURES)
    return "s3://copying/in"


def answers(fd: fastdup_db.Fastdup) -> list[pd.DataFrame]:
    pairs = fd.similarity(data=True)[["filename_from", "filename_to", "distance"]]
    stats = fd.img_stats()[["filename", "mean", "stdv", "blur", "file_size"]]
    for frame in (pairs, stats):
        for column in frame.columns[frame.columns.str.startswith("filename")]:
            frame[column] = frame[column].str.rpartition("/")[2]
    return [pairs, stats]


def copied(work_dir: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (work_dir / "copied").rglob("*.jpg")}


def test_copying_first_gives_the_same_answers_and_copies_once(
    s3: Server, pictures: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = fastdup_db.create(tmp_path / "direct", pictures)
    direct.run(adapt=False, progress=False, label_from_folder=True)
    fd = fastdup_db.create(tmp_path / "work", pictures)
    fd.run(sync_s3_to_local=True, label_from_folder=True, adapt=False, progress=False)
    for found, wanted in zip(answers(fd), answers(direct), strict=True):
        pd.testing.assert_frame_equal(found, wanted)
    assert fd.annotations()["label"].tolist() == direct.annotations()["label"].tolist()
    assert all(Path(name).is_file() for name in fd.annotations()["filename"])
    assert fastdup_db.create(tmp_path / "work").input_dir == pictures

    first = copied(tmp_path / "work")
    assert len(first) == len(PICTURES)
    fetched: list[str] = []
    download = copies._download
    monkeypatch.setattr(copies, "_download", lambda r, *rest: (fetched.append(r.filename), download(r, *rest))[1])
    fd.run(sync_s3_to_local=True, run_mode=1, progress=False)
    assert fetched == []
    assert copied(tmp_path / "work") == first

    s3.client().delete_object(Bucket="copying", Key="in/0/0-95.jpg")
    s3.fill("copying", {"in/1/1-60.jpg": drawn(99)})
    fd.run(sync_s3_to_local=True, overwrite=False, run_mode=1, progress=False)
    assert fetched == ["s3://copying/in/1/1-60.jpg"]
    assert fd.num_instances() == len(PICTURES) - 1, "what is gone from the bucket is gone from the run"


def test_names_in_the_bucket_mean_the_copies(pictures: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"filename": [f"s3://copying/{key}" for key in PICTURES], "label": "x"})
    fd = fastdup_db.create(tmp_path / "work", pictures)
    subset = [f"{pictures}/0/0-95.jpg", "0/0-60.jpg", "1/1-95.jpg"]
    fd.run(annotations=frame, subset=subset, sync_s3_to_local=True, run_stats_only=True, progress=False)
    found = fd.annotations()
    assert sorted(Path(name).name for name in found["filename"]) == ["0-60.jpg", "0-95.jpg", "1-95.jpg"]
    assert found["label"].tolist() == ["x"] * 3
    assert found["filename"].str.startswith(str(tmp_path)).all()


def test_deleting_takes_the_copies_and_nothing_else(s3: Server, pictures: str, tmp_path: Path) -> None:
    fd = fastdup_db.create(tmp_path / "work", pictures)
    own = tmp_path / "work" / "copied" / "mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(drawn(5))
    fd.run(sync_s3_to_local=True, delete_tar=True, run_stats_only=True, progress=False)
    assert len(copied(tmp_path / "work")) == len(PICTURES) + 1, "delete_tar leaves images"
    fd.run(sync_s3_to_local=True, delete_img=True, run_stats_only=True, progress=False)
    assert list(copied(tmp_path / "work")) == ["mine.jpg"]
    assert len(fd.annotations()) == len(PICTURES), "the answers stay"
    assert len(list(objects.listed(pictures))) == len(PICTURES), "the bucket stays"


def test_one_archive_of_a_bucket(s3: Server, pictures: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for i in range(4):
            info = tarfile.TarInfo(f"{i}.jpg")
            info.size = len(drawn(i))
            archive.addfile(info, io.BytesIO(drawn(i)))
    s3.fill("copying", {"tars/a.tar": stream.getvalue(), "tars/b.tar": b"not asked for"})
    fd = fastdup_db.create(tmp_path / "work", "s3://copying/tars/a.tar")
    fd.run(sync_s3_to_local=True, run_stats_only=True, progress=False)
    tars = lambda: [p.name for p in (tmp_path / "work").rglob("*.tar")]  # noqa: E731
    assert tars() == ["a.tar"]
    assert fd.num_instances() == 4
    fd.run(sync_s3_to_local=True, delete_tar=True, run_stats_only=True, progress=False)
    assert tars() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sync_s3_to_local": True}, "sync_s3_to_local needs an input_dir"),
        ({"delete_img": True}, "never deleted"),
        ({"delete_tar": True}, "never deleted"),
        ({"s3_endpoint_url": "http://key:hidden@host"}, "must not hold credentials"),
        ({"s3_endpoint_url": "host:9000/hidden"}, "allowed: http"),
        ({"s3_endpoint_url": "http://host:hidden"}, "allowed: http"),
        ({"s3_endpoint_url": "http://[hidden"}, "allowed: http"),
        ({"s3_region": "eu", "engine": "ray"}, "this process only"),
    ],
)
def test_wrong_combinations_do_nothing(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(drawn(1))
    with pytest.raises(BadArgument, match=message) as raised:
        fastdup_db.create(tmp_path / "work", tmp_path / "in").run(**arguments)
    assert "hidden" not in str(raised.value)
    assert not (tmp_path / "work").exists()
    assert (tmp_path / "in" / "a.jpg").exists()


def test_lists_are_not_copied(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="prefixes and single objects"):
        fastdup_db.create(tmp_path / "work", "s3://copying/list.txt").run(sync_s3_to_local=True)


def test_the_server_is_an_argument_and_no_secret_is_kept(
    s3: Server, pictures: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    caplog.set_level(logging.DEBUG, logger="fastdup_db")
    fd = fastdup_db.create(tmp_path / "work", pictures)
    fd.run(s3_endpoint_url=s3.url, s3_region="us-east-1", sync_s3_to_local=True, adapt=False, progress=False)
    assert fd.num_instances() == len(PICTURES)
    assert fd.config["s3_endpoint_url"] == s3.url
    assert bucket._settings == bucket.Settings(), "only for the run"
    stored = b"".join(p.read_bytes() for p in (tmp_path / "work").rglob("*") if p.is_file())
    for secret in (KEY, SECRET):
        assert secret not in caplog.text
        assert secret.encode() not in stored

    s3.fill("public", {f"open/{i}.jpg": drawn(i) for i in range(3)})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fd = fastdup_db.create(tmp_path / "public", "s3://public/open")
    fd.run(s3_endpoint_url=s3.url, s3_anonymous=True, run_stats_only=True, progress=False)
    assert fd.num_instances() == 3


def test_published_results_open_anywhere(
    s3: Server, pictures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fd = fastdup_db.create(tmp_path / "work", pictures)
    fd.run(progress=False)
    s3.fill("results", {})
    target = "s3://results/run"
    changed = fd.publish(target)
    assert "fastdup.duckdb" in changed
    assert "parquet/similarity.parquet" in changed
    assert any(name.startswith("lance/embeddings.lance/") for name in changed)
    assert fd.publish(target + "/") == []

    def download(folder: Path) -> Path:
        for found in objects.listed(target):
            path = folder / found.filename.removeprefix(target + "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(objects.read(found.filename))
        return folder

    got = download(tmp_path / "downloaded")
    wanted = fd.similarity()[["from", "to"]].to_numpy().tolist()
    with duckdb.connect(str(got / "fastdup.duckdb"), read_only=True) as plain:
        assert [list(row) for row in plain.sql('select "from", "to" from similarity').fetchall()] == wanted
        count = plain.sql(f"select count(*) from '{got}/parquet/embeddings.parquet'").fetchall()
        assert count == [(len(PICTURES),)]
    names, vectors = fastdup_db.create(got).embeddings()
    assert names == fd.embeddings()[0]
    np.testing.assert_array_equal(vectors, fd.embeddings()[1])

    # a smaller run in its place: nothing of the larger one may be what readers open
    fd.run(num_images=4, progress=False)
    with pytest.raises(SystemExit) as ended:
        app(["publish", target, "--work-dir", str(tmp_path / "work")])
    assert ended.value.code == 0
    assert "fastdup.duckdb" in capsys.readouterr().out.splitlines()
    assert len(fastdup_db.create(download(tmp_path / "again")).embeddings()[0]) == 4

    with pytest.raises(BadArgument, match="no bucket"):
        fd.publish(str(tmp_path))
    with pytest.raises(BadInput, match="bucket does not exist"):
        fd.publish("s3://nowhere/at-all")


def test_publishing_deletes_nothing_of_others(s3: Server, pictures: str, tmp_path: Path) -> None:
    fd = fastdup_db.create(tmp_path / "work", pictures)
    fd.run(run_stats_only=True, progress=False)
    s3.fill("mine", {"parquet/sales.parquet": b"not ours", "tables/lance/own.lance/data": b"not ours"})
    for target, name in (("s3://mine", "parquet/sales.parquet"), ("s3://mine/tables", "lance/own.lance/data")):
        (tmp_path / "work" / "lance").mkdir(exist_ok=True)
        with pytest.raises(BadInput, match=f"{name} was not put there by this package, .* choose another place"):
            fd.publish(target)
        assert objects.read(f"{target}/{name}") == b"not ours"
        assert not objects.exists(f"{target}/fastdup.duckdb")


def test_whether_a_folder_is_there(pictures: str) -> None:
    assert fastdup_db.s3_folder_exists_and_not_empty(pictures)
    assert not fastdup_db.create().s3_folder_exists_and_not_empty("s3://copying/nothing")
