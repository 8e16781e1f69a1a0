"""What a run is asked to do, checked and in one form, before anything is read or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastdup_db.config import RunConfig
from fastdup_db.sources import files

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One call of run().

    input_dir: where the images come from, None where the annotations name them.
    annotations: one row per image or box, with `filename`; None where there are none.
    embeddings: float32 (n, d), row i belongs to the i-th name listed; None where a model makes them.
    facts: what another program measured for those rows, see `pipeline.given.results`; None where nobody did.
    boxes: whether instances are the boxes of the annotations.
    subset: names to keep, None for all.
    bases: folders, archives and prefixes that relative names of annotations and subset count from, in this order.
    read_from: what is listed in place of input_dir: the copies of a bucket; None where there are none.
    """

    work_dir: Path
    config: RunConfig
    input_dir: str | Sequence[str] | None = None
    annotations: pd.DataFrame | None = None
    embeddings: np.ndarray | None = None
    facts: pd.DataFrame | None = None
    boxes: bool = False
    subset: Sequence[str] | None = None
    bases: tuple[str, ...] = field(default=())
    read_from: str | Sequence[str] | None = None

    @property
    def mode(self) -> str:
        """What an instance is: 'image', 'boxes', 'global', 'detect' or 'embedding'; see `config.OF_BOXES`."""
        if self.embeddings is not None:
            return "embedding"
        if self.boxes:
            return "boxes"
        box = self.config.bounding_box
        if not box or box == "xywh_bbox":
            return "image"
        return "global" if "=" in box else "detect"

    @property
    def input_text(self) -> str:
        """The input as the table `runs` keeps it; `input_of` reads it."""
        names = [self.input_dir] if isinstance(self.input_dir, str) else self.input_dir or ()
        return "\n".join(map(files.stored_line, names))


def input_of(text: str) -> str | list[str] | None:
    """The input that `input_text` is of; None where there was none."""
    names = list(map(files.opened_by, text.split("\n")))
    return names if len(names) > 1 else names[0] or None
