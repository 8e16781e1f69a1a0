"""What a run took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fastdup_db.engines import Engine


@dataclass(frozen=True, slots=True)
class Cost:
    """engine: where it ran; seconds: from begin to end; cpu_hours: processor time of this process and all workers."""

    engine: str
    seconds: float
    cpu_hours: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} seconds, {self.cpu_hours:.4f} CPU-hours on engine {self.engine!r}"


@dataclass(frozen=True, slots=True)
class Meter:
    """Runs from when it is made."""

    started: float = field(default_factory=time.monotonic)
    cpu_started: float = field(default_factory=time.process_time)

    def cost(self, engine: Engine) -> Cost:
        """What has been spent since."""
        cpu_seconds = time.process_time() - self.cpu_started + engine.cpu_seconds
        return Cost(engine.name, time.monotonic() - self.started, cpu_seconds / 3600)
