"""The one door to DuckDB: run a statement of `sql/` by name, get Arrow or pandas back.

    with duck.connect(path) as db:
        frame = db.frame("similarity/rows", threshold=0.9)

A parameter that is an Arrow table, reader or dataset is registered under its own name and read as a table
(`from incoming`); every other one is bound (`$threshold`). Nothing here builds SQL from values.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import duckdb
import numpy as np
import pyarrow as pa

from fastdup_db import queries
from fastdup_db.errors import BadArgument, FastdupError, NotRun, NotStored, WorkDirBusy, WorkDirDamaged
from fastdup_db.store import schema

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FILE_NAME = "fastdup.duckdb"
LOG_NAME = f"{FILE_NAME}.wal"
"""Commits that are not in the file yet, while a connection writes or after one was killed."""
_TABULAR = ("schema", "projected_schema", "columns")
"""Attributes that tell Arrow tables, readers, datasets and scanners, and frames, from plain values. `isinstance` would
have to import pandas, which takes a third of a second."""


_RETRY_SECONDS = 0.02
_IN_USE = (
    *("could not set lock", "conflicting lock"),
    *("being used by another process", "file is already open in"),  # Windows says the first in the user's language
)
"""Parts of DuckDB's message for a file that another process has open."""
_HELD_HERE = "different configuration"
"""A part of its message for a file that this process has open to read where it is to be written, or the reverse."""
_NOT_THE_FILE = (
    *("cannot open file", "permission denied", "access is denied"),
    *("too many open files", "no space left"),
)
"""Parts of DuckDB's message when it cannot open a file that may be intact."""


