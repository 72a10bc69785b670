"""Sidewalk's own tracker, the default: the ideas of the others that pay on surveillance footage, in one.

What it keeps: two stages by score (ByteTrack), scores that weigh the filter's updates (StrongSORT's NSA),
and of its own: people keep their height, so boxes of unlike height are not the same person; the camera's
motion is read from the crowd, without pictures. docs/tracking.md shows what each is worth.
"""

from __future__ import annotations

import numpy as np

from trackers import motion
from trackers.association import height_likeness, iou
from trackers.camera_motion import crowd_shift
from trackers.lifecycle import NOBODY, ArrayTracker, pair

SIZE_SETTLES = 0.1
"""Seconds in which a growth or shrinking of the box fades: mostly arms and legs, not an approach."""

RECOVERY_SECONDS = 1.0
"""How long after the last sight a weak detection may still bring somebody back."""

DUPLICATE = 0.85
"""IoU at which a lost track and one in sight are the same person."""


class Sidewalk(ArrayTracker):
    """Two-stage association by IoU and height, with a smooth motion filter and a steadied camera.

    high, low: detections at or above `high` are associated first and start tracks, those between `low` and
    `high` only continue tracks lost less than a second ago.
    similarity, low_similarity, new_similarity: least likeness (IoU times height likeness; in the first and
    last stage times score) for a pair with a strong detection, with a weak one, and for the second sight of
    someone new.
    height: power to which the ratio of heights enters the likeness; 0 ignores heights.
    doubt: by how much the noise of a measurement grows where the score falls from 1 to 0.
    camera_motion: follow a shaking or panning camera by the motion that most people share.
    boxes: "filtered" (shake less, lie closer to the person) or "measured" (the detector's).
    """

    def __init__(
        self,
        lost_seconds: float = 2.0,
        high: float = 0.4,
        low: float = 0.05,
        similarity: float = 0.2,
        low_similarity: float = 0.4,
        new_similarity: float = 0.3,
        height: float = 1.5,
        doubt: float = 1.0,
        camera_motion: bool = True,
        boxes: str = "filtered",
    ) -> None:
        super().__init__(lost_seconds, boxes, DUPLICATE)
        self.high, self.low = high, low
        self.similarity, self.low_similarity, self.new_similarity = similarity, low_similarity, new_similarity
        self.height, self.doubt, self.camera_motion = height, doubt, camera_motion

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        tracks, states, measured = self._tracks, self._states, motion.to_centre(boxes)
        known = tracks["id"] > 0
        strong = scores >= self.high
        owner = np.full(len(boxes), NOBODY)
        if len(tracks):
            states[motion.RATE, 2:] *= np.exp(-dt / SIZE_SETTLES)
            motion.predict(states, dt, self.noise)
        if len(tracks) and len(boxes):
            if self.camera_motion:
                self._steady(known & (tracks["seen"] >= self._previous), measured[:, strong])
            alike = self._likeness(boxes)
            scored = alike * scores
            pair(owner, known, strong, scored, self.similarity)
            weak = (scores >= self.low) & ~strong
            if weak.any():
                recent = known & (tracks["seen"] >= self._previous - RECOVERY_SECONDS)
                pair(owner, recent, weak, alike, self.low_similarity)
            if not known.all():
                pair(owner, ~known, strong, scored, self.new_similarity)
        # A detector that is less sure is also less exact.
        self._settle(owner, measured, strong, 1.0 + self.doubt * (1.0 - scores))
        return owner

    def _likeness(self, boxes: np.ndarray) -> np.ndarray:
        """How alike each predicted track is to each box (N, 4): (T, N) in [0, 1]."""
        predicted = self._states[motion.VALUE]
        overlap = iou(motion.to_corners(predicted), boxes)
        heights = height_likeness(np.maximum(predicted[3], 1.0), boxes[:, 3] - boxes[:, 1])
        # Few pairs overlap, and powers are slow.
        alike: np.ndarray = overlap * np.power(heights, self.height, where=overlap > 0, out=heights)
        return alike

    def _steady(self, in_sight: np.ndarray, measured: np.ndarray) -> None:
        """Move every track by the step that the people in sight have in common."""
        value = self._states[motion.VALUE]
        value[:2] += crowd_shift(value[:, in_sight], measured)[:, None]
