"""What `save_artifacts` writes: the shown images themselves, and the frame behind the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fastdup_db.galleries.cards import Page
from fastdup_db.galleries.pictures import Picture
from fastdup_db.galleries.thumbnails import OpenImages

_LONGEST = 240
"""Bytes of a name that leave room for a number before it: file systems allow 255."""


def save(
    page: Page,
    *,
    target: Path,
    frame: pd.DataFrame,
    pictures: Mapping[int, Picture],
    open_images: OpenImages,
    crops: bool,
) -> Path:
    """Write `<stem>.csv` and the images into `<stem>_artifacts/`, in a folder per group if there are groups.

    A plain local file is copied as it is; everything else (crops, archive members, frames, objects) is written as PNG.
    Returns the folder. Images that cannot be had are left out.
    """
    folder = target.with_name(f"{target.stem}_artifacts")
    shutil.rmtree(folder, ignore_errors=True)
    frame.to_csv(target.with_suffix(".csv"), index=False)
    places = _places(page, folder)
    decoded = []
    for i, wanted in places.items():
        picture = pictures.get(i)
        if picture is None:
            continue
        local = picture.local
        if local is not None and local.is_file() and not (crops and picture.corners):
            for place in wanted:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(local, place / _named(i, local))
        else:
            decoded.append(i)
    for i, image in zip(decoded, open_images(decoded, crops=crops), strict=True):
        if image is not None:
            _write(image, [place / f"{i:07d}.png" for place in places[i]])
    return folder


def _named(i: int, file: Path) -> str:
    """The number and the file's name, which is cut at its beginning if both are too long for a file name."""
    return f"{i:07d}_{os.fsdecode(os.fsencode(file.name)[-_LONGEST:])}"


def _places(page: Page, folder: Path) -> dict[int, list[Path]]:
    places: dict[int, list[Path]] = {}
    for number, card in enumerate(page.cards):
        # a label may hold any character, so only numbers go into the folder's name
        name = (
            card.key.replace("group-", "comp_") if card.key.removeprefix("group-").isdigit() else f"group_{number:04d}"
        )
        for shot in card.shots:
            place = folder / name if page.layout == "group" else folder
            if place not in places.setdefault(shot.id, []):
                places[shot.id].append(place)
    return places


def _write(image: np.ndarray, targets: Sequence[Path]) -> None:
    import cv2

    ordered = image if image.ndim == 2 else cv2.cvtColor(image[:, :, :3], cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".png", ordered)[1].tobytes()
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
