"""The work on a Ray cluster: images through Ray Data's actor pool, neighbours and components as Ray tasks."""

from __future__ import annotations

from fastdup_db.engines.ray.session import RayEngine, check, connected

__all__ = ["RayEngine", "check", "connected"]
