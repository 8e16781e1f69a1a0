"""v0's functions that take files away. All are dry by default, and keep to the input of the run."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import checks, frames
from fastdup_db.cleaning import plans
from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.graph.metrics import reaches
from fastdup_db.legacy.labels import MISSING
from fastdup_db.legacy.shown import folder_of
from fastdup_db.pipeline.files import OUTLIERS, SIMILARITY, STATS


def delete_components(
    top_components: pd.DataFrame,
    to_delete: Sequence[int] | None = None,
    min_distance: float = 0.98,
    how: str = "one",
    dry_run: bool = True,
    verbose: bool = True,
    *,
    work_dir: str | Path | None = None,
    quarantine: str | Path | None = None,
) -> list[str]:
    """The files of components to take away, taken away with `dry_run=False`.

    top_components: as `find_top_components` returns it; in a row of a label, each of its components counts for itself.
    to_delete: ids of components, all by default. min_distance: only rows whose least similar pair is at least that
    similar. how: 'one' keeps the first file of each component, 'all' keeps none; a component whose first file is
    missing or changed is left alone. verbose: print what would be done.
    work_dir: of the run, known from the frame. quarantine: a new folder to move the files to; `Fastdup.undo` moves them
    back. Without it they are deleted.
    """
    checks.member("how", how, ("all", "one"))
    checks.between("min_distance", min_distance, -1, 1)
    frames.check(top_components, argument="top_components", columns=("component_id", "files", "distance"))
    near = top_components[reaches(top_components["distance"], min_distance)]
    wanted = None if to_delete is None else set(to_delete)
    named = (group for component, group in _components(near) if wanted is None or component in wanted)
    groups = [list(dict.fromkeys(group)) for group in named]  # a file with several boxes is one file
    if how == "all":
        plan = _plan((file, None) for group in groups for file in group)
    else:
        plan = _plan((file, group[0]) for group in groups for file in group[1:])
    plan = plans.marked_as(plan, top_components)
    return _act(plan, _work_dir(top_components, work_dir), dry_run=dry_run, verbose=verbose, quarantine=quarantine)


def delete_components_by_label(
    top_components_file: pd.DataFrame | str | Path,
    min_items: int = 10,
    min_distance: float = 0.96,
    how: str = "majority",
    dry_run: bool = True,
    *,
    verbose: bool = True,
    work_dir: str | Path | None = None,
    quarantine: str | Path | None = None,
) -> list[str]:
    """Of components with labels, the files that disagree with most of their component ('majority'), or all ('all').

    top_components_file: a frame of `find_top_components`, or the .parquet it saved. With as many votes for several
    labels the first file's of them is kept. A file without a label stays, and has no vote. With 'majority' a component
    is left alone where the first file of its majority is missing or changed. Other arguments as in `delete_components`.
    """
    checks.member("how", how, ("all", "majority"))
    checks.between("min_distance", min_distance, -1, 1)
    frame = top_components_file if isinstance(top_components_file, pd.DataFrame) else _parquet(top_components_file)
    frames.check(frame, argument="top_components_file", columns=("component_id", "files", "distance", "len"))
    if "label" not in frame.columns:
        raise BadArgument("the components have no labels: give get_label_func to find_top_components")
    chosen = frame[(frame["len"] >= min_items) & reaches(frame["distance"], min_distance)]
    if any(map(_is_list, chosen["component_id"])):
        raise BadArgument("these rows are of labels; give those of components (group_by='visual')")
    members = chosen[["component_id", "files", "label"]].explode(["files", "label"], ignore_index=True)
    if how == "majority" and len(members):
        members["label"] = members["label"].where(members["label"] != MISSING)
        votes = members.groupby(["component_id", "label"], sort=False).size().rename("votes").reset_index()
        best = votes.sort_values("votes", ascending=False, kind="stable").drop_duplicates("component_id")
        kept = members["component_id"].map(best.set_index("component_id")["label"])
        stays = (members["label"] == kept) | members["label"].isna()
        keeper = members[members["label"] == kept].groupby("component_id")["files"].first()
        members = members[~stays]
        plan = _plan(zip(members["files"], members["component_id"].map(keeper), strict=True))
    else:
        plan = _plan((file, None) for file in members["files"])
    plan = plans.marked_as(plan, frame)
    return _act(plan, _work_dir(frame, work_dir), dry_run=dry_run, verbose=verbose, quarantine=quarantine)


def delete_or_retag_stats_outliers(
    stats_file: pd.DataFrame | str | Path,
    metric: str,
    filename_col: str = "filename",
    label_col: str | None = None,
    lower_percentile: float | None = None,
    upper_percentile: float | None = None,
    lower_threshold: float | None = None,
    upper_threshold: float | None = None,
    get_reformat_filename_func: Callable[[str], str] | None = None,
    dry_run: bool = True,
    how: str = "delete",
    save_path: str | Path | None = None,
    work_dir: str | Path | None = None,
    *,
    verbose: bool = True,
) -> list[str]:
    """The files whose statistic lies below the lower or above the upper bound, and what `how` says done with them.

    stats_file: a work_dir or one of fastdup's csv files in it, also where that was not written, a frame with
    `filename_col` and the metric, or a csv of one. Percentiles lie in 0 to 1. Returns the files, as fastdup's
    documentation says; fastdup 2.54 itself returns 0.
    how: 'delete'; 'move' into the new folder `save_path` (`Fastdup.undo` moves back); 'retag' writes the csv
    `save_path` with `label_col` set to 'outlier' for them. get_reformat_filename_func: from the name in the frame to
    that of the file.
    """
    checks.member("how", how, ("delete", "move", "retag"))
    if how != "delete" and save_path is None:
        raise BadArgument(f"how={how!r} needs save_path")
    for name, share in (("lower_percentile", lower_percentile), ("upper_percentile", upper_percentile)):
        if share is not None:
            checks.between(name, share, 0, 1)
    frame, work_dir = _stats(stats_file, work_dir)
    for name in (metric, filename_col, *([label_col] if how == "retag" and label_col else [])):
        if name not in frame.columns:
            raise one_of("column", name, map(str, frame.columns))
    if not pd.api.types.is_numeric_dtype(frame[metric]):
        raise BadArgument(f"metric={metric!r} holds other things than numbers")
    low = frame[metric].quantile(lower_percentile) if lower_percentile is not None else lower_threshold
    high = frame[metric].quantile(upper_percentile) if upper_percentile is not None else upper_threshold
    is_out = _outside(frame[metric], low=low, high=high)
    names = frame.loc[is_out, filename_col].astype(str)
    files = [get_reformat_filename_func(n) if get_reformat_filename_func else n for n in names]
    if how == "retag":
        if not dry_run:
            _retagged(frame, is_out, column=label_col or "label").to_csv(Path(str(save_path)), index=False)
        return files
    return _act(files, work_dir, dry_run=dry_run, verbose=verbose, quarantine=save_path if how == "move" else None)


def remove_duplicates(
    input_dir: Any,
    work_dir: str | Path | None = None,
    distance: float = 0.96,
    dry_run: bool = True,
    license: str = "",
    *,
    verbose: bool = True,
    quarantine: str | Path | None = None,
) -> list[str]:
    """Run on a folder and take away all but the first image of every component; returns the files.

    distance: lowest similarity within a component. Unlike v0's it is dry by default. work_dir: of the run, kept; a
    temporary one by default.
    """
    with tempfile.TemporaryDirectory(prefix="fastdup-db-") as folder:
        fd = create(work_dir or Path(folder) / "work", input_dir)
        fd.run(cc_threshold=distance, progress=False)
        return _act(fd.dedup("first"), fd.work_dir, dry_run=dry_run, verbose=verbose, quarantine=quarantine)


def _outside(values: pd.Series, *, low: float | None, high: float | None) -> pd.Series:
    """Which of the values lie below `low` or above `high`. Raises `BadArgument` without either."""
    if low is None and high is None:
        raise BadArgument("give a lower or upper percentile or threshold")
    is_out = pd.Series(False, index=values.index)
    if low is not None:
        is_out |= values < low
    if high is not None:
        is_out |= values > high
    return is_out


def _retagged(frame: pd.DataFrame, is_out: pd.Series, *, column: str) -> pd.DataFrame:
    """The frame with 'outlier' in `column`, which is added where it is missing, of the rows that are out."""
    labels = frame[column] if column in frame.columns else pd.Series(None, index=frame.index, dtype=object)
    tagged = frame.assign(**{column: labels.astype(object)})
    tagged.loc[is_out, column] = "outlier"
    return tagged


def _plan(pairs: Iterable[tuple[str, str | None]]) -> pd.DataFrame:
    """A plan of (file that goes, file that must stay for it, if any)."""
    return pd.DataFrame(list(pairs), columns=["filename", "keep_filename"], dtype=object)


def _act(
    plan: pd.DataFrame | list[str],
    work_dir: str | Path | None,
    *,
    dry_run: bool,
    verbose: bool,
    quarantine: str | Path | None,
) -> list[str]:
    """Says (`verbose`) what is to be done, does it unless dry; returns the files that go, or went."""
    files = list(plans.going(plan))
    if work_dir is None and not dry_run:
        raise BadArgument("which run do these files belong to? give work_dir: only files of its input are touched")
    if work_dir is not None:
        how = "delete" if quarantine is None else "quarantine"
        done = plans.clean(Path(work_dir), plan, how=how, folder=quarantine, dry_run=dry_run)
        files = done.loc[done["status"].isin(["planned", "moved", "deleted"]), "filename"].tolist()
    if verbose and dry_run and sys.stdout is not None:
        command = "rm -f" if quarantine is None else f"mv -t {shlex.quote(str(quarantine))}"
        sys.stdout.writelines(f"{command} {shlex.quote(file)}\n" for file in files)
    return files


def _components(frame: pd.DataFrame) -> Iterator[tuple[Any, list[str]]]:
    """Every component and its files. A row of a label names the component of each of its files: it holds several."""
    for component, files in zip(frame["component_id"], frame["files"], strict=True):
        if not _is_list(component):
            yield component, list(files)
            continue
        groups: dict[Any, list[str]] = {}
        for one, file in zip(component, files, strict=True):
            groups.setdefault(one, []).append(file)
        yield from groups.items()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _work_dir(frame: pd.DataFrame, work_dir: str | Path | None) -> str | Path | None:
    return work_dir if work_dir is not None else frame.attrs.get("work_dir")


def _parquet(path: str | Path) -> pd.DataFrame:
    if Path(path).suffix != ".parquet":
        raise BadArgument(
            f"{str(path)!r} is no .parquet of find_top_components (pickles can run any code, so none is read)"
        )
    return frames.read_parquet(path, argument="top_components_file")


def _stats(source: pd.DataFrame | str | Path, work_dir: str | Path | None) -> tuple[pd.DataFrame, str | Path | None]:
    if isinstance(source, pd.DataFrame):
        return source, _work_dir(source, work_dir)
    path = Path(source)
    if path.is_dir():
        return Fastdup(path).img_stats(), work_dir or path
    if not path.is_file() and path.name in (OUTLIERS, SIMILARITY, STATS) and folder_of(path) != path:
        return _stored(Fastdup(path.parent), path.name), work_dir or path.parent
    return frames.read_csv(path, argument="stats_file"), work_dir or path.parent


def _stored(fd: Fastdup, name: str) -> pd.DataFrame:
    """What v0's `run` writes as the csv `name`."""
    if name == SIMILARITY:
        return _named(fd.similarity(), {"filename_from": "from", "filename_to": "to"})
    if name == OUTLIERS:
        return _named(fd.outliers(), {"filename_outlier": "from", "filename_nearest": "to"})
    return fd.img_stats()


def _named(pairs: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return pairs[[*names, "distance"]].rename(columns=names)
