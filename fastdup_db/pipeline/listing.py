"""The input's references, compared with the stored ones: what is new, changed or gone. The comparing is SQL."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain, compress, islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fastdup_db import sources
from fastdup_db.errors import UNREADABLE_FILE, BadInput
from fastdup_db.pipeline.finder import Finder, joining
from fastdup_db.pipeline.request import RunRequest
from fastdup_db.sources import ListingOptions, Reference, files, kinds, naming
from fastdup_db.sources.inputs import IO_THREADS, selected
from fastdup_db.store.duck import Database
from fastdup_db.store.lance import VectorTable
from fastdup_db.threads import mapped

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 50_000
"""References staged at once: a few MB of Arrow, however long the listing is."""

_COLUMNS = tuple("byte_offset" if f.name == "offset" else f.name for f in fields(Reference))
_values = operator.attrgetter(*(f.name for f in fields(Reference)))
_SCHEMA = pa.schema(
    [("position", pa.int64())]
    + [
        (name, pa.int64() if name in ("byte_offset", "file_size", "frame_ms", "frame_number") else pa.string())
        for name in _COLUMNS
    ]
)

_DEPENDENT = (
    "edges mean_distances verified keypoints stats advanced_stats feature_lengths captions instances images boxes"
).split()
"""Tables with rows that belong to an image and go with it."""


def options(request: RunRequest) -> ListingOptions:
    """How this run selects from its input."""
    config = request.config
    return ListingOptions(
        find_regex=config.find_regex,
        num_images=config.num_images,
        min_offset=config.min_offset,
        max_offset=config.max_offset,
        min_file_size=config.min_file_size,
        tar_only=config.tar_only,
        label_from_folder=config.label_from_folder,
        video_fps=float(config.video_fps),
        video_keyframes_only=config.video_keyframes_only,
        exclude=(str(request.work_dir.resolve()),),
    )


def input_options(request: RunRequest) -> ListingOptions:
    """`options` for the input itself: a folder test_dir below it is none of it."""
    chosen, test_dir = options(request), request.config.test_dir
    return replace(chosen, exclude=(*chosen.exclude, test_dir)) if test_dir else chosen


def selects(request: RunRequest) -> bool:
    """Whether the settings select only some of the images that are there."""
    config = request.config
    least = (config.min_offset, config.max_offset, config.min_file_size, config.tar_only)
    return bool(config.find_regex or config.num_images or any(least))


def of_input(request: RunRequest) -> Iterator[Reference]:
    """The input's references; with a test_dir the input is the split `train` and what follows the split `test`."""
    assert request.input_dir is not None
    found = sources.listing(request.read_from or request.input_dir, options=input_options(request))
    if not request.config.test_dir:
        return found
    tested = sources.listing(request.config.test_dir, options=options(request))
    return chain((replace(r, split="train") for r in found), (replace(r, split="test") for r in tested))


def stage(db: Database, references: Iterable[Reference]) -> int:
    """Append references to those already staged; returns the position of the next one."""
    start = int(db.value("ingest/next_staged_position"))
    stream = iter(references)
    while chunk := list(islice(stream, CHUNK)):
        columns = [_numbers(range(start, start + len(chunk)))]
        for values, field in zip(zip(*map(_values, chunk), strict=True), list(_SCHEMA)[1:], strict=True):
            columns.append(_strings(values) if field.type == pa.string() else _numbers(values))
        db.execute("ingest/insert_staged", incoming=pa.Table.from_arrays(columns, schema=_SCHEMA))
        start += len(chunk)
    return start


def stage_vectors(db: Database, names: Sequence[str], *, versions: Sequence[str], start: int) -> None:
    """Append a reference for each vector of the user's: its name, its version, and its row, from `start` on, which is
    its position and its `frame_number`."""
    rows = _numbers(range(start, start + len(names)))
    paths = ((name, files.shown_path(name)) for name in names)
    members = ["" if path == name else files.stored(path) for name, path in paths]
    known = {"position": rows, "frame_number": rows, "filename": _strings(names), "version": _strings(versions)}
    known["member"] = _strings(members)
    blank = dict(zip(_COLUMNS, _values(Reference("")), strict=True))
    columns = {f.name: pa.repeat(pa.scalar(blank[f.name], f.type), len(names)) for f in _SCHEMA if f.name not in known}
    db.execute("ingest/insert_staged", incoming=pa.table(known | columns))


