"""The command line: values come out whole, and what goes wrong is one line and an exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import galleries_rig as rig
import pandas as pd
import pytest

import fastdup_db
from fastdup_db import cli
from fastdup_db.cli import acting, options
from tests import drawn


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    facts = rig.facts(folder / "photos")
    settings = facts["runs"].assign(
        config='{"run_cc": true, "run_stats": true}', finished_at=pd.Timestamp("2026-01-01")
    )
    rig.store(folder / "work", facts | {"runs": settings})
    return folder / "work"


@pytest.fixture
def call(work, monkeypatch, capsys):
    """Runs a command on the work_dir; returns its exit status, stdout and stderr."""

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fastdup-db", *words, "-w", str(work)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return int(done.value.code or 0), *capsys.readouterr()

    return called


VALUES = """
    select '0a1b2c3d-0000-4000-8000-00000000000a'::uuid as id, '\\xAB\\x00'::blob as bytes, 1e-12 as tiny,
        0.12345678901234 as long, 9007199254740993 as large, array_value(1.5::float, 2) as vector,
        [['a'], [null, 'b,"c"']] as nested, {'x': 1, 'y': [0.1, 1234567890123456.7890123]} as pair,
        true as yes, null as nothing, 'nan'::double as nan, '-inf'::double as low,
        timestamp '2026-01-02 03:04:05.678' as at, time '10:00:01' as clock,
        'two' || chr(10) || 'lines' as text, interval 90 second as wait
