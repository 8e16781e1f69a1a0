"""A run that the tests of a module share: made once, and given to each of them as it was."""

from __future__ import annotations

import shutil
from pathlib import Path


class Finished:
    """The images in `photos/` of a folder and the run on them in its `work/`, which tests only read.

    The images stay where they are, so that an update finds the files that the run knows.
    """

    def __init__(self, home: Path) -> None:
        self.work, self._photos, self._kept = home / "work", home / "photos", home / "kept"
        shutil.copytree(self._photos, self._kept)

    def photos(self) -> Path:
        """The images as the run found them, whatever the test before has made of them."""
        shutil.rmtree(self._photos, ignore_errors=True)
        return shutil.copytree(self._kept, self._photos)

    def work_dir(self, to: Path) -> Path:
        """A copy of the work_dir that the test may change."""
        return shutil.copytree(self.work, to)
