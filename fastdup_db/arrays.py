"""What the arrays in signatures hold; their shapes are in the docstrings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
"""Of images or boxes, or of rows that stand for them."""
Numbers = npt.NDArray[np.int64]
"""Any other whole numbers: positions, counts, numbers of lists."""
Matrix = npt.NDArray[np.float32]
"""Vectors, one a row."""
Scores = npt.NDArray[np.float32]
"""Scores or similarities of pairs."""
