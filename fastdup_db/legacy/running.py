"""v0 `run` and its kin: their arguments are fastdup's, their work is the controller's."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any

import numpy as np

import fastdup_db
from fastdup_db import checks
from fastdup_db.config import EXTRACT_ONLY, GRAPH_ONLY, turi_pairs
from fastdup_db.engine import Fastdup, create
from fastdup_db.errors import BadArgument
from fastdup_db.legacy import clusters, features
from fastdup_db.legacy.clusters import DEFAULT_D
from fastdup_db.pipeline import files
from fastdup_db.sources.reference import Load, Reference

KMEANS, KMEANS_ON_EXTRACTED = 5, 6
"""v0's run_modes that cluster: the images that they embed, or the features stored by an earlier run."""
LOOK_UP_FEATURES = 4
"""v0's run_mode that looks up features in test_dir; ours looks up images with it, as with 3."""


def run(
    input_dir: Any = "",
    work_dir: str | Path = ".",
    test_dir: str = "",
    compute: str = "cpu",
    verbose: bool = False,
    num_threads: int = -1,
    num_images: int = 0,
    turi_param: str = "nnmodel=0",
    distance: str = "cosine",
    threshold: float = 0.9,
    lower_threshold: float = 0.05,
    model_path: str | None = None,
    license: str = "",
    version: bool = False,
    nearest_neighbors_k: int = 2,
    d: int = DEFAULT_D,
    run_mode: int = 0,
    nn_provider: str = "nnf",
    min_offset: int = 0,
    max_offset: int = 0,
    nnf_mode: str = "HNSW32",
    nnf_param: str = "",
    bounding_box: str = "",
    batch_size: int = 1,
    resume: int = 0,
    high_accuracy: bool = False,
    logger: Any = None,
) -> int:
    """v0's run: as `Fastdup.run`, and fastdup's own files beside the database. Returns 0.

    turi_param: 'store_int=1' writes ids into these files, as fastdup's class does; else they hold file names.

    run_mode=2 works on the features of the last run, or on those of yours that `save_binary_feature` has put into the
    work_dir since: they become the run's, their images are not read, and relative names count from input_dir. So do
    the k-means of run_mode=6.
    compute, license, nn_provider, batch_size and logger have no effect; `d` counts with a model_path or features of
    yours, other than 576, and is found out otherwise.
    """
    if version:
        if sys.stdout is not None:
            sys.stdout.write(f"{fastdup_db.__version__}\n")
        return 0
    checks.on_disk("work_dir", work_dir)  # fastdup's files lie there
    if run_mode == KMEANS_ON_EXTRACTED:
        return clusters.run_kmeans_on_extracted(input_dir, work_dir, d=d)
    fd = create(work_dir, input_dir or None)
    arguments: dict[str, Any] = {
        "test_dir": test_dir or None,
        "verbose": verbose,
        "num_threads": None if num_threads < 1 else num_threads,
        "num_images": num_images or None,
        "turi_param": turi_param,
        "distance": distance,
        "threshold": threshold,
        "lower_threshold": lower_threshold,
        "nearest_neighbors_k": nearest_neighbors_k,
        "min_offset": min_offset or None,
        "max_offset": max_offset or None,
        "nnf_mode": nnf_mode,
        "nnf_param": nnf_param,
        "bounding_box": bounding_box or None,
    }
    if run_mode == LOOK_UP_FEATURES and test_dir and (Path(test_dir) / files.FEATURES).is_file():
        raise BadArgument(
            f"test_dir={str(test_dir)!r} holds features, and run_mode=4 looks up images; init_search(k, work_dir) and "
            "vector_search(*load_binary_feature(test_dir)) find the stored images nearest to each of the features"
        )
    own_d = d if d != DEFAULT_D else None
    if run_mode != GRAPH_ONLY or not features.take_over(work_dir, input_dir, d=own_d, **arguments):
        fd.run(
            model_path=model_path,
            d=own_d if model_path else None,
            run_mode=EXTRACT_ONLY if run_mode == KMEANS else run_mode,
            high_accuracy=high_accuracy,
            overwrite=not resume and run_mode in (0, EXTRACT_ONLY, KMEANS),
            **arguments,
        )
    if run_mode == KMEANS:
        return clusters.run_kmeans_on_extracted(input_dir, work_dir)
    fd.export(work_dir, "fastdup", names=turi_pairs(turi_param).get("store_int") != "1")
    return 0


