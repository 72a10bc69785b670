"""OC-SORT: trust observations over predictions where people were out of sight (Cao et al., CVPR 2023)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from trackers import motion
from trackers.association import direction_likeness, iou
from trackers.lifecycle import FIELDS, NOBODY, ArrayTracker, pair


class OcSort(ArrayTracker):
    """IoU with observation-centric momentum, recovery from the last observation, and re-update after a gap.

    high, low: as in ByteTrack; similarity: least IoU of a pair.
    momentum: weight of the angle between where somebody was going and where the detection lies.
    """

    fields: ClassVar[list[tuple[Any, ...]]] = [*FIELDS, ("box", np.float64, 4)]

    def __init__(
        self,
        lost_seconds: float = 1.0,
        high: float = 0.25,
        low: float = 0.1,
        similarity: float = 0.3,
        momentum: float = 0.2,
        boxes: str = "measured",
    ) -> None:
        super().__init__(lost_seconds, boxes)
        self.high, self.low, self.similarity, self.momentum = high, low, similarity, momentum

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        tracks, measured = self._tracks, motion.to_centre(boxes)
        motion.predict(self._states, dt, self.noise)
        overlap = iou(motion.to_corners(self._states[motion.VALUE]), boxes)
        last = motion.to_centre(tracks["box"])
        step = (measured[:2, None] - last[:2, :, None]).transpose(1, 2, 0)
        velocity = self._states[motion.RATE, :2].T
        # The direction of somebody who hardly moves is noise; a height per second is a brisk walk.
        pace = np.minimum(np.linalg.norm(velocity, axis=1) / np.maximum(last[3], 1.0), 1.0)
        agreement = pace[:, None] * direction_likeness(velocity, step)
        strong = scores >= self.high
        owner = np.full(len(boxes), NOBODY)

        gated = np.where(overlap > self.similarity, overlap + self.momentum * (agreement + 1), 0.0)
        everyone = np.ones(len(tracks), dtype=bool)
        pair(owner, everyone, strong, gated, 0.0)
        pair(owner, everyone, (scores >= self.low) & ~strong, overlap, self.similarity)
        pair(owner, everyone, strong, iou(tracks["box"], boxes), self.similarity)

        matched = (owner >= 0).nonzero()[0]
        self._re_update(owner[matched], measured[:, matched])
        self._settle(owner, measured, strong)
        held = owner >= 0
        self._tracks["box"][owner[held]] = boxes[held]
        return owner

    def _re_update(self, rows: np.ndarray, measured: np.ndarray) -> None:
        """Where somebody comes back, replace the drifted prediction by a straight line between observations."""
        back = self._tracks["seen"][rows] < self._previous
        rows, now = rows[back], measured[:, back]
        if len(rows):
            gap = self._clock - self._tracks["seen"][rows]
            before = motion.to_centre(self._tracks["box"][rows])
            states = motion.start(now, self.noise)
            states[motion.RATE] = (now - before) / gap
            states[motion.RATE_VAR] = 2 * states[motion.VAR] / gap**2
            self._states[:, :, rows] = states
