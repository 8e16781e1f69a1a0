"""From settings to what a worker does."""

from __future__ import annotations

from pathlib import Path

from fastdup_db.engines.task import WorkSpec
from fastdup_db.imaging.crops import Margin, parse_global_box
from fastdup_db.pipeline.files import CROPS
from fastdup_db.pipeline.request import RunRequest

FACE_MARGIN = 0.2
"""The seed's default margin around detected faces, as a fraction of the face's width and height."""


def work_spec(request: RunRequest) -> WorkSpec:
    """The worker's orders for this run. Raises `BadArgument` for a bad bounding_box or detector."""
    config, mode = request.config, request.mode
    face = mode == "detect" and config.bounding_box == "face" and not config.augmentation_additive_margin
    default_margin = FACE_MARGIN if face else 0.0
    horiz, vert = config.augmentation_horiz, config.augmentation_vert
    return WorkSpec(
        mode=mode,
        model=config.model_name,
        model_input=tuple(sorted((config.model_input or {}).items())),
        dimension=config.d,
        embed=not config.run_stats_only,
        stats=config.run_stats or config.run_stats_only,
        advanced_stats=config.run_advanced_stats,
        min_width=config.min_input_image_width,
        min_height=config.min_input_image_height,
        global_box=parse_global_box(config.bounding_box) if mode == "global" and config.bounding_box else None,
        detector=config.bounding_box if mode == "detect" else None,
        margin=Margin(
            horiz=float(default_margin if horiz is None else horiz),
            vert=float(default_margin if vert is None else vert),
            additive=int(config.augmentation_additive_margin),
        ),
        crops_dir=_crops_dir(request.work_dir) if config.save_crops else None,
    )


def _crops_dir(work_dir: Path) -> str:
    return str(work_dir / CROPS)
