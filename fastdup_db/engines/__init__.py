"""Where the work runs: `local` (threads), `ray`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastdup_db.config import RunConfig
    from fastdup_db.engines.task import BatchResult, Task, WorkSpec

    Engine = Callable[[Iterable[Task], WorkSpec], Iterator[BatchResult]]


def open_engine(config: RunConfig) -> Engine:
    """The engine a run asks for: a function from tasks and a `WorkSpec` to results in task order."""
    from fastdup_db.engines import local

    return partial(local.run, threads=config.num_threads)
