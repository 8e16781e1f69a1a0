"""`report()`: one page to send to a colleague. The summary, the statistics, and the first of every gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from fastdup_db.galleries import charts, components, duplicates, notebook, outliers, similarity, stats
from fastdup_db.galleries import page as pages
from fastdup_db.galleries.cards import Card, Field, Page
from fastdup_db.galleries.controller import Controller
from fastdup_db.galleries.query import Query, count
from fastdup_db.galleries.writer import Output, gather, target_of

_CHARTS = {
    "mean": "Brightness (mean of the pixels)",
    "blur": "Sharpness (variance of the Laplacian)",
    "contrast": "Contrast",
    "stdv": "Standard deviation of the pixels",
    "img_w": "Width in pixels",
    "img_h": "Height in pixels",
    "file_size": "File size in bytes",
    "unique": "Distinct pixel values",
}
_BINS = 32
_LABELS = 16
_SIDE = 320
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its caption, the SVG element, and in words what it shows for those who do not see it."""

    caption: str
    svg: Markup
    words: str


def write(
    controller: Controller, *, save_path: str | Path | None, num_images: int, show: bool, gray: bool = False
) -> Path:
    """Write `report.html`, self-contained, and return its absolute path."""
    target = target_of(save_path, work_dir=controller.work_dir, name="report").absolute()
    shown = count("num_images", num_images) or _SHOWN
    with controller.reading():
        query = Query(controller)
        drawings = list(_charts(controller, query))
        sections = [_unique(page) for page in _sections(query, shown) if page.cards]
        everything = _everything(sections)
        images = query.images(everything.ids)
        facts, summary = _facts(query), controller.summary(verbose=False)
    gathered = gather(everything, images, controller=controller, output=Output(gray=gray), side=_SIDE)
    drawn = pages.draw(gathered.page.ids, gathered.pictures, gathered.names, gathered.thumbnails, boxes=True)
    html = pages.render(
        "report",
        page=everything,
        facts=facts,
        summary=[line.strip() for line in summary if line.strip()],
        charts=drawings,
        sections=sections,
        drawn=drawn,
        data=pages.data(drawn, gathered.rows),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    pages.save(html, target)
    if show:
        notebook.show(target)
    return target


def _everything(sections: list[Page]) -> Page:
    return Page(
        name="report",
        title="Dataset Report",
        subtitle="What is in this collection, and what may be wrong with it",
        words="",
        layout="single",
        cards=tuple(card for page in sections for card in page.cards),
        total=0,
        noun=("image", "images"),
    )


def _sections(query: Query, shown: int) -> Iterator[Page]:
    if query.has_neighbors:
        yield duplicates.pick(query, num_images=shown).page
        yield components.pick(query, num_images=max(1, shown // 2), max_items=8).page
        yield outliers.pick(query, how="all", num_images=shown).page  # as many as the summary and `outliers()` count
        if query.scope("label", None, keywords=()).labelled:
            yield similarity.pick(query, num_images=max(1, shown // 2), slice="diff").page
    for metric in ("dark", "bright", "blur"):
        if stats.METRICS[metric].column in query.columns.numbers:
            page = stats.pick(query, metric=metric, num_images=shown).page
            yield dataclasses.replace(page, name=metric)


def _charts(controller: Controller, query: Query) -> Iterator[Chart]:
    for metric, caption in _CHARTS.items():
        if metric in query.columns.numbers:
            bins = controller.gallery_frame("histogram", metric=metric, bins=_BINS)
            # a statistic with one value for all images has nothing to draw
            if len(bins) and bins["high"].iloc[0] > bins["low"].iloc[0]:
                yield Chart(caption, Markup(charts.histogram(bins, name=metric)), _words(bins))
    scope = query.scope("label", None, keywords=())
    labels = query.labels(scope) if scope.labelled else pd.DataFrame({"label": []})
    if len(labels) and labels["images"].iloc[0] > 1:
        top = labels.head(_LABELS)
        rest = f", the {_LABELS} most frequent of {len(labels):,}" if len(labels) > _LABELS else ""
        words = ", ".join(f"{name}: {n:,}" for name, n in zip(top["label"], top["images"], strict=True))
        yield Chart(f"{query.noun[1].capitalize()} of each label{rest}", Markup(charts.bars(top, name="labels")), words)


def _words(bins: pd.DataFrame) -> str:
    peak = bins.loc[bins["images"].idxmax()]
    low, high, share = bins["low"].iloc[0], bins["high"].iloc[-1], peak["images"] / bins["images"].sum()
    return (
        f"99.5 % of the values lie from {low:,.4g} to {high:,.4g}; "
        f"the fullest bar, {peak['low']:,.4g} to {peak['high']:,.4g}, holds {share:.0%}."
    )


def _facts(query: Query) -> tuple[Field, ...]:
    return query.facts(pd.DataFrame(), query.scope(None, None, keywords=()))


def _unique(page: Page) -> Page:
    """The page with keys that are unique beside those of other galleries."""

    def rename(card: Card) -> Card:
        return dataclasses.replace(card, key=f"{page.name}-{card.key}")

    return dataclasses.replace(page, cards=tuple(rename(card) for card in page.cards))
