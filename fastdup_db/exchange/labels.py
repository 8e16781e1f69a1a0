"""Images, boxes and labels as metadata of COCO, FiftyOne and Hugging Face datasets. No image is copied."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.config import OF_BOXES
from fastdup_db.store.duck import Database

COCO = "coco.json"
SAMPLES, LABELS = "data.json", "labels.json"
METADATA = "metadata.jsonl"


def write_coco(db: Database, folder: Path, *, annotations: pd.DataFrame) -> None:
    """`coco.json`: every readable image, and one annotation per labelled image or box (an image is a box of its size;
    of one whose embedding was given the size is not known, so it gets none).

    category ids count the labels in alphabetical order from 1, `iscrowd` is that of a column of this name. `read_coco`
    of this package and pycocotools read it.
    """
    found = _instances(db, annotations)
    labels = sorted(found["label"].dropna().unique())
    found["category_id"] = found["label"].map({name: number for number, name in enumerate(labels, 1)})
    found = found[found["label"].notna() & found["width"].notna()]  # of given embeddings no size is known
    found["area"] = found["width"] * found["height"]
    found["bbox"] = found[["col_x", "row_y", "width", "height"]].to_numpy().tolist()
    crowds = (
        annotations.set_index("fd_index")["iscrowd"] if "iscrowd" in annotations.columns else pd.Series(dtype=float)
    )
    found["iscrowd"] = pd.to_numeric(found["id"].map(crowds), errors="coerce").eq(1).astype(int)
    columns = ["id", "image_id", "category_id", "bbox", "area", "iscrowd"]
    said = {
        "images": db.frame("exchange/coco_images").to_dict("records"),
        "annotations": found[columns].astype({"category_id": int}).to_dict("records"),
        "categories": [{"id": number, "name": name} for number, name in enumerate(labels, 1)],
    }
    _write(folder / COCO, said)


def write_fiftyone(db: Database, folder: Path, *, annotations: pd.DataFrame, boxes: bool) -> None:
    """`data.json` (sample -> path) and `labels.json`, as FiftyOneImageClassificationDataset, or ...DetectionDataset.

    fo.Dataset.from_dir(data_path="data.json", labels_path="labels.json", dataset_type=...) reads them. A sample's name
    is its image id. Boxes are fractions of the image.
    """
    found = _instances(db, annotations)
    classes = sorted(found["label"].dropna().unique())
    numbers = {name: number for number, name in enumerate(classes)}
    images = db.frame("exchange/coco_images")
    _write(folder / SAMPLES, dict(zip(images["id"].astype(str), images["file_name"], strict=True)))
    labels: dict[str, Any] = dict.fromkeys(images["id"].astype(str))
    if boxes:
        labels |= {name: [] for name in labels}
        for name in ("col_x", "width"):
            found[name] /= found["img_w"]
        for name in ("row_y", "height"):
            found[name] /= found["img_h"]
        for row in found[found["label"].notna()].to_dict("records"):
            one = {
                "label": numbers[row["label"]],
                "bounding_box": [row[c] for c in ("col_x", "row_y", "width", "height")],
            }
            confidence = {} if pd.isna(row["confidence"]) else {"confidence": row["confidence"]}
            labels[str(row["image_id"])].append(one | confidence)
    else:
        known = found[found["label"].notna()]
        labels |= dict(
            zip(known["image_id"].astype(str), known["label"].map(numbers).astype(int).tolist(), strict=True)
        )
    _write(folder / LABELS, {"classes": classes, "labels": labels})


def write_huggingface(db: Database, folder: Path, *, annotations: pd.DataFrame) -> None:
    """`metadata.jsonl` for `datasets.load_dataset("imagefolder", data_dir=folder)`: file_name and your columns.

    file_name is relative to `folder` where the images lie in it, as that reader wants it; else the full path; with
    slashes on every system. In boxes mode one row per readable image with a column `objects` (bbox, categories), both
    empty where it has no box: detectors learn from such images, too.
    """
    frame = annotations.drop(columns=["index", "fd_index", "is_valid", "error_code"], errors="ignore")
    found = _instances(db, annotations)
    if found["image_id"].duplicated().any() or (db.row("run/current") or {})["data_type"] in OF_BOXES:
        found["bbox"] = found[["col_x", "row_y", "width", "height"]].to_numpy().tolist()
        grouped = found.groupby("filename", sort=False).agg(bbox=("bbox", list), categories=("label", list))
        objects = dict(zip(grouped.index, grouped.to_dict("records"), strict=True))
        images = db.frame("exchange/coco_images")["file_name"]
        all_objects = [objects.get(name) or {"bbox": [], "categories": []} for name in images]
        frame = pd.DataFrame({"filename": images, "objects": pd.Series(all_objects, dtype=object)})
    base = str(folder.resolve()) + os.sep
    own = next(name for n in itertools.count(1) if (name := f"file_name_{n}") not in frame.columns)
    frame = frame.rename(columns={"file_name": own})  # one of the user's
    names = frame["filename"].str.removeprefix(base)
    frame.insert(0, "file_name", names if os.sep == "/" else names.str.replace(os.sep, "/", regex=False))
    lines = frame.drop(columns="filename").to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
    (folder / METADATA).write_text(lines or "", encoding="utf-8")


def _instances(db: Database, annotations: pd.DataFrame) -> pd.DataFrame:
    found = db.frame("exchange/instances")
    if "label" not in annotations.columns:
        return found.assign(label=pd.Series(None, index=found.index, dtype=object))
    labels = annotations.set_index("fd_index")["label"]
    return found.assign(label=found["id"].map(labels.dropna().map(str)))


def _write(path: Path, said: Any) -> None:
    path.write_text(json.dumps(said, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8")
