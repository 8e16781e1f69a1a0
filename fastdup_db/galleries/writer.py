"""From a `Page` to the file on disk: pictures, thumbnails, rows, the page, the artifacts, the notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fastdup_db import checks
from fastdup_db.errors import BadArgument
from fastdup_db.galleries import artifacts, notebook, thumbnails
from fastdup_db.galleries import page as pages
from fastdup_db.galleries import pictures as pics
from fastdup_db.galleries.cards import Page, Value, with_extra
from fastdup_db.galleries.controller import Controller
from fastdup_db.galleries.query import Images


@dataclass(frozen=True, slots=True)
class Output:
    """The arguments that say how a gallery is written. See `FastdupVisualizer` for each."""

    save_path: str | Path | None = None
    draw_bbox: bool = True
    max_width: int | None = None
    lazy_load: bool = False
    save_artifacts: bool = False
    show: bool = True
    gray: bool = False
    get_extra_col_func: Callable[[str], Value] | None = None
    get_reformat_filename_func: Callable[[str], str] | None = None


def target_of(save_path: str | Path | None, *, work_dir: str, name: str) -> Path:
    """The file to write: `save_path` itself when it ends in .html, `<name>.html` in it otherwise."""
    if save_path is None:
        save_path = Path(work_dir) / "galleries"
    checks.on_disk("save_path", save_path)
    path = Path(save_path).expanduser()
    if path.suffix.lower() in (".html", ".htm"):
        if path.is_dir():
            raise BadArgument(f"save_path={str(save_path)!r} is a folder; give the name of a page in it")
        checks.folder("save_path", path.parent.absolute())
        return path
    if path.is_file():
        raise BadArgument(
            f"save_path={str(save_path)!r} is a file that is no page; give a folder or a name ending in .html"
        )
    checks.folder("save_path", path.absolute())
    return path / f"{name}.html"


def write(page: Page, images: Images, *, frame: pd.DataFrame, controller: Controller, output: Output) -> Path:
    """Write a gallery with all that goes with it; returns the absolute path of the page."""
    target = target_of(output.save_path, work_dir=controller.work_dir, name=page.name).absolute()
    gathered = gather(page, images, controller=controller, output=output)
    page = gathered.page
    pages.write(
        page,
        target=target,
        pictures=gathered.pictures,
        names=gathered.names,
        thumbnails=gathered.thumbnails,
        rows=gathered.rows,
        lazy=output.lazy_load,
        boxes=output.draw_bbox,
        max_width=output.max_width,
    )
    if output.save_artifacts:
        artifacts.save(
            page,
            target=target,
            frame=frame.drop(columns="total", errors="ignore"),
            pictures=gathered.pictures,
            open_images=controller.open_images,
            crops=not output.draw_bbox,
        )
    if output.show:
        notebook.show(target, lazy=output.lazy_load)
    return target


def _thumbnails(work_dir: str) -> Path:
    """The folder of thumbnails: in the work_dir, if that can be written, else in this machine's cache; and where that
    cannot be written either, among the temporary files."""
    folder = Path(work_dir) / "thumbnails"
    if os.access(folder if folder.exists() else work_dir, os.W_OK):
        return folder
    from fastdup_db.models.download import cache_folder, temporary_folder

    cached = cache_folder() / folder.name
    with suppress(OSError):
        cached.mkdir(parents=True, exist_ok=True)
    return cached if os.access(cached, os.W_OK) else temporary_folder() / folder.name


@dataclass(frozen=True, slots=True)
class Gathered:
    """A page with everything it needs to be drawn, by id; `rows` has one row per image with its id in `index`."""

    page: Page
    pictures: dict[int, pics.Picture]
    names: dict[int, str]
    thumbnails: dict[int, thumbnails.Thumbnail]
    rows: pd.DataFrame


def gather(page: Page, images: Images, *, controller: Controller, output: Output, side: int | None = None) -> Gathered:
    """Find the names and thumbnails of the images of a page. side: of the thumbnails, by their number if None."""
    found, rows = images.pictures, images.rows
    if output.get_extra_col_func is not None:
        extra = {i: output.get_extra_col_func(p.filename) for i, p in found.items()}
        page = with_extra(page, name="extra", values=extra)
        rows = rows.assign(extra=rows["index"].map(extra))
    made = thumbnails.make(
        list(found.values()),
        folder=_thumbnails(controller.work_dir),
        open_images=controller.open_images,
        side=side or thumbnails.side_for(len(page.ids), inlined=not output.lazy_load),
        crops=not output.draw_bbox,
        gray=output.gray,
    )
    names = pics.names(list(found.values()), rename=output.get_reformat_filename_func)
    return Gathered(page, found, names, made, rows)
