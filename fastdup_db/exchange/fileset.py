"""The files that fastdup writes into its work_dir, from ours."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastdup_db import frames
from fastdup_db.config import OF_BOXES
from fastdup_db.exchange import features
from fastdup_db.pipeline import files
from fastdup_db.pipeline.finished import has_neighbors
from fastdup_db.store.duck import Database


def write(
    db: Database, folder: Path, *, vectors: Iterable[np.ndarray], config: dict[str, Any], names: bool = False
) -> None:
    """Write all files. `vectors`: the embeddings in id order, float32 (b, d) a batch. config: as `fd.config` has it.

    names: file names instead of ids in similarity.csv and outliers.csv and a column `filename` in atrain_stats.csv, as
    fastdup's module-level `run` writes them. Where no neighbours were looked for, there are no files of them.
    """
    files.delete_exported(folder)
    said = json.dumps(_config(config), indent=4, ensure_ascii=False, default=str)
    (folder / files.CONFIG).write_text(said, encoding="utf-8")  # first: it says whose the others are
    rows = db.frame("exchange/features")
    features.write(folder, ids=rows["index"], filenames=rows["filename"], batches=vectors)
    db.write_csv("exchange/bad", folder / files.BAD)
    named = "_named" if names else ""
    db.write_csv(f"exchange/stats{named}", folder / files.STATS)
    if has_neighbors(config):
        db.write_csv(f"exchange/similarity{named}", folder / files.SIMILARITY)
        db.write_csv(f"exchange/outliers{named}", folder / files.OUTLIERS)
        db.execute("exchange/choose_numbers")
        db.write_csv("exchange/connected_components", folder / files.COMPONENTS)
        db.write_csv("exchange/component_info", folder / files.COMPONENT_INFO)
    else:
        for name in files.GRAPH:  # of whomever: beside our config they would be taken for this run's
            (folder / name).unlink(missing_ok=True)


def make_relative(folder: Path, *, base: Path) -> list[Path]:
    """Rewrite the file names in the csv files of a work_dir as relative to `base`; returns the files that changed.

    Names outside of `base` stay. Each file is replaced at once, so a kill leaves it old or new.
    """
    start = str(base.absolute()).rstrip(os.sep) + os.sep
    changed = []
    for name in (files.FEATURES + files.ROWS, files.BAD, files.STATS, files.SIMILARITY, files.OUTLIERS):
        path = folder / name
        if not path.is_file():
            continue
        frame = frames.read_csv(path, missing=(), dtype=str)
        columns = [c for c in ("filename", "from", "to") if c in frame.columns]
        relative = frame.assign(**{c: frame[c].str.removeprefix(start) for c in columns})
        if not relative.equals(frame):
            part = path.with_suffix(".part")
            relative.to_csv(part, index=False)
            part.replace(path)
            changed.append(path)
    return changed


def _config(config: dict[str, Any]) -> dict[str, Any]:
    """Settings under fastdup's names; what it has and we have not is left out."""
    threads, images = config["num_threads"], config["num_images"]
    turi = {
        "ccthreshold": config["cc_threshold"],
        "run_cc": int(config["run_cc"]),
        "run_stats": int(config["run_stats"]),
        "run_stats_only": int(config["run_stats_only"]),
        "run_advanced_stats": int(config["run_advanced_stats"]),
        "min_input_image_height": config["min_input_image_height"],
        "min_input_image_width": config["min_input_image_width"],
    }
    return {
        files.MADE_BY: f"fastdup_db {config['package_version']}",
        "input_dir": config["input_dir"],
        "work_dir": config["work_dir"],
        "test_dir": config["test_dir"] or "",
        "verbose": config["verbose"],
        "num_threads": -1 if threads is None else threads,
        "num_images": images or 0,
        "turi_param": ",".join(f"{name}={value}" for name, value in turi.items()),
        "distance": config["distance"],
        "threshold": config["threshold"],
        "lower_threshold": config["outlier_percentile"],
        "model_path": config["model_path"] or "",
        "nearest_neighbors_k": config["nearest_neighbors_k"],
        "d": config["embeddings_dim"],
        "run_mode": {"embedding": "embedding", "boxes": "crop", "detect": "crop"}.get(config["data_type"], "default"),
        "min_offset": config["min_offset"] or 0,
        "max_offset": config["max_offset"] or 0,
        "nnf_mode": config["nnf_mode"],
        "bounding_box": config["bounding_box"] or "",
        "high_accuracy": config["high_accuracy"],
        "data_type": "bbox" if config["data_type"] in OF_BOXES else "image",
        "embeddings_dim": config["embeddings_dim"],
    }
