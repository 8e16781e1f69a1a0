"""The work on a Ray cluster: images by a pool of actors, neighbours as tasks, components by Ray Data."""

from __future__ import annotations

from fastdup_db.engines.ray.session import RayEngine, check, connected

__all__ = ["RayEngine", "check", "connected"]