class Database:
    """An open DuckDB file. Made by `connect`; not to be kept between calls."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._streams: WeakSet[Generator[pa.RecordBatch, None, None]] = WeakSet()

    def execute(self, name: str, **parameters: Any) -> None:
        """Run one statement for its effect."""
        with self._prepared(name, parameters) as (sql, bound):
            # read to the end: a connection with an unread result refuses further work
            self._connection.execute(sql, bound).fetchall()

    def take_in(self, name: str, **tabular: Any) -> None:
        """`execute` with a table the user supplied. Raises `BadArgument` for values that DuckDB cannot store."""
        try:
            self.execute(name, **tabular)
        except duckdb.Error as exc:
            raise BadArgument(f"a column holds values that cannot be stored: {exc}") from exc

    def arrow(self, name: str, **parameters: Any) -> pa.Table:
        """Run one statement, all rows as an Arrow table."""
        with self._prepared(name, parameters) as (sql, bound):
            return self._connection.sql(sql, params=bound).to_arrow_table()

    def frame(self, name: str, **parameters: Any) -> pd.DataFrame:
        """Run one statement, all rows as a DataFrame; SQL lists come as Python lists."""
        with self._prepared(name, parameters) as (sql, bound):
            return _frame(self._connection.sql(sql, params=bound))

    def value(self, name: str, **parameters: Any) -> Any:
        """The first column of the first row, None when there is no row."""
        with self._prepared(name, parameters) as (sql, bound):
            rows = self._connection.execute(sql, bound).fetchall()
        return rows[0][0] if rows else None

    def row(self, name: str, **parameters: Any) -> dict[str, Any] | None:
        """The first row as a dict, None when there is no row."""
        rows = self.arrow(name, **parameters).slice(0, 1).to_pylist()
        return rows[0] if rows else None

    def stream(self, name: str, *, rows: int, **parameters: Any) -> Iterator[pa.RecordBatch]:
        """Run one statement on a cursor of its own; its rows come in record batches of about `rows`, none empty.

        The cursor reads the state of the database as it was at the call, whatever is committed meanwhile.
        """
        batches = self._batches(Database(self._connection.cursor()), name, rows, parameters)
        self._streams.add(batches)
        return batches

    @staticmethod
    def _batches(
        cursor: Database, name: str, rows: int, parameters: dict[str, Any]
    ) -> Generator[pa.RecordBatch, None, None]:
        try:
            with cursor._prepared(name, parameters) as (sql, bound):
                for batch in cursor._connection.sql(sql, params=bound).to_arrow_reader(rows):
                    if batch.num_rows:
                        yield batch
        finally:
            cursor.close()

    def write_csv(self, name: str, path: Path, **parameters: Any) -> None:
        """Run one statement into a CSV file with a header, streamed; values are quoted only where they need it.

        DuckDB takes the path as a value, so that no quote in it can end up in SQL.
        """
        with self._prepared(name, parameters) as (sql, bound):
            self._connection.sql(sql, params=bound).write_csv(str(path), header=True)

    def write_parquet(self, name: str, path: Path, **parameters: Any) -> None:
        """Run one statement into a Parquet file, streamed; the path is a value as in `write_csv`."""
        with self._prepared(name, parameters) as (sql, bound):
            self._connection.sql(sql, params=bound).write_parquet(str(path))

    def script(self, name: str) -> None:
        """Run a file of several statements without parameters (schema, views)."""
        log.debug("sql %s", name)
        self._connection.execute(queries.text(name)).fetchall()

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> pd.DataFrame:
        """A user's own SQL, as a DataFrame."""
        try:
            relation = self._connection.sql(sql, params={k: _plain(v) for k, v in (parameters or {}).items()})
            return _nothing() if relation is None else _frame(relation)
        except duckdb.Error as exc:
            raise BadArgument(f"DuckDB refused the query: {exc}") from exc

    def ids_where(self, condition: str) -> np.ndarray:
        """int64, ascending: the valid instances for which a user's own SQL condition over `searchable` holds.

        DuckDB parses it as one expression. Raises `BadArgument` with what DuckDB says of it.
        """
        try:
            chosen = self._connection.view("searchable").filter(condition).project("fd_index")
            return np.sort(chosen.fetchnumpy()["fd_index"].astype(np.int64))
        except duckdb.Error as exc:
            raise BadArgument(f"where={condition!r} is no condition on the columns of `searchable`: {exc}") from exc

    def schema_version(self) -> int:
        """The number of the last schema file applied, 0 for none."""
        try:
            return int(self.value("store/schema_version") or 0)
        except duckdb.CatalogException:
            return 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commit at the end of the block, roll back when it raises."""
        self._connection.execute("begin")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        try:
            self._connection.execute("commit")
        except duckdb.Error as exc:
            raise NotStored(f"the database cannot be written: {exc}") from exc

    def checkpoint(self) -> None:
        """Write all commits into the file itself. Raises `NotStored` where `close` would fail silently."""
        try:
            self._connection.execute("checkpoint")
        except duckdb.Error as exc:
            raise NotStored(f"the database cannot be written: {exc}") from exc

    def register(self, name: str, tabular: Any) -> None:
        """Make an Arrow object readable as a table of this name for as long as the connection lives."""
        self._connection.register(name, tabular)

    def close(self) -> None:
        """Close the connection, and any stream that was not read to its end: an exception that interrupted the reading
        would keep the stream, and with it the file, open for as long as it is referenced."""
        for batches in self._streams:
            batches.close()
        self._connection.close()

    @contextmanager
    def _prepared(self, name: str, parameters: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The statement's text and the values to bind; Arrow parameters are tables for the length of the block."""
        log.debug("sql %s %s", name, sorted(parameters))
        tables = {key: value for key, value in parameters.items() if _is_tabular(value)}
        bound = {key: _plain(value) for key, value in parameters.items() if key not in tables}
        for key, table in tables.items():
            self._connection.register(key, table)
        try:
            yield queries.text(name), bound
        finally:
            for key in tables:
                # left behind, it would hide a table of this name from later statements
                self._connection.unregister(key)


def _is_tabular(value: Any) -> bool:
    return any(hasattr(value, name) for name in _TABULAR)


def _plain(value: Any) -> Any:
    """NumPy scalars, which frames contain, as Python numbers, which DuckDB can bind."""
    return value.item() if isinstance(value, np.generic) else value


