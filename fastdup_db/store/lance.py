"""One LanceDB table of vectors on disk; the only module that imports lance.

    table = VectorTable(work_dir / "vectors.lance", name="embeddings", column="embedding")
    version = table.append(ids, matrix)          # remember the version with the batch's marker ...
    table.restore(version)                       # ... and a killed run goes on from there
    for ids, matrix in table.batches():          # ascending ids, bounded memory
        ...

The folder is a LanceDB database: `lancedb.connect(folder).open_table("embeddings")` opens the same table.
A handle keeps no file open and no state: it can be pickled, and two processes can read while a third writes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as pads
from lance.fragment import FragmentMetadata, write_fragments

from fastdup_db.errors import BadArgument, NotRun

Ids = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]

EMBEDDINGS = ("embeddings", "embedding")
"""Name and column of the table of stored embeddings."""
VECTORS = ("vectors", "vector")
"""Name and column of the table that neighbours are searched by."""

INDEX_NAME = "nearest"
_PROBES_KEY = "fastdup_db.nprobes"
KEPT_VERSIONS = 32
"""Versions that housekeeping leaves restorable. A run's marker is at most a few appends behind the newest."""
HOUSEKEEPING_APPENDS = 512
"""Every append rewrites the list of fragments: 3,000 appends of 64 rows left 363 MB of lists beside 434 MB of vectors
and grew from 3.5 to 8 ms each. Merging small fragments and dropping old lists this often keeps both flat."""


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Rows `(id int64, <column> fixed_size_list<float32, d>)`, ids unique, in the LanceDB database `folder`."""

    folder: Path
    name: str
    column: str

    @property
    def path(self) -> Path:
        """Where the table's files lie."""
        return self.folder / f"{self.name}.lance"

    def exists(self) -> bool:
        """Whether the table has been created."""
        return (self.path / "_versions").is_dir()

    def dataset(self) -> lance.LanceDataset:
        """The open Lance dataset at its newest version. Raises NotRun where there is none."""
        if not self.exists():
            raise NotRun(f"no table {self.name!r} in {self.folder}; run() creates it")
        return lance.dataset(str(self.path))

    def arrow(self) -> pads.Dataset:
        """A pyarrow dataset that DuckDB scans with projections and filters pushed down."""
        return self.dataset()

    @property
    def version(self) -> int:
        """The newest version; 0 where the table does not exist yet."""
        return int(self.dataset().version) if self.exists() else 0

    @property
    def dim(self) -> int:
        """Columns of a vector."""
        return int(self.dataset().schema.field(self.column).type.list_size)

    def __len__(self) -> int:
        return int(self.dataset().count_rows()) if self.exists() else 0

    def nbytes(self) -> int:
        """Bytes on disk: vectors, indexes and the versions still kept."""
        return sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file())

    # ---- writing -------------------------------------------------------------------------------------------------

    def create(self, batches: Iterable[tuple[Ids, Matrix]] = (), *, dim: int) -> int:
        """The version after replacing the whole table by `batches` of (ids (n,), float32 (n, dim)), streamed."""
        schema = _schema(self.column, dim)
        stream = (_record(ids, matrix, schema=schema) for ids, matrix in batches)
        self.drop()
        self.folder.mkdir(parents=True, exist_ok=True)
        reader = pa.RecordBatchReader.from_batches(schema, stream)
        return int(lance.write_dataset(reader, str(self.path), schema=schema, mode="create").version)

    def drop(self) -> None:
        """Remove the table with all its versions and indexes."""
        shutil.rmtree(self.path, ignore_errors=True)

    def append(self, ids: Ids, matrix: Matrix) -> int:
        """The version after adding rows with new ids; creates the table when there is none.

        ids: int64 (n,), matrix: float32 (n, d). The caller keeps ids unique (`replace` when they may exist).
        """
        if not self.exists():
            return self.create([(ids, matrix)], dim=matrix.shape[1])
        dataset = self.dataset()
        batch = _record(ids, matrix, schema=_schema(self.column, _dim(dataset, self.column)))
        dataset = lance.write_dataset(pa.table(batch), dataset, mode="append")
        if len(dataset.fragment_ids()) >= HOUSEKEEPING_APPENDS:
            return self.compact()
        return int(dataset.version)

    def writer(self, *, dim: int) -> FragmentWriter:
        """What any process that sees `folder` can write vectors with, for `append_written` to add to the table."""
        return FragmentWriter(str(self.path), self.column, dim)

    def append_written(self, fragments: Sequence[str], *, dim: int) -> int:
        """The version after adding what `writer` functions wrote, in one commit; creates the table as `append` does.

        What a writer wrote and nobody commits is no part of the table; Lance removes such files after seven days.
        """
        parts = [FragmentMetadata.from_json(text) for text in fragments]
        if not self.exists():
            first = lance.LanceOperation.Overwrite(_schema(self.column, dim), parts)
            return int(lance.LanceDataset.commit(str(self.path), first).version)
        version = self.version
        dataset = lance.LanceDataset.commit(str(self.path), lance.LanceOperation.Append(parts), read_version=version)
        if len(dataset.fragment_ids()) >= HOUSEKEEPING_APPENDS:
            return self.compact()
        return int(dataset.version)

    def replace(self, ids: Ids, matrix: Matrix) -> int:
        """The version after writing rows whose ids may already be stored: the old ones go."""
        if self.exists():
            self.delete(ids)
        return self.append(ids, matrix)

    def delete(self, ids: Ids) -> int:
        """The version after removing rows by id; ids that are not stored are ignored."""
        dataset = self.dataset()
        wanted = np.unique(np.asarray(ids, dtype=np.int64))
        if len(wanted):
            keys = pa.table({"id": wanted})
            dataset.merge_insert("id").when_matched_delete().execute(keys)
        return self.version

    def restore(self, version: int) -> int:
        """The new version, equal to the recorded `version`; everything appended after that is discarded.

        0 means "before the first batch": the table is dropped. Raises BadArgument when that version is gone.
        """
        if version == 0:
            self.drop()
            return 0
        dataset = self.dataset()
        if dataset.version != version:
            if version not in {int(v["version"]) for v in dataset.versions()}:
                raise BadArgument(f"version {version} of {self.path} is no longer kept; run with overwrite=True")
            lance.dataset(str(self.path), version=version).restore()
        return self.version

    def compact(self, *, keep: int = KEPT_VERSIONS) -> int:
        """The version after merging small files, bringing indexes up to date and forgetting old versions.

        The newest `keep` versions stay restorable, so that a marker written before this call still holds.
        """
        dataset = self.dataset()
        dataset.optimize.compact_files()
        if dataset.describe_indices():
            dataset.optimize.optimize_indices()
        dataset.cleanup_old_versions(older_than=timedelta(0), retain_versions=keep)
        return self.version

    # ---- reading -------------------------------------------------------------------------------------------------

    def ids(self) -> Ids:
        """int64 (n,), in the order of the stored rows."""
        return self.dataset().to_table(columns=["id"])["id"].to_numpy().astype(np.int64, copy=False)

    def batches(self, *, rows: int = 16_384) -> Iterator[tuple[Ids, Matrix]]:
        """Every row as (ids (b,), float32 (b, d)), ids ascending, at most `rows` a batch: bounded memory.

        Rows lie in id order unless an update added some later; then they are gathered in id order, which is slower.
        """
        if not self.exists():
            return
        dataset = self.dataset()
        ids = self.ids()
        if (np.diff(ids) > 0).all():
            scan = dataset.scanner(columns=["id", self.column], batch_size=rows, scan_in_order=True, batch_readahead=2)
            for batch in scan.to_batches():
                if batch.num_rows:
                    yield _arrays(batch, column=self.column)
            return
        order = np.argsort(ids, kind="stable")
        for start in range(0, len(order), rows):
            yield _gather(dataset, order[start : start + rows], column=self.column)

    def part(self, start: int, stop: int) -> Matrix:
        """float32 (stop - start, d): rows by their stored place: in id order where one `create` wrote the table."""
        rows = self.dataset().to_table(columns=["id", self.column], offset=start, limit=stop - start)
        return _arrays(rows, column=self.column)[1]

    def take(self, ids: Ids) -> Matrix:
        """float32 (len(ids), d): the vectors of `ids`, in their order. Raises BadArgument for an id not stored."""
        dataset = self.dataset()
        stored = self.ids()
        order = np.argsort(stored, kind="stable")
        wanted = np.asarray(ids, dtype=np.int64)
        at = np.minimum(np.searchsorted(stored, wanted, sorter=order), max(len(stored) - 1, 0))
        if len(wanted) and (not len(stored) or (stored[order[at]] != wanted).any()):
            raise BadArgument(f"some ids are not in table {self.name!r} of {self.folder}")
        return _gather(dataset, order[at], column=self.column)[1]

    def matrix(self) -> tuple[Ids, Matrix]:
        """The whole table in memory: ids ascending (n,), float32 (n, d)."""
        ids = np.empty(len(self), dtype=np.int64)
        matrix = np.empty((len(ids), self.dim), dtype=np.float32)
        start = 0
        for some_ids, some in self.batches():
            ids[start : start + len(some_ids)] = some_ids
            matrix[start : start + len(some_ids)] = some
            start += len(some_ids)
        return ids, matrix


