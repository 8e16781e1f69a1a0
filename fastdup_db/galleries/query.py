"""What every gallery asks before it picks rows: which columns there are, which labels, what a slice means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument
from fastdup_db.galleries.cards import Field, Page, readable
from fastdup_db.galleries.controller import Controller
from fastdup_db.galleries.pictures import Picture, from_frame
from fastdup_db.galleries.selection import NO_LABEL, Columns, Slice, as_text, columns_of, label_column, slice_of

MOST = 2**31 - 1
"""The largest allowed count: no page or frame has more rows."""
_LABEL_COLUMNS = ["label", "label_from", "label_to", "label_nearest", "shown_labels", "labels", "label_counts"]
"""Columns of the galleries' statements that are meaningless in a collection without labels."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The outcome of a gallery's query: the page to draw, and the frame it was made of (saved as its csv)."""

    page: Page
    frame: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Images:
    """What is known of the images of a page: where each lies, by id, and all columns, a row each, id in `index`."""

    pictures: dict[int, Picture]
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Scope:
    """The label column (None: no labels), the slice of one gallery, and the user's own labels where they brought some.

    own: index, is_valid, label; None: labels are a column of the annotations.
    """

    label: str | None
    slice: Slice
    own: pd.DataFrame | None = None

    @property
    def labelled(self) -> bool:
        """Whether labels are shown."""
        return self.label is not None

    @property
    def parameters(self) -> dict[str, Any]:
        """As every gallery's statement binds them."""
        return {**self.label_source, "slice": self.slice.kind, "labels": self.slice.labels}

    @property
    def label_source(self) -> dict[str, Any]:
        """Where labels come from, as statements bind it."""
        if self.own is not None:
            return {"label_table": "own_labels", "own_labels": self.own, "label_col": "label"}
        return {"label_table": "annotations", "label_col": self.label or NO_LABEL}


