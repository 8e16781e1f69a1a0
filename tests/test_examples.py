"""Every example runs as its own program, offline, on images it draws itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SAYS = {
    "quick_start": "scene_11.jpg",
    "find_and_remove_duplicates": "restored",
    "train_test_leaks": "pairs cross the splits",
    "mislabels": "a_0.jpg",
    "boxes": "thing",
    "video": "clip.avi#t=",
    "search": "blurry.jpg",
    "sql_and_bi": "img_stats",
    "incremental_dedup": "duplicates among them",
    "analysis": "Dataset contains",
    "cleaning": "broken: 3",
    "labelled_classification": "component_id",
    "object_detection": "img_w",
}
"""What each prints among other things."""


def test_every_example_is_run_here():
    assert {p.stem for p in EXAMPLES.glob("*.py")} == set(SAYS)


FAST = ("analysis", "find_and_remove_duplicates", "incremental_dedup", "search")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in sorted(SAYS)]
)
def test_example_runs(name):
    env = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error::FutureWarning", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert SAYS[name] in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in EXAMPLES.glob("*.ipynb")))
def test_notebook_runs_top_to_bottom(name, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "notebooks are kept without outputs"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
