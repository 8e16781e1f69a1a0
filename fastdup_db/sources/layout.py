"""Class folders: the label and split that a path itself says."""

from __future__ import annotations

import os
import re

SPLIT_FOLDERS = frozenset(["train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"])

_SEPARATORS = r"[/\\]" if os.name == "nt" else "/"
"""Elsewhere a backslash is a part of a name, or begins a byte that no text can show (`files.shown`)."""


def label_and_split(name: str, *, root: str) -> tuple[str, str]:
    """`(label, split)` of an image called `name` somewhere under `root`, both empty when the layout says nothing.

    The ImageFolder layout: the first folder below the root is the class; when that folder is a split
    (`train`, `val`, `test`, …) it is returned as such, and the next one is the class. root may be a folder, an archive
    or a bucket prefix; a name outside of it (an entry of a list) is labelled by the folder it lies in.
    """
    base = root.rstrip("/\\" if os.name == "nt" else "/")
    if base and name.startswith(base) and re.match(_SEPARATORS, name[len(base) :]):
        folders = _parts(name[len(base) :])[:-1]
    else:
        folders = _parts(name)[-2:-1]
    split = ""
    if folders and folders[0].lower() in SPLIT_FOLDERS:
        split, folders = folders[0], folders[1:]
    return (folders[0] if folders else ""), split


def _parts(name: str) -> list[str]:
    return [part for part in re.split(_SEPARATORS, name) if part]