class Query:
    """Asks one controller. Made anew for every gallery, so that nothing it remembers is stale.

    labels: by id, instead of a column of the annotations.
    """

    def __init__(self, controller: Controller, *, labels: Mapping[int, Any] | pd.Series | None = None) -> None:
        self._controller = controller
        self._labels = None if labels is None else self._own(labels)

    @cached_property
    def columns(self) -> Columns:
        """The columns of the annotations and of the statistics."""
        return columns_of(self._controller.gallery_frame("columns", stats=self.stats_view), stats_view=self.stats_view)

    @cached_property
    def stats_view(self) -> str:
        """The view that holds the statistics, the advanced ones too where the run made them."""
        return str(self._controller.gallery_frame("stats_view")["name"].iloc[0])

    @property
    def outlier_edges(self) -> str:
        """The table or view of neighbours that outliers are judged by."""
        return str(self._controller.gallery_frame("outlier_edges")["name"].iloc[0])

    @cached_property
    def _size(self) -> pd.Series:
        return self._controller.gallery_frame("collection").iloc[0]

    @property
    def noun(self) -> tuple[str, str]:
        """What the collection is made of, singular and plural, as the summary calls it."""
        return ("object", "objects") if self._size["is_of_boxes"] else ("image", "images")

    @property
    def has_neighbors(self) -> bool:
        """Whether neighbours of these images have been looked for."""
        return bool(self._size["has_neighbors"])

    @property
    def threshold(self) -> float | None:
        """The run's lowest similarity of a pair: galleries show no others unless they are asked to."""
        value = self._size["threshold"]
        return None if pd.isna(value) else float(value)

    @property
    def any_verified(self) -> bool:
        """Whether `verify()` has found duplicates."""
        return bool(self._controller.gallery_frame("any_verified")["is_any"].iloc[0])

    def scope(self, label_col: str | None, slice: Any, *, keywords: Sequence[str]) -> Scope:
        """Check label_col and slice. keywords: the slices with a meaning of their own in this gallery."""
        label = label_column(self.columns, label_col) if self._labels is None else "label"
        scope = Scope(label, Slice(), self._labels)
        if slice is None:
            return scope
        known = self.labels(scope)["label"] if scope.labelled else None
        return replace(scope, slice=slice_of(slice, keywords=keywords, known=known))

    def labels(self, scope: Scope) -> pd.DataFrame:
        """label, images: the labels of the valid images, the most frequent first."""
        return self._controller.gallery_frame("labels", **scope.label_source)

    def frame(self, name: str, scope: Scope, *, needs: Collection[str] = (), **parameters: Any) -> pd.DataFrame:
        """The rows of a gallery; without columns of labels where there are none."""
        found = self._controller.gallery_frame(name, needs=needs, **scope.parameters, **parameters)
        return found if scope.labelled else found.drop(columns=_LABEL_COLUMNS, errors="ignore")

    def images(self, ids: list[int]) -> Images:
        """Where these images lie, and every column of the annotations and of the statistics."""
        pictures = from_frame(self._controller.gallery_frame("places", ids=ids))
        annotations, stats = (self._controller.gallery_frame(name, ids=ids) for name in ("rows", "statistics"))
        own = list(self.columns.stats)
        # a page's filter cannot tell `Blur` from `blur`
        taken = {name: f"{name}_1" for name in annotations.columns if name.lower() in own}
        # fd_index repeats index for the sake of fastdup's frames
        said = annotations.rename(columns=taken).drop(columns="fd_index", errors="ignore")
        return Images(pictures, said.merge(stats[["index", *own]], on="index", how="left"))

    def find_ids(self, filenames: list[str]) -> dict[str, int]:
        """The ids of files, by name."""
        found = self._controller.gallery_frame("ids_of_files", filenames=filenames)
        return dict(zip(found["filename"], found["id"], strict=True))

    def unknown_ids(self, ids: list[int], *, annotated: bool = True) -> list[int]:
        """Those of the ids that no image has, or, `annotated`, none with an annotation."""
        found = self._controller.gallery_frame("unknown_ids", ids=ids, annotated=annotated)
        return [int(i) for i in found["id"]]

    def _own(self, labels: Mapping[int, Any] | pd.Series) -> pd.DataFrame:
        rows = pd.Series(labels, dtype=object)
        texts = [None if pd.api.types.is_scalar(label) and pd.isna(label) else as_text(label) for label in rows]
        if len(rows) and not pd.api.types.is_integer_dtype(rows.index):
            raise BadArgument(f"external_labels are by id, a whole number; {rows.index[0]!r} is none")
        if not rows.index.is_unique:
            raise BadArgument(f"external_labels have several labels for id {rows.index[rows.index.duplicated()][0]}")
        if unknown := self.unknown_ids(rows.index.tolist(), annotated=False):
            raise BadArgument(
                f"external_labels have {len(unknown)} ids that are not in this collection: {unknown[0]} …"
            )
        ids = pd.Series(list(rows.index), dtype="int64")
        return pd.DataFrame({"index": ids, "is_valid": True, "label": pd.Series(texts, dtype=object)})

    def facts(self, frame: pd.DataFrame, scope: Scope, **more: Any) -> tuple[Field, ...]:
        """The numbers at the top of a page: the collection, what was asked for, the range of what is shown."""
        size = self._size
        invalid = f" ({size['invalid']:,} invalid left out)" if size["invalid"] else ""
        facts = [Field("Collection", f"{size['images']:,} {self.noun[1]}{invalid}")]
        if scope.slice.words:
            facts.append(Field("Slice", scope.slice.words))
        facts += [
            Field(name.replace("_", " ").capitalize(), value) for name, value in more.items() if value is not None
        ]
        if "distance" in frame.columns and len(frame):
            low, high = frame["distance"].min(), frame["distance"].max()
            facts.append(Field("Distances", f"{readable(float(low))} to {readable(float(high))}"))
        return tuple(facts)


def count(name: str, value: int | None) -> int | None:
    """A count as Python's int, from 1 to `MOST`; None passes."""
    if value is None:
        return None
    number = checks.at_least(name, value, 1)
    if number > MOST:
        raise BadArgument(f"{name}={value!r}; allowed: a whole number from 1 to {MOST:,}")
    return number


def similarity(name: str, value: float | None) -> float | None:
    """A similarity as Python's float, from -1 to 1; None passes."""
    return None if value is None else checks.between(name, value, -1, 1)
