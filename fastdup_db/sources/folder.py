"""Every known file under a folder, in the order of full paths, without holding the tree in memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from fastdup_db.sources.kinds import ARCHIVE, IMAGE, VIDEO, is_junk, is_system_folder, kind_of
from fastdup_db.spelling import real

WALKED = frozenset({IMAGE, ARCHIVE, VIDEO})
WORK_DIR = ("fastdup.lock", "fastdup.duckdb")
"""Files that tell a work_dir: `pipeline.files.LOCK` and `store.duck.FILE_NAME`, which sources do not import."""


def walk(
    root: str, *, sort: bool = True, follow_symlinks: bool = True, exclude: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yields `(path, kind)` of images, archives and videos; a folder that cannot be read comes as `(path, "")`.

    Order: by full path as a string (`a-b/x`, `a.jpg`, `a/x`), whatever the file system's own order; `sort=False`
    keeps the latter. Memory: the names of the folders on the way down, never the whole tree.

    Linked folders are followed once; a link into the tree itself (so also every loop) is passed over, because
    its images are listed under their own names. Passed over are also the folders in `exclude` (paths by
    `spelling.real`) and, below root and in any case, `$RECYCLE.BIN`, `.Trashes`, `.Trash-…`, `@eaDir`, `.thumbnails`,
    `System Volume Information`, `.Spotlight-V100`, `.fseventsd`, `__MACOSX`, `….photoslibrary` and files `._…`: they
    hold what was deleted, and thumbnails and copies of other pictures; so does a work_dir (`WORK_DIR`).

    root: an absolute path. Raises OSError when root itself cannot be listed.
    """
    sep = os.sep
    real_root = real(root)
    linked: set[str] = set()
    stack = [iter(_names(root, sort=sort))]
    paths = [root.rstrip(sep)]
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
            paths.pop()
            continue
        path = paths[-1] + sep + name
        if not name.endswith(sep):
            yield path, kind_of(name)
            continue
        path = path[: -len(sep)]
        if (exclude and os.path.realpath(path) in exclude) or _is_work_dir(path):
            continue
        if os.path.islink(path) or _is_junction(path):
            target = real(path)
            inside = (target + sep).startswith(real_root + sep) or (real_root + sep).startswith(target + sep)
            if not follow_symlinks or inside or target in linked:
                continue
            linked.add(target)
        try:
            names = _names(path, sort=sort)
        except OSError:
            yield path, ""
            continue
        stack.append(iter(names))
        paths.append(path)


def _is_junction(path: str) -> bool:
    """Whether it is a folder of Windows that leads to another; Python tells since 3.12."""
    is_junction = getattr(os.path, "isjunction", None)
    return is_junction is not None and is_junction(path)


def _is_work_dir(folder: str) -> bool:
    return all(os.path.exists(folder + os.sep + name) for name in WORK_DIR)


def _names(folder: str, *, sort: bool) -> list[str]:
    """Names in one folder that matter; those of folders end in the separator, so that sorting them sorts full paths."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if kind_of(name) in WALKED and not is_junk(name):
                # a folder may be called x.jpg; the type comes from the directory itself and costs no stat
                names.append(name + os.sep if _is_folder(entry) else name)
            elif _is_folder(entry) and not is_system_folder(name):
                names.append(name + os.sep)
    if sort:
        names.sort()
    return names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """False also for what cannot be told: a link to itself, or into a folder that is closed to us."""
    try:
        return entry.is_dir()
    except OSError:
        return False
