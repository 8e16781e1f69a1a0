"""Small charts as SVG that takes its colours from the page's theme. The only module that imports matplotlib.

matplotlib draws the shapes and scales; its two colours are placeholders that become CSS variables, and text stays
text, in the page's own font.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

import pandas as pd

from fastdup_db.errors import MissingExtra
from fastdup_db.galleries.cards import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BAR = "#010203", "#040506"
_THEME = {_INK: "var(--muted)", _BAR: "var(--chart)"}


def histogram(bins: pd.DataFrame, *, name: str) -> str:
    """A histogram as an SVG element. bins: low, high (limits), images (count), as `galleries/histogram.sql` returns.

    name: of this chart alone on its page.
    """
    figure, axes = _figure(height=1.5)
    axes.bar(bins["low"], bins["images"], width=bins["high"] - bins["low"], align="edge", color=_BAR, linewidth=0)
    axes.margins(x=0)
    return _svg(figure, name=name)


def bars(labels: pd.DataFrame, *, name: str) -> str:
    """Horizontal bars as an SVG element, the first row on top. labels: label (text), images (count)."""
    figure, axes = _figure(height=0.6 + 0.19 * len(labels))
    from matplotlib.ticker import MaxNLocator

    # a dollar sign would start a formula
    names = [_shorten(readable(label)).replace("$", r"\$") for label in labels["label"]]
    axes.barh(range(len(labels)), labels["images"], color=_BAR, height=0.72, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_yticks(range(len(labels)), names)
    axes.invert_yaxis()
    axes.margins(y=0.02)
    return _svg(figure, name=name)


def _figure(*, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator
    except ImportError as exc:
        raise MissingExtra("report()", "report") from exc

    figure = Figure(figsize=(3.6, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=8, length=0, pad=3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    return figure, axes


def _svg(figure: Figure, *, name: str) -> str:
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # salted: the same bytes on every run. A glyph that matplotlib's font lacks is drawn by the browser's
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    # a report holds several charts, and matplotlib begins its numbers anew in each
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1chart-{name}-", svg)


def _short(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _shorten(label: str) -> str:
    return label if len(label) <= 28 else label[:27] + "…"
