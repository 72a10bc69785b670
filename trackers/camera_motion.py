"""How the camera itself moved between two frames: from the pictures, or from the people alone."""

from __future__ import annotations

import numpy as np

from trackers import motion

WORKING_WIDTH = 480
"""Pixels to which pictures are scaled down; flow over a few hundred corners then takes milliseconds."""

FEWEST = 4
"""People that must agree before their common motion is taken for the camera's."""


class PictureMotion:
    """Affine motion of the background by sparse optical flow on a small grey picture (as BoT-SORT does)."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._points: np.ndarray | None = None

    def update(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """The 2 x 3 warp from the last frame's pixels to those of `frame` (H, W, 3) BGR uint8.

        boxes: (N, 4) people, x1 y1 x2 y2, whose own motion is left out.
        The identity for a first frame, one of another size, or where too little can be followed.
        """
        import cv2

        scale = min(1.0, WORKING_WIDTH / frame.shape[1])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        background = np.full(grey.shape, 255, dtype=np.uint8)
        for x1, y1, x2, y2 in np.clip(boxes * scale, 0, max(grey.shape)).astype(int):
            background[y1:y2, x1:x2] = 0
        warp = np.eye(2, 3)
        if self._last is not None and self._last.shape == grey.shape and self._points is not None:
            moved, found, _ = cv2.calcOpticalFlowPyrLK(self._last, grey, self._points, None)  # type: ignore[call-overload]
            kept = found.ravel() == 1
            if kept.sum() >= 8:
                fitted, _ = cv2.estimateAffinePartial2D(self._points[kept], moved[kept])
                if fitted is not None:
                    warp = fitted
                    warp[:, 2] /= scale
        self._last = grey
        self._points = cv2.goodFeaturesToTrack(grey, 400, 0.01, 5, mask=background)
        return warp


def crowd_shift(predicted: np.ndarray, measured: np.ndarray, reach: float = 0.5) -> np.ndarray:
    """How far the picture moved, judged by people alone: (2,) pixels in x and y.

    Where most people appear displaced from their predictions by the same step, it was the camera that moved.
    predicted: (4, T) where the people in sight a moment ago should be; measured: (4, N) where people are;
    both as centre x, centre y, width, height. reach: farthest step, in box heights.
    Each component is the median step of mutually nearest pairs, and 0 unless it exceeds their spread.
    """
    still = np.zeros(2)
    if min(predicted.shape[1], measured.shape[1]) < FEWEST:
        return still
    step_x, step_y = step = measured[:2, None] - predicted[:2, :, None]
    tall, now_tall = predicted[3, :, None], measured[3]
    low = np.minimum(tall, now_tall)
    # People keep their height between two frames; a neighbour rarely has the same.
    same = low >= 0.8 * np.maximum(tall, now_tall)
    distance = np.where(same, (step_x * step_x + step_y * step_y) / (low * low), np.inf)
    nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
    rows = np.arange(len(nearest))
    mutual = (back[nearest] == rows) & (distance[rows, nearest] <= reach * reach)
    steps = step[:, rows[mutual], nearest[mutual]]
    if steps.shape[1] < FEWEST:
        return still
    common = motion.median(steps)
    spread = motion.median(np.abs(steps - common[:, None]))
    return np.where(np.abs(common) > spread, common, 0.0)
