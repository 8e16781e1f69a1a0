"""The vector table: what was appended comes back, a restore forgets the rest, memory and disk stay bounded."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastdup_db.errors import BadArgument, NotRun, WorkDirDamaged
from fastdup_db.store import lance
from fastdup_db.store.lance import EMBEDDINGS, VectorTable

DIM = 8


def rows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose every entry is the row's id, so that a mix-up shows."""
    ids = np.arange(start, stop, dtype=np.int64)
    return ids, np.repeat(ids[:, None], DIM, axis=1).astype(np.float32)


@pytest.fixture
def table(tmp_path: Path) -> VectorTable:
    name, column = EMBEDDINGS
    return VectorTable(tmp_path / "vectors.lance", name=name, column=column)


def content(table: VectorTable, **kwargs: int) -> list[int]:
    ids: list[int] = []
    for some_ids, matrix in table.batches(**kwargs):
        assert (matrix == some_ids[:, None]).all()
        ids.extend(some_ids.tolist())
    return ids


def test_rows_come_back_in_id_order(table: VectorTable) -> None:
    for start in (0, 10, 20):
        table.append(*rows(start, start + 10))
    assert content(table, rows=7) == list(range(30))
    assert len(table) == 30 and table.dim == DIM and table.nbytes() > 30 * DIM * 4


def test_create_streams_and_replaces(table: VectorTable) -> None:
    table.append(*rows(50, 60))
    version = table.create((rows(i, i + 5) for i in range(0, 20, 5)), dim=DIM)
    assert version == table.version and content(table) == list(range(20))


def test_what_was_replaced_is_read_by_who_reads_that_version(table: VectorTable) -> None:
    before = table.append(*rows(50, 60))
    after = table.create([rows(0, 5)], dim=DIM)
    assert after > before and content(replace(table, at=before)) == list(range(50, 60))
    assert content(replace(table, at=after)) == content(table) == list(range(5))
    assert content(replace(table, at=0)) == [] and not replace(table, at=0).exists()
    table.restore(before)
    assert content(table) == list(range(50, 60))
    table.forget_others()
    with pytest.raises(WorkDirDamaged, match=f"no version {before}"):
        content(replace(table, at=before))
    assert table.has(table.version) and not table.has(before)


def test_what_a_killed_writer_left_goes(table: VectorTable) -> None:
    table.create([rows(0, 5)], dim=DIM)
    (Path(table.place.uri) / "data" / "killed.lance").write_bytes(bytes(100_000))
    table.create([rows(0, 5)], dim=DIM)
    table.forget_others()
    assert table.nbytes() < 100_000
    assert content(table) == list(range(5))


def test_an_empty_table_is_a_table(table: VectorTable) -> None:
    table.create(dim=DIM)
    assert len(table) == 0 and content(table) == [] and table.take(np.array([], dtype=np.int64)).shape == (0, DIM)


def test_restore_forgets_what_came_after_the_recorded_version(table: VectorTable) -> None:
    table.append(*rows(0, 10))
    marked = table.append(*rows(10, 20))
    table.append(*rows(20, 30))
    table.restore(marked)
    assert content(table) == list(range(20))
    table.append(*rows(20, 25))
    assert content(table) == list(range(25))
    assert table.restore(0) == 0 and not table.exists()
    with pytest.raises(NotRun):
        table.dataset()


def test_restore_of_an_unknown_version_is_refused(table: VectorTable) -> None:
    table.append(*rows(0, 3))
    with pytest.raises(BadArgument, match="version 77"):
        table.restore(77)


def test_deleted_and_replaced_rows(table: VectorTable) -> None:
    table.append(*rows(0, 10))
    table.delete(np.array([3, 3, 5, 99]))
    assert content(table) == [0, 1, 2, 4, 6, 7, 8, 9]
    table.replace(*rows(1, 4))
    assert content(table, rows=4) == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_take_keeps_the_order_asked_for(table: VectorTable) -> None:
    table.append(*rows(10, 20))
    table.append(*rows(0, 10))
    assert table.take(np.array([12, 3, 12]))[:, 0].tolist() == [12, 3, 12]
    with pytest.raises(BadArgument, match=r"not in table .*\.lance"):
        table.take(np.array([20]))


def test_rows_are_taken_also_where_others_were_deleted(table: VectorTable) -> None:
    for start in (40, 0, 20):
        table.append(*rows(start, start + 20))
    table.delete(np.array([1, 2, 19, *range(20, 40), 47]))
    kept = [i for i in range(60) if i not in {1, 2, 19, *range(20, 40), 47}]
    assert content(table, rows=7) == kept
    asked = np.random.default_rng(0).permutation(kept)
    assert table.take(asked)[:, 0].tolist() == asked.tolist()
    assert table.take(np.array([59, 0, 59]))[:, 0].tolist() == [59, 0, 59]


def test_pick_leaves_out_what_is_not_stored(table: VectorTable) -> None:
    table.append(*rows(10, 20))
    table.append(*rows(0, 10))
    ids, matrix = table.pick(np.array([3, 12, 25]))
    assert ids.tolist() == [3, 12] and matrix[:, 0].tolist() == [3, 12]
    ids, matrix = table.pick(np.array([25]))
    assert ids.shape == (0,) and matrix.shape == (0, 8)


def test_wrong_shapes_are_refused(table: VectorTable) -> None:
    table.append(*rows(0, 2))
    with pytest.raises(BadArgument, match=r"\(2, 8\)"):
        table.append(np.arange(2), np.zeros((2, 5), np.float32))


def test_many_small_appends_stay_small_and_restorable(table: VectorTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "HOUSEKEEPING_APPENDS", 50)
    versions = [table.append(*rows(i, i + 1)) for i in range(120)]
    assert content(table) == list(range(120))
    assert len(list(Path((table.place / "_versions").uri).iterdir())) < 120
    table.restore(versions[-5])
    assert content(table) == list(range(116))


def test_compacting_keeps_rows_and_the_last_marker(table: VectorTable) -> None:
    table.append(*rows(0, 5))
    marked = table.append(*rows(5, 9))
    table.delete(np.array([0]))
    table.compact()
    assert content(table) == list(range(1, 9))
    table.restore(marked)
    assert content(table) == list(range(9))


def test_duckdb_and_lancedb_read_the_same_table(table: VectorTable) -> None:
    import duckdb
    import lancedb

    table.append(*rows(0, 12))
    embeddings = table.arrow()
    found = duckdb.sql("select id, embedding[1] from embeddings where id >= 10 order by id").fetchall()
    assert embeddings is not None and found == [(10, 10.0), (11, 11.0)]
    assert lancedb.connect(table.folder).open_table("embeddings").count_rows() == 12


def test_a_handle_travels_to_other_processes(table: VectorTable) -> None:
    table.append(*rows(0, 4))
    assert content(pickle.loads(pickle.dumps(table))) == [0, 1, 2, 3]