class IndexReader:
    """The table held open for searching: what an index keeps in memory stays there from query to query."""

    def __init__(self, table: VectorTable) -> None:
        self._dataset = table.dataset()
        self._column = table.column

    def nearest(
        self, query: Matrix, *, k: int, probes: int, ef: int | None, refine: int | None, metric: str
    ) -> tuple[Ids, Matrix]:
        """(ids (m,), vectors (m, d)) of about the k nearest rows of one query (d,), by the index; unordered."""
        nearest: dict[str, Any] = {"column": self._column, "q": query, "k": k, "nprobes": probes, "metric": metric}
        nearest |= {name: value for name, value in (("ef", ef), ("refine_factor", refine)) if value}
        found = self._dataset.to_table(columns=["id", self._column, "_distance"], nearest=nearest)
        return _arrays(found, column=self._column)


def build_index(table: VectorTable, *, kind: str, metric: str, options: dict[str, Any]) -> None:
    """Build an index of that Lance kind over the whole table, in place of any other. metric: 'cosine' or 'l2'."""
    dataset = table.dataset()
    dataset.create_index(table.column, kind, name=INDEX_NAME, metric=metric, replace=True, **options)


def remember_probes(table: VectorTable, *, probes: int) -> None:
    """Keep with the table how many lists of its index a search should look into."""
    table.dataset().update_config({_PROBES_KEY: str(probes)})


