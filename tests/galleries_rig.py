"""A controller for gallery tests: the real schema and views on facts whose answers are known, and drawn images."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, nullcontext
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import cv2
import duckdb
import numpy as np
import pandas as pd
from bs4 import BeautifulSoup, Tag

from fastdup_db.pipeline.run import publish_views
from fastdup_db.store import duck

COLOURS = [(220, 60, 60), (60, 170, 80), (60, 90, 220), (230, 180, 40), (150, 70, 200), (40, 180, 190)]

LABELS: list[str | None] = ["cat", "cat", "dog", "dog", "bird", "cat", "cat", None]

EDGES = [
    (0, 1, 0.99),
    (0, 2, 0.90),
    (1, 0, 0.99),
    (1, 2, 0.95),
    (2, 3, 0.97),
    (3, 2, 0.97),
    (4, 6, 0.91),
    (4, 0, 0.12),
    (6, 4, 0.91),
    (7, 0, 0.15),
    (7, 4, 0.10),
]
"""Neighbours (from, to, similarity). Number 7 is alone, 4 has 6 close by and 0 far off."""


class Rig:
    """The surface galleries ask of a controller, over a real database and images drawn on demand.

    Its facts never change, so that what was asked before is not asked of the database again.
    """

    lines: ClassVar[list[str]] = ["Dataset contains 8 images", "For a detailed list of outliers, use `.outliers()`."]

    def __init__(self, work_dir: Path, facts: dict[str, pd.DataFrame], *, missing: frozenset[int] = frozenset()):
        self.work_dir = str(work_dir)
        self.missing = missing
        self.opened: list[int] = []
        self._lock = threading.Lock()
        self._boxes = set(facts["boxes"]["id"]) if "boxes" in facts else set()
        store(work_dir, facts)
        # kept open: opening takes longer than these queries do
        self._open = ExitStack()
        self._db = self._open.enter_context(duck.connect(work_dir))
        self._db.execute("galleries/measured")
        self._db.execute("components/choose_stored")
        self._answers: dict[tuple[str, bytes], pd.DataFrame] = {}

    def reading(self) -> nullcontext[None]:
        return nullcontext()

    def gallery_frame(self, name: str, *, needs: Collection[str] = (), **parameters: Any) -> pd.DataFrame:
        question = (name, pickle.dumps(parameters))
        if question not in self._answers:
            self._answers[question] = self._db.frame(f"galleries/{name}", **parameters)
        return self._answers[question].copy()

    def open_images(self, ids: list[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        for i in ids:
            with self._lock:
                self.opened.append(i)
            yield None if i in self.missing else drawn(i, crop=crops and i in self._boxes)

    def summary(self, verbose: bool = True) -> list[str]:
        return self.lines


def store(work_dir: Path, facts: dict[str, pd.DataFrame]) -> None:
    """Write facts into the tables of a new work_dir and make its views. Columns left out are null or empty."""
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / duck.FILE_NAME).write_bytes(_empty_database())
    with duckdb.connect(str(work_dir / duck.FILE_NAME)) as raw:
        for table, frame in facts.items():
            raw.register("incoming", frame)
            if table == "user_annotations":
                raw.execute("create or replace table user_annotations as select * from incoming")
            else:
                raw.execute(f"insert into {table} by name select * from incoming")
            raw.unregister("incoming")
        publish_views(duck.Database(raw))


@cache
def _empty_database() -> bytes:
    """The file of a database with the schema, whose tables are empty."""
    with TemporaryDirectory() as folder:
        with duck.connect(Path(folder), read_only=False) as db:
            db.script("views/macros")
        return (Path(folder) / duck.FILE_NAME).read_bytes()


def facts(folder: Path, *, labelled: bool = True) -> dict[str, pd.DataFrame]:
    """Eight images, number 5 invalid. Labels cat, cat, dog, dog, bird, cat (invalid), cat, none.

    Pairs from 0.9 on: 0-1 0.99, 2-3 0.97, 1-2 0.95 (cat and dog), 4-6 0.91 (bird and cat), 0-2 0.90.
    Components: {0, 1, 2, 3} and {4, 6}. The outliers are 7 (0.15) and 4 (0.91); the farthest neighbours are
    those of 7 (0.10) and 4 (0.12).
    """
    names = [str(folder / f"{kind}/{i}.jpg") for i, kind in enumerate(["a", "a", "a", "b", "b", "b", "c", "c"])]
    user = pd.DataFrame(
        {
            "id": range(8),
            "label": LABELS,
            "split": ["train", "test", "train", "test", "train", "train", "test", "train"],
            "weight": [3.0, 1.0, 2.0, 8.0, 5.0, 0.0, 4.0, 7.0],
        }
    )
    valid = [0, 1, 2, 3, 4, 6, 7]
    return {
        "runs": run(),
        "listing": listing(names),
        "images": pd.DataFrame(
            {
                "image_id": range(8),
                "error_code": ["VALID"] * 5 + ["ERROR_CORRUPT_IMAGE"] + ["VALID"] * 2,
                "file_size": range(1000, 9000, 1000),
            }
        ),
        "instances": pd.DataFrame(
            {
                "id": range(8),
                "image_id": range(8),
                "error_code": ["VALID"] * 5 + ["ERROR_CORRUPT_IMAGE"] + ["VALID"] * 2,
                "img_w": [480, 480, 480, 480, 640, 480, 480, 100],
                "img_h": [360, 360, 360, 360, 480, 360, 360, 100],
            }
        ),
        "user_annotations": user if labelled else user[["id"]],
        "stats": pd.DataFrame(
            {
                "id": valid,
                "unique": [10, 20, 30, 40, 50, 60, 70],
                "blur": [900.0, 50.0, 300.0, 20.0, 700.0, 400.0, 1000.0],
                "mean": [120.0, 2.0, 250.0, 80.0, 200.0, 100.0, 60.0],
                "contrast": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
            }
        ),
        "edges": edges(EDGES),
        "components": pd.DataFrame({"id": [0, 1, 2, 3, 4, 6], "component_id": [0, 0, 0, 0, 4, 4]}),
    }


def verified() -> pd.DataFrame:
    """What verification found: 0-1 cropped, 2-3 equal to the vectors alone and not looked at, 1-2 no duplicates."""
    crop = [1.25, 0.0, -48.0, 0.0, 1.25, -36.0, 0.0, 0.0]
    return pd.DataFrame(
        {
            "from_id": [0, 2, 1],
            "to_id": [1, 3, 2],
            "similarity": [0.93, 0.97, 0.95],
            "score": [0.99, None, 0.02],
            "is_duplicate": [True, True, False],
            "kind": ["cropped", None, None],
            "inliers": pd.array([41, None, 3], "Int32"),
            "reason": ["keypoints and pixels agree", "similarity", "pixels differ"],
            "transform": [crop, None, None],
        }
    )


def run() -> pd.DataFrame:
    """A finished run with threshold and cc_threshold 0.9 and 20 % outliers: two."""
    return pd.DataFrame(
        [
            {
                "run_id": 1,
                "threshold": 0.9,
                "cc_threshold": 0.9,
                "outlier_percentile": 0.2,
                "has_annotations": True,
                "vectors_version": 1,
                "listed": True,
            }
        ]
    )


def listing(names: list[str]) -> pd.DataFrame:
    """Plain files of these names."""
    empty = {"container": "", "member": "", "label": "", "split": "", "error_code": ""}
    return pd.DataFrame({"image_id": range(len(names)), "filename": names}).assign(
        **empty, byte_offset=-1, file_size=1000, version="1", frame_ms=-1, frame_number=-1
    )


def edges(rows: list[tuple[int, int, float]]) -> pd.DataFrame:
    """Neighbours with their rank, as a run stores them."""
    frame = pd.DataFrame(rows, columns=["from_id", "to_id", "similarity"])
    return frame.assign(rank=frame.groupby("from_id")["similarity"].rank(method="first", ascending=False).astype(int))


def drawn(i: int, *, crop: bool = False) -> np.ndarray:
    """A picture one can tell apart: a colour, a shape, its number. RGB uint8, 480 x 360, a crop of it 120 x 90."""
    image = np.full((360, 480, 3), 235, np.uint8)
    cv2.rectangle(image, (60, 50), (420, 310), COLOURS[i % len(COLOURS)], -1)
    cv2.circle(image, (120 + 40 * (i % 6), 180), 60, (250, 250, 250), -1)
    cv2.putText(image, str(i), (200, 290), cv2.FONT_HERSHEY_SIMPLEX, 3, (20, 20, 20), 8)
    return np.ascontiguousarray(image[100:190, 100:220]) if crop else image


def parsed(path: Path) -> BeautifulSoup:
    """A page as a browser would read it."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def cards(path: Path) -> list[Tag]:
    """The cards of a page, in order."""
    return parsed(path).find_all("article", class_="card")


def ids(path: Path) -> list[list[int]]:
    """The image ids of every card, in order."""
    return [[int(shot["data-id"]) for shot in card.find_all(class_="shot")] for card in cards(path)]


def fields(card: Tag) -> dict[str, str]:
    """The fields of a card as text."""
    return {row.dt.get_text(): row.dd.get_text() for row in card.select(".fields > div")}
