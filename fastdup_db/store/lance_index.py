"""The index of a vector table: building, keeping and querying it. `graph.index` decides which kind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from fastdup_db.arrays import Ids, Matrix, Numbers
from fastdup_db.store.lance import EXACT_LISTS, VectorTable, write_fragment
from fastdup_db.store.lance_rows import READ_ROWS, Places, arrays, gather, vectors

INDEX_NAME = "nearest"
_PROBES_KEY = "fastdup_db.nprobes"


class IndexReader:
    """The table held open for searching: what an index keeps in memory stays there from query to query."""

    def __init__(self, table: VectorTable) -> None:
        self._dataset = table.dataset()
        self._column = table.column

    def nearest(self, query: Matrix, *, k: int, probes: int, ef: int, metric: str) -> tuple[Ids, Matrix]:
        """(ids (m,), vectors (m, d)) of the k rows nearest to one query (d,) as the index sees it; unordered."""
        nearest: dict[str, Any] = {"column": self._column, "q": query, "k": k, "nprobes": probes, "metric": metric}
        nearest["ef"] = ef  # graphs only; others ignore it
        found = self._dataset.to_table(columns=["id", self._column, "_distance"], nearest=nearest)
        return arrays(found, column=self._column)

    def warm(self) -> None:
        """Read the whole index into memory, so that the first queries take no longer than later ones."""
        self._dataset.prewarm_index(INDEX_NAME)

    def pick(self, ids: Ids) -> tuple[Ids, Matrix]:
        """(those of `ids` that are stored (m,), their vectors (m, d))."""
        return gather(self._dataset, self._places.of(ids)[0], column=self._column)

    @cached_property
    def _places(self) -> Places:
        return Places(self._dataset)


def build_index(
    table: VectorTable,
    centroids: Matrix | None = None,
    *,
    kind: str,
    metric: str,
    options: Mapping[str, Any],
    assign: Callable[[Matrix], Numbers] | None = None,
) -> None:
    """Build an index of that Lance kind over the whole table, in place of any other. metric: 'cosine' or 'l2'.

    centroids: float32 (lists, d) of its lists, Lance's own training where None. assign: which of them holds each of
    some stored vectors (n, d): int (n,).
    """
    os.environ.setdefault(EXACT_LISTS, "disabled")
    dataset = table.dataset()
    options = {"name": INDEX_NAME, "metric": metric, "replace": True, **options}
    if centroids is None or assign is None:
        dataset.create_index(table.column, kind, **options)
        return
    with tempfile.TemporaryDirectory(prefix="fastdup-db-lists-") as folder:
        _write_assigned(dataset, f"{folder}/lists.lance", column=table.column, assign=assign)
        dataset.create_index(
            table.column,
            kind,
            ivf_centroids=centroids,
            num_partitions=len(centroids),
            precomputed_partition_dataset=f"{folder}/lists.lance",
            **options,
        )


def _write_assigned(dataset: Any, path: str, *, column: str, assign: Callable[[Matrix], Numbers]) -> None:
    """The list of every row as Lance wants to be told it: one fragment, streamed."""
    schema = pa.schema([("row_id", pa.uint64()), ("partition", pa.uint32())])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in dataset.scanner(columns=[column], with_row_id=True, batch_size=READ_ROWS).to_batches():
            lists = pa.array(assign(vectors(batch.column(column))).astype(np.uint32))
            yield pa.record_batch([batch.column("_rowid"), lists], schema=schema)

    write_fragment(pa.RecordBatchReader.from_batches(schema, batches()), path, rows=dataset.count_rows())


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
    lists = max((int(part.get("num_partitions", 1)) for part in parts), default=1)
    segments = [s for index in table.dataset().describe_indices() if index.name == INDEX_NAME for s in index.segments]
    return lists, sum((table.place / "_indices" / str(segment.uuid)).nbytes() for segment in segments)
