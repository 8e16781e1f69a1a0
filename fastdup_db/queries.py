"""The SQL of this package: every statement is a file under `sql/`, named by its path.

`text("similarity/rows")` is the content of `sql/similarity/rows.sql`. In a wheel the folder lies inside the
package, in a checkout beside it.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "sql", _HERE.parent / "sql")


@functools.cache
def folder() -> Path:
    """Where the statements lie."""
    for candidate in _FOLDERS:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the SQL files of fastdup_db are missing; looked in {', '.join(map(str, _FOLDERS))}")


@functools.cache
def text(name: str) -> str:
    """The statement of this name; `KeyError` when there is none."""
    path = folder() / f"{name}.sql"
    if not path.is_file():
        raise KeyError(f"no statement named {name!r} in sql/")
    return path.read_text(encoding="utf-8")


@functools.cache
def names() -> tuple[str, ...]:
    """All statement names, sorted."""
    return tuple(sorted(p.relative_to(folder()).with_suffix("").as_posix() for p in folder().rglob("*.sql")))


def parameters(name: str) -> list[str]:
    """The `$parameters` a statement binds, sorted, comments left out."""
    code = re.sub(r"--[^\n]*", "", text(name))
    return sorted(set(re.findall(r"\$([a-z_][a-z0-9_]*)", code)))