# Not `pa.array`: that imports pandas to see whether it was given something of it, and a third of a second would go by
# before the first image is read.


def _numbers(values: Sequence[int]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.array(values, dtype=np.int64))])


def _strings(values: Sequence[str]) -> pa.Array:
    """Names are mostly ASCII, and most columns empty: then their lengths are known without encoding each."""
    text = "".join(values)
    lengths = map(len, values if text.isascii() else (value.encode() for value in values))
    ends = np.zeros(len(values) + 1, dtype=np.int32)
    if text:
        ends[1:] = np.cumsum(np.fromiter(lengths, np.int64, len(values)))
    return pa.Array.from_buffers(pa.string(), len(values), [None, *map(pa.py_buffer, (ends, text.encode()))])


def resolve(db: Database, names: Sequence[str], *, bases: Sequence[str]) -> pd.Series:
    """The staged filename each name means: absolute as it is, else under a base, else under the current directory.

    Returns a string Series indexed like `names`, missing where nothing staged has that name.
    """
    import pandas as pd

    found = db.frame("ingest/resolve_names", candidates=_candidates(names, bases=bases))
    return pd.Series(found["filename"].to_numpy(dtype=object), index=found["name_row"], dtype=object).reindex(
        range(len(names))
    )


def stage_named(
    db: Database, names: Sequence[str], *, bases: Sequence[str], kept: ListingOptions | None = None
) -> pd.Series:
    """Like `resolve`, and stages the named files that the input did not list; a missing file is listed as such.

    A name stands for itself: a folder, an archive or a video is an image that cannot be read, whatever it holds.
    kept: how to select from these files; missing is then also what is left out.
    """
    resolved = resolve(db, names, bases=bases)
    missing = resolved.isna().to_numpy()
    unknown = sorted(set(compress(names, missing)))
    if unknown:
        finder = Finder(bases)
        places = list(map(finder.place, unknown))
        stage(db, selected(_themselves(list(dict.fromkeys(places))), options=kept or ListingOptions()))
        db.execute("ingest/drop_repeated_names")
        found = resolve(db, list(map(files.shown, places)), bases=())
        filenames = dict(zip(unknown, found, strict=True))
        resolved[missing] = [filenames[name] for name in compress(names, missing)]
    return resolved


def places(names: Sequence[str], *, bases: Sequence[str]) -> list[str]:
    """The absolute path of each name that is a file under a base or the current directory, as listings show it; other
    names as they are."""
    finder = Finder(bases)
    return [files.shown(path) if (path := finder.file(name)) else name for name in names]


def keep_subset(db: Database, subset: Sequence[str], *, bases: Sequence[str]) -> None:
    """Keep only the staged references that the subset names. Raises BadInput for a name that is not there."""
    resolved = resolve(db, [files.shown(name) for name in subset], bases=bases)
    resolved = resolved.where(resolved.notna(), resolve(db, list(map(files.escaped, subset)), bases=bases))
    if resolved.isna().any():
        missing = [subset[row] for row in resolved.index[resolved.isna()]]
        raise BadInput(f"subset names {len(missing)} files that are not in the input, first {missing[0]!r}")
    db.execute("ingest/keep_staged", wanted=pa.table({"filename": pa.array(resolved, pa.string())}))


def compare(db: Database) -> None:
    """Find what of the stored listing is gone from the staged one, or has changed; `merge` drops it."""
    db.execute("ingest/find_gone")
    db.execute("ingest/find_changed")


