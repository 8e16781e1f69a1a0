"""Where images come from: folders, list files, archives, videos, buckets, YOLO yaml files.

for reference, load in payloads(listing("photos")):
    data = load()
"""

from __future__ import annotations

from fastdup_db.sources.checks import check_input
from fastdup_db.sources.inputs import listing
from fastdup_db.sources.naming import named
from fastdup_db.sources.options import ListingOptions
from fastdup_db.sources.reading import load, payloads
from fastdup_db.sources.reference import Load, Reference

__all__ = ["ListingOptions", "Load", "Reference", "check_input", "listing", "load", "named", "payloads"]
