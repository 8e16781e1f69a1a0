"""Finding the parts of an image that matter: faces, text, objects. Image in, boxes out.

detect = open_detector("face")
found = detect(rgb)          # Detections(rectangles, confidences, labels)
"""

from __future__ import annotations

from fastdup_db.detectors.base import Detections, Detector
from fastdup_db.detectors.registry import detector_names, open_detector, register_detector

__all__ = ["Detections", "Detector", "detector_names", "open_detector", "register_detector"]
