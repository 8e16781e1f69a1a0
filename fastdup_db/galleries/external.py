"""Frames that users bring instead of the run's own, in the shape the accessors hand out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from fastdup_db.errors import BadArgument

FindIds = Callable[[list[str]], Mapping[str, int]]
"""The ids of files, by name; files that are not in the collection are absent."""


def pairs(frame: pd.DataFrame, *, find_ids: FindIds) -> pd.DataFrame:
    """As `similarity()` returns it: from, to (ids or file names), distance."""
    return _with_ids(frame, ids=("from", "to"), others=("distance",), find_ids=find_ids)


def pairs_or_stored(frame: pd.DataFrame | None, *, find_ids: FindIds) -> dict[str, Any]:
    """The `source` of a statement on pairs: the stored ones, or a frame that a user brought."""
    if frame is None:
        return {"source": "similarity"}
    return {"source": "external", "external": pairs(frame, find_ids=find_ids)}


def outliers(frame: pd.DataFrame, *, find_ids: FindIds) -> pd.DataFrame:
    """As `outliers()` returns it: outlier, nearest (ids or file names), distance. Also names them as edges."""
    found = _with_ids(frame, ids=("outlier", "nearest"), others=("distance",), find_ids=find_ids)
    return found.assign(from_id=found["outlier"], to_id=found["nearest"], similarity=found["distance"])


def components(frame: pd.DataFrame, *, find_ids: FindIds) -> pd.DataFrame:
    """As `connected_components()` returns it: index (ids or file names), component_id. Returned with index as id."""
    found = _with_ids(frame, ids=("index",), others=("component_id",), find_ids=find_ids)
    return found.rename(columns={"index": "id"})


def stats(frame: pd.DataFrame, *, find_ids: FindIds) -> pd.DataFrame:
    """As `img_stats()` returns it: index (ids or file names), img_w, img_h and columns of statistics."""
    others = [c for c in frame.columns if c != "index" and pd.api.types.is_numeric_dtype(frame[c])]
    return _with_ids(frame, ids=("index",), others=("img_w", "img_h", *others), find_ids=find_ids)


def _with_ids(frame: pd.DataFrame, *, ids: Sequence[str], others: Sequence[str], find_ids: FindIds) -> pd.DataFrame:
    wanted = list(dict.fromkeys([*ids, *others]))
    absent = [column for column in wanted if column not in frame.columns]
    if absent:
        raise BadArgument(
            f"external_df lacks the columns {', '.join(absent)}; it has {', '.join(map(str, frame.columns))}"
        )
    found = frame[wanted].reset_index(drop=True)
    named = [column for column in ids if not pd.api.types.is_integer_dtype(found[column])]
    if named:
        names = pd.unique(pd.concat([found[column].astype(str) for column in named]))
        known = find_ids(list(names))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise BadArgument(f"external_df names {len(unknown)} files that are not in this collection: {unknown[0]} …")
        found = found.assign(**{column: found[column].astype(str).map(known).astype("int64") for column in named})
    return found
