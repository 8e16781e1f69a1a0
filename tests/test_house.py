"""The house rules that can be read off the code: imports go down only, SQL stays in sql/, importing is light."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import fastdup_db

PACKAGE = Path(fastdup_db.__file__).parent

# a room may import rooms of a lower level, and its own
LEVELS = {
    "cli": 9,
    "legacy": 9,
    "fastdup_controller": 8,
    "fastdup_galleries": 8,
    "fastdup_visualizer": 8,
    "demo": 8,
    "engine": 8,
    "controller": 7,
    "exchange": 7,
    "cleaning": 6,
    "answers": 6,
    "summaries": 6,
    "planning": 6,
    "galleries": 6,
    "searching": 6,
    "pipeline": 6,
    "annotation_forms": 5,
    "sources": 5,
    "engines": 5,
    "graph": 5,
    "imaging": 4,
    "models": 4,
    "detectors": 4,
    "store": 3,
    "queries": 2,
    "config": 2,
    "checks": 1,
    "places": 1,
    "spelling": 1,
    "progress": 1,
    "threads": 1,
    "frames": 2,
    "encodings": 1,
    "arrays": 0,
    "errors": 0,
    "__init__": -1,
}
NEVER_STORE = ("sources", "imaging", "models", "detectors", "engines", "galleries")
# engines run workers, which read sources, and the join of graph
SIDEWAYS = {
    ("engines", "sources"),
    ("engines", "graph"),
    ("pipeline", "sources"),
    ("searching", "pipeline"),
    ("answers", "pipeline"),
    ("detectors", "models"),
    ("models", "imaging"),
}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Rooms of the package that a module imports, also inside functions; `if TYPE_CHECKING` blocks do not count."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: write the module's whole name"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastdup_db":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("fastdup_db.")}
    return {name for name in found if name in LEVELS}


def test_every_room_has_a_level():
    rooms = {_room(p) for p in PACKAGE.rglob("*.py")}
    assert rooms <= set(LEVELS), f"give {sorted(rooms - set(LEVELS))} a level in LEVELS"


def test_imports_go_down_only():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = _room(path)
        if room == "__init__":
            continue
        for other in sorted(_imports(path) - {room}):
            if LEVELS[other] >= LEVELS[room] and (room, other) not in SIDEWAYS:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}")
            if other == "store" and room in NEVER_STORE:
                wrong.append(f"{path.relative_to(PACKAGE)} imports store")
    assert not wrong, "\n".join(wrong)


def test_one_door_to_each_database():
    doors = {"duckdb": "store/duck.py", "lancedb": "store/lance.py", "lance": "store/lance.py"}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for library, door in doors.items():
            if re.search(rf"^\s*(import|from) {library}\b", text, re.M):
                assert path.relative_to(PACKAGE).as_posix() == door, f"{path} imports {library}"


def test_no_sql_text_and_no_print_in_the_library():
    sql = re.compile(r"[\"'](select|insert into|create (or replace )?(table|view|macro)|with recursive)\s", re.I)
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not sql.search(text), f"SQL text in {path}"
        if _room(path) not in ("cli", "demo") and path.name != "build_default.py":
            assert not re.search(r"^\s*print\(", text, re.M), f"print in {path}"


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, fastdup_db; heavy = {'onnxruntime', 'cv2', 'boto3', 'av', 'scipy', 'pandas', 'duckdb', 'lance'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout.strip() == "[]"


def test_lance_is_loaded_when_a_table_is_opened():
    code = "import sys, fastdup_db.controller, fastdup_db.pipeline.run; print('lance' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert out.stdout.strip() == "False"


def test_pandas_is_loaded_beside_the_start_of_a_run(tmp_path):
    code = (
        "import sys, threading, cv2, numpy, fastdup_db\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('pandas', 'lance'): print(name, threading.current_thread().name, sep=': ')\n"
        "sys.meta_path.insert(0, Watch())\n"
        "cv2.imwrite('a.png', numpy.zeros((20, 20, 3), 'uint8'))\n"
        "fd = fastdup_db.create('results', 'a.png'); fd.run(progress=False); print(len(fd.annotations()))"
    )
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=env
    )
    assert out.stdout.splitlines()[:2] == ["pandas: load lance", "lance: load lance"]
    assert out.stdout.splitlines()[-1] == "1"


def test_nothing_is_reported_and_the_home_folder_stays_empty(tmp_path):
    """onnxruntime keeps a device id and the events to be sent in the home folder, unless it is told not to report."""
    code = (
        "import cv2, numpy, fastdup_db\n"
        "cv2.imwrite('a.png', numpy.zeros((20, 20, 3), 'uint8'))\n"
        "fd = fastdup_db.create('results', 'a.png'); fd.run(progress=False); fastdup_db.feature_vector('a.png')"
    )
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"HOME": str(home), "PYTHONPATH": str(PACKAGE.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=work, env=env)
    assert list(home.iterdir()) == []


def test_public_names_are_sorted_and_load():
    assert fastdup_db.__all__ == sorted(fastdup_db.__all__)
    for name in fastdup_db.__all__:
        assert getattr(fastdup_db, name) is not None
