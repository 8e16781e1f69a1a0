"""fastdup's documented name for the module of `FastdupVisualizer`; see `fastdup_controller`."""

from fastdup_db.galleries.visualizer import FastdupVisualizer

__all__ = ["FastdupVisualizer"]
