"""A work_dir that fastdup 2.54 made, read into one of ours: features, statistics, invalid files, settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import checks, frames
from fastdup_db.config import RunConfig, turi_pairs
from fastdup_db.errors import VALID, BadArgument
from fastdup_db.exchange import features
from fastdup_db.imaging.stats import STAT_COLUMNS
from fastdup_db.pipeline import files, requesting
from fastdup_db.pipeline import run as pipeline

_SIZES = {"width": "img_w", "height": "img_h"}


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a fastdup work_dir says.

    facts: one row per file in order of its id: filename, error_code, img_w, img_h, file_size and the statistics.
    embeddings: float32 (n, d), row for row; zeros where the file is invalid. settings: arguments of `RunConfig`.
    """

    facts: pd.DataFrame
    embeddings: np.ndarray
    settings: dict[str, Any]
    input_dir: str | None


def read(folder: str | Path) -> Foreign:
    """Read the files of a fastdup work_dir. Raises BadArgument where it is none.

    Its pickles are not opened (a pickle can run any code), so labels have to be given again.
    """
    folder = Path(folder)
    rows, matrix = features.read(folder / files.FEATURES)
    if not matrix.shape[1]:
        raise BadArgument(f"{str(folder)!r} holds no features: it is of a run without embeddings")
    listed = rows.assign(error_code=VALID, row=np.arange(len(rows)))
    bad = _csv(folder / files.BAD, columns=("index", "filename", "error_code"))
    both = pd.concat([listed, bad.rename(columns={"filesize": "file_size"})]).sort_values("index", kind="stable")
    facts = both.drop_duplicates("index").reset_index(drop=True)
    stats = _csv(folder / files.STATS, columns=("index",)).rename(columns=_SIZES)
    measured = facts[["index"]].merge(stats.drop(columns="filename", errors="ignore"), on="index", how="left")
    embeddings = np.zeros((len(facts), matrix.shape[1]), np.float32)
    is_valid = facts["row"].notna().to_numpy()
    embeddings[is_valid] = matrix[facts.loc[is_valid, "row"].astype(int)]
    for name in ("img_w", "img_h", *STAT_COLUMNS):
        facts[name] = measured.get(name, np.nan)
    sizes = measured["file_size"] if "file_size" in measured else pd.Series(np.nan, index=facts.index)
    facts["file_size"] = sizes.fillna(facts.get("file_size", -1)).fillna(-1).astype("int64")
    config = files.read_config(folder / files.CONFIG) if (folder / files.CONFIG).is_file() else {}
    return Foreign(facts, embeddings, _settings(config), str(config.get("input_dir") or "") or None)


def load(folder: str | Path, work_dir: str | Path, *, annotations: pd.DataFrame | None, input_dir: Any) -> None:
    """Make `work_dir` of a fastdup work_dir; see `import_work_dir`."""
    checks.on_disk("work_dir", work_dir)
    if Path(work_dir).resolve() == Path(folder).resolve():
        raise BadArgument(f"work_dir={str(work_dir)!r}; allowed: another folder than that of fastdup's files")
    foreign = read(folder)
    frame = foreign.facts[["filename"]]
    if annotations is not None:
        if "filename" not in annotations.columns:
            raise BadArgument("annotations need the column 'filename'")
        frame = frame.merge(annotations.drop_duplicates("filename"), on="filename", how="left")
    # not Path.is_dir: the input may be a list of files, which is longer than any name
    base = input_dir or (foreign.input_dir if foreign.input_dir and os.path.isdir(foreign.input_dir) else None)
    request = requesting.run_request(
        Path(work_dir),
        config=RunConfig.from_arguments({**foreign.settings, "progress": False}),
        input_dir=base,
        annotations=frame,
        embeddings=foreign.embeddings,
    )
    pipeline.run(replace(request, facts=foreign.facts))


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    turi = turi_pairs(str(config.get("turi_param") or ""))
    found = {
        "distance": config.get("distance"),
        "threshold": config.get("threshold"),
        "outlier_percentile": config.get("lower_threshold"),
        "nearest_neighbors_k": config.get("nearest_neighbors_k"),
        "cc_threshold": float(turi["ccthreshold"]) if "ccthreshold" in turi else None,
        "adapt": False,
    }
    return {name: value for name, value in found.items() if value is not None}


def _csv(path: Path, *, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype="int64" if name == "index" else object) for name in columns})
    frame = frames.read_csv(path)
    missing = sorted(set(columns) - set(frame.columns))
    if missing:
        raise BadArgument(f"{str(path)!r} lacks the columns {missing}")
    return frame
