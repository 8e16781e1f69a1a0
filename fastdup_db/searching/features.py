"""Embeddings of images without a run: `feature_vector` of one, `feature_vectors` of many."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdup_db.engines.task import WorkSpec
from fastdup_db.searching import pictures


def feature_vector(img_path: Any, model_path: str | None = None, d: int | None = None) -> tuple[np.ndarray, list[str]]:
    """(float32 (1, d), [name]): the embedding a run would store for one image.

    Args:
        img_path: a path, an `s3://` or `minio://` path, a PIL image, an RGB array or bytes.
        model_path: a model of the catalogue or an .onnx/.ort file; the bundled default without.
        d: what you expect; another width raises `BadArgument` naming the model's.

    Raises:
        ImageError: for an image that cannot be read, with its code.
    """
    names, vectors = pictures.of_queries(img_path, None, spec=_spec(model_path, d))
    return vectors, names


def feature_vectors(img_path: Any, model_path: str | None = None, d: int | None = None) -> tuple[np.ndarray, list[str]]:
    """(float32 (n, d), names (n)) of a folder, a list of images or any other `input_dir` of `run`, in listing order.

    Images that cannot be used are left out, with a warning in the log. The other arguments: as in `feature_vector`.
    """
    names, vectors, _ = pictures.of_input(img_path, spec=_spec(model_path, d))
    return vectors, names


def _spec(model_path: str | None, d: int | None) -> WorkSpec:
    return WorkSpec(model=model_path or "default", dimension=d, stats=False)
