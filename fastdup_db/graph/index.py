"""The index that `search` uses: chosen by `nnf_mode`, built when there are enough vectors to need one.

kind = index_kind("HNSW32", param="ef_construction=200")
report = build(table, kind=kind, metric="cosine")
ids, similarities = Searcher(table, metric="cosine")(queries, k=10)
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from fastdup_db.arrays import Ids, Matrix
from fastdup_db.errors import BadArgument, one_of
from fastdup_db.graph.cross import cross_neighbors
from fastdup_db.graph.ivf import list_count
from fastdup_db.graph.join import workers
from fastdup_db.graph.lists import SAMPLE_PER_LIST, Lists, train
from fastdup_db.graph.metrics import metric as metric_named
from fastdup_db.graph.rows import Arrays
from fastdup_db.graph.searcher import FEWEST_PROBES, LANCE_METRIC, Searcher
from fastdup_db.store import lance_index
from fastdup_db.store.lance import VectorTable

log = logging.getLogger(__name__)

INDEX_ROWS = 50_000
"""An index is built from this many vectors on. With fewer, a search compares with all of them: 50,000 x 576 floats are
115 MB, 20 ms a query on two cores."""
RECALL_ROWS, NEAREST = 200, 10
WANTED_RECALL = 0.96
"""A search probes enough lists to find this share of the 10 nearest (measured on 200 stored vectors; asked: 0.95)."""
WIDER = 1.5
"""Factor by which the number of probed lists grows until a search finds enough."""
BITS_DIM = 256
"""From this many dimensions, one bit of each tells candidates apart: its error is about 1 / sqrt(dim) of a length."""
DEFAULT_MODE = "HNSW32"
"""The `nnf_mode` of a run that names none, see `run_index_kind`."""

BUILD_PARAMETERS: dict[str, frozenset[str]] = {
    "Flat": frozenset(),
    "IVF_FLAT": frozenset({"num_partitions"}),
    "IVF_SQ": frozenset({"num_partitions"}),
    "IVF_PQ": frozenset({"num_partitions", "num_sub_vectors", "num_bits"}),
    "IVF_RQ": frozenset({"num_partitions", "num_bits"}),
    "IVF_HNSW_SQ": frozenset({"num_partitions", "m", "ef_construction", "max_level"}),
    "IVF_HNSW_PQ": frozenset({"num_partitions", "num_sub_vectors", "num_bits", "m", "ef_construction", "max_level"}),
}
SEARCH_PARAMETERS = frozenset({"nprobes", "ef", "refine_factor"})
_FAISS_LISTS = {"Flat": "IVF_FLAT", "SQ8": "IVF_SQ"}
"""What stands behind the comma of faiss's 'IVF<lists>,<kind>'."""
OTHER_NAMES = {"efSearch": "ef", "efConstruction": "ef_construction", "nprobe": "nprobes", "M": "m"}
"""faiss's names for some of these."""


