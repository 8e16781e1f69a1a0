"""The duplicates gallery: pairs of images that look the same, to be compared side by side."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, text, total
from fastdup_db.galleries.query import Picked, Query, positive


def pick(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: str | list[str] | None = None,
    ascending: bool = False,
    threshold: float | None = None,
    num_images: int = 20,
    external_df: pd.DataFrame | None = None,
) -> Picked:
    """The pairs a `duplicates_gallery` with these arguments shows."""
    positive(num_images=num_images)
    scope = query.scope(label_col, slice, keywords=("diff", "same"))
    frame = query.frame(
        "duplicates",
        scope,
        **external.pairs_or_stored(external_df, find_ids=query.find_ids),
        threshold=threshold,
        ascending=ascending,
        limit=num_images,
    )
    facts = query.facts(frame, scope, threshold=threshold)
    return Picked(page(frame, ascending=ascending, labelled=scope.labelled, facts=facts), frame)


def page(frame: pd.DataFrame, *, ascending: bool, labelled: bool, facts: tuple[Field, ...] = ()) -> Page:
    """One card per pair, in the frame's order.

    frame: from_id, to_id (int64), distance (similarity, 1 = identical), label_from, label_to, total.
    """
    order = "least" if ascending else "most"
    return Page(
        name="duplicates",
        title="Duplicates Report",
        subtitle="Showing pairs of similar images",
        words=f"Pairs of images that look alike, the {order} similar first; each pair is counted once. Distance is the "
        "similarity (1 = identical). Open a pair to compare it: side by side, slider, blink, overlay or difference.",
        layout="pair",
        cards=tuple(_card(row, labelled=labelled) for row in frame.to_dict("records")),
        total=total(frame),
        noun=("pair", "pairs"),
        facts=facts,
    )


def _card(row: dict[str, Any], *, labelled: bool) -> Card:
    ids = int(row["from_id"]), int(row["to_id"])
    labels = (text(row["label_from"]), text(row["label_to"])) if labelled else (None, None)
    fields = [Field("Distance", number(row["distance"]))]
    if labelled:
        fields += [Field("From_Label", labels[0]), Field("To_Label", labels[1])]
    differ = None not in labels and labels[0] != labels[1]
    return Card(
        key=f"pair-{ids[0]}-{ids[1]}",
        title=f"#{ids[0]} and #{ids[1]}",
        shots=tuple(Shot(i, label) for i, label in zip(ids, labels, strict=True)),
        fields=tuple(fields),
        flag="labels differ" if differ else "",
    )
