"""Whole runs from a bucket: the same answers as from a folder, also when the server dies in the middle."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import demo
from fastdup_db.errors import RemoteError
from fastdup_db.sources import bucket, direct
from tests.s3_server import Server

COUNT = 60


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    """Drawn pictures, each with a copy at another quality."""
    images = {}
    for i in range(COUNT // 2):
        rng = np.random.default_rng(i)
        image = cv2.resize(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        for quality in (95, 60):
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            images[f"{i:03d}-{quality}.jpg"] = data.tobytes()
    return images


def answers(fd: fastdup_db.Fastdup) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Similar pairs and statistics, named without the place they came from."""
    pairs = fd.similarity()[["filename_from", "filename_to", "distance"]]
    stats = fd.img_stats()[["filename", "mean", "stdv", "blur", "unique", "file_size"]]
    for frame in (pairs, stats):
        for column in frame.columns[frame.columns.str.startswith("filename")]:
            frame[column] = frame[column].str.rpartition("/")[2]
    return tuple(f.sort_values(list(f.columns)).reset_index(drop=True) for f in (pairs, stats))


@pytest.fixture(scope="module")
def wanted(content: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a run on the same pictures in a folder answers."""
    folder = tmp_path_factory.mktemp("folder")
    for name, data in content.items():
        (folder / name).write_bytes(data)
    fd = fastdup_db.create(tmp_path_factory.mktemp("from-folder"), folder)
    fd.run(progress=False)
    return answers(fd)


def slowed(monkeypatch: pytest.MonkeyPatch, when: threading.Event) -> None:
    """Reads take a little time each, and say when the twentieth is made."""
    count, get = iter(range(10**6)), direct.Direct.get

    def slow(*args: object, **options: object) -> bytes | None:
        if next(count) == 20:
            when.set()
        time.sleep(0.02)
        return get(*args, **options)

    monkeypatch.setattr(direct.Direct, "get", slow)


def test_the_server_is_away_for_a_while(
    s3: Server,
    tmp_path: Path,
    content: dict[str, bytes],
    wanted: tuple[pd.DataFrame, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.fill("whole-run", content)
    begun = threading.Event()
    slowed(monkeypatch, begun)

    def interrupt() -> None:
        begun.wait()
        s3.kill_gateway()
        time.sleep(1)
        s3.start()

    thread = threading.Thread(target=interrupt)
    thread.start()
    fd = fastdup_db.create(tmp_path / "work", "s3://whole-run")
    fd.run(progress=False)
    thread.join()
    for found, frame in zip(answers(fd), wanted, strict=True):
        pd.testing.assert_frame_equal(found, frame)


def test_the_server_stays_away_and_the_run_goes_on_later(
    s3: Server,
    tmp_path: Path,
    content: dict[str, bytes],
    wanted: tuple[pd.DataFrame, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.fill("whole-run", content)
    monkeypatch.setattr(bucket, "PATIENCE_S", 0.2)
    begun = threading.Event()
    slowed(monkeypatch, begun)

    def interrupt() -> None:
        begun.wait()
        s3.kill_gateway()

    thread = threading.Thread(target=interrupt)
    thread.start()
    fd = fastdup_db.create(tmp_path / "work", "s3://whole-run")
    with pytest.raises(RemoteError, match="does not answer"):
        fd.run(progress=False)
    thread.join()
    s3.start()
    fd = fastdup_db.create(tmp_path / "work", "s3://whole-run")
    fd.run(overwrite=False, progress=False)
    assert fd.invalid_instances().empty
    for found, frame in zip(answers(fd), wanted, strict=True):
        pd.testing.assert_frame_equal(found, frame)


def test_galleries_show_the_pictures_of_a_bucket(s3: Server, tmp_path: Path) -> None:
    content = {f"{n}.jpg": cv2.imencode(".jpg", demo.scene(n))[1].tobytes() for n in range(4)}
    s3.fill("pictures", content)
    fd = fastdup_db.create(tmp_path / "work", "s3://pictures")
    fd.run(progress=False, threshold=0.0)
    page = fd.vis.similarity_gallery(show=False).read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 4, "every picture is there, none is a placeholder"
