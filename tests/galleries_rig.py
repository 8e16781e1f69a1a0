"""A controller for gallery tests: real SQL on small tables whose answers are known, and drawn images."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import duckdb
import numpy as np
import pandas as pd
from bs4 import BeautifulSoup, Tag

SQL = Path(__file__).resolve().parents[1] / "sql" / "galleries"
COLOURS = [(220, 60, 60), (60, 170, 80), (60, 90, 220), (230, 180, 40), (150, 70, 200), (40, 180, 190)]


class Rig:
    """The surface galleries ask of a controller, over an in-memory database and images drawn on demand."""

    def __init__(self, work_dir: Path, tables: dict[str, pd.DataFrame], *, missing: frozenset[int] = frozenset()):
        self.work_dir = work_dir
        self.missing = missing
        self.opened: list[int] = []
        self.lines = ["Dataset contains 8 images", "Valid images are 87.50% (7) of the data, invalid are 12.50% (1)"]
        self._lock = threading.Lock()
        self._db = duckdb.connect()
        for name, table in tables.items():
            self._db.register("incoming", table)
            self._db.execute(f"create table {name} as select * from incoming")
            self._db.unregister("incoming")

    def gallery_frame(self, name: str, **parameters: Any) -> pd.DataFrame:
        bound = {}
        for key, value in parameters.items():
            if isinstance(value, pd.DataFrame):
                self._db.register(key, value)
            else:
                bound[key] = value
        return self._db.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"), bound or None).df()

    def open_images(self, ids: list[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        for i in ids:
            with self._lock:
                self.opened.append(i)
            yield None if i in self.missing else drawn(i, crop=crops and self._is_box(i))

    def summary(self, verbose: bool = True) -> list[str]:
        return self.lines

    def _is_box(self, i: int) -> bool:
        with self._lock:
            return bool(self._db.execute("select count(*) from boxes where id = ?", [i]).fetchone()[0])


def drawn(i: int, *, crop: bool = False) -> np.ndarray:
    """A picture one can tell apart: a colour, a shape, its number. RGB uint8, 480 x 360, a crop of it 120 x 90."""
    image = np.full((360, 480, 3), 235, np.uint8)
    colour = COLOURS[i % len(COLOURS)]
    cv2.rectangle(image, (60, 50), (420, 310), colour, -1)
    cv2.circle(image, (120 + 40 * (i % 6), 180), 60, (250, 250, 250), -1)
    cv2.putText(image, str(i), (200, 290), cv2.FONT_HERSHEY_SIMPLEX, 3, (20, 20, 20), 8)
    return np.ascontiguousarray(image[100:190, 100:220]) if crop else image


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Eight images, number 5 invalid. Labels cat, cat, dog, dog, bird, -, cat, none.

    Pairs: 0-1 0.99 (both ways), 2-3 0.97, 1-2 0.95 (cat and dog), 4-6 0.91 (bird and cat), 0-2 0.90. 7 is alone.
    Components: {0, 1, 2, 3} and {4, 6}. Outliers: 7 (0.10 to 4), 4 (0.20 to 0), but 4 has 6 close by.
    """
    names = [str(folder / f"{kind}/{i}.jpg") for i, kind in enumerate(["a", "a", "a", "b", "b", "b", "c", "c"])]
    valid = [i != 5 for i in range(8)]
    kept = [0, 1, 2, 3, 4, 6, 7]
    annotations = pd.DataFrame(
        {
            "index": range(8),
            "filename": names,
            "label": ["cat", "cat", "dog", "dog", "bird", "cat", "cat", None],
            "split": ["train", "test", "train", "test", "train", "train", "test", "train"],
            "weight": [3.0, 1.0, 2.0, 8.0, 5.0, 0.0, 4.0, 7.0],
            "error_code": ["VALID" if v else "ERROR_CORRUPT_IMAGE" for v in valid],
            "is_valid": valid,
        }
    )
    img_stats = pd.DataFrame(
        {
            "index": kept,
            "img_w": [480, 480, 480, 480, 640, 480, 100],
            "img_h": [360, 360, 360, 360, 480, 360, 100],
            "unique": [10, 20, 30, 40, 50, 60, 70],
            "blur": [900.0, 50.0, 300.0, 20.0, 700.0, 400.0, 1000.0],
            "mean": [120.0, 2.0, 250.0, 80.0, 200.0, 100.0, 60.0],
            "contrast": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
            "file_size": [1000, 2000, 3000, 4000, 5000, 6000, 7000],
        }
    )
    directed = [(0, 1, 0.99), (1, 0, 0.99), (2, 3, 0.97), (1, 2, 0.95), (6, 4, 0.91), (4, 6, 0.91), (0, 2, 0.90)]
    similarity = pd.DataFrame(directed, columns=["from", "to", "distance"])
    edges = [*directed, (7, 4, 0.10), (7, 0, 0.15), (4, 0, 0.20)]
    return {
        "annotations": annotations,
        "img_stats": img_stats,
        "similarity": similarity,
        "edges": pd.DataFrame(edges, columns=["from_id", "to_id", "similarity"]).assign(rank=1),
        "outliers": pd.DataFrame([(7, 4, 0.10), (4, 0, 0.20)], columns=["outlier", "nearest", "distance"]),
        "components": pd.DataFrame(
            [(0, 10), (1, 10), (2, 10), (3, 10), (4, 20), (6, 20)], columns=["id", "component_id"]
        ),
        "listing": pd.DataFrame(
            {"image_id": range(8), "filename": names, "container": "", "version": "1", "file_size": 1000}
        ),
        "instances": pd.DataFrame({"id": range(8), "image_id": range(8)} | no_box(rows=8)),
        "boxes": pd.DataFrame({"id": pd.Series(dtype="int64")} | no_box(rows=0, corners=True)),
    }


def no_box(*, rows: int, corners: bool = False) -> dict[str, pd.Series]:
    """Empty box columns."""
    names = ["col_x", "row_y", "width", "height"] + [f"{c}{i}" for i in (1, 2, 3, 4) for c in "xy"] * corners
    return {name: pd.Series([np.nan] * rows, dtype="float64") for name in names}


def parsed(path: Path) -> BeautifulSoup:
    """A page as a browser would read it."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def cards(path: Path) -> list[Tag]:
    """The cards of a page, in order."""
    return parsed(path).select("article.card")


def ids(path: Path) -> list[list[int]]:
    """The image ids of every card, in order."""
    return [[int(shot["data-id"]) for shot in card.select(".shot")] for card in cards(path)]


def fields(card: Tag) -> dict[str, str]:
    """The fields of a card as text."""
    return {row.dt.get_text(): row.dd.get_text() for row in card.select(".fields > div")}
