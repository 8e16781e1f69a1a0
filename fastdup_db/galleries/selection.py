"""The arguments that say which rows a gallery shows: checked here, bound to SQL by the visualizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from fastdup_db.errors import BadArgument, one_of

KEYWORDS = ("diff", "same", "label_score")
NO_LABEL = "filename"
"""Bound as `$label_col` where a collection has no labels: SQL needs a column, and what it finds there is not used."""


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
    """The columns of the annotations, and of the statistics without those: name -> whether it holds numbers."""

    annotations: dict[str, bool]
    stats: dict[str, bool]
    stats_view: str

    @property
    def numbers(self) -> list[str]:
        """The statistics."""
        return [name for name, is_number in self.stats.items() if is_number]

    def table_of(self, column: str, *, argument: str, also: Iterable[str] = ()) -> str:
        """The view that holds a column; an annotation goes before a statistic of the same name. Refuses others."""
        if column in self.annotations:
            return "annotations"
        if column in self.stats:
            return self.stats_view
        raise one_of(argument, column, {*self.annotations, *self.stats, *also})

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers."""
        return self.annotations.get(column, self.stats.get(column, False))


def columns_of(frame: pd.DataFrame, *, stats_view: str) -> Columns:
    """From a frame as `galleries/columns.sql` returns it."""
    tables: dict[str, dict[str, bool]] = {"annotations": {}, stats_view: {}}
    for table, name, is_number in zip(frame["table_name"], frame["column_name"], frame["is_number"], strict=True):
        tables[table][name] = bool(is_number)
    annotations = tables["annotations"]
    own = {name: is_number for name, is_number in tables[stats_view].items() if name not in annotations}
    return Columns(annotations, own, stats_view)


def label_column(columns: Columns, label_col: str | None) -> str | None:
    """The column to take labels from, None for no labels. The default `label` may be absent, another one may not."""
    if label_col is None or label_col in columns.annotations:
        return label_col
    if label_col == "label":
        return None
    raise one_of("label_col", label_col, columns.annotations)


def slice_of(value: str | Sequence[str] | None, *, keywords: Sequence[str], known: Iterable[str] | None) -> Slice:
    """The slice an argument means: a keyword, one label, or a list of labels.

    keywords: those that make sense in this gallery. known: the labels of the collection, None when it has none.
    Raises `BadArgument` for a label that no image has, and for any slice of a collection without labels.
    """
    if value is None:
        return Slice()
    if known is None:
        raise BadArgument(f"slice={value!r} needs labels, and this collection has none; see label_col")
    if isinstance(value, str) and value in keywords:
        return Slice(value)
    labels = [value] if isinstance(value, str) else [str(label) for label in value]
    allowed = set(known)
    if isinstance(value, str) and value in KEYWORDS and value not in allowed:
        raise BadArgument(
            f"slice={value!r} has no meaning in this gallery; allowed: a label, a list of labels, "
            f"{', '.join(map(repr, keywords)) or 'no keyword'}"
        )
    for label in labels:
        if label not in allowed:
            raise one_of("slice", label, [*sorted(allowed)[:50], *keywords])
    if not labels:
        raise BadArgument("slice=[] names no label; leave it out to show everything")
    return Slice("labels", labels)
