"""The index a run builds for searches: when, which, kept up to date, and what `config` says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastdup_db
from fastdup_db.errors import BadArgument
from fastdup_db.graph import index, searcher
from fastdup_db.graph.index import run_index_kind
from fastdup_db.graph.searcher import Searcher
from fastdup_db.pipeline.tables import table
from fastdup_db.store.lance import VECTORS

N, DIM = 600, 32


def vectors(n: int = N) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, DIM)).astype(np.float32)


def run(work_dir: Path, n: int = N, **arguments: object) -> fastdup_db.Fastdup:
    fd = fastdup_db.create(work_dir)
    names = [f"image_{i:05d}.jpg" for i in range(n)]
    fd.run(annotations=names, embeddings=vectors(n), progress=False, **arguments)
    return fd


@pytest.fixture(scope="module", autouse=True)
def measured_by_few() -> Iterator[None]:
    """Recall is measured on 40 vectors: the 800 searches of 200 take longer than all else that a run does here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "RECALL_ROWS", 40)
        yield


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """An index from 500 vectors on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "INDEX_ROWS", 500)
        yield


@pytest.fixture(scope="module")
def first(small: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work_dir of a run that has built an index."""
    work_dir = tmp_path_factory.mktemp("first")
    run(work_dir)
    return work_dir


@pytest.fixture(scope="module")
def labelled(small: None, tmp_path_factory: pytest.TempPathFactory) -> fastdup_db.Fastdup:
    """A run with an index, 12 of whose 600 images are rare and 200 in the split test."""
    rows = np.arange(N)
    frame = pd.DataFrame(
        {
            "filename": [f"image_{i:05d}.jpg" for i in rows],
            "label": np.where(rows % 50 == 7, "rare", "usual"),
            "split": np.where(rows % 3 == 0, "test", "train"),
        }
    )
    fd = fastdup_db.create(tmp_path_factory.mktemp("labelled"))
    fd.run(annotations=frame, embeddings=vectors(), progress=False)
    return fd


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nnf_mode": "foo"}, "nnf_mode='foo' is unknown; allowed: Flat, HNSW<m>, such as HNSW32, IVF<lists>,Flat"),
        ({"nnf_mode": "IVF0,Flat"}, "nnf_mode='IVF0,Flat' is unknown"),
        ({"nnf_param": "ef"}, "nnf_param='ef' cannot be read"),
    ],
)
def test_unknown_modes_are_refused_before_any_work(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        run(tmp_path / "work", 3, **arguments)
    assert not (tmp_path / "work").exists()


def test_parameters_of_faiss_that_we_do_not_have_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert index.index_kind("HNSW32", param="num_em_iter=20,ef=9").search == {"ef": 9}
    assert "nnf_param 'num_em_iter' has no effect on nnf_mode='HNSW32'" in caplog.text
    assert index.index_kind("Flat", param="ef=3") == index.index_kind("Flat")
    assert "nnf_param 'ef' has no effect on nnf_mode='Flat'; those that have: none" in caplog.text


def test_few_vectors_need_no_index(tmp_path: Path) -> None:
    config = run(tmp_path, 40).config
    assert (config["index_kind"], config["index_bytes"], config["index_recall"]) == ("Flat", 0, 1.0)
    assert config["neighbors_recall"] == 1.0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("mode", "param", "kind"),
    [
        ("HNSW32", "", "IVF_SQ"),
        ("HNSW16", "", "IVF_HNSW_SQ"),
        ("IVF_FLAT", "num_partitions=4", "IVF_FLAT"),
        ("IVF4,Flat", "", "IVF_FLAT"),
    ],
)
def test_the_run_builds_what_nnf_mode_says(tmp_path: Path, mode: str, param: str, kind: str) -> None:
    config = run(tmp_path, nnf_mode=mode, nnf_param=param).config
    assert config["index_kind"] == kind and config["index_bytes"] > 0 and config["index_seconds"] > 0
    assert config["index_recall"] >= 0.95


def test_the_bytes_are_those_of_the_index_that_is_there(first: Path, tmp_path: Path) -> None:
    work_dir = shutil.copytree(first, tmp_path / "work")
    sizes = [fastdup_db.create(work_dir).config["index_bytes"]]
    sizes += [run(work_dir, overwrite=False, nearest_neighbors_k=k).config["index_bytes"] for k in (3, 4)]
    assert max(sizes) < 1.2 * min(sizes), "a replaced index does not count"


