"""The similarity gallery: an image and the images most like it, and whether they have its label."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from fastdup_db import checks
from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, readable, text, total
from fastdup_db.galleries.query import MOST, Picked, Query, Scope, count
from fastdup_db.galleries.query import similarity as checked_similarity

WORDS = {
    "label_score": "Images with the images most like them. The score is the share of these that have the image's own "
    "label: 0 hints at a wrong label, 100 means that all agree.",
    "diff": "Images that have a neighbour with another label, the lowest score first: the first places to look for "
    "wrong labels. The score is the percentage of neighbours that have the image's own label.",
    "same": "Images whose most similar images all have the same label.",
}
_PLAIN = "Each image, outlined, is followed by the images most similar to it."


MAX_ITEMS = 24
"""Neighbours shown of one query; `k` is rarely above ten."""


def pick(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: Any = None,
    ascending: bool | None = None,
    threshold: float | None = None,
    num_images: int = 20,
    max_items: int | None = None,
    external_df: pd.DataFrame | None = None,
) -> Picked:
    """The queries and neighbours a `similarity_gallery` with these arguments shows."""
    scope, frame = rows(
        query,
        label_col=label_col,
        slice=slice,
        ascending=ascending,
        threshold=threshold,
        num_images=num_images,
        max_items=count("max_items", max_items) or MAX_ITEMS,
        external_df=external_df,
    )
    kind = scope.slice.kind
    lowest = query.threshold if threshold is None and external_df is None else threshold
    facts = query.facts(frame, scope, threshold=checked_similarity("threshold", lowest))
    drawn = page(frame, slice=kind, labelled=scope.labelled, facts=facts)
    return Picked(drawn, results(frame, scored=kind in WORDS, labelled=scope.labelled))


def rows(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: Any = None,
    ascending: bool | None = None,
    threshold: float | None = None,
    num_images: int | None = None,
    max_items: int | None = MAX_ITEMS,
    external_df: pd.DataFrame | None = None,
) -> tuple[Scope, pd.DataFrame]:
    """The scope, and the frame that `page` draws. num_images, max_items: None for all queries, all neighbours.

    ascending: True also puts the least similar neighbour of a query first, as in fastdup; None leaves it last.
    """
    scope = query.scope(label_col, slice, keywords=tuple(WORDS))
    kind = scope.slice.kind
    frame = query.frame(
        "similarity",
        scope,
        **external.pairs_or_stored(external_df, query),
        threshold=checked_similarity("threshold", threshold),
        by_score=kind in WORDS,
        ascending=kind == "diff" if ascending is None else checks.flag("ascending", ascending),
        nearest_last=bool(ascending),
        limit=count("num_images", num_images) or MOST,
        max_items=max_items or MOST,
    )
    return scope, frame


def page(frame: pd.DataFrame, *, slice: str, labelled: bool, facts: tuple[Field, ...] = ()) -> Page:
    """One card per query image, in the frame's order, its neighbours after it.

    frame: one row per query and neighbour, sorted by position: position, from_id, to_id (int64), distance
    (similarity, 1 = identical), label_from, label_to, score (percent), neighbors (count), total.
    """
    scored = slice in WORDS
    cards = tuple(
        _card(list(rows), labelled=labelled, scored=scored)
        for _, rows in groupby(frame.to_dict("records"), key=lambda row: row["position"])
    )
    return Page(
        name="similarity",
        title="Similarity Report, label_score" if scored else "Similarity Report",
        subtitle="Showing images with the images most similar to them",
        words=f"{WORDS.get(slice, _PLAIN)} Distance is the similarity (1 = identical).",
        layout="query",
        cards=cards,
        total=total(frame),
        noun=("query image", "query images"),
        facts=facts,
    )


def results(frame: pd.DataFrame, *, scored: bool, labelled: bool) -> pd.DataFrame:
    """One row per query: from, to, with labels label, label2, then distance (all but `from` lists); scored also score,
    length.

    The shape and order of columns that `similarity_gallery` of fastdup hands out, saved as its csv.
    """
    frame = frame.sort_values("position", kind="stable", ignore_index=True)
    starts = np.flatnonzero(frame["position"].ne(frame["position"].shift()))
    firsts, ends = frame.iloc[starts].reset_index(drop=True), [*starts[1:], len(frame)]

    def listed(column: str) -> pd.Series:
        values = frame[column].tolist()  # groupby took eight times as long for 300,000 pairs
        return pd.Series([values[a:b] for a, b in zip(starts, ends, strict=False)], dtype=object)

    columns = {"from": firsts["from_id"], "to": listed("to_id")}
    if labelled:
        columns |= {"label": listed("label_from"), "label2": listed("label_to")}
    columns |= {"distance": listed("distance")}
    if scored:
        columns |= {"score": firsts["score"], "length": firsts["neighbors"]}
    return pd.DataFrame(columns)


def _card(rows: list[dict[str, Any]], *, labelled: bool, scored: bool) -> Card:
    first = rows[0]
    query = int(first["from_id"])
    own = text(first["label_from"]) if labelled else None
    shots = [Shot(query, own, "query")]
    fields = [Field("Distance", number(first["distance"]))]
    if labelled:
        fields.append(Field("Label", own))
    if scored:
        fields.append(Field("Score", number(first["score"])))
    fields.append(Field("Similar", int(first["neighbors"])))
    others = []
    for row in rows:
        label = text(row["label_to"]) if labelled else None
        others.append(label)
        shots.append(Shot(int(row["to_id"]), label, readable(number(row["distance"]))))
    differ = own is not None and any(label is not None and label != own for label in others)
    return Card(
        key=f"query-{query}",
        title=f"#{query}",
        shots=tuple(shots),
        fields=tuple(fields),
        hidden=int(first["neighbors"]) - len(rows),
        flag="labels differ" if differ else "",
    )
