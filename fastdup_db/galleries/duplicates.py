"""The duplicates gallery: pairs of images that look the same, to be compared side by side."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument
from fastdup_db.galleries import external
from fastdup_db.galleries.cards import Card, Field, Page, Shot, number, text, total
from fastdup_db.galleries.query import Picked, Query, count, similarity


def pick(
    query: Query,
    *,
    label_col: str | None = "label",
    slice: Any = None,
    ascending: bool = False,
    threshold: float | None = None,
    num_images: int = 20,
    external_df: pd.DataFrame | None = None,
    verified: bool | None = None,
) -> Picked:
    """The pairs a `duplicates_gallery` with these arguments shows. verified: None shows verified pairs if any are."""
    asked: dict[str, Any] = {
        "threshold": similarity("threshold", threshold),
        "ascending": checks.flag("ascending", ascending),
        "limit": count("num_images", num_images),
    }
    if verified and external_df is not None:
        raise BadArgument("verified=True shows the pairs of this run; leave external_df out, or verified")
    scope = query.scope(label_col, slice, keywords=("diff", "same"))
    if verified is None:
        verified = external_df is None and query.any_verified
    if verified:
        frame = query.frame("verified", scope, **asked)
    else:
        source = external.pairs_or_stored(external_df, query)
        frame = query.frame("duplicates", scope, **source, **asked)
    is_of_run = threshold is None and external_df is None and not verified
    facts = query.facts(frame, scope, threshold=query.threshold if is_of_run else asked["threshold"])
    return Picked(page(frame, ascending=ascending, labelled=scope.labelled, verified=verified, facts=facts), frame)


def page(
    frame: pd.DataFrame, *, ascending: bool, labelled: bool, verified: bool = False, facts: tuple[Field, ...] = ()
) -> Page:
    """One card per pair, in the frame's order.

    frame: from_id, to_id (int64), distance (similarity, 1 = identical), label_from, label_to, total; of verified pairs
    also score, kind, inliers and transform.
    """
    order = "least" if ascending else "most"
    surest = "least sure" if ascending else "surest"
    words = (
        f"Pairs that verification found to be one picture, the {surest} first, and what was done to the copy. "
        "Open a pair: slider, blink, overlay and difference lay the second picture on the first where it belongs."
        if verified
        else f"Pairs of images that look alike, the {order} similar first; each pair is counted once. Distance is the "
        "similarity (1 = identical). Open a pair to compare it: side by side, slider, blink, overlay or difference."
    )
    return Page(
        name="duplicates",
        title="Duplicates Report",
        subtitle="Showing verified copies of one picture" if verified else "Showing pairs of similar images",
        words=words,
        layout="pair",
        cards=tuple(_card(row, labelled=labelled, verified=verified) for row in frame.to_dict("records")),
        total=total(frame),
        noun=("pair", "pairs"),
        facts=facts,
    )


def _card(row: dict[str, Any], *, labelled: bool, verified: bool) -> Card:
    ids = int(row["from_id"]), int(row["to_id"])
    labels = (text(row["label_from"]), text(row["label_to"])) if labelled else (None, None)
    fields = [Field("Distance", number(row["distance"]))]
    transform: tuple[float, ...] = ()
    if verified:
        inliers = None if pd.isna(row["inliers"]) else int(row["inliers"])
        fields += [Field("Kind", text(row["kind"])), Field("Score", number(row["score"])), Field("Inliers", inliers)]
        # a list, or what pandas puts where there is none
        transform = tuple(map(float, row["transform"])) if hasattr(row["transform"], "__len__") else ()
    if labelled:
        fields += [Field("From_Label", labels[0], side="from"), Field("To_Label", labels[1], side="to")]
    differ = None not in labels and labels[0] != labels[1]
    return Card(
        key=f"pair-{ids[0]}-{ids[1]}",
        title=f"#{ids[0]} and #{ids[1]}",
        shots=tuple(Shot(i, label) for i, label in zip(ids, labels, strict=True)),
        fields=tuple(fields),
        flag="labels differ" if differ else "",
        transform=transform,
    )
