"""What a page shows, as data: cards of pictures and fields. Made by one builder per gallery, drawn by `page`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Layout = Literal["single", "pair", "group", "query"]
Value = str | int | float | None
BLANK = "(blank)"
"""Shown for a text without a visible character, such as the label ''."""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a card, or one fact at the top of a page: a name and its value. Sortable in the page.

    side: of a pair, the picture that it is about and stands under.
    """

    name: str
    value: Value
    side: Literal["", "from", "to"] = ""

    @property
    def text(self) -> str:
        """The value as people read it; see `readable`."""
        return readable(self.value)

    @property
    def is_number(self) -> bool:
        """Whether the page sorts it as a number."""
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture on a card.

    id: of the image, or of the box in boxes mode. label: shown beside it, None without labels.
    note: a few more words under it, such as its similarity to the query.
    """

    id: int
    label: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One entry of a gallery.

    key: unique in the page; the card's anchor. hidden: pictures of the group that are not shown.
    counts: how many images of the group have each label, the most frequent first.
    flag: a word of warning drawn on the card, such as "labels differ".
    transform: of a pair, 8 numbers a … h: what pixel (x, y) of the first picture shows, from its upper left edge, lies
    at (ax + by + c, dx + ey + f) / (gx + hy + 1) of the second; empty where it is not known.
    """

    key: str
    title: str
    shots: tuple[Shot, ...]
    fields: tuple[Field, ...]
    counts: tuple[tuple[str, int], ...] = ()
    hidden: int = 0
    flag: str = ""
    transform: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One gallery.

    name: file stem. title, subtitle: the headings. words: what one sees here, in a sentence or two.
    facts: the numbers at the top. total: how many entries there are, of which `cards` are shown.
    noun: what one entry is, singular and plural.
    """

    name: str
    title: str
    subtitle: str
    words: str
    layout: Layout
    cards: tuple[Card, ...]
    total: int
    noun: tuple[str, str]
    facts: tuple[Field, ...] = ()

    @property
    def shown(self) -> str:
        """'Showing 20 of 134 pairs', or that there is nothing to show."""
        if not self.cards:
            return f"No {self.noun[1]} to show"
        noun = self.noun[0] if self.total == 1 else self.noun[1]
        if len(self.cards) == self.total:
            return f"Showing {'the only' if self.total == 1 else f'all {self.total:,}'} {noun}"
        return f"Showing {len(self.cards):,} of {self.total:,} {noun}"

    @property
    def ids(self) -> list[int]:
        """The images on the page, each once, in the order they appear."""
        return list(dict.fromkeys(shot.id for card in self.cards for shot in card.shots))

    @property
    def sorts(self) -> list[str]:
        """The field names one can sort by, in the order they appear."""
        return list(dict.fromkeys(field.name for card in self.cards for field in card.fields))


def readable(value: Any) -> str:
    """A value as people read it: at most 4 decimals, or 1 from 1,000 on, thousands separated, a dash where there is
    none, `BLANK` for a blank."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return f"{int(value):,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4f}".rstrip("0").rstrip(".") or "0"
    return str(value) if str(value).strip() else BLANK


def with_extra(page: Page, *, name: str, values: Mapping[int, Value]) -> Page:
    """The page with one more column: a field on cards of one or two pictures, a note under the pictures of a group."""

    def add(card: Card) -> Card:
        if page.layout == "single":
            return dataclasses.replace(card, fields=(*card.fields, Field(name, values.get(card.shots[0].id))))
        if page.layout == "pair":
            ends: tuple[Literal["from", "to"], ...] = ("from", "to")
            more = [Field(f"{name}_{end}", values.get(s.id), end) for end, s in zip(ends, card.shots, strict=True)]
            return dataclasses.replace(card, fields=(*card.fields, *more))
        return dataclasses.replace(
            card, shots=tuple(_noted(shot, readable(values.get(shot.id))) for shot in card.shots)
        )

    return dataclasses.replace(page, cards=tuple(add(card) for card in page.cards))


def _noted(shot: Shot, text: str) -> Shot:
    return dataclasses.replace(shot, note=f"{shot.note} · {text}" if shot.note else text)


def number(value: Any) -> float | None:
    """A cell as a number; None where it is empty."""
    return None if pd.isna(value) else float(value)


def text(value: Any) -> str | None:
    """A cell as text; None where it is empty (None, NaN or pandas' NA)."""
    return None if pd.isna(value) else str(value)


def total(frame: pd.DataFrame) -> int:
    """How many entries there are in all: the `total` every row of a gallery's frame carries, 0 for an empty one."""
    return int(frame["total"].iloc[0]) if len(frame) else 0
