"""The bar of what takes long."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(*, shown: bool, **options: Any) -> tqdm[Any]:
    """A bar of tqdm, with its options, on stderr: on a terminal, where it is to be `shown`; else one that says nothing.

    A service and pythonw have no stderr.
    """
    return tqdm(disable=not shown or sys.stderr is None or None, file=sys.stderr, **options)
