"""v0's search functions: the work_dir given to `init_search` is the one that is searched, in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fastdup_db.controller import FastdupController
from fastdup_db.errors import ImageError, NotRun

log = logging.getLogger(__name__)

_searched: FastdupController | None = None


def init_search(
    k: int,
    work_dir: str | Path,
    d: int | None = None,
    model_path: str | None = None,
    verbose: bool = False,
    license: str = "",
    store_int: bool | int = 0,
    turi_param: str = "",
    threshold: float = 0.0,
    high_accuracy: bool = False,
) -> int:
    """Get ready to search a work_dir; see `Fastdup.init_search`.

    verbose, license, high_accuracy: without effect; the run knows which model it used.
    """
    global _searched
    controller = FastdupController(work_dir)
    controller.init_search(
        k, d=d, model_path=model_path, store_int=store_int, turi_param=turi_param, threshold=threshold
    )
    _searched = controller
    return 0


def search(
    filename: Any = None,
    image: Any = None,
    verbose: bool = False,
    *,
    k: int | None = None,
    where: str | None = None,
    threshold: float | None = None,
    img: Any = None,
) -> pd.DataFrame | None:
    """The stored images most like an image or each of a list; see `Fastdup.search`.

    The frame's `attrs['work_dir']` tells galleries whose images they are. None, and the reason in the log, for an image
    that is missing or cannot be read; `Fastdup.search` raises.
    """
    try:
        return _found(_last().search(filename, image, k=k, where=where, threshold=threshold, img=img))
    except ImageError as exc:
        log.warning("nothing is searched: %s", exc)
        return None


def vector_search(
    filename: str | Sequence[str] = "query_vector",
    vec: Any = None,
    verbose: bool = False,
    *,
    k: int | None = None,
    where: str | None = None,
    threshold: float | None = None,
) -> pd.DataFrame:
    """The stored images nearest to an embedding or each of several; see `Fastdup.vector_search`."""
    return _found(_last().vector_search(filename, vec, k=k, where=where, threshold=threshold))


def _found(frame: pd.DataFrame) -> pd.DataFrame:
    frame.attrs["work_dir"] = _last().work_dir
    return frame


def _last() -> FastdupController:
    if _searched is None:
        raise NotRun("call init_search(k, work_dir) first: it says which work_dir is searched")
    return _searched
