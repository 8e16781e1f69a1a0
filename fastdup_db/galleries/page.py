"""Draws a `Page` as one HTML file: self-contained, or lazy with its thumbnails in a folder beside it.

The file asks nothing of any other machine: styles and script are inlined, and a content security policy lets only
that script run and only local images load.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup

from fastdup_db.galleries.cards import Page, readable
from fastdup_db.galleries.pictures import Picture
from fastdup_db.galleries.thumbnails import Thumbnail

_TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True, slots=True)
class Drawn:
    """How one image appears on a page.

    src: of the thumbnail, empty for a placeholder. width, height: of the original in pixels. full: URL of the original
    on this machine, empty if there is none. points: corners of the box, as SVG writes them, in pixels of the original.
    """

    name: str
    path: str
    src: str = ""
    width: int = 0
    height: int = 0
    full: str = ""
    points: str = ""


_SAFE = 2**53 - 1
"""Larger whole numbers a browser would round; they go to it as text."""


def write(
    page: Page,
    *,
    target: Path,
    pictures: Mapping[int, Picture],
    names: Mapping[int, str],
    thumbnails: Mapping[int, Thumbnail],
    rows: pd.DataFrame,
    lazy: bool = False,
    boxes: bool = False,
    max_width: int | None = None,
) -> Path:
    """Write the page to `target` and return it.

    rows: all columns of the shown images, one row each, with their id in `index`. lazy: thumbnails lie in
    `<stem>_images/` beside the page and load as one scrolls. boxes: thumbnails are whole images, to draw boxes on.
    max_width: of the page, in pixels.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    source = _beside(target, thumbnails.values()) if lazy else _inlined
    drawn = draw(page.ids, pictures, names, thumbnails, source=source, boxes=boxes)
    html = render("gallery", page=page, drawn=drawn, data=data(drawn, rows), max_width=max_width)
    save(html, target)
    return target


def save(html: str, target: Path) -> None:
    """Write a page atomically; characters that UTF-8 cannot encode become `?`."""
    target = target.resolve()  # through a link
    part = target.with_name(f".fastdup-{os.getpid()}.part")
    try:
        part.write_bytes(html.encode("utf-8", "replace"))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def draw(
    ids: Iterable[int],
    pictures: Mapping[int, Picture],
    names: Mapping[int, str],
    thumbnails: Mapping[int, Thumbnail],
    *,
    boxes: bool,
    source: Callable[[Thumbnail], str] | None = None,
) -> dict[int, Drawn]:
    """How each image appears, by id. source: thumbnail -> URL; without it thumbnails are inlined."""
    url = source or _inlined
    return {i: _drawn(i, pictures, names, thumbnails, source=url, boxes=boxes) for i in ids}


def render(template: str, **context: Any) -> str:
    """One of the templates as text, with the styles and the script inlined."""
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(f"{template}.html.j2")
        .render(style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", once=_once, **context)
    )


def script_data(value: Any) -> Markup:
    """A value as JSON that may stand inside a script element: no `<`, `>` or `&` is left in it."""
    return safe_json(json.dumps(value, ensure_ascii=True))


def safe_json(text: str) -> Markup:
    """JSON text with every character that HTML could take for markup written as an escape."""
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def data(drawn: Mapping[int, Drawn], rows: pd.DataFrame) -> dict[str, Markup]:
    """What the page's script reads: `rows` (table with the column index), `images` (id -> path, URL, size, box)."""
    # pandas writes the table: NaN becomes null, dates ISO text, and 10,000 rows take milliseconds
    whole = rows.select_dtypes("integer", exclude="timedelta")  # which pandas counts among them
    large = [name for name, values in whole.items() if ((values > _SAFE) | (values < -_SAFE)).any()]
    table = rows.astype(dict.fromkeys(large, str)).to_json(
        orient="split", index=False, date_format="iso", default_handler=str
    )
    images = {i: [d.path, d.full, d.width, d.height, d.points] for i, d in drawn.items()}
    return {"rows": safe_json(table), "images": script_data(images)}


def _drawn(
    i: int,
    pictures: Mapping[int, Picture],
    names: Mapping[int, str],
    thumbnails: Mapping[int, Thumbnail],
    *,
    source: Callable[[Thumbnail], str],
    boxes: bool,
) -> Drawn:
    picture, thumbnail = pictures.get(i), thumbnails.get(i)
    if picture is None:
        return Drawn(name=f"#{i}", path="")
    if thumbnail is None:
        return Drawn(name=names[i], path=picture.filename)
    whole = boxes or not picture.corners
    local = picture.local
    # a link to a file that is not there would only make the browser complain
    full = local.as_uri() if whole and local is not None and local.is_absolute() and local.is_file() else ""
    return Drawn(
        name=names[i],
        path=picture.filename,
        src=source(thumbnail),
        width=thumbnail.width,
        height=thumbnail.height,
        full=full,
        points=" ".join(f"{x:g},{y:g}" for x, y in picture.corners) if boxes else "",
    )


def _inlined(thumbnail: Thumbnail) -> str:
    return "data:image/webp;base64," + base64.b64encode(thumbnail.path.read_bytes()).decode()


def _beside(target: Path, thumbnails: Iterable[Thumbnail]) -> Callable[[Thumbnail], str]:
    """Copy thumbnails into the page's own folder, drop an earlier page's; returns thumbnail -> relative URL."""
    folder = target.with_name(f"{target.stem}_images")
    folder.mkdir(exist_ok=True)
    wanted = {t.path.name: t.path for t in thumbnails}
    for old in folder.glob("*.webp"):
        if old.name not in wanted:
            old.unlink(missing_ok=True)  # macOS takes `._…` away with the file that it stands beside
    for name, path in wanted.items():
        if not (folder / name).exists():
            shutil.copyfile(path, folder / name)
    return lambda thumbnail: f"{quote(folder.name)}/{thumbnail.path.name}"


def _once() -> Callable[[int], bool]:
    """A function that is true the first time it meets an id: an image shown twice is inlined once."""
    seen: set[int] = set()

    def first(i: int) -> bool:
        new = i not in seen
        seen.add(i)
        return new

    return first


def _compact(html: Markup) -> Markup:
    """Markup without the line breaks between its elements: half the nodes a browser would have to make of a page.

    Text keeps its own: in escaped text no line break can stand between `>` and `<`.
    """
    return Markup(str(html).replace(">\n<", "><"))


def _hue(label: str) -> int:
    """One of twelve colours for a label, the same on every page."""
    return zlib.crc32(label.encode("utf-8", "surrogatepass")) % 12


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"compact": _compact, "hue": _hue, "readable": readable}
    return environment


@functools.cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