def _nothing() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()


def _frame(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    frame = relation.df()
    kinds = dict(zip(frame.columns, relation.types, strict=True))  # of a name that comes twice pandas has `a` and `a_1`
    if frame.empty:
        frame = _as_filled(frame, texts=[name for name, kind in kinds.items() if kind == "VARCHAR"])
    for name, kind in kinds.items():
        if kind.id == "list":
            frame[name] = frame[name].map(lambda values: values.tolist(), na_action="ignore")
    return frame


def _as_filled(frame: pd.DataFrame, *, texts: list[str]) -> pd.DataFrame:
    """An empty frame whose text columns have the dtype they would have with rows; DuckDB makes them `object`."""
    import pandas as pd

    return frame.astype(dict.fromkeys(texts, pd.Series(["text"]).dtype))


@contextmanager
def connect(work_dir: Path, *, read_only: bool = True, patience: float = 0.0) -> Iterator[Database]:
    """Open the database of a work_dir for the length of a block. patience: seconds to wait while others have it open.

    Raises `NotRun` when there is none to read, `WorkDirBusy` while another process writes to it,
    `SchemaTooNew` when a newer fastdup_db wrote it, `WorkDirDamaged` when it is no database (any more).
    """
    path = Path(work_dir) / FILE_NAME
    if read_only:
        check_exists(work_dir)
    database = Database(_opened(path, read_only=read_only, patience=patience))
    try:
        if not read_only:
            schema.bring_up_to_date(database)
        elif not schema.checked_version(database):
            raise _no_run(work_dir)
        yield database
    finally:
        database.close()


@contextmanager
def scratch() -> Iterator[Database]:
    """An empty in-memory database with the schema applied."""
    database = Database(duckdb.connect(":memory:"))
    try:
        schema.bring_up_to_date(database)
        yield database
    finally:
        database.close()


def exists(work_dir: Path) -> bool:
    """Whether a work_dir holds a database."""
    return (Path(work_dir) / FILE_NAME).is_file()


def check_exists(work_dir: Path) -> None:
    """Raises `NotRun` where a work_dir holds no database."""
    if not exists(work_dir):
        raise _no_run(work_dir)


def remove(work_dir: Path) -> None:
    """Delete the database of a work_dir, if there is one, and what DuckDB keeps beside it."""
    for name in (FILE_NAME, LOG_NAME):
        (work_dir / name).unlink(missing_ok=True)
    shutil.rmtree(work_dir / f"{FILE_NAME}.tmp", ignore_errors=True)


def _no_run(work_dir: Path) -> NotRun:
    return NotRun(f"no run has been made in {work_dir}; call run() first")


def _opened(path: Path, *, read_only: bool, patience: float) -> duckdb.DuckDBPyConnection:
    until = time.monotonic() + patience
    while True:
        try:
            return _open(path, read_only=read_only)
        except WorkDirBusy:
            if time.monotonic() >= until:
                raise
            time.sleep(_RETRY_SECONDS)


def _open(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as exc:
        said = str(exc).lower()
        if _HELD_HERE in said:
            doing = "being written" if read_only else "open for reading"
            raise WorkDirBusy(f"{path} is {doing} in this process; try again when that has ended") from exc
        if any(words in said for words in _IN_USE):
            raise WorkDirBusy(f"{path} is being written by another process; try again when its run has ended") from exc
        kind = FastdupError if any(words in said for words in _NOT_THE_FILE) else WorkDirDamaged
        raise kind(f"{path} cannot be opened: {exc}") from exc
    # not as settings of `connect`: a user's own connection to the file would then have to name the same ones
    connection.execute(queries.text("store/settings")).fetchall()
    # in Jupyter without ipywidgets the bar is off and DuckDB refuses to have it set at all
    if connection.execute(queries.text("store/shows_progress")).fetchall()[0][0]:
        connection.execute("set enable_progress_bar = false")
    return connection
