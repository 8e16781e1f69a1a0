"""Every SQL file binds against a fresh schema, says what it returns, and names its parameters."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from fastdup_db import queries
from fastdup_db.store import duck

SCRIPTS = ("schema/", "views/")
# statements that make the temporary tables others read, in order
PREPARING = (
    "ingest/create_staged",
    "ingest/no_staged_boxes",
    "ingest/find_gone",
    "ingest/find_changed",
    "ingest/find_reboxed",
    "ingest/find_dirty",
    "annotations/choose",
    "components/choose_stored",
    "components/choose_info",
)
VALUES = {
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
    "label_col": "label",
    "slice": "all",
    "labels": ["a"],
    "filenames": ["a"],
    "ids": [0],
    "sort_by_reduction": "mean",
    "group_by": "visual",
    "order": "comp_size",
    "columns": ["label"],
}
SOURCES = {"components": "components", "outliers": "outliers", "outliers_all": "outliers", "stats": "img_stats"}


def _incoming(db: duck.Database, name: str) -> dict[str, pa.Table]:
    """Empty Arrow tables of the shape a statement reads, where it reads one."""
    target = re.search(r"insert into (\w+) by name select \* from incoming", queries.text(name))
    if target:
        return {"incoming": _empty(db, target[1])}
    text = re.sub(r"--[^\n]*", "", queries.text(name))
    shapes = {}
    if re.search(r"\bincoming\b", text):
        boxes = _empty(db, "staged_boxes")
        shapes["incoming"] = (
            boxes.drop_columns("occurrence")
            if "stage_boxes" in name
            else pa.table(
                {
                    "annotation_row": pa.array([], pa.int64()),
                    "annotation_filename": pa.array([], pa.string()),
                    "label": pa.array([], pa.string()),
                }
            )
        )
    if re.search(r"\bcandidates\b", text):
        shapes["candidates"] = pa.table({"name_row": [0], "priority": [0], "filename": ["a"]})
    if re.search(r"\bwanted\b", text) and "from wanted)" in text and "with" not in text:
        shapes["wanted"] = pa.table({"filename": ["a"]})
    return shapes


def _empty(db: duck.Database, table: str) -> pa.Table:
    return db._connection.sql(f"from {table} limit 0").to_arrow_table()


@pytest.fixture(scope="module")
def fresh():
    with duck.scratch() as db:
        db.script("views/macros")
        db._connection.execute(
            "create or replace table user_annotations as select 0::bigint as id, 'a' as label, 'b' as split limit 0"
        ).fetchall()
        db.script("views/views")
        db.script("views/label_views")
        for name in PREPARING:
            db.execute(name, **{p: VALUES.get(p, 0) for p in queries.parameters(name)})
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
    for key, table in _incoming(fresh, name).items():
        fresh.register(key, table)
    values = {p: VALUES.get(p, 0) for p in parameters}
    if name.startswith("galleries/"):
        values |= {"source": SOURCES.get(name.split("/")[1], "similarity")} if "source" in values else {}
        values |= {"sort_by": "blur"} if "sort_by" in values else {}
    fresh._connection.execute(f"explain {text}", values).fetchall()


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
    with pytest.raises(duck.SchemaTooNew, match="9999"), duck.connect(tmp_path):
        pass
