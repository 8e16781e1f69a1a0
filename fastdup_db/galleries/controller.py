"""What galleries need of the controller: frames and pictures, but no database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import pandas as pd


class Controller(Protocol):
    """All that galleries ask of a controller."""

    @property
    def work_dir(self) -> str:
        """Where pages and thumbnails go unless the user says otherwise."""

    def reading(self) -> AbstractContextManager[None]:
        """Keeps the database that is asked open for a block: for questions, not while pictures or pages are made."""

    def gallery_frame(self, name: str, *, needs: Collection[str] = (), **parameters: Any) -> pd.DataFrame:
        """Run `sql/galleries/<name>.sql`; values are bound, a DataFrame is registered under its parameter's name.

        needs: what has to be there before: 'neighbors', 'components' (the temp table `chosen_components`).
        """

    def open_images(self, ids: Sequence[int], *, crops: bool = True) -> Iterator[np.ndarray | None]:
        """Decoded images, id by id: RGB uint8 (h, w, 3), None where it cannot be had. Called from several threads.

        crops: in boxes mode, the box cut out; else the whole upright image it lies in.
        """

    def summary(self, verbose: bool = True) -> list[str]:
        """The text summary of the run, line by line."""
