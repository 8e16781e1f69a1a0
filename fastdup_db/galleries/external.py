"""Frames that users supply instead of the run's own, in the shape that `similarity()` and the like return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from fastdup_db.errors import BadArgument
from fastdup_db.galleries.selection import SIZE

if TYPE_CHECKING:
    from fastdup_db.galleries.query import Query


def pairs(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """As `similarity()` returns it: from, to (ids or file names), distance."""
    return _checked(frame, query, ids=("from", "to"), numbers=("distance",))


def pairs_or_stored(frame: pd.DataFrame | None, query: Query) -> dict[str, Any]:
    """The `source` of a statement on pairs, and what it needs: the stored ones, or a frame that a user brought."""
    if frame is None:
        return {"source": "stored", "needs": ("neighbors",)}
    return {"source": "external", "external": pairs(frame, query)}


def outliers(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """As `outliers()` returns it: outlier, nearest (ids or file names), distance. Also names them as edges.

    A frame of pairs has from and to instead, as fastdup's outliers.csv.
    """
    if isinstance(frame, pd.DataFrame) and not {"outlier", "nearest"} & set(frame.columns):
        frame = frame.rename(columns={"from": "outlier", "to": "nearest"})
    found = _checked(frame, query, ids=("outlier", "nearest"), numbers=("distance",))
    return found.assign(from_id=found["outlier"], to_id=found["nearest"], similarity=found["distance"])


def components(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """As `connected_components()` returns it: index (ids or file names), component_id. Returned with index as id."""
    found = _checked(frame, query, ids=("index",), numbers=("component_id",))
    if found["component_id"].isna().any():
        raise BadArgument("external_df has rows without a component_id; leave them out")
    if (found["component_id"] % 1 != 0).any():
        raise BadArgument("external_df has a component_id that is no whole number")
    found = found.astype({"component_id": "int64"}).rename(columns={"index": "id"}).drop_duplicates(ignore_index=True)
    if (twice := found["id"].duplicated()).any():
        raise BadArgument(f"external_df has image {found.loc[twice, 'id'].iloc[0]} in several components")
    return found


def stats(frame: pd.DataFrame, query: Query, *, metric: str) -> pd.DataFrame:
    """As `img_stats()` returns it: index (ids or file names), img_w, img_h and the statistic `metric`."""
    return _checked(frame, query, ids=("index",), numbers=("img_w", "img_h", *([] if metric == SIZE else [metric])))


def _checked(frame: pd.DataFrame, query: Query, *, ids: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """These columns of the frame: ids as int64 that the collection has, the others as numbers."""
    if not isinstance(frame, pd.DataFrame):
        raise BadArgument(f"external_df of type {type(frame).__name__}; allowed: a DataFrame, such as `read_csv` makes")
    wanted = list(dict.fromkeys([*ids, *numbers]))
    absent = [column for column in wanted if column not in frame.columns]
    if absent:
        raise BadArgument(
            f"external_df lacks the columns {', '.join(absent)}; it has {', '.join(map(str, frame.columns))}"
        )
    found = frame[wanted].reset_index(drop=True)
    for column in numbers:
        try:
            found[column] = pd.to_numeric(found[column]).astype("float64")
        except (ValueError, TypeError) as exc:
            raise BadArgument(f"external_df's column {column!r} holds other things than numbers: {exc}") from exc
    return found.assign(**_ids(found, query, columns=ids))


def _ids(frame: pd.DataFrame, query: Query, *, columns: Sequence[str]) -> dict[str, pd.Series]:
    for column in columns:
        if frame[column].isna().any():
            raise BadArgument(f"external_df has rows without a value in {column!r}; leave them out")
    found = {column: ids for column in columns if (ids := _whole(frame[column])) is not None}
    numbered = list(found)
    named = [column for column in columns if column not in found]
    if named:
        names = [str(name) for name in pd.unique(pd.concat([frame[column].astype(str) for column in named]))]
        known = query.find_ids(names)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise BadArgument(f"external_df names {len(unknown)} files that are not in this collection: {unknown[0]} …")
        found |= {column: frame[column].astype(str).map(known).astype("int64") for column in named}
    if numbered:
        given = pd.unique(pd.concat([found[column] for column in numbered]))
        absent = query.unknown_ids([int(i) for i in given])
        if absent:
            raise BadArgument(
                f"external_df has {len(absent)} ids that are not in this collection: {absent[0]} … "
                "(or that have no annotation, where others have one)"
            )
    return found


def _whole(column: pd.Series) -> pd.Series | None:
    """int64 if the column holds whole numbers, including ones that a merge turned into floats; else None."""
    seen = column.infer_objects()
    if pd.api.types.is_integer_dtype(seen) or (pd.api.types.is_float_dtype(seen) and (seen % 1 == 0).all()):
        return seen.astype("int64")
    return None
