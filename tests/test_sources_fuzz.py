"""Damaged containers: whatever the damage, rows and codes come out, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from drawn import jpeg
from test_sources_archives import PACKINGS, pack, read_all
from test_sources_video import film

from fastdup_db.errors import ERROR_CODES, ImageError
from fastdup_db.sources import Reference, listing, payloads

VIDEOS = {"a.mp4": "libx264", "a.mkv": "libx264", "a.avi": "mpeg4", "a.webm": "libvpx", "a.mpg": "mpeg2video"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    content = {f"d/{i}.jpg": jpeg(i) for i in range(6)}
    made = {name: pack(folder / name, content) for name in PACKINGS}
    for name, codec in VIDEOS.items():
        made[name] = film(folder / name, codec=codec, fps=25 if name == "a.mpg" else 10, n=30)
    return {name: path.read_bytes() for name, path in made.items()}


def damaged(data: bytes, rng: random.Random) -> bytes:
    damage = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 40))):
        damage[rng.randrange(len(damage))] = rng.choice((0, 255, rng.randrange(256)))
    if rng.random() < 0.3:
        del damage[rng.randrange(len(damage)) :]
    if rng.random() < 0.2:
        start = rng.randrange(len(damage) + 1)
        del damage[start : start + rng.randrange(600)]
    return bytes(damage)


@pytest.mark.parametrize("name", [*PACKINGS, *VIDEOS])
def test_damage_becomes_codes(tmp_path: Path, whole: dict[str, bytes], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(whole[name])
    stored = list(listing(path))
    rng = random.Random(name)
    for _ in range(20):
        path.write_bytes(damaged(whole[name], rng))
        assert all(not isinstance(v, str) or v in ERROR_CODES for v in read_all(path).values())
        assert all(code in ("", *ERROR_CODES) for code in codes_of(stored))  # listed before the damage was done


def codes_of(references: list[Reference]) -> list[str]:
    codes = []
    for _, read in payloads(references):
        try:
            read()
            codes.append("")
        except ImageError as error:
            codes.append(error.code)
    return codes
