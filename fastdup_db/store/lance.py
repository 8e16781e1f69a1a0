"""One LanceDB table of vectors. The only module that imports lance, and only once a table is opened or a run begins.

    table = VectorTable(work_dir / "vectors.lance", name="embeddings", column="embedding")
    version = table.append(ids, matrix)          # remember the version with the batch's marker ...
    table.restore(version)                       # ... and a killed run goes on from there
    for ids, matrix in table.batches():          # ascending ids, bounded memory
        ...

The folder is a LanceDB database: `lancedb.connect(folder).open_table("embeddings")` opens the same table.
A handle keeps no file open and no state: it can be pickled, and two processes can read while a third writes.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fastdup_db.arrays import Ids, Matrix
from fastdup_db.errors import BadArgument, NotRun, WorkDirDamaged
from fastdup_db.places import Place
from fastdup_db.store.lance_rows import READ_ROWS, Places, arrays, dim_of, gather, record, schema_of, vectors

if TYPE_CHECKING:  # importing lance takes 0.15 s and loads pandas; naming a table must not
    import lance
    import pyarrow.dataset as pads

EMBEDDINGS = ("embeddings", "embedding")
"""Name and column of the table of stored embeddings."""
VECTORS = ("vectors", "vector")
"""Name and column of the table that neighbours are searched by."""

KEPT_VERSIONS = 32
"""Versions that housekeeping leaves restorable. A run's marker is at most a few appends behind the newest."""
CHECKPOINT = "checkpoint"
"""Lance's tag of the version that `hold` keeps."""
HOUSEKEEPING_APPENDS = 512
"""Every append rewrites the list of fragments: 3,000 appends of 64 rows left 363 MB of lists beside 434 MB of vectors
and grew from 3.5 to 8 ms each. Merging small fragments and dropping old lists this often keeps both flat."""

EXACT_LISTS = "LANCE_USE_HNSW_SPEEDUP_INDEXING"
"""Unless it is 'disabled' Lance guesses the list of a vector by a graph over the centroids where these have a million
numbers or more. Of 1,000,000 clustered vectors in 2,000 lists 16 then held 0.61 of the 10 nearest instead of 0.93."""


