"""From the arguments of run() to a `RunRequest`: every check that can be made before the first image is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastdup_db import annotation_forms, sources
from fastdup_db.config import RunConfig
from fastdup_db.errors import BadArgument, BadInput, NotRun
from fastdup_db.graph import index
from fastdup_db.graph.metrics import metric
from fastdup_db.imaging.crops import BOX_COLUMNS, CORNER_COLUMNS
from fastdup_db.pipeline import fetching, given, listing, remote
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.sources import kinds
from fastdup_db.sources.inputs import names_of, plain
from fastdup_db.spelling import real
from fastdup_db.store import duck
from fastdup_db.store.lance_rows import READ_ROWS

if TYPE_CHECKING:
    import pandas as pd


def run_request(
    work_dir: Path,
    *,
    config: RunConfig,
    input_dir: Any = None,
    annotations: Any = None,
    embeddings: Any = None,
    subset: Any = None,
) -> RunRequest:
    """The request of one run. Raises `BadArgument` or `BadInput`, with nothing read but names and nothing written."""
    index.index_kind(config.nnf_mode, param=config.nnf_param)
    if config.test_dir:
        config = replace(config, test_dir=_absolute(config.test_dir))
    remote.check(work_dir, config)
    fetching.check(config, _input(input_dir), reads_images=embeddings is None and config.lists)
    if config.needs_stored:
        config = replace(config, overwrite=False)  # these stages work on what a run has stored
        if not duck.exists(work_dir):
            raise NotRun(f"run_mode={config.run_mode} needs the embeddings of an earlier run in {work_dir}")
    frame = annotation_forms.read(annotations)
    if not config.lists and embeddings is None and (frame is not None or subset is not None):
        raise BadArgument("run_mode=2 works on the images and annotations that are stored; give none with it")
    if frame is None and embeddings is None and config.data_type != "image" and _is_yolo(input_dir):
        frame = _yolo_boxes(input_dir, options=listing.options(RunRequest(work_dir=work_dir, config=config)))
    boxes = frame is not None and annotation_forms.has_boxes(frame) and config.data_type != "image"
    if not boxes and (asked := _asks_for_boxes(config)):
        raise BadArgument(f"{asked} needs annotations with the columns {BOX_COLUMNS} or {CORNER_COLUMNS}")
    if boxes and config.bounding_box not in (None, "", "xywh_bbox"):
        raise BadArgument("annotations with boxes and bounding_box exclude each other: give one of them")
    request = RunRequest(
        work_dir=Path(os.path.abspath(work_dir)),
        config=config,
        input_dir=_input(input_dir),
        annotations=frame,
        embeddings=None if embeddings is None else _vectors(embeddings, frame, config),
        boxes=boxes,
        subset=_subset(subset),
        bases=_bases(input_dir, config.test_dir),
    )
    _check_input(request)
    return request


def _vectors(embeddings: Any, frame: pd.DataFrame | None, config: RunConfig) -> np.ndarray:
    """The user's vectors, float32 (n, d), one for each row of the annotations. Raises `BadArgument`."""
    if frame is None:
        raise BadArgument("embeddings need annotations: the list (or frame) of the names of their rows")
    matrix = given.checked(embeddings, names=len(frame))
    _check_lengths(matrix, config.distance)
    _check_vectors_alone(config)
    if config.d is not None and config.d != matrix.shape[1]:
        raise BadArgument(f"d={config.d}, but the embeddings have d={matrix.shape[1]}")
    return matrix


def _check_lengths(matrix: np.ndarray, distance: str) -> None:
    """Raises `BadArgument` where vectors are too long for the metric; those of the cosine may be of any length."""
    if distance != "cosine":
        for start in range(0, len(matrix), READ_ROWS):
            metric(distance).prepare(matrix[start : start + READ_ROWS])


def _is_yolo(input_dir: Any) -> bool:
    return isinstance(input_dir, str | os.PathLike) and os.fspath(input_dir).lower().endswith((".yaml", ".yml"))


def _yolo_boxes(input_dir: Any, *, options: sources.ListingOptions) -> Any:
    """The boxes of a YOLO dataset as annotations; None where it has no label files: then it is a list of images.

    Only those of the images that the run selects: a name in the annotations is listed whatever the selection says.
    """
    from fastdup_db.sources.yolo import yolo_annotations

    frame = yolo_annotations(_input(input_dir), options=options)[1]  # type: ignore[arg-type]
    return annotation_forms.read(frame) if len(frame) else None


def _asks_for_boxes(config: RunConfig) -> str:
    """The argument by which boxes of annotations were asked for; empty where none was."""
    if config.bounding_box == "xywh_bbox" and config.lists:
        return "bounding_box='xywh_bbox'"
    return "data_type='bbox'" if config.data_type == "bbox" and not config.bounding_box else ""


def _check_vectors_alone(config: RunConfig) -> None:
    """Raises `BadArgument` for what selects from a listing, where the rows of the user's vectors are the collection."""
    for name in ("find_regex", "num_images", "min_offset", "max_offset", "min_file_size", "tar_only", "test_dir"):
        if getattr(config, name):
            raise BadArgument(f"{name} is for images that are listed; with embeddings give the rows that you want")


def _check_input(request: RunRequest) -> None:
    if request.embeddings is not None or not request.config.lists:
        return
    wanted, test_dir = request.input_dir, request.config.test_dir
    if test_dir:
        if wanted is None:
            raise BadInput("test_dir is compared with the images of input_dir: give it, too")
        if isinstance(wanted, str) and real(test_dir) == real(wanted):
            raise BadInput(f"test_dir and input_dir are both {test_dir!r}: no image is left to compare with")
        try:
            sources.check_input(test_dir, work_dir=request.work_dir, options=listing.options(request))
        except BadInput as exc:
            raise BadInput(str(exc).replace("input_dir", "test_dir", 1)) from exc
    if wanted is None and request.annotations is not None:
        return  # every row is an image, if only one that is missing
    sources.check_input(wanted, work_dir=request.work_dir, options=listing.input_options(request))


def _input(input_dir: Any) -> str | list[str] | None:
    """Absolute names: a run may be gone on with from another directory."""
    if input_dir is None:
        return None
    names = names_of(input_dir)
    return [_absolute(name) for name in names] if isinstance(names, list) else _absolute(names)


def _absolute(name: str | bytes) -> str:
    if not name or isinstance(name, bytes):
        raise BadInput(f"input_dir holds the name {name!r}; give the path of a file or folder")
    return name if "://" in name else os.path.abspath(os.path.expanduser(name))


def _bases(*inputs: Any) -> tuple[str, ...]:
    """What relative names count from: the folders and archives of the input, and the folders that its files lie in."""
    named = (_input(one) for one in inputs if one is not None)
    names = (name for one in named for name in ([one] if isinstance(one, str) else one or ()))
    return tuple(dict.fromkeys(base for name in names for base in _bases_of(name)))


def _bases_of(name: str) -> tuple[str, ...]:
    kind = kinds.kind_of(name)
    if os.path.isdir(name) or ("://" in name and kind == kinds.OTHER):
        return (name,)
    folder = name.rpartition("/")[0] if "://" in name else os.path.dirname(name)
    return (name, folder) if kind == kinds.ARCHIVE else (folder,)


def _subset(subset: Any) -> list[str] | None:
    if subset is None:
        return None
    names = plain(subset)
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise BadArgument("subset is a list of at least one file name")
    wrong = next((name for name in names if not isinstance(name, str | Path)), None)
    if wrong is not None:
        raise BadArgument(f"subset holds {wrong!r}; it is a list of file names")
    return [os.fspath(name) for name in names]
