"""Every SQL file binds against a fresh schema, says what it returns, and names its parameters."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from fastdup_db import queries
from fastdup_db.errors import SchemaTooNew
from fastdup_db.store import duck

SCRIPTS = ("schema/", "views/", "store/settings")
# statements that make the temporary tables others read, in order
PREPARING = (
    "ingest/create_staged",
    "ingest/no_staged_boxes",
    "ingest/find_gone",
    "ingest/find_changed",
    "ingest/find_reboxed",
    "ingest/find_dirty",
    "ingest/find_dirty_instances",
    "annotations/stage_rows",
    "annotations/choose",
    "crops/create_found",
    "components/choose_stored",
    "components/choose_info",
    "components/choose_measured",
    "verify/create_incoming_candidates",
    "dedup/choose_components",
    "dedup/choose_members",
    "dedup/best",
    "exchange/choose_numbers",
    "galleries/measured",
)
VALUES = {
    "folders": ["photos/"],
    "splits": ["train"],
    "include_unannotated": True,
    "valid_only": True,
    "metric": "blur",
    "sort_by": "len",
    "direction": 1,
    "threshold": 0.9,
    "fraction": 0.05,
    "transform": b"",
    "has_annotations": False,
    "source": "similarity",
    "sort_table": "img_stats",
    "edges": "edges",
    "column": "label",
    "how": "one",
    "label_col": "label",
    "label_table": "annotations",
    "slice": "all",
    "labels": ["a"],
    "filenames": ["a"],
    "names": ["edges"],
    "ids": [0],
    "sort_by_reduction": "mean",
    "group_by": "visual",
    "order": "comp_size",
    "columns": ["label"],
    "image_level": ["split"],
}
SOURCES = {"components": "components", "outliers": "outliers", "stats": "img_stats"}


LIKE = {
    "ingest/stage_boxes": "staged_boxes",
    "verify/insert_incoming_candidates": "edges",
    "verify/set_similarities": "edges",
    "crops/set_filenames": "instances",
}
"""The table that `incoming` looks like, where the statement does not name it by `insert into … select *`."""


def _incoming(db: duck.Database, name: str) -> dict[str, pa.Table]:
    """Empty Arrow tables of the shape a statement reads, where it reads one."""
    if name == "ingest/resolve_names":
        return {"candidates": pa.table({"name_row": [0], "priority": [0], "filename": ["a"]})}
    if name == "ingest/keep_staged" or name.startswith("cleaning/"):
        return {"wanted": pa.table({"filename": ["a"]})}
    if name == "verify/keypoints_of":
        return {"wanted": pa.table({"id": [0]})}
    if name == "neighbors/delete_edges_of":
        return {"incoming": pa.table({"id": [0]})}
    if name == "annotations/stage_rows":
        named = pa.table({"fastdup row": [0], "fastdup filename": ["a"], "label": ["b"]})
        return {"incoming": named}
    target = re.search(r"insert into (\w+)", queries.text(name))
    like = LIKE.get(name) or (target[1] if target else None)
    if like and re.search(r"\bincoming\b", re.sub(r"--[^\n]*", "", queries.text(name))):
        table = _empty(db, like)
        return {"incoming": table.drop_columns("occurrence") if like == "staged_boxes" else table}
    return {}


def _empty(db: duck.Database, table: str) -> pa.Table:
    return db._connection.sql(f"from {table} limit 0").to_arrow_table()


@pytest.fixture(scope="module")
def fresh():
    with duck.scratch() as db:
        for script in ("macros", "caption_views"):
            db.script(f"views/{script}")
        db._connection.execute(
            "create or replace table user_annotations as select 0::bigint as id, 'a' as label, 'b' as split limit 0"
        ).fetchall()
        for script in ("views", "label_views", "verified_views"):
            db.script(f"views/{script}")
        for name in PREPARING:
            tables = _incoming(db, name) if name == "annotations/stage_rows" else {}
            db.execute(name, **{p: VALUES.get(p, 0) for p in queries.parameters(name)}, **tables)
        yield db


@pytest.mark.parametrize("name", [n for n in queries.names() if not n.startswith(SCRIPTS)])
def test_statement_binds_and_is_documented(fresh: duck.Database, name: str):
    text = queries.text(name)
    assert text.startswith("-- "), "a statement begins with what it returns"
    parameters = queries.parameters(name)
    comment = " ".join(line for line in text.splitlines() if line.startswith("--"))
    assert set(re.findall(r"\$([a-z_]+)", comment)) <= set(parameters), (
        "the comment names a parameter that is not bound"
    )
    assert ";" not in re.sub(r"--[^\n]*", "", text), "one statement a file"
    tables = _incoming(fresh, name)
    for key, table in tables.items():
        fresh.register(key, table)
    values = {p: VALUES.get(p, 0) for p in parameters}
    if name.startswith("galleries/"):
        values |= {"source": SOURCES.get(name.split("/")[1], "similarity")} if "source" in values else {}
        values |= {"sort_by": "blur"} if "sort_by" in values else {}
    values |= {key: "img_stats" for key in ("stats", "view") if key in values}
    try:
        fresh._connection.execute(f"explain {text}", values).fetchall()
    finally:
        for key in tables:
            fresh._connection.unregister(key)


def test_rankings_have_an_order():
    """What a user reads comes in a fixed order."""
    for name in queries.names():
        if name.split("/")[0] in ("similarity", "outliers", "stats") or name.startswith("components/grouped"):
            assert "order by" in queries.text(name), name


def test_an_unknown_statement_is_named():
    with pytest.raises(KeyError, match="no/such"):
        queries.text("no/such")


def test_a_newer_schema_is_refused(tmp_path):
    with duck.connect(tmp_path, read_only=False) as db:
        db.execute("store/set_schema_version", version=9999)
    with pytest.raises(SchemaTooNew, match="9999"), duck.connect(tmp_path):
        pass
