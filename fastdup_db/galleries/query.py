"""What every gallery asks before it picks rows: which columns there are, which labels, what a slice means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from fastdup_db.errors import BadArgument
from fastdup_db.galleries.cards import Field, Page, readable
from fastdup_db.galleries.selection import NO_LABEL, Columns, Slice, columns_of, label_column, slice_of
from fastdup_db.galleries.writer import Controller


@dataclass(frozen=True, slots=True)
class Picked:
    """The outcome of a gallery's query: the page to draw, and the frame it was made of (saved as its csv)."""

    page: Page
    frame: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Scope:
    """The label column (None: no labels) and the slice of one gallery."""

    label: str | None
    slice: Slice

    @property
    def labelled(self) -> bool:
        """Whether labels are shown."""
        return self.label is not None

    @property
    def parameters(self) -> dict[str, Any]:
        """As every gallery's statement binds them."""
        return {"label_col": self.label or NO_LABEL, "slice": self.slice.kind, "labels": self.slice.labels}


class Query:
    """Asks one controller. Made anew for every gallery, so that nothing it remembers is stale."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    @cached_property
    def columns(self) -> Columns:
        """The columns of the annotations and of the statistics."""
        return columns_of(self._controller.gallery_frame("columns", stats=self.stats_view), stats_view=self.stats_view)

    @cached_property
    def stats_view(self) -> str:
        """The view that holds the statistics, the advanced ones too where the run made them."""
        return str(self._controller.gallery_frame("stats_view")["name"].iloc[0])

    @property
    def any_verified(self) -> bool:
        """Whether `verify()` has found duplicates."""
        return bool(self._controller.gallery_frame("any_verified")["is_any"].iloc[0])

    def scope(self, label_col: str | None, slice: str | Sequence[str] | None, *, keywords: Sequence[str]) -> Scope:
        """Check label_col and slice. keywords: the slices with a meaning of their own in this gallery."""
        label = label_column(self.columns, label_col)
        if slice is None:
            return Scope(label, Slice())
        known = None if label is None else self._controller.gallery_frame("labels", label_col=label)["label"]
        return Scope(label, slice_of(slice, keywords=keywords, known=known))

    def frame(self, name: str, scope: Scope, **parameters: Any) -> pd.DataFrame:
        """The rows of a gallery."""
        return self._controller.gallery_frame(name, **scope.parameters, **parameters)

    def find_ids(self, filenames: list[str]) -> dict[str, int]:
        """The ids of files, by name."""
        found = self._controller.gallery_frame("ids_of_files", filenames=filenames)
        return dict(zip(found["filename"], found["id"], strict=True))

    def facts(self, frame: pd.DataFrame, scope: Scope, **more: Any) -> tuple[Field, ...]:
        """The numbers at the top of a page: the collection, what was asked for, the range of what is shown."""
        size = self._controller.gallery_frame("collection").iloc[0]
        invalid = f" ({size['invalid']:,} invalid ones left out)" if size["invalid"] else ""
        facts = [Field("Collection", f"{size['images']:,} images{invalid}")]
        if scope.slice.words:
            facts.append(Field("Slice", scope.slice.words))
        facts += [
            Field(name.replace("_", " ").capitalize(), value) for name, value in more.items() if value is not None
        ]
        if "distance" in frame.columns and len(frame):
            low, high = frame["distance"].min(), frame["distance"].max()
            facts.append(Field("Distances", f"{readable(float(low))} to {readable(float(high))}"))
        return tuple(facts)


def positive(**counts: int | None) -> None:
    """Refuse counts below 1; None passes."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__") or value < 1):
            raise BadArgument(f"{name}={value!r} must be a whole number of at least 1")