def load_config(work_dir: str | Path) -> dict[str, Any]:
    """The settings of a work_dir: its config.json (fastdup's or ours), else those of the database."""
    path = Path(work_dir) / files.CONFIG
    if path.is_file():
        return files.read_config(path)
    return Fastdup(work_dir).config


def extract_video_frames(
    input_dir: str | Path,
    work_dir: str | Path,
    verbose: bool = False,
    num_threads: int = -1,
    num_images: int = 0,
    min_offset: int = 0,
    max_offset: int = 0,
    turi_param: str = "",
    model_path: str | None = None,
    d: int = DEFAULT_D,
    resize_video: int = 0,
    keyframes_only: int = 1,
    license: str = "",
    no_sort: int = 0,
    resume: int = 1,
    save_timestamp: int = 0,
) -> int:
    """Write the frames of videos as `work_dir/tmp/<video>/output_000001.jpg`, … without ffmpeg; returns 0.

    <video> is its path with `_` for `/` and `\\`, and where that might be another's, too, a digest of the path. A
    frame's number is its place in the video, also where min_offset and max_offset choose some frames of all videos
    together. keyframes_only: only frames that stand alone; else one per second. resize_video: the longer side becomes
    at most this many pixels (0: as it is; 1, as in v0: 1000). save_timestamp: the name ends in the time,
    `_12.000s.jpg`. resume: frames that exist are not written again. `run` finds the frames of videos by itself.
    """
    from fastdup_db import sources

    checks.on_disk("work_dir", work_dir)
    options = sources.ListingOptions(video_keyframes_only=bool(keyframes_only))
    side = 1000 if resize_video == 1 else int(resize_video)
    place = str(input_dir)
    place = place if "://" in place else str(Path(place).absolute())
    numbered = _numbered(sources.listing(place, options=options))
    first = next(numbered, None)
    if first is None:
        raise fastdup_db.BadInput(f"{place!r} holds no video")
    start = max(min_offset or 0, 0)
    end = max_offset or sys.maxsize
    if num_images:
        end = min(end, start + num_images)
    chosen, read_ahead = tee(islice(chain([first], numbered), start, max(end, 0)))
    loads = sources.payloads(reference for _, reference in read_ahead)
    for (number, reference), (_, load) in zip(chosen, loads, strict=True):
        folder = Path(work_dir) / "tmp" / _folder_of(reference.container)
        folder.mkdir(parents=True, exist_ok=True)
        ending = f"_{reference.frame_ms / 1000:.3f}s" if save_timestamp else ""
        target = folder / f"output_{number:06d}{ending}.jpg"
        if not (resume and target.exists()):
            _write_frame(load, target, side=side)
    return 0


def _numbered(references: Iterable[Reference]) -> Iterator[tuple[int, Reference]]:
    """The frames among the references, each with its place in its video, from 1."""
    counts: Counter[str] = Counter()
    for reference in references:
        if reference.frame_ms >= 0:
            counts[reference.container] += 1
            yield counts[reference.container], reference


def _write_frame(load: Load, target: Path, *, side: int) -> None:
    """One frame as JPEG. A damaged one is left out, a gap in the numbers; run() tells of it."""
    from fastdup_db.errors import ImageError
    from fastdup_db.imaging.encode import to_jpeg

    try:
        frame = np.asarray(load())
    except ImageError:
        return
    part = target.with_suffix(".part")
    part.write_bytes(to_jpeg(frame, max_side=side))
    part.replace(target)


def _folder_of(video: str) -> str:
    """A name for a folder of its own: the path, and a digest where another path would give the same name."""
    plain = re.sub(r"[/\\:]", "_", video).strip("_")
    is_unique = not {"_", "\\", ":"} & set(video)
    return plain if is_unique else f"{plain}-{hashlib.sha256(os.fsencode(video)).hexdigest()[:8]}"
