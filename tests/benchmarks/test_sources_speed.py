"""What a source costs beside a folder of files: one ratio line each, all taken in the same minutes."""

from __future__ import annotations

import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import Server

import fastdup_db
from fastdup_db.sources import listing, payloads

pytestmark = pytest.mark.bench
TURNS = 3


def test_pairing_a_local_file_costs_little(real_images: Path) -> None:
    references = list(listing(real_images / "imagenet-sample"))

    def plain() -> int:
        return sum(len(Path(r.filename).open("rb", buffering=0).read()) for r in references)

    def paired() -> int:
        return sum(len(load()) for _, load in payloads(references))

    best = {"plain": float("inf"), "paired": float("inf")}
    for _ in range(TURNS):
        for name, read in (("plain", plain), ("paired", paired)):
            start = time.perf_counter()
            read()
            best[name] = min(best[name], time.perf_counter() - start)
    added = (best["paired"] - best["plain"]) / len(references) * 1000
    print(f"\npayloads of {len(references)} local files add {added:.4f} ms an image to reading them")


def test_runs_from_a_tar_and_a_bucket(real_images: Path, tmp_path: Path, s3: Server) -> None:
    photographs = sorted((real_images / "imagenet-sample").iterdir())[:500]
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in photographs:
        (folder / path.name).write_bytes(path.read_bytes())
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(folder, "all")
    s3.fill("photographs", {})
    client = s3.client()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda p: client.put_object(Bucket="photographs", Key=p.name, Body=p.read_bytes()), photographs))

    sources = {"folder": str(folder), "tar": str(tmp_path / "all.tar"), "bucket": "s3://photographs"}
    best = dict.fromkeys(sources, float("inf"))
    for turn in range(TURNS):
        for name, source in sources.items():
            fd = fastdup_db.create(tmp_path / f"{name}-{turn}", source)
            start = time.perf_counter()
            fd.run(progress=False)
            best[name] = min(best[name], time.perf_counter() - start)
    rates = {name: len(photographs) / seconds for name, seconds in best.items()}
    for name in ("tar", "bucket"):
        print(f"\n{name}: {rates[name]:.0f} images/s, {rates[name] / rates['folder']:.2f} of the folder's speed")