@dataclass(frozen=True, slots=True)
class IndexKind:
    """What to build, and how to search it. `lance` is None for 'Flat': no index, exact."""

    mode: str
    lance: str | None
    options: dict[str, int] = field(default_factory=dict)
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was built. recall: share of the 10 nearest found for sampled vectors; 1.0 where search is exact."""

    kind: str
    bytes: int
    build_seconds: float
    recall: float


def index_kind(mode: str, *, param: str | Mapping[str, int] | None = None) -> IndexKind:
    """The index of an `nnf_mode` with its `nnf_param` ('k=v,k=v' or a mapping of whole numbers).

    'Flat', 'HNSW<m>' (IVF_HNSW_SQ with m edges a node), 'IVF<lists>,Flat' or ',SQ8', or one of `BUILD_PARAMETERS`;
    parameters also by their names in faiss (`OTHER_NAMES`), of which those that the kind does not have are left out,
    with a warning. Raises BadArgument with what is allowed for anything else.
    """
    given = _parameters(param)
    hnsw, lists = re.fullmatch(r"HNSW(\d+)", mode), re.fullmatch(r"IVF([1-9]\d*),(\w+)", mode)
    kind = "IVF_HNSW_SQ" if hnsw else _FAISS_LISTS.get(lists[2], mode) if lists else mode
    if kind not in BUILD_PARAMETERS:
        raise one_of("nnf_mode", mode, ["HNSW<m>, such as HNSW32", "IVF<lists>,Flat", *BUILD_PARAMETERS])
    known = BUILD_PARAMETERS[kind] | (SEARCH_PARAMETERS if kind != "Flat" else frozenset())
    for name in given.keys() - known:
        _warn(mode, name, ", ".join(sorted(known)) or "none")
    given = {name: value for name, value in given.items() if name in known}
    if kind == "Flat":
        return IndexKind(mode, None)
    options = {"m": int(hnsw[1])} if hnsw else {"num_partitions": int(lists[1])} if lists else {}
    options |= {name: value for name, value in given.items() if name not in SEARCH_PARAMETERS}
    return IndexKind(mode, kind, options, {name: given[name] for name in given if name in SEARCH_PARAMETERS})


@functools.cache  # a run asks several times for its index
def _warn(mode: str, name: str, known: str) -> None:
    log.warning("nnf_param %r has no effect on nnf_mode=%r; those that have: %s", name, mode, known)


def run_index_kind(mode: str, *, dim: int, param: str | Mapping[str, int] | None = None) -> IndexKind:
    """What a run builds for its `nnf_mode` over vectors (n, dim): `index_kind`, but the bare default costs no graph.

    'HNSW32' without a building parameter is what a run says that does not care: it gets lists of one bit a dimension,
    IVF_RQ, or of one byte, IVF_SQ, where vectors are short; the stored vectors rank the candidates anew. For 100,000 x
    576 lists of bytes took 1.3 s to build and a graph 44. 1,000,000 x 576, 128 of 1,000 lists: 13 to 15 ms a query and
    recall 0.955 to 0.959 with bits, 29 ms and 0.971 with bytes; 60,000 real vectors, 8 of 246 lists: 5.6 ms and 0.9985,
    6.1 ms and 0.990.
    'IVF_HNSW_SQ', 'HNSW<m>' of another m, or a parameter such as 'ef_construction=150' builds the graph.
    """
    kind = index_kind(mode, param=param)
    if mode == DEFAULT_MODE and kind.options == index_kind(DEFAULT_MODE).options:
        bits_suffice = dim >= BITS_DIM and dim % 8 == 0
        return replace(kind, lance="IVF_RQ" if bits_suffice else "IVF_SQ", options={})
    return kind


def is_needed(rows: int, *, kind: IndexKind, metric: str) -> bool:
    """Whether a search of that many vectors needs an index of that kind."""
    return rows >= INDEX_ROWS and kind.lance is not None and metric in LANCE_METRIC


def build(table: VectorTable, *, kind: IndexKind, metric: str) -> IndexReport:
    """Build the index of the whole table, in place of any other, and measure it.

    Where none is wanted (`nnf_mode='Flat'`, a metric without index) an existing one is removed.
    """
    if kind.lance is None or metric not in LANCE_METRIC:
        lance_index.drop_index(table)
        return IndexReport("Flat", 0, 0.0, 1.0)
    started = time.monotonic()
    options = dict(kind.options)
    if kind.lance.endswith("PQ"):
        options.setdefault("num_sub_vectors", _sub_vectors(table.dim))
    make = partial(lance_index.build_index, table, kind=kind.lance, metric=LANCE_METRIC[metric], options=options)
    if "num_partitions" in options:  # so many as asked for are Lance's to train
        make()
    else:
        lists = _lists(table, count=partitions(len(table), kind=kind.lance), metric=metric)
        prepare = metric_named(metric).prepare
        with workers(None) as pool:
            make(lists.centroids, assign=lambda matrix: lists.nearest(prepare(matrix), count=1, pool=pool)[:, 0])
    return _measured(table, kind=kind, metric=metric, seconds=time.monotonic() - started)


def refresh(table: VectorTable, *, kind: IndexKind, metric: str) -> IndexReport:
    """Bring the existing index up to date with added and deleted rows, and measure it again.

    build_seconds: the time that took.
    """
    started = time.monotonic()
    table.compact()
    return _measured(table, kind=kind, metric=metric, seconds=time.monotonic() - started)


def has_index(table: VectorTable) -> bool:
    """Whether the table has an index."""
    return lance_index.has_index(table)


def _measured(table: VectorTable, *, kind: IndexKind, metric: str, seconds: float) -> IndexReport:
    """Choose how many lists a search probes, store that number, and report the recall it reaches."""
    lists, size = lance_index.index_statistics(table)
    probes = kind.search.get("nprobes", min(lists, FEWEST_PROBES))
    sample, searcher = Sample.of(table, metric=metric), Searcher(table, metric=metric)
    recall = sample.recall(searcher.asking(kind.search | {"nprobes": probes}))
    while recall < WANTED_RECALL and probes < lists and "nprobes" not in kind.search:
        probes = min(lists, int(WIDER * probes))
        recall = sample.recall(searcher.asking(kind.search | {"nprobes": probes}))
    lance_index.remember_probes(table, probes=probes)
    return IndexReport(kind.lance or "Flat", size, seconds, recall)


def partitions(rows: int, *, kind: str) -> int:
    """IVF lists of an index: as many as the graph's; with a graph inside each, lists of about 20,000.

    1,000,000 clustered vectors: of 1,000 lists 64 hold 0.915 of the 10 nearest, of 2,000 lists 0.961.
    """
    return max(1, rows // 20_000) if "HNSW" in kind else list_count(rows)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some stored vectors (m, d) with their exact `NEAREST` nearest, ids int64 (m, NEAREST), themselves among them."""

    queries: Matrix
    true: Ids

    @classmethod
    def of(cls, table: VectorTable, *, metric: str) -> Sample:
        """`RECALL_ROWS` vectors at equal distances of the whole table; one pass over it."""
        queries = _spread(table, count=RECALL_ROWS)
        asked = Arrays(np.arange(len(queries)), queries)
        return cls(queries, cross_neighbors(asked, table, k=NEAREST, metric=metric).to_ids)

    def recall(self, searcher: Searcher) -> float:
        """Share of the exact nearest that it finds."""
        found, _ = searcher(self.queries, k=NEAREST)
        return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, self.true, strict=True)]))


