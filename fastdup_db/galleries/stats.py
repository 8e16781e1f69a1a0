"""The statistics gallery: the darkest, brightest, blurriest, largest … images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, text, total
from fastdup_db.galleries.query import Picked, Query, count
from fastdup_db.galleries.selection import SIZE


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric of the gallery means: the column it reads, which end is shown first, and how it is called."""

    column: str
    ascending: bool
    title: str
    words: str


METRICS = {
    "dark": Metric("mean", True, "Dark Image Report", "The darkest images first: the lowest mean of the pixel values"),
    "bright": Metric(
        "mean", False, "Bright Image Report", "The brightest images first: the highest mean of the pixels"
    ),
    "blur": Metric(
        "blur", True, "Blurry Image Report", "The blurriest images first: the lowest variance of the Laplacian"
    ),
    SIZE: Metric(SIZE, False, "Largest Image Report", "The largest images first: width times height in pixels"),
}
"""Names with a meaning of their own; any other metric is a column of the statistics, highest first."""


def metric_of(name: str) -> Metric:
    """The metric of this name; a plain column is shown highest first."""
    words = f"Images by the statistic “{name}”"
    return METRICS.get(name) or Metric(name, False, f"{name.replace('_', ' ').capitalize()} Image Report", words)


def pick(
    query: Query,
    *,
    metric: str = "dark",
    label_col: str | None = "label",
    slice: Any = None,
    ascending: bool | None = None,
    num_images: int = 20,
    external_df: pd.DataFrame | None = None,
) -> Picked:
    """The images a `stats_gallery` with these arguments shows."""
    limit = count("num_images", num_images)
    metric = checks.member("metric", metric, {*METRICS, *query.columns.numbers})
    scope = query.scope(label_col, slice, keywords=())
    meaning = metric_of(metric)
    ascending = meaning.ascending if ascending is None else checks.flag("ascending", ascending)
    tables: dict[str, Any] = {"source": "measured"}
    if external_df is not None:
        tables = {"source": "external", "external": external.stats(external_df, query, metric=meaning.column)}
    frame = query.frame(
        "stats",
        scope,
        **tables,
        metric="img_w" if metric == SIZE else meaning.column,
        by_size=metric == SIZE,
        ascending=ascending,
        limit=limit,
    )
    drawn = page(
        frame,
        metric=metric,
        ascending=ascending,
        labelled=scope.labelled,
        facts=query.facts(frame, scope),
        noun=query.noun,
    )
    return Picked(drawn, frame)


def page(
    frame: pd.DataFrame,
    *,
    metric: str,
    ascending: bool,
    labelled: bool,
    facts: tuple[Field, ...] = (),
    noun: tuple[str, str] = ("image", "images"),
) -> Page:
    """One card per image, in the frame's order.

    frame: index (int64), value (of the metric), img_w, img_h (pixels), label, total.
    """
    meaning = metric_of(metric)
    order = "ascending" if ascending else "descending"
    words = meaning.words if ascending == meaning.ascending and metric in METRICS else f"Images by “{metric}”, {order}"
    return Page(
        name="mean" if meaning.column == "mean" else metric,
        title=meaning.title,
        subtitle=f"Showing example images, sort by {order} order",
        words=f"{words}.",
        layout="single",
        cards=tuple(_card(row, metric=meaning.column, labelled=labelled) for row in frame.to_dict("records")),
        total=total(frame),
        noun=noun,
        facts=facts,
    )


def _card(row: dict[str, Any], *, metric: str, labelled: bool) -> Card:
    label = text(row["label"]) if labelled else None
    fields = [Field(metric, number(row["value"]))]
    if metric == SIZE:
        fields += [Field("width", int(row["img_w"])), Field("height", int(row["img_h"]))]
    if labelled:
        fields.append(Field("Label", label))
    shots = (Shot(int(row["index"]), label),)
    return Card(key=f"image-{row['index']}", title=f"#{row['index']}", shots=shots, fields=tuple(fields))