def load_ahead() -> None:
    """Start importing lance, and pandas, which it needs, on a thread of their own.

    They take a quarter of a second, and the first commit needs them. During the start of a run that costs least: while
    its images are read, 1,000 of them take 3 % longer. pandas comes first: from within lance it would be imported under
    pyarrow's lock, which somebody else's import of pandas might be waiting for.
    """

    def load() -> None:
        for name in ("pandas", "lance"):
            importlib.import_module(name)

    Thread(target=load, name="load lance").start()


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Rows `(id int64, <column> fixed_size_list<float32, d>)`, ids unique, in the LanceDB database `folder`."""

    folder: Path | Place
    name: str
    column: str
    at: int | None = None
    """The version that reading sees, the newest where None; writing is for the newest only."""

    @property
    def place(self) -> Place:
        """Where the table's files lie: on a disk or in a bucket."""
        return Place.of(self.folder) / f"{self.name}.lance"

    def exists(self) -> bool:
        """Whether the table has been created. One read `at` a version has been: reading it says where it is lost."""
        return (self.place / "_versions").exists() if self.at is None else self.at > 0

    def dataset(self) -> lance.LanceDataset:
        """The open Lance dataset. Raises NotRun where there is none, WorkDirDamaged where its version is gone."""
        if not self.exists():
            raise NotRun(f"there is no table {self.place.uri}; run() creates it")
        import lance

        try:
            return lance.dataset(self.place.uri, version=self.at, storage_options=self.place.storage_options)
        except ValueError as exc:
            if self.at is None:
                raise
            raise WorkDirDamaged(
                f"{self.place.uri} has no version {self.at}, which the database is of: it was written anew or is "
                "damaged. Open the work_dir again; if that does not help, run with overwrite=True"
            ) from exc

    def arrow(self) -> pads.Dataset:
        """A pyarrow dataset that DuckDB scans with projections and filters pushed down."""
        return self.dataset()

    @property
    def version(self) -> int:
        """The version that reading sees; 0 where the table does not exist yet."""
        return int(self.dataset().version) if self.exists() else 0

    @property
    def dim(self) -> int:
        """Columns of a vector."""
        return int(self.dataset().schema.field(self.column).type.list_size)

    def __len__(self) -> int:
        return int(self.dataset().count_rows()) if self.exists() else 0

    def nbytes(self) -> int:
        """Bytes on disk: vectors, indexes and the versions still kept."""
        return self.place.nbytes()

    # ---- writing -------------------------------------------------------------------------------------------------

    def create(self, batches: Iterable[tuple[Ids, Matrix]] = (), *, dim: int) -> int:
        """The version after replacing the whole table by `batches` of (ids (n,), float32 (n, dim)), streamed.

        The old version stays restorable and readable until the next call or `forget_others`.
        """
        if not self.exists():
            return self._write_whole(batches, dim=dim)
        self.forget_others()
        return self._write_whole(batches, dim=dim, mode="overwrite")

    def forget_others(self) -> None:
        """Remove all versions but the newest, and what a killed writer has left. Only for its one writer."""
        self._clean(keep=1, all_files=True)

    def _write_whole(self, batches: Iterable[tuple[Ids, Matrix]], *, dim: int, mode: str = "create") -> int:
        """The version of a table with exactly these rows. Fragments that a `writer` wrote for it are kept."""
        import lance

        schema = schema_of(self.column, dim)
        stream = (record(ids, matrix, schema=schema) for ids, matrix in batches)
        Place.of(self.folder).make()
        reader = pa.RecordBatchReader.from_batches(schema, stream)
        options = self.place.storage_options
        created = lance.write_dataset(reader, self.place.uri, schema=schema, mode=mode, storage_options=options)
        return int(created.version)

    def drop(self) -> None:
        """Remove the table with all its versions and indexes."""
        self.place.delete()

    def append(self, ids: Ids, matrix: Matrix) -> int:
        """The version after adding rows with new ids; creates the table when there is none.

        ids: int64 (n,), matrix: float32 (n, d). The caller keeps ids unique (`replace` when they may exist).
        """
        if not self.exists():
            return self._write_whole([(ids, matrix)], dim=matrix.shape[1])
        import lance

        dataset = self.dataset()
        batch = record(ids, matrix, schema=schema_of(self.column, dim_of(dataset, self.column)))
        dataset = lance.write_dataset(pa.table(batch), dataset, mode="append")
        if len(dataset.fragment_ids()) >= HOUSEKEEPING_APPENDS:
            return self.compact()
        return int(dataset.version)

    def writer(self, *, dim: int) -> FragmentWriter:
        """Writes vectors from any process that sees `folder`; `append_written` then adds them to the table."""
        return FragmentWriter(self.place, self.column, dim)

    def append_written(self, fragments: Sequence[str], *, dim: int) -> int:
        """The version after adding what `writer` functions wrote, in one commit; creates the table as `append` does.

        What a writer wrote and nobody commits is no part of the table; Lance removes such files after seven days.
        """
        import lance
        from lance.fragment import FragmentMetadata

        parts = [FragmentMetadata.from_json(text) for text in fragments]
        place = self.place
        if not self.exists():
            first = lance.LanceOperation.Overwrite(schema_of(self.column, dim), parts)
            return int(lance.LanceDataset.commit(place.uri, first, storage_options=place.storage_options).version)
        dataset = lance.LanceDataset.commit(
            place.uri,
            lance.LanceOperation.Append(parts),
            read_version=self.version,
            storage_options=place.storage_options,
        )
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
        import lance

        dataset = self.dataset()
        if dataset.version != version:
            if not self.has(version):
                raise BadArgument(f"version {version} of {self.place.uri} is no longer kept; run with overwrite=True")
            lance.dataset(self.place.uri, version=version, storage_options=self.place.storage_options).restore()
        return self.version

    def has(self, version: int) -> bool:
        """Whether that version can be restored; 0 can."""
        return version == 0 or (
            self.exists() and version in {int(kept["version"]) for kept in self.dataset().versions()}
        )

    def hold(self, version: int) -> None:
        """Keep a version restorable until another is held, however many follow it."""
        tags = self.dataset().tags
        if CHECKPOINT in tags.list():
            tags.update(CHECKPOINT, version)
        else:
            tags.create(CHECKPOINT, version)

    def compact(self, *, keep: int = KEPT_VERSIONS) -> int:
        """The version after merging small files, bringing indexes up to date and forgetting old versions.

        The newest `keep` versions stay restorable, so that a marker written before this call still holds.
        """
        dataset = self.dataset()
        dataset.optimize.compact_files()
        if dataset.describe_indices():
            os.environ.setdefault(EXACT_LISTS, "disabled")
            dataset.optimize.optimize_indices()
        self._clean(keep=keep)
        return self.version

    def _clean(self, *, keep: int, all_files: bool = False) -> None:
        """Remove all but the newest `keep` versions, and the one that is held. all_files: also those of no version."""
        self.dataset().cleanup_old_versions(
            older_than=timedelta(0),
            retain_versions=keep,
            delete_unverified=all_files,
            error_if_tagged_old_versions=False,
        )

    # ---- reading -------------------------------------------------------------------------------------------------

    def ids(self) -> Ids:
        """int64 (n,), in the order of the stored rows."""
        return self.dataset().to_table(columns=["id"])["id"].to_numpy().astype(np.int64, copy=False)

    def batches(self, *, rows: int = READ_ROWS) -> Iterator[tuple[Ids, Matrix]]:
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
                    yield arrays(batch, column=self.column)
            return
        order = np.argsort(ids, kind="stable")
        for start in range(0, len(order), rows):
            yield gather(dataset, order[start : start + rows], column=self.column)

    def part(self, start: int, stop: int) -> Matrix:
        """float32 (stop - start, d): rows by their stored place: in id order where one `create` wrote the table."""
        rows = self.dataset().to_table(
            columns=[self.column], offset=start, limit=stop - start, batch_size=stop - start
        )  # one batch: nothing to be put together
        return vectors(rows.column(0))

    def take(self, ids: Ids) -> Matrix:
        """float32 (len(ids), d): the vectors of `ids`, in their order. Raises BadArgument for an id not stored."""
        dataset = self.dataset()
        places, held = Places(dataset).of(ids)
        if not held.all():
            raise BadArgument(f"some ids are not in table {self.place.uri}")
        return gather(dataset, places, column=self.column)[1]

    def pick(self, ids: Ids) -> tuple[Ids, Matrix]:
        """(those of `ids` that are stored (m,), their vectors float32 (m, d)), in the order of `ids`."""
        dataset = self.dataset()
        return gather(dataset, Places(dataset).of(ids)[0], column=self.column)

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


def write_fragment(reader: pa.RecordBatchReader, path: str, *, rows: int) -> None:
    """A Lance dataset of its own at `path`: all of `rows` rows in one file."""
    import lance

    lance.write_dataset(reader, path, schema=reader.schema, max_rows_per_file=max(rows, 1))


@dataclass(frozen=True, slots=True)
class FragmentWriter:
    """Writes vectors of a table as Lance fragments, in any process; `VectorTable.append_written` commits them."""

    place: Place
    column: str
    dim: int

    def __call__(self, ids: Ids, matrix: Matrix) -> list[str]:
        """The written fragments as JSON. ids: int64 (n,), matrix: float32 (n, dim)."""
        from lance.fragment import write_fragments

        schema = schema_of(self.column, self.dim)
        table = pa.table(record(ids, matrix, schema=schema))
        options = self.place.storage_options
        written = write_fragments(table, self.place.uri, schema=schema, storage_options=options)
        return [json.dumps(f.to_json()) for f in written]