@pytest.mark.usefixtures("small")
def test_flat_builds_none(tmp_path: Path) -> None:
    assert run(tmp_path, nnf_mode="Flat").config["index_kind"] == "Flat"


def test_the_bare_default_is_built_quickly_and_a_parameter_builds_the_graph() -> None:
    quick = run_index_kind("HNSW32", dim=576, param="nprobes=9")
    assert quick.lance == run_index_kind("HNSW32", dim=576).lance == "IVF_RQ" and quick.search == {"nprobes": 9}
    assert run_index_kind("HNSW32", dim=577).lance == run_index_kind("HNSW32", dim=128).lance == "IVF_SQ"
    assert run_index_kind("HNSW32", dim=576, param="ef_construction=80").lance == "IVF_HNSW_SQ"
    assert {run_index_kind(mode, dim=576).lance for mode in ("IVF_HNSW_SQ", "HNSW48")} == {"IVF_HNSW_SQ"}


@pytest.mark.usefixtures("small")
def test_long_vectors_are_indexed_by_one_bit_a_dimension(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    long = rng.standard_normal((60, 256))[rng.integers(0, 60, N)] + 0.5 * rng.standard_normal((N, 256))
    by_kind = {}
    for mode, kind in (("HNSW32", "IVF_RQ"), ("IVF_SQ", "IVF_SQ")):
        fd = fastdup_db.create(tmp_path / mode)
        names = [f"{i}.jpg" for i in range(N)]
        fd.run(annotations=names, embeddings=long.astype(np.float32), nnf_mode=mode, progress=False)
        assert fd.config["index_kind"] == kind and fd.config["index_recall"] >= 0.95
        by_kind[kind] = fd.config["index_bytes"]
    assert by_kind["IVF_RQ"] < by_kind["IVF_SQ"], "a bit a dimension instead of a byte"
    found = fd.vector_search(vec=long[:5].astype(np.float32), k=3)
    assert (found.groupby("from", sort=False)["distance"].first() > 0.999).all()


def test_an_update_keeps_the_index_and_its_vectors(first: Path, tmp_path: Path) -> None:
    work_dir = shutil.copytree(first, tmp_path / "work")
    before = fastdup_db.create(work_dir).config
    second = run(work_dir, N + 20, overwrite=False).config
    assert second["neighbors_method"] == "update" and second["index_kind"] == before["index_kind"] == "IVF_SQ"
    assert second["index_recall"] >= 0.95
    stored = table(work_dir, VECTORS)
    assert stored.version == second["vectors_version"]
    newest = np.arange(N, N + 20)
    assert (Searcher(stored)(stored.take(newest), k=1)[0][:, 0] == newest).all()
    third = run(work_dir, N + 20, overwrite=False).config
    assert index.has_index(stored)
    kept = [name for name in third if name.startswith("index_")] + ["vectors_version", "neighbors_recall"]
    assert len(kept) == 6 and all(third[name] == second[name] for name in kept), "nothing changed, nothing is done"


@pytest.mark.parametrize("selective", [10, 50_000], ids=["by the index", "exactly"])
def test_a_filtered_search_over_an_index_finds_k_where_k_exist(
    labelled: fastdup_db.Fastdup, monkeypatch: pytest.MonkeyPatch, selective: int
) -> None:
    monkeypatch.setattr(searcher, "SELECTIVE_ROWS", selective)
    rows = np.arange(N)
    rare, test = rows % 50 == 7, rows % 3 == 0  # 12 and 200 of 600
    assert labelled.config["index_kind"] == "IVF_SQ"
    fd = fastdup_db.create(labelled.work_dir)
    fd.init_search(5, store_int=1)
    ids = fd.annotations()["fd_index"].to_numpy()
    for where, allowed in (
        ("label = 'rare'", rare),
        ("split = 'test'", test),
        ("label = 'rare' and split = 'test'", rare & test),
    ):
        for query in vectors()[:3]:
            found = fd.vector_search(vec=query, where=where, k=min(10, int(allowed.sum())))["to"]
            assert len(found) == min(10, allowed.sum()) == found.nunique()
            assert np.isin(found, ids[allowed]).all()


@pytest.mark.slow
def test_more_images_than_a_row_group_of_duckdb_are_all_read(tmp_path: Path) -> None:
    n = 125_000
    fd = fastdup_db.create(tmp_path)
    matrix = np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)
    fd.run(annotations=[f"image_{i:06d}.jpg" for i in range(n)], embeddings=matrix, progress=False, run_mode=1)
    assert fd.num_instances() == n
