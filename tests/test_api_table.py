"""The API table of the README names what the package has, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastdup_db

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """Name -> what it does, of every table row under `## API` that begins with a name in backticks."""
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    section = re.search(r"^## API\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if section is None:
        pytest.skip("README.md has no section '## API' yet")
    return dict(re.findall(r"^\| *`([\w.]+)[^`]*` *\| *(.+?) *\|$", section[1], re.M))


def test_every_public_function_has_a_line(rows):
    errors = {n for n in fastdup_db.__all__ if isinstance(getattr(fastdup_db, n), type) or n == "__version__"}
    missing = set(fastdup_db.__all__) - errors - set(rows)
    assert not missing, f"the API table lacks {sorted(missing)}"


def test_every_method_of_fastdup_has_a_line(rows):
    methods = {f"fd.{name}" for name in dir(fastdup_db.Fastdup) if not name.startswith("_")}
    missing = methods - INTERNAL - set(rows)
    assert not missing, f"the API table lacks {sorted(missing)}"


def test_every_line_names_something_that_is_there(rows):
    from fastdup_db.galleries.visualizer import FastdupVisualizer

    for name, said in rows.items():
        assert said, name
        place, _, last = name.rpartition(".")
        owner = {"": fastdup_db, "fd": fastdup_db.Fastdup, "fd.vis": FastdupVisualizer}[place]
        assert hasattr(owner, last), f"the API table names {name}, which does not exist"


INTERNAL = {"fd.gallery_frame", "fd.open_images", "fd.reading"}
"""What galleries ask of a controller; not for users."""
