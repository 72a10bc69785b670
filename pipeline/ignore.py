"""Parts of a picture in which nobody is looked for: a road, a screen, the neighbour's garden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import supervision as sv

Polygon = Sequence[tuple[float, float]]
"""Corners as fractions of the picture's width and height."""


class IgnoredAreas:
    """Removes the people who stand in ignored areas; where they stand is the middle of the box's lower edge."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self._polygons = [np.asarray(polygon, dtype=np.float32) for polygon in polygons]

    def filter(self, detections: sv.Detections, width: int, height: int) -> sv.Detections:
        """detections: xyxy (N, 4) in pixels of a picture of that size. Returns the rows that stay."""
        if not self._polygons or len(detections) == 0:
            return detections
        import cv2

        boxes = detections.xyxy
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2 / width, np.minimum(boxes[:, 3] / height, 1.0)], axis=1)
        outside = [
            all(cv2.pointPolygonTest(polygon, (float(x), float(y)), False) < 0 for polygon in self._polygons)
            for x, y in feet
        ]
        return cast("sv.Detections", detections[np.array(outside)])


NOTHING_IGNORED = IgnoredAreas(())
