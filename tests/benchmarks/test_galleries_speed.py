"""How long pages take to make and to open, and fastdup's for the same pairs (its Python: `$FASTDUP_PEER_PYTHON`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import galleries_rig as rig

from fastdup_db import sources
from fastdup_db.galleries.visualizer import FastdupVisualizer
from fastdup_db.imaging import decode
from fastdup_db.sources.reference import Reference

pytestmark = pytest.mark.bench

PEER = """
import sys, time
import fastdup, pandas as pd
pairs = pd.read_csv(sys.argv[1])
start, cpu = time.perf_counter(), time.process_time()
fastdup.create_duplicates_gallery(pairs, sys.argv[2], num_images=len(pairs), lazy_load=False)
print("seconds", time.perf_counter() - start, time.process_time() - cpu)
"""


class Photographs(rig.Rig):
    """Files read and decoded as a run reads them."""

    def __init__(self, work_dir: Path, files: list[str], pairs: pd.DataFrame):
        n = len(files)
        self.files = files
        facts = {
            "runs": rig.run(),
            "listing": rig.listing(files),
            "images": pd.DataFrame({"image_id": range(n), "error_code": "VALID", "file_size": 1}),
            "instances": pd.DataFrame({"id": range(n), "image_id": range(n), "error_code": "VALID"}),
            "user_annotations": pd.DataFrame({"id": range(n), "label": [Path(f).stem[10:] for f in files]}),
            "stats": pd.DataFrame({"id": range(n), "mean": np.arange(n) / n * 255, "blur": np.arange(n)}),
            "edges": pairs.assign(rank=1),
        }
        super().__init__(work_dir, facts)

    def open_images(self, ids: list[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        for _, load in sources.payloads(Reference(self.files[i]) for i in ids):
            yield decode.flatten(decode.decode(load()).image)


def ring(n: int) -> pd.DataFrame:
    """n pairs of n images."""
    return pd.DataFrame(
        {"from_id": range(n), "to_id": [(i + 1) % n for i in range(n)], "similarity": 1 - np.arange(n) / n / 20}
    )


def test_a_thousand_pairs_of_a_thousand_photographs(real_images: Path, tmp_path: Path) -> None:
    files = sorted(str(p) for p in (real_images / "imagenet-sample").glob("*.JPEG"))
    pairs = ring(len(files))
    vis = FastdupVisualizer(Photographs(tmp_path / "work", files, pairs))
    start, used = time.perf_counter(), time.process_time()
    page = vis.duplicates_gallery(num_images=len(files))
    ours, cpu = time.perf_counter() - start, time.process_time() - used
    start = time.perf_counter()
    vis.duplicates_gallery(num_images=len(files))
    again = time.perf_counter() - start
    size = page.stat().st_size / 1e6
    assert page.read_text(encoding="utf-8").count("<article") == len(files)
    print(f"\n{len(files)} pairs: {ours:.1f} s ({cpu:.1f} s of CPU), again {again:.1f} s, {size:.1f} MB")
    assert size <= 25
    peer = os.environ.get("FASTDUP_PEER_PYTHON")
    if peer:
        named = pd.DataFrame(
            {
                "from": [files[i] for i in pairs["from_id"]],
                "to": [files[i] for i in pairs["to_id"]],
                "distance": pairs["similarity"],
            }
        )
        named.to_csv(tmp_path / "pairs.csv", index=False)
        told = subprocess.run(
            [peer, "-c", PEER, tmp_path / "pairs.csv", tmp_path],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "SENTRY_OPT_OUT": "1"},
        )
        theirs, their_cpu = map(float, told.stdout.rsplit("seconds", 1)[1].split())
        megabytes = (tmp_path / "duplicates.html").stat().st_size / 1e6
        print(
            f"fastdup: {theirs:.1f} s ({their_cpu:.1f} s of CPU), {megabytes:.1f} MB; "
            f"ratio {theirs / ours:.1f}, of CPU {their_cpu / cpu:.1f}, again {theirs / again:.1f}"
        )


def test_ten_thousand_lazy_cards_open(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    n = 10_000

    class Drawn(Photographs):
        def open_images(self, ids: list[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
            for i in ids:
                image = np.full((120, 160, 3), rig.COLOURS[i % 6], np.uint8)
                yield cv2.putText(image, str(i), (10, 90), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)

    vis = FastdupVisualizer(Drawn(tmp_path / "work", [f"/photographs/{i:05d}.jpg" for i in range(n)], ring(n)))
    for make in (vis.stats_gallery, vis.duplicates_gallery):
        start = time.perf_counter()
        page = make(num_images=n, lazy_load=True)
        made = time.perf_counter() - start
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            start = time.perf_counter()
            tab.goto(page.as_uri())
            tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            opened = time.perf_counter() - start
            start = time.perf_counter()
            tab.fill("#filter", "/09999.")
            while " of " not in tab.inner_text("#count"):
                tab.wait_for_timeout(20)
            filtered = time.perf_counter() - start
            browser.close()
        size = page.stat().st_size / 1e6
        print(
            f"\n{n} {page.stem} cards: made {made:.1f} s, {size:.1f} MB, opens {opened:.2f} s, filter {filtered:.2f} s"
        )
