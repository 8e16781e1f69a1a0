"""Find what is wrong with an image collection: duplicates, outliers, clusters, broken and blurry files, wrong labels.

    import fastdup_db

    fd = fastdup_db.create(work_dir="results", input_dir="photos")
    fd.run()
    fd.summary()

Names are loaded when first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastdup_db.errors import (
    BadArgument,
    BadInput,
    FastdupError,
    ImageError,
    MissingExtra,
    ModelUnavailable,
    NotRun,
    RemoteError,
    SchemaTooNew,
    WorkDirBusy,
)

if TYPE_CHECKING:
    from fastdup_db.controller import FastdupController
    from fastdup_db.engine import Fastdup, create, import_work_dir
    from fastdup_db.legacy_search import init_search, search, vector_search
    from fastdup_db.searching.features import feature_vector, feature_vectors

__version__ = "0.1.0"

_LAZY = {
    "Fastdup": "engine",
    "FastdupController": "controller",
    "create": "engine",
    "feature_vector": "searching.features",
    "feature_vectors": "searching.features",
    "import_work_dir": "engine",
    "init_search": "legacy_search",
    "search": "legacy_search",
    "vector_search": "legacy_search",
}

__all__ = [
    "BadArgument",
    "BadInput",
    "Fastdup",
    "FastdupController",
    "FastdupError",
    "ImageError",
    "MissingExtra",
    "ModelUnavailable",
    "NotRun",
    "RemoteError",
    "SchemaTooNew",
    "WorkDirBusy",
    "__version__",
    "create",
    "feature_vector",
    "feature_vectors",
    "import_work_dir",
    "init_search",
    "search",
    "vector_search",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastdup_db' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastdup_db.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
