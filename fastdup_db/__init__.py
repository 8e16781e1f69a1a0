"""Find what is wrong with an image collection: duplicates, outliers, clusters, broken and blurry files, wrong labels.

    import fastdup_db

    fd = fastdup_db.create(work_dir="results", input_dir="photos")
    fd.run()
    fd.summary()

Names are loaded when first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
import os
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
    from fastdup_db.legacy.clusters import run_kmeans, run_kmeans_on_extracted
    from fastdup_db.legacy.component_galleries import create_components_gallery, create_kmeans_clusters_gallery
    from fastdup_db.legacy.components import find_top_components
    from fastdup_db.legacy.deleting import (
        delete_components,
        delete_components_by_label,
        delete_or_retag_stats_outliers,
        remove_duplicates,
    )
    from fastdup_db.legacy.features import load_binary_feature, read_coco_labels, save_binary_feature
    from fastdup_db.legacy.galleries import (
        create_duplicates_gallery,
        create_outliers_gallery,
        create_similarity_gallery,
        create_stats_gallery,
    )
    from fastdup_db.legacy.labels import create_kmeans_classifier, create_knn_classifier, top_k_label
    from fastdup_db.legacy.pictures import export_to_tensorboard_projector, generate_sprite_image
    from fastdup_db.legacy.running import extract_video_frames, load_config, run
    from fastdup_db.legacy.search import init_search, search, vector_search
    from fastdup_db.searching.features import feature_vector, feature_vectors
    from fastdup_db.sources.copies import s3_folder_exists_and_not_empty

__version__ = "0.1.0"

# Official builds of onnxruntime report to Microsoft, and keep a device id in the home folder, and downloads from the
# Hugging Face hub say what they are for, unless these are set before the libraries are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_LAZY = {
    "Fastdup": "engine",
    "FastdupController": "controller",
    "create": "engine",
    "create_components_gallery": "legacy.component_galleries",
    "create_duplicates_gallery": "legacy.galleries",
    "create_kmeans_classifier": "legacy.labels",
    "create_kmeans_clusters_gallery": "legacy.component_galleries",
    "create_knn_classifier": "legacy.labels",
    "create_outliers_gallery": "legacy.galleries",
    "create_similarity_gallery": "legacy.galleries",
    "create_stats_gallery": "legacy.galleries",
    "delete_components": "legacy.deleting",
    "delete_components_by_label": "legacy.deleting",
    "delete_or_retag_stats_outliers": "legacy.deleting",
    "export_to_tensorboard_projector": "legacy.pictures",
    "extract_video_frames": "legacy.running",
    "feature_vector": "searching.features",
    "feature_vectors": "searching.features",
    "find_top_components": "legacy.components",
    "generate_sprite_image": "legacy.pictures",
    "import_work_dir": "engine",
    "init_search": "legacy.search",
    "load_binary_feature": "legacy.features",
    "load_config": "legacy.running",
    "read_coco_labels": "legacy.features",
    "remove_duplicates": "legacy.deleting",
    "run": "legacy.running",
    "run_kmeans": "legacy.clusters",
    "run_kmeans_on_extracted": "legacy.clusters",
    "s3_folder_exists_and_not_empty": "sources.copies",
    "save_binary_feature": "legacy.features",
    "search": "legacy.search",
    "top_k_label": "legacy.labels",
    "vector_search": "legacy.search",
}

_MODULES = ("engine", "fastdup_controller", "fastdup_galleries", "fastdup_visualizer")
"""Modules that scripts name by the package, as in `fastdup.engine.Fastdup`, without importing them."""

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
    "create_components_gallery",
    "create_duplicates_gallery",
    "create_kmeans_classifier",
    "create_kmeans_clusters_gallery",
    "create_knn_classifier",
    "create_outliers_gallery",
    "create_similarity_gallery",
    "create_stats_gallery",
    "delete_components",
    "delete_components_by_label",
    "delete_or_retag_stats_outliers",
    "export_to_tensorboard_projector",
    "extract_video_frames",
    "feature_vector",
    "feature_vectors",
    "find_top_components",
    "generate_sprite_image",
    "import_work_dir",
    "init_search",
    "load_binary_feature",
    "load_config",
    "read_coco_labels",
    "remove_duplicates",
    "run",
    "run_kmeans",
    "run_kmeans_on_extracted",
    "s3_folder_exists_and_not_empty",
    "save_binary_feature",
    "search",
    "top_k_label",
    "vector_search",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastdup_db.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'fastdup_db' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastdup_db.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__) | set(_MODULES))
