"""The arguments that say which rows a gallery shows: checked here, bound to SQL by the visualizer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument, one_of

log = logging.getLogger(__name__)

KEYWORDS = ("diff", "same", "label_score")
WITHOUT_EFFECT = frozenset(
    "draw_orig_image enhance_image force_height force_width keep_aspect_ratio limit_labels_printed nrows "
    "run_hierarchical selection_strategy".split()
)
"""Words of fastdup's about how it lays out pictures and what it reads: taken so that scripts run. Our pages keep the
shape of every image, show all labels and the first images of a group, and read all rows."""
NO_LABEL = "filename"
"""Bound as `$label_col` where a collection has no labels: SQL needs a column, and what it finds there is not used."""

SIZE = "size"
"""Width times height in pixels, a statistic that no column holds."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part to show. kind: 'all', 'labels', or one of `KEYWORDS`; labels: for 'labels'."""

    kind: str = "all"
    labels: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The slice as a fact at the top of a page; empty when everything is shown."""
        return {"all": "", "labels": ", ".join(self.labels)}.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the annotations, the statistics, all columns of their view: name -> whether it holds numbers.

    A name that both have means the statistic; the view has the user's column as `<name>_1`.
    """

    annotations: dict[str, bool]
    stats: dict[str, bool]
    view: dict[str, bool]
    stats_view: str

    @property
    def numbers(self) -> list[str]:
        """The statistics."""
        return [name for name, is_number in self.stats.items() if is_number]

    def table_of(self, column: str, *, argument: str, also: Iterable[str] = ()) -> str:
        """The table that holds a column; a statistic goes before an annotation of the same name. Refuses others."""
        checks.member(argument, column, {*self.annotations, *self.stats, *self.view, *also})
        return "measured" if column in self.stats else "annotations" if column in self.annotations else self.stats_view

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers."""
        return (self.view | self.annotations | self.stats).get(column, False)


def columns_of(frame: pd.DataFrame, *, stats_view: str) -> Columns:
    """From a frame as `galleries/columns.sql` returns it."""
    annotations, stats, view = (
        dict(zip(rows["column_name"], rows["is_number"].astype(bool), strict=True))
        for rows in (frame[frame["table_name"] == table] for table in ("annotations", "statistics", stats_view))
    )
    return Columns(annotations, stats, view, stats_view)


def label_column(columns: Columns, label_col: str | None) -> str | None:
    """The column to take labels from, None for no labels. The default `label` may be absent, another one may not."""
    if label_col is None or (label_col == "label" and label_col not in columns.annotations):
        return None
    return checks.member("label_col", label_col, columns.annotations)


def slice_of(value: Any, *, keywords: Iterable[str], known: Iterable[str] | None) -> Slice:
    """The slice an argument means: a keyword, one label, or a list of labels: texts, numbers, True, False.

    keywords: those that make sense in this gallery. known: the labels of the collection as the database shows them,
    None when it has none.
    Of several labels those that no image has are left out, with a warning. Raises `BadArgument` where no image has any
    of them, and for any slice of a collection without labels.
    """
    if value is None:
        return Slice()
    if known is None:
        raise BadArgument(f"slice={value!r} needs labels, and this collection has none; see label_col")
    if isinstance(value, str) and value in keywords:
        return Slice(value)
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    allowed = dict.fromkeys(known)
    labels = [_known(label, allowed) for label in (value if several else [value])]
    if isinstance(value, str) and value in KEYWORDS and value not in allowed:
        raise BadArgument(
            f"slice={value!r} has no meaning in this gallery; allowed: a label, a list of labels, "
            f"{', '.join(map(repr, keywords)) or 'no keyword'}"
        )
    if not labels:
        raise BadArgument("slice=[] names no label; leave it out to show everything")
    unknown = [label for label in labels if label not in allowed]
    if len(unknown) == len(labels):
        raise one_of("slice", unknown[0], [*sorted(allowed)[:50], *keywords])
    if unknown:
        log.warning("no image has the labels %s of slice", ", ".join(map(repr, unknown)))
    return Slice("labels", [label for label in labels if label in allowed])


def as_text(label: Any) -> str:
    """A label as the database shows it: true and false in lower case."""
    return str(label).lower() if isinstance(label, bool | np.bool_) else str(label)


def _known(label: Any, known: Iterable[str]) -> str:
    """The known label that is meant, also 1 where the database has 1.0; else the label as text."""
    text = as_text(label)
    if text in known or isinstance(label, bool) or not isinstance(label, Real):
        return text
    return next((one for one in known if _number(one) == label), text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
