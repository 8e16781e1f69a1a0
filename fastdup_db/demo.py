"""A small drawn collection with planted problems, a run on it, and the proof that each was found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastdup_db

SCENES = 40
SIZE = (240, 320)


@dataclass(frozen=True, slots=True)
class Finding:
    """One planted problem: what was planted, and whether the run shows it."""

    planted: str
    found: bool


def run(work_dir: Path | None = None, *, say: Callable[[str], Any]) -> bool:
    """Draw, run, check; every finding goes to `say`. True when all were found.

    Without a work_dir everything lies in a temporary folder that goes at the end.
    """
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix="fastdup-db-demo-") as folder:
            return _run(Path(folder), say=say)
    found = _run(Path(work_dir), say=say)
    say(f"\nimages: {Path(work_dir) / 'images'}\nresults: {Path(work_dir) / 'results'}")
    return found


def _run(work_dir: Path, *, say: Callable[[str], Any]) -> bool:
    images = work_dir / "images"
    draw(images)
    fd = fastdup_db.create(work_dir / "results", images)
    fd.run()
    fd.summary()
    findings = list(check(fd))
    for finding in findings:
        say(f"{'found   ' if finding.found else 'MISSING '} {finding.planted}")
    return all(finding.found for finding in findings)


def draw(folder: Path) -> None:
    """Write the collection: 40 scenes, and next to them what is wrong with it."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, image: np.ndarray, *options: int) -> None:
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, image, list(options))[1].tobytes())

    for number in range(SCENES):
        write(f"scene_{number:02d}.jpg", scene(number), cv2.IMWRITE_JPEG_QUALITY, 92)
    write("copy_of_03.jpg", scene(3), cv2.IMWRITE_JPEG_QUALITY, 40)
    write("half_size_07.png", cv2.resize(scene(7), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    for number in range(4):
        write(f"burst_{number}.jpg", _brighter(scene(11), 1 + 0.03 * number), cv2.IMWRITE_JPEG_QUALITY, 90 - number)
    write("dark.jpg", (scene(101) * 0.01).astype(np.uint8))
    write("bright.jpg", 255 - (scene(102) * 0.004).astype(np.uint8))
    write("blurry.jpg", cv2.GaussianBlur(scene(103), (0, 0), 9))
    write("tiny.png", scene(104)[:6, :6])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture\n" * 40, encoding="utf-8")
    whole = cv2.imencode(".jpg", scene(105))[1].tobytes()
    (folder / "cut_short.jpg").write_bytes(whole[: len(whole) * 2 // 3])


def scene(seed: int) -> np.ndarray:
    """One drawn picture, uint8 BGR (240, 320, 3): a textured background and some shapes, the same for the same seed."""
    import cv2

    random = np.random.default_rng(seed)
    height, width = SIZE
    coarse = random.integers(0, 256, (random.integers(2, 7), random.integers(2, 9), 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image += random.integers(-24, 25, (height, width, 1), dtype=np.int16)
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(int(random.integers(4, 14))):
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        across, down = (int(v) for v in random.integers(12, 110, 2))
        match int(random.integers(0, 4)):
            case 0:
                cv2.rectangle(image, (x, y), (x + across, y + down), colour, -1)
            case 1:
                cv2.ellipse(image, (x, y), (across, down), int(random.integers(0, 180)), 0, 360, colour, -1)
            case 2:
                cv2.line(image, (x, y), (x - across, y + 2 * down), colour, int(random.integers(2, 12)))
            case _:
                points = np.array([x, y]) + random.integers(-100, 100, (5, 2))
                cv2.fillPoly(image, [points.astype(np.int32)], colour)
    return image


def check(fd: fastdup_db.Fastdup) -> Iterator[Finding]:
    """What was planted, held against the run's answers."""
    pairs = fd.similarity()
    named = {frozenset((Path(a).name, Path(b).name)) for a, b in pairs[["filename_from", "filename_to"]].to_numpy()}
    yield Finding(
        "duplicate: scene_03 and its recompressed copy", frozenset(("scene_03.jpg", "copy_of_03.jpg")) in named
    )
    yield Finding(
        "duplicate: scene_07 and its half-size copy", frozenset(("scene_07.jpg", "half_size_07.png")) in named
    )
    members, _ = fd.connected_components()
    names = {Path(name).name: component for name, component in members[["filename", "component_id"]].to_numpy()}
    burst = {names.get(name) for name in ("scene_11.jpg", *(f"burst_{n}.jpg" for n in range(4)))}
    yield Finding("cluster: five shots of scene_11", len(burst) == 1 and None not in burst)
    stats = fd.img_stats()
    by_name = stats.set_index(stats["filename"].map(lambda name: Path(name).name))
    yield Finding("dark image: dark.jpg", bool(by_name["mean"].idxmin() == "dark.jpg" and by_name["mean"].min() < 4))
    yield Finding("bright image: bright.jpg", bool(by_name["mean"].idxmax() == "bright.jpg"))
    yield Finding("blurry image: blurry.jpg", bool(by_name["blur"]["blurry.jpg"] < 150))
    yield Finding("cut off but readable: cut_short.jpg", bool(by_name["truncated"]["cut_short.jpg"]))
    invalid = fd.invalid_instances()
    codes = {Path(name).name: code for name, code in invalid[["filename", "error_code"]].to_numpy()}
    for name, code, words in (
        ("empty.jpg", "ERROR_ZERO_SIZE_FILE", "empty file"),
        ("text.jpg", "ERROR_CORRUPT_IMAGE", "text that is called an image"),
        ("tiny.png", "ERROR_IMAGE_TOO_SMALL", "image of 6×6 pixels"),
    ):
        yield Finding(f"{words}: {name} ({codes.get(name)})", codes.get(name) == code)


def _brighter(image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(image * factor, 0, 255).astype(np.uint8)
