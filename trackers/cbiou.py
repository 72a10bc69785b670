"""C-BIoU: matching in two rounds with boxes grown a little, then more (Yang et al., WACV 2023)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from trackers import motion
from trackers.association import buffered_iou
from trackers.lifecycle import FIELDS, NOBODY, ArrayTracker, pair

TRAIL = 5
"""Observations whose mean step is the velocity; the paper's motion model."""


class CBIoU(ArrayTracker):
    """Buffered IoU around boxes carried on by the mean of the last few steps, without a filter.

    high: score of the detections that count; small, large: growth of a side in the first and the second
    round, as a fraction of width and height; similarity: least buffered IoU of a pair.
    """

    fields: ClassVar[list[tuple[Any, ...]]] = [*FIELDS, ("trail", np.float64, (TRAIL, 4)), ("times", np.float64, TRAIL)]

    def __init__(
        self,
        lost_seconds: float = 1.0,
        high: float = 0.25,
        small: float = 0.3,
        large: float = 0.5,
        similarity: float = 0.1,
    ) -> None:
        super().__init__(lost_seconds)
        self.high, self.small, self.large, self.similarity = high, small, large, similarity

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        tracks, measured = self._tracks, motion.to_centre(boxes)
        trail, times = tracks["trail"], tracks["times"]
        span = np.maximum(times[:, 0] - times[:, -1], 1e-9)[:, None]
        velocity = (trail[:, 0] - trail[:, -1]) / span
        predicted = trail[:, 0] + velocity * (self._clock - tracks["seen"])[:, None]
        # A box that shrank for a while must not turn inside out.
        predicted[:, 2:] = np.maximum(predicted[:, 2:], predicted[:, :2] + 1)
        strong = scores >= self.high
        owner = np.full(len(boxes), NOBODY)
        everyone = np.ones(len(tracks), dtype=bool)
        for buffer in (self.small, self.large):
            pair(owner, everyone, strong, buffered_iou(predicted, boxes, buffer), self.similarity)

        matched = (owner >= 0).nonzero()[0]
        born = self._settle(owner, measured, strong)
        self._remember(owner[matched], boxes[matched])
        self._tracks["trail"][owner[born]] = boxes[born][:, None]
        self._tracks["times"][owner[born]] = self._clock
        return owner

    def _remember(self, rows: np.ndarray, boxes: np.ndarray) -> None:
        """Push the newest observation of the tracks at `rows` onto their trails."""
        trail, times = self._tracks["trail"], self._tracks["times"]
        trail[rows, 1:] = trail[rows, :-1]
        times[rows, 1:] = times[rows, :-1]
        trail[rows, 0] = boxes
        times[rows, 0] = self._clock