def remembered_probes(table: VectorTable) -> int | None:
    """What `remember_probes` kept."""
    kept = table.dataset().config().get(_PROBES_KEY)
    return int(kept) if kept else None


def drop_index(table: VectorTable) -> None:
    """Remove the index, if there is one."""
    if has_index(table):
        table.dataset().drop_index(INDEX_NAME)


def has_index(table: VectorTable) -> bool:
    """Whether the table has an index to search by."""
    return table.exists() and any(index.name == INDEX_NAME for index in table.dataset().describe_indices())


def index_statistics(table: VectorTable) -> tuple[int, int]:
    """(lists of the index, its bytes on disk)."""
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")  # else Lance warns that it will leave them out
    parts = table.dataset().stats.index_stats(INDEX_NAME)["indices"]
    size = sum(f.stat().st_size for f in (table.path / "_indices").rglob("*") if f.is_file())
    return max((int(part.get("num_partitions", 1)) for part in parts), default=1), size


@dataclass(frozen=True, slots=True)
class FragmentWriter:
    """Writes vectors of a table as Lance fragments, in any process; `VectorTable.append_written` commits them."""

    path: str
    column: str
    dim: int

    def __call__(self, ids: Ids, matrix: Matrix) -> list[str]:
        """The written fragments as JSON. ids: int64 (n,), matrix: float32 (n, dim)."""
        schema = _schema(self.column, self.dim)
        table = pa.table(_record(ids, matrix, schema=schema))
        return [json.dumps(f.to_json()) for f in write_fragments(table, self.path, schema=schema)]


def _schema(column: str, dim: int) -> pa.Schema:
    return pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field(column, pa.list_(pa.float32(), dim))])


def _dim(dataset: lance.LanceDataset, column: str) -> int:
    return int(dataset.schema.field(column).type.list_size)


def _record(ids: Ids, matrix: Matrix, *, schema: pa.Schema) -> pa.RecordBatch:
    dim = schema.field(1).type.list_size
    flat = np.ascontiguousarray(matrix, dtype=np.float32)
    if flat.ndim != 2 or flat.shape != (len(ids), dim):
        raise BadArgument(f"vectors have shape {flat.shape}; expected ({len(ids)}, {dim})")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), dim)
    return pa.record_batch([pa.array(np.asarray(ids, dtype=np.int64)), vectors], schema=schema)


def _arrays(batch: Any, *, column: str) -> tuple[Ids, Matrix]:
    """(ids, matrix) of a record batch or one-chunk table; the matrix is a view on Arrow memory, so read-only."""
    ids, vectors = batch.column("id"), batch.column(column)
    if isinstance(vectors, pa.ChunkedArray):
        ids, vectors = ids.combine_chunks(), vectors.combine_chunks()
    return ids.to_numpy(), vectors.flatten().to_numpy().reshape(-1, vectors.type.list_size)


def _gather(dataset: lance.LanceDataset, offsets: Ids, *, column: str) -> tuple[Ids, Matrix]:
    """Rows by offset in the order asked for. Sorted reads are five times as fast, so read sorted and reorder."""
    unique, back = np.unique(offsets, return_inverse=True)
    ids, matrix = _arrays(dataset.take(unique.tolist(), columns=["id", column]), column=column)
    return ids[back], matrix[back]
