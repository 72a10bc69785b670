"""ByteTrack: every detection box is associated, the strong ones first (Zhang et al., ECCV 2022)."""

from __future__ import annotations

import numpy as np

from trackers import motion
from trackers.association import iou
from trackers.lifecycle import NOBODY, ArrayTracker, pair


class ByteTrack(ArrayTracker):
    """Two-stage association by IoU of predicted boxes.

    high, low: detections at or above `high` are associated first, those between `low` and `high` only with
    tracks that were in sight a moment ago; new: score that starts a track.
    similarity, low_similarity, new_similarity: least IoU (times score in the first and last stage) for a pair
    with a strong detection, with a weak one, and for the second sight of someone new.
    duplicate: IoU at which a lost track and one in sight are the same person.
    """

    def __init__(
        self,
        lost_seconds: float = 1.0,
        high: float = 0.25,
        low: float = 0.1,
        new: float = 0.25,
        similarity: float = 0.2,
        low_similarity: float = 0.5,
        new_similarity: float = 0.3,
        duplicate: float = 0.85,
        boxes: str = "measured",
    ) -> None:
        super().__init__(lost_seconds, boxes, duplicate)
        self.high, self.low, self.new = high, low, new
        self.similarity, self.low_similarity, self.new_similarity = similarity, low_similarity, new_similarity

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        tracks, measured = self._tracks, motion.to_centre(boxes)
        motion.predict(self._states, dt, self.noise)
        self._compensate(boxes, frame)
        overlap = iou(motion.to_corners(self._states[motion.VALUE]), boxes)
        fused = overlap * scores
        strong = scores >= self.high
        known = tracks["id"] > 0
        owner = np.full(len(boxes), NOBODY)

        pair(owner, known, strong, fused, self.similarity)
        recent = known & (tracks["seen"] >= self._previous)
        pair(owner, recent, (scores >= self.low) & ~strong, overlap, self.low_similarity)
        pair(owner, ~known, strong, fused, self.new_similarity)
        self._settle(owner, measured, scores >= max(self.new, self.high))
        return owner

    def _compensate(self, boxes: np.ndarray, frame: np.ndarray | None) -> None:
        """Move the predicted states along with the camera; ByteTrack takes it to stand still."""
