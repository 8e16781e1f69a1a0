"""The outliers gallery: images that resemble no other image."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, text, total
from fastdup_db.galleries.query import Picked, Query, count
from fastdup_db.galleries.selection import NO_LABEL

WORDS = {
    "one": "These images are the farthest from one of their nearest neighbours; their other neighbours may be close.",
    "all": "Each of these images is far from every other image: even its nearest neighbour hardly resembles it.",
}

_COMPARED = {"one": "Farthest", "all": "Nearest"}


def pick(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: Any = None,
    how: str = "one",
    sort_by: str = "distance",
    ascending: bool = True,
    num_images: int = 20,
    external_df: pd.DataFrame | None = None,
) -> Picked:
    """The outliers an `outliers_gallery` with these arguments shows."""
    how = checks.member("how", how, WORDS)
    limit, ascending = count("num_images", num_images), checks.flag("ascending", ascending)
    by_distance = sort_by == "distance"
    sort_table = (
        "annotations" if by_distance else query.columns.table_of(sort_by, argument="sort_by", also=["distance"])
    )
    scope = query.scope(label_col, slice, keywords=("diff", "same"))
    tables: dict[str, Any] = {"source": "outliers", "edges": query.outlier_edges, "needs": ("neighbors",)}
    if external_df is not None:
        own = external.outliers(external_df, query)
        tables = {"source": "external", "edges": "external", "external": own}
    frame = query.frame(
        "outliers",
        scope,
        **tables,
        how=how,
        sort_table=sort_table,
        sort_by=NO_LABEL if by_distance else sort_by,
        sort_by_distance=by_distance,
        ascending=ascending,
        limit=limit,
    )
    facts = query.facts(frame, scope, sorted_by=None if by_distance else sort_by)
    return Picked(page(frame, how=how, labelled=scope.labelled, facts=facts), frame)


def page(frame: pd.DataFrame, *, how: str, labelled: bool, facts: tuple[Field, ...] = ()) -> Page:
    """One card per outlier, in the frame's order.

    frame: outlier, nearest (int64), distance (similarity, 1 = identical), label, label_nearest, total.
    """
    return Page(
        name="outliers",
        title="Outliers Report",
        subtitle="Showing image outliers, one per row",
        words=f"{WORDS[how]} Distance is the similarity to that neighbour (1 = identical).",
        layout="single",
        cards=tuple(_card(row, how=how, labelled=labelled) for row in frame.to_dict("records")),
        total=total(frame),
        noun=("outlier", "outliers"),
        facts=facts,
    )


def _card(row: dict[str, Any], *, how: str, labelled: bool) -> Card:
    label = text(row["label"]) if labelled else None
    fields = [Field("Distance", number(row["distance"])), Field(_COMPARED[how], f"#{row['nearest']}")]
    if labelled:
        fields.append(Field("Label", label))
    return Card(
        key=f"image-{row['outlier']}",
        title=f"#{row['outlier']}",
        shots=(Shot(int(row["outlier"]), label),),
        fields=tuple(fields),
    )