"""


def test_json_holds_every_value(call):
    status, out, _ = call("sql", VALUES, "--json")
    assert status == 0
    assert json.loads(out) == [
        {
            "id": "0a1b2c3d-0000-4000-8000-00000000000a",
            "bytes": "ab00",
            "tiny": 1e-12,
            "long": 0.12345678901234,
            "large": 9007199254740993,
            "vector": [1.5, 2.0],
            "nested": [["a"], [None, 'b,"c"']],
            "pair": {"x": 1, "y": [0.1, "1234567890123456.7890123"]},
            "yes": True,
            "nothing": None,
            "nan": None,
            "low": "-inf",
            "at": "2026-01-02T03:04:05.678000",
            "clock": "10:00:01",
            "text": "two\nlines",
            "wait": "P0DT0H1M30S",
        }
    ]
    assert call("sql", "from images where false", "--json")[1] == "[]\n"


def test_csv_holds_every_value(call):
    status, out, _ = call("sql", VALUES, "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert status == 0
    assert (row["bytes"], float(row["tiny"]), float(row["long"])) == ("ab00", 1e-12, 0.12345678901234)
    assert (row["large"], row["id"][:8], row["nothing"]) == ("9007199254740993", "0a1b2c3d", "")
    assert json.loads(row["nested"]) == [["a"], [None, 'b,"c"']]
    assert json.loads(row["pair"])["x"] == 1
    assert json.loads(row["vector"]) == [1.5, 2.0]


@pytest.mark.parametrize("at_once", [4, 50_000])
def test_a_file_gets_every_row_and_a_screen_the_first(call, work, monkeypatch, at_once):
    monkeypatch.setattr(options, "_PRINTED_AT_ONCE", at_once)
    monkeypatch.setattr(options, "FIRST_ROWS", 5)
    pairs = fastdup_db.create(work).similarity(threshold=-1)
    assert len(pairs) > 8
    every = ("similarity", "--threshold", "-1")
    _, out, err = call(*every, "--csv")
    assert [row["filename_from"] for row in csv.DictReader(io.StringIO(out))] == pairs["filename_from"].tolist()
    assert not err
    _, out, err = call(*every, "--json")
    assert [row["filename_to"] for row in json.loads(out)] == pairs["filename_to"].tolist()
    assert not err
    _, out, err = call(*every)
    assert len(out.splitlines()) == 1 + 5
    assert err == f"… {len(pairs) - 5:,} more rows; --limit 0 shows all\n"
    assert len(call(*every, "--limit", "0")[1].splitlines()) == 1 + len(pairs)
    for form in ("--csv", "--json"):
        assert call(*every, form, "-n", "3")[2] == f"… {len(pairs) - 3:,} more rows; --limit 0 shows all\n"


def test_an_array_of_many_numbers_is_one_line(call):
    out = call("sql", "select list_transform(range(1000), lambda x: x / 7)::float[1000] as vector", "--csv")[1]
    assert len(out.splitlines()) == 2
    assert len(json.loads(next(csv.DictReader(io.StringIO(out)))["vector"])) == 1000


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("gallery", "duplicates", "--save-path", "{file}/page.html"), 2),
        (("report", "--save-path", "{file}/page.html"), 2),
        (("export", "{file}"), 2),
        (("export", "{file}/folder"), 2),
        (("clean", "{empty}"), 2),
        (("clean", "{binary}"), 2),
        (("clean", "{other}"), 2),
        (("clean", "{folder}"), 2),
    ],
)
def test_what_goes_wrong_is_one_line(call, tmp_path, words, status):
    contents = {"file": b"mine", "empty": b"", "binary": bytes(range(256)) * 8, "other": b"a,b\n1,2\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    places = {name: tmp_path / name for name in contents} | {"folder": tmp_path}
    got, _, err = call(*(word.format_map(places) for word in words))
    assert (got, err.count("\n"), err[:12]) == (status, 1, "fastdup-db: ")
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_full_disk_is_one_line(work, rows):
    command = [sys.executable, "-m", "fastdup_db.cli", "sql", f"from range({rows})", "--csv", "-w", str(work)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fastdup-db: ") and done.stderr.count("\n") == 1


def test_a_work_dir_in_a_bucket_is_no_path(monkeypatch, capsys):
    def create(work_dir):
        raise fastdup_db.BadArgument(repr(work_dir))

    monkeypatch.setattr(fastdup_db, "create", create)
    monkeypatch.setattr("sys.argv", ["fastdup-db", "summary", "-w", "s3://bucket/x"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "fastdup-db: 's3://bucket/x'\n"


def test_any_name_goes_into_a_file(work, tmp_path):
    query = "select 'żółw' || chr(10) || '猫.jpg' as filename, 1 as keep"
    command = [sys.executable, "-m", "fastdup_db.cli", "sql", query, "--csv", "-w", str(work)]
    env = {**os.environ, "PYTHONIOENCODING": "cp1252"}  # as on Windows
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env, check=True)
    assert done.stdout.decode() == 'filename,keep\n"żółw\n猫.jpg",1\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_plan_may_come_through_powershell(tmp_path, encoding):
    (tmp_path / "plan.csv").write_text("filename,keep\n猫.jpg,True\n", encoding=encoding)
    assert acting._plan(tmp_path / "plan.csv").to_dict("records") == [{"filename": "猫.jpg", "keep": True}]


def test_an_option_may_hold_commas(tmp_path, monkeypatch, capsys):
    for name in ("a", "aa", "aaa"):
        drawn.draw(tmp_path / "photos" / f"{name}.png", seed=len(name))
    said_options = (
        ("find_regex=/a{1,2}\\.png", 0),
        ("num_images=2", 0),
        ("find_regex", 2),
        ("no_such=1,2", 2),
        ("model_input=x", 2),
    )
    for said, status in said_options:
        words = ("run", tmp_path / "photos", "-w", tmp_path / "work", "-o", said, "--no-progress")
        monkeypatch.setattr("sys.argv", ["fastdup-db", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert int(done.value.code or 0) == status
        assert ("2 images read" in capsys.readouterr().err) == (status == 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_page_elsewhere_needs_no_room_in_the_work_dir(work, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDUP_DB_CACHE", str(tmp_path / "cache"))
    work.chmod(0o555)
    try:
        fd = fastdup_db.create(work)
        assert fd.vis.stats_gallery(save_path=tmp_path / "page.html").exists()
        with pytest.raises(fastdup_db.BadArgument, match="can be written"):
            fd.vis.stats_gallery()
    finally:
        work.chmod(0o755)
