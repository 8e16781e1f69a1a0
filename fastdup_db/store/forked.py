"""Whether this process was forked from one that had loaded lance, which does not survive that."""

from __future__ import annotations

import os
import sys

from fastdup_db.errors import FastdupError

_with_lance = False


def check_not_forked() -> None:
    """Raises `FastdupError` in a process forked from one that had loaded lance.

    Lance's threads are not in the fork, and what they held locked stays so: of three runs there one ended, one waited
    for ever and one crashed the process. Answers, which only read, came every time.
    """
    if _with_lance:
        raise FastdupError(
            "this process was forked from one that had made a run or read vectors, and Lance cannot write after that; "
            "start it afresh, as multiprocessing.get_context('spawn') does"
        )


def _note_fork() -> None:
    global _with_lance
    _with_lance = _with_lance or "lance" in sys.modules


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_note_fork)