def _lists(table: VectorTable, *, count: int, metric: str) -> Lists:
    """About `count` lists to gather the table's vectors in, trained as those of the graph.

    Lance's own training took 25 of the 30 seconds that an index of 60,000 real vectors took; this takes 0.5. With
    2,000 lists of its choosing an index of 1,000,000 x 576 was built in 164 s, with ours in 73, 19 of them choosing.
    """
    sample = metric_named(metric).prepare(_spread(table, count=SAMPLE_PER_LIST * count))
    return train(sample, lists=count, unit=metric == "cosine")


def _spread(table: VectorTable, *, count: int) -> Matrix:
    """float32 (at most count, d): stored vectors at equal distances in the order of ids."""
    ids = np.sort(table.ids())
    return table.take(ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)])


def _sub_vectors(dim: int) -> int:
    """Sub-vectors of product quantisation: 8 columns each where the width allows (72 of 576 columns reached recall
    0.995), fewer for narrow vectors."""
    return dim // next(width for width in (8, 4, 2, 1) if dim % width == 0 and (dim >= 32 * width or width == 1))


def _parameters(param: str | Mapping[str, int] | None) -> dict[str, int]:
    if not param:
        return {}
    try:
        pairs = param.items() if isinstance(param, Mapping) else [part.split("=") for part in param.split(",")]
        return {OTHER_NAMES.get(str(name).strip(), str(name).strip()): int(value) for name, value in pairs}
    except ValueError as exc:
        raise BadArgument(f"nnf_param={param!r} cannot be read; write 'name=1,name=2' with whole numbers") from exc
