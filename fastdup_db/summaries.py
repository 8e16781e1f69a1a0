"""The summary's sentences, from one row of numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from fastdup_db.config import OF_BOXES


def lines(counts: Mapping[str, int], run: Mapping[str, Any]) -> list[str]:
    """The summary, one finding a line. `counts`: the row of `summary/counts`; `run`: the last row of `runs`."""
    total, valid = counts["total"], counts["valid"]
    noun = "objects" if run["data_type"] in OF_BOXES else "images"
    said = [
        f"Dataset contains {total:,} {noun}",
        f"Valid {noun} are {_percent(valid, total)} ({valid:,}) of the data, "
        f"invalid are {_percent(total - valid, total)} ({total - valid:,}) of the data",
    ]
    if total > valid:
        said.append("For a detailed analysis, use `.invalid_instances()`.")
    if counts["edges"]:
        said += _clusters(counts, run, noun=noun)
        said.append(
            f"Outliers: {_percent(counts['outliers'], valid)} ({counts['outliers']:,}) of {noun} are possible "
            f"outliers, and fall in the bottom {100 * run['outlier_percentile']:.2f}% of similarity values."
        )
        said.append("For a detailed list of outliers, use `.outliers()`.")
    if counts["measured"]:
        for key, name in (("blurry", "Blur"), ("bright", "Brightness"), ("dark", "Darkness")):
            said.append(f"{name}: found {_percent(counts[key], valid)} of {noun} ({counts[key]:,}) that are {key}.")
        said.append("For more information, use `.img_stats()`.")
    return said


def show(said: Sequence[str]) -> None:
    """Write the lines to standard output, if there is any, under a heading."""
    if sys.stdout is None:
        return
    text = "\n".join([88 * "#", "", "Dataset Analysis Summary:", "", *(f"    {line}" for line in said), ""])
    sys.stdout.write(text + "\n")


def _clusters(counts: Mapping[str, int], run: Mapping[str, Any], *, noun: str) -> list[str]:
    valid, clustered = counts["valid"], counts["clustered"]
    if not json.loads(run["config"])["run_cc"]:
        return ["Components: not looked for, since the run had run_cc=False."]
    if not clustered:
        return ["Components: failed to find images clustered into components, try to run with lower cc_threshold."]
    return [
        f"Similarity: {_percent(clustered, valid)} ({clustered:,}) belong to {counts['components']:,} similarity "
        "clusters (components).",
        f"{_percent(valid - clustered, valid)} ({valid - clustered:,}) {noun} do not belong to any similarity cluster.",
        f"Largest cluster has {counts['largest']:,} ({_percent(counts['largest'], valid)}) {noun}.",
        "For a detailed analysis, use `.connected_components()` (similarity threshold used is "
        f"{run['threshold']:g}, connected component threshold used is {run['cc_threshold']:g}).",
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.2f}%"
