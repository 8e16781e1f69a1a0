"""How well similarities single out the planted near-duplicates, over all pairs of files."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Quality(NamedTuple):
    """Of a ranking of all pairs by similarity. All from 0 to 1."""

    average_precision: float
    recall: float
    """Share of the true pairs found at the lowest cut that keeps 99.9 % precision."""
    cut: float
    """That similarity."""
    precision_at_line: float
    """Precision of the pairs at or above the near-duplicate line."""
    recall_at_line: float


def quality(similarity: np.ndarray, groups: np.ndarray, *, line: float) -> Quality:
    """`similarity` (n, n) symmetric, `groups` (n,): files of one group are true near-duplicates, all others are not."""
    above = np.triu_indices(len(groups), 1)
    scores = similarity[above]
    order = np.argsort(-scores, kind="stable")
    true = (groups[above[0]] == groups[above[1]])[order]
    scores = scores[order]
    found = np.cumsum(true)
    precision = found / np.arange(1, len(true) + 1)
    total = found[-1]
    clean = np.flatnonzero(precision >= 0.999)
    last = clean[-1] if len(clean) else 0
    over = int(np.searchsorted(-scores, -line, side="right"))
    return Quality(
        average_precision=float((precision * true).sum() / total),
        recall=float(found[last] / total) if len(clean) else 0.0,
        cut=float(scores[last]),
        precision_at_line=float(precision[over - 1]) if over else 1.0,
        recall_at_line=float(found[over - 1] / total) if over else 0.0,
    )
