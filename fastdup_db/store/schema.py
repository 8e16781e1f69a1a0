"""The schema of a database: the numbered files of `sql/schema/`, each applied once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdup_db import queries
from fastdup_db.errors import SchemaTooNew

if TYPE_CHECKING:
    from fastdup_db.store.duck import Database


def bring_up_to_date(database: Database) -> None:
    """Apply the files that a database has not had yet, in one transaction. Raises `SchemaTooNew`."""
    have = checked_version(database)
    newer = [(number, name) for number, name in _files() if number > have]
    if not newer:
        return
    with database.transaction():
        for number, name in newer:
            database.script(name)
            database.execute("store/set_schema_version", version=number)


def checked_version(database: Database) -> int:
    """The number of the last file applied, 0 for none. Raises `SchemaTooNew` for one this package lacks."""
    have, newest = database.schema_version(), max(number for number, _ in _files())
    if have > newest:
        raise SchemaTooNew(f"this work_dir has schema {have}, this fastdup_db knows {newest}: update fastdup-db")
    return have


def _files() -> list[tuple[int, str]]:
    """Number and name of each, in order."""
    numbered = [n for n in queries.names() if n.startswith("schema/") and n.removeprefix("schema/")[:3].isdigit()]
    return [(int(n.removeprefix("schema/")[:3]), n) for n in numbered]