def merge(db: Database, *, run_id: int, embeddings: VectorTable) -> None:
    """The staged listing becomes the stored one; rows and vectors of what is gone or changed are dropped. In the
    caller's transaction."""
    db.execute("ingest/find_reboxed")
    db.execute("ingest/find_dirty")
    db.execute("ingest/delete_gone")
    db.execute("ingest/delete_changed")
    db.execute("ingest/update_layout")  # before others are listed: of vectors several may be of one name
    # DuckDB 2.0.0: in one transaction, an insert of no rows and then one of more than a row group (122,880) leave
    # column statistics that say "all null", and filters and joins find nothing
    if db.value("ingest/changed_count"):
        db.execute("ingest/insert_changed")
    db.execute("ingest/insert_new")
    if db.value("ingest/dirty_count"):
        _delete_dirty(db, embeddings)
    db.execute("ingest/insert_boxes")
    db.execute("run/set_listed", run_id=run_id, embeddings_version=embeddings.version)


def _delete_dirty(db: Database, embeddings: VectorTable) -> None:
    """Drop all that is stored of dirty images."""
    db.execute("ingest/find_dirty_instances")
    ids = db.arrow("ingest/dirty_ids").column("id").to_numpy()
    if len(ids) and embeddings.exists():
        embeddings.delete(ids)
    for name in _DEPENDENT:
        db.execute(f"ingest/delete_dirty_{name}")


def references(batch: pa.RecordBatch) -> Iterator[tuple[int, Reference]]:
    """(image_id, Reference) of stored listing rows."""
    columns = [batch.column(name).to_pylist() for name in ("image_id", *_COLUMNS)]
    for image_id, *values in zip(*columns, strict=True):
        yield image_id, Reference(*values)


def _candidates(names: Sequence[str], *, bases: Sequence[str]) -> pa.Table:
    absolute = np.fromiter(map(_is_absolute, names), bool, len(names))
    rows, relative_rows = np.flatnonzero(absolute), np.flatnonzero(~absolute)
    given, relative = list(compress(names, absolute)), list(compress(names, ~absolute))
    normal = list(map(_normal, given))
    other = np.fromiter(map(operator.ne, given, normal), bool, len(given))
    parts: list[tuple[np.ndarray, int, list[str]]] = [(rows, 0, given), (rows[other], 1, list(compress(normal, other)))]
    for priority, base in enumerate(map(_shown_base, [*bases, os.getcwd()])):
        parts.append((relative_rows, priority, list(map(joining(base), relative))))
    parts.append((relative_rows, len(bases) + 1, relative))  # of a vector without a file
    return pa.concat_tables(_candidate(*part) for part in parts)


def _candidate(rows: np.ndarray, priority: int, filenames: list[str]) -> pa.Table:
    if naming.WINDOWS:
        spellings = list(map(naming.spellings, filenames))
        rows, filenames = np.repeat(rows, list(map(len, spellings))), list(chain.from_iterable(spellings))
    priorities = np.full(len(rows), priority, np.int64)
    return pa.table({"name_row": rows, "priority": priorities, "filename": pa.array(filenames, pa.string())})


def _shown_base(base: str) -> str:
    """A base as the names of a listing begin with it."""
    return base if "://" in base else files.shown(base)


def _themselves(paths: Sequence[str]) -> Iterator[Reference]:
    """One reference per path; archives and videos are not opened."""
    remote = [path for path in paths if kinds.is_remote(path)]
    for reference in chain((files.reference(p) for p in paths if not kinds.is_remote(p)), _objects(remote)):
        packed = kinds.kind_of(reference.filename) in (kinds.ARCHIVE, kinds.VIDEO)
        yield replace(reference, error_code=UNREADABLE_FILE) if packed and not reference.error_code else reference


def _objects(uris: Sequence[str]) -> Iterator[Reference]:
    if not uris:
        return
    from fastdup_db.sources import bucket, objects

    def asked(uri: str) -> Reference:
        key = bucket.parse(uri).key
        return objects.reference(uri) if key and not key.endswith("/") else Reference(uri, error_code=UNREADABLE_FILE)

    yield from mapped(asked, uris, threads=IO_THREADS)


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name) or "://" in name


def _normal(name: str) -> str:
    return name if "://" in name else os.path.normpath(name)
