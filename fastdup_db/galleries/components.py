"""The components gallery: groups of images, by what they show or by their label."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument
from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, readable, total
from fastdup_db.galleries.query import Picked, Query, count, similarity
from fastdup_db.galleries.selection import NO_LABEL, SIZE

SLICES = {"diff": ", from different classes", "same": ", from one class"}


MAX_ITEMS = 24
"""Images shown of one group when the user sets no `max_items`: what fits on a screen, so that a page stays quick."""

_BUILT_IN = {name: name for name in ("comp_size", "distance", "min_distance", "max_distance", "area", "component_id")}
_BUILT_IN |= {"len": "comp_size", "mean_distance": "distance"}
"""What groups are sorted by, as `connected_components_grouped` says it, too: its name -> that in the statement."""


def pick(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: Any = None,
    group_by: str = "visual",
    min_items: int | None = None,
    max_items: int | None = None,
    threshold: float | None = None,
    metric: str | None = None,
    sort_by: str = "comp_size",
    sort_by_reduction: str | None = None,
    ascending: bool = False,
    num_images: int = 20,
    external_df: pd.DataFrame | None = None,
) -> Picked:
    """The groups a `component_gallery` with these arguments shows."""
    limit, threshold = count("num_images", num_images), similarity("threshold", threshold)
    least, most = count("min_items", min_items), count("max_items", max_items)
    ascending = checks.flag("ascending", ascending)
    group_by = checks.member("group_by", group_by, ("visual", "label"))
    if metric is not None:
        metric = checks.member("metric", metric, {SIZE, *query.columns.numbers})
    order = _order(query, sort_by=sort_by, reduction=sort_by_reduction, metric=metric)
    scope = query.scope(label_col, slice, keywords=("diff", "same"))
    if group_by == "label" and not scope.labelled:
        raise BadArgument("group_by='label' needs labels, and this collection has none; see label_col")
    needs = ("components",) if group_by == "label" else ("neighbors", "components")
    tables: dict[str, Any] = {"source": "chosen_components", "needs": needs}
    if external_df is not None:
        tables = {"source": "external", "external": external.components(external_df, query)}
    frame = query.frame(
        "components",
        scope,
        **tables,
        **order,
        group_by=group_by,
        only_source=external_df is not None,
        threshold=threshold,
        min_items=least or 2,
        max_items=most or MAX_ITEMS,
        metric="img_w" if metric in (None, SIZE) else metric,
        by_size=metric == SIZE,
        with_metric=metric is not None,
        ascending=ascending,
        limit=limit,
    )
    by = {"metric": metric, "column": sort_by}.get(order["order"], order["order"])
    drawn = page(
        frame,
        group_by=group_by,
        slice=scope.slice.kind,
        metric=metric,
        order=f"by {by}, {'ascending' if ascending else 'descending'}",
        labelled=scope.labelled,
        facts=query.facts(frame, scope, threshold=threshold),
    )
    return Picked(drawn, frame)


def _order(query: Query, *, sort_by: str, reduction: str | None, metric: str | None) -> dict[str, Any]:
    """The parameters of the order. A metric orders the groups unless sort_by was given."""
    if reduction is not None:
        checks.member("sort_by_reduction", reduction, ("mean", "sum"))
    chosen = {"sort_by_reduction": reduction or "mean", "sort_table": "annotations", "sort_by": NO_LABEL}
    if sort_by in _BUILT_IN:
        return chosen | {"order": "metric" if metric is not None and sort_by == "comp_size" else _BUILT_IN[sort_by]}
    table = query.columns.table_of(sort_by, argument="sort_by", also=_BUILT_IN)
    if reduction is not None and not query.columns.is_number(sort_by):
        raise BadArgument(f"sort_by_reduction={reduction!r} needs numbers, and sort_by={sort_by!r} holds text")
    return chosen | {"order": "column", "sort_table": table, "sort_by": sort_by}


def page(
    frame: pd.DataFrame,
    *,
    group_by: str,
    slice: str,
    metric: str | None,
    order: str,
    labelled: bool,
    facts: tuple[Field, ...] = (),
) -> Page:
    """One card per group, in the frame's order.

    frame: name, num_images, mean_distance, min_distance (similarities inside the group), metric, ids (list of the
    images shown), shown_labels (their labels), labels, label_counts (lists), total.
    order: words such as "by comp_size, descending".
    """
    visual = group_by == "visual"
    what = (
        "Groups of images that are connected by their similarity: often copies, bursts or frames of one scene."
        if visual
        else "The images of each label together."
    )
    return Page(
        name="components",
        title="Components Report",
        subtitle=f"Showing groups of similar images{SLICES.get(slice, '')}" if visual else "Showing images by label",
        words=f"{what} Sorted {order}. Distances are similarities inside the group (1 = identical).",
        layout="group",
        cards=tuple(_card(row, visual=visual, metric=metric, labelled=labelled) for row in frame.to_dict("records")),
        total=total(frame),
        noun=("group", "groups"),
        facts=facts,
    )


def _card(row: dict[str, Any], *, visual: bool, metric: str | None, labelled: bool) -> Card:
    fields = [
        Field("component" if visual else "label", int(row["name"]) if visual else row["name"]),
        Field("num_images", int(row["num_images"])),
        Field("mean_distance", number(row["mean_distance"])),
        Field("min_distance", number(row["min_distance"])),
    ]
    if metric is not None:
        fields.append(Field(metric, number(row["metric"])))
    ids = [int(i) for i in row["ids"]]
    labels = (
        [None if pd.isna(label) else str(label) for label in row["shown_labels"]] if labelled else [None] * len(ids)
    )
    counts = () if not labelled or row["labels"] is None else _counts(row["labels"], row["label_counts"])
    return Card(
        key=f"group-{row['name']}",
        title=f"Component {row['name']}" if visual else readable(row["name"]),
        shots=tuple(Shot(i, label) for i, label in zip(ids, labels, strict=True)),
        fields=tuple(fields),
        counts=counts,
        hidden=int(row["num_images"]) - len(ids),
        flag=f"{len(counts)} labels" if visual and len(counts) > 1 else "",
    )


def _counts(labels: Any, counts: Any) -> tuple[tuple[str, int], ...]:
    if not hasattr(labels, "__len__"):
        return ()
    return tuple((str(label), int(n)) for label, n in zip(labels, counts, strict=True))
