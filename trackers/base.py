"""The seam between boxes and identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import supervision as sv


class Tracker(Protocol):
    """Gives detections an identity that lasts; one instance a camera, no state outside it."""

    lost_seconds: float
    """How long an unseen track is kept before it ends."""

    ended: list[int]
    """Ids that the last `update` ended; they never come back."""

    def update(
        self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None
    ) -> sv.Detections:
        """Advance to `timestamp` (seconds) and return the confirmed, visible people.

        detections: xyxy (N, 4) float32 pixels and confidence (N,). Returns a subset of its rows with
        tracker_id (M,) int set, in the order of the input; ids start at 1 and are never used twice.
        frame: BGR uint8 (H, W, 3), only for trackers that compensate camera motion.
        """
        ...

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        ...
