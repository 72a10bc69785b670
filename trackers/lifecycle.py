"""What every algorithm here shares: clean input, a clock in seconds, ids, the table of tracks and their ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from trackers import motion

if TYPE_CHECKING:
    import supervision as sv

FIELDS: list[tuple[Any, ...]] = [
    ("id", np.int64),
    ("seen", np.float64),
    ("born", np.float64),
    ("hits", np.int64),
    ("score", np.float64),
    ("box", np.float64, 4),
    ("state", np.float64, (5, 4)),
]
"""One row a track. id: 0 until the track is confirmed; seen, born: seconds on the tracker's own clock;
hits: detections so far; score: of the last one; box: the last measured x1 y1 x2 y2; state: see `motion`."""


class ArrayTracker:
    """A table of tracks that an algorithm advances by overriding `_step`.

    Time only moves forward here: a timestamp earlier than the last one counts as no time passed, unless it
    lies more than `lost_seconds` back, which, like a gap of that length, ends every track.
    Boxes that are not finite or have no area are never tracked.
    """

    fields = FIELDS

    def __init__(self, lost_seconds: float, noise: motion.Noise) -> None:
        if not lost_seconds > 0:
            raise ValueError(f"lost_seconds is {lost_seconds}; it must be more than 0")
        self.lost_seconds = lost_seconds
        self.noise = noise
        self.ended: list[int] = []
        self._dtype = np.dtype(self.fields)
        self._tracks = np.zeros(0, self._dtype)
        self._last_id = 0
        self._clock = 0.0
        self._timestamp: float | None = None

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        self.ended = self._ids_of(self._tracks)
        self._tracks = self._tracks[:0]
        self._timestamp = None

    def update(
        self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None
    ) -> sv.Detections:
        """Advance to `timestamp` and return the confirmed, visible people; see `Tracker.update`."""
        self.ended = []
        dt = self._advance(timestamp)
        rows, boxes, scores = usable(detections)
        ids = self._step(boxes, scores, dt, frame)
        return labelled(detections, rows, ids)

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        """Ids (N,) of the boxes (N, 4) with scores (N,), `dt` seconds after the last step; 0: nobody's."""
        raise NotImplementedError

    def _advance(self, timestamp: float) -> float:
        """Move the clock; seconds since the last update."""
        if not math.isfinite(timestamp):
            raise ValueError(f"timestamp is {timestamp}; it must be a finite number of seconds")
        dt = 0.0 if self._timestamp is None else timestamp - self._timestamp
        self._timestamp = timestamp
        if abs(dt) > self.lost_seconds:
            self._keep(np.zeros(len(self._tracks), dtype=bool))
        dt = max(dt, 0.0)
        self._clock += dt
        return dt

    def _keep(self, kept: np.ndarray) -> None:
        """Drop the tracks where `kept` (T,) is False; the ids among them have ended."""
        if not kept.all():
            self.ended += self._ids_of(self._tracks[~kept])
            self._tracks = self._tracks[kept]

    def _forget_lost(self) -> None:
        """End the tracks that have been out of sight for longer than `lost_seconds`."""
        self._keep(self._tracks["seen"] >= self._clock - self.lost_seconds)

    def _start(self, boxes: np.ndarray, scores: np.ndarray, confirmed: bool) -> np.ndarray:
        """Append a track for each box; its row numbers."""
        new = np.zeros(len(boxes), self._dtype)
        new["seen"] = new["born"] = self._clock
        new["hits"] = 1
        new["score"] = scores
        new["box"] = boxes
        new["state"] = motion.start(motion.to_centre(boxes), self.noise)
        first = len(self._tracks)
        self._tracks = np.concatenate([self._tracks, new])
        rows = np.arange(first, first + len(boxes))
        if confirmed:
            self._confirm(rows)
        return rows

    def _confirm(self, rows: np.ndarray) -> None:
        """Give the tracks at `rows` their ids."""
        if len(rows):
            self._tracks["id"][rows] = np.arange(self._last_id + 1, self._last_id + 1 + len(rows))
            self._last_id += len(rows)

    @staticmethod
    def _ids_of(tracks: np.ndarray) -> list[int]:
        ids = tracks["id"]
        found: list[int] = ids[ids > 0].tolist()
        return found


def usable(detections: sv.Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (N,), boxes (N, 4) float64 and scores (N,) of the detections with finite boxes that have an area.

    They are sorted by their values, so that the order in which a detector lists people changes nothing.
    A detection without a score counts as certain.
    """
    boxes = np.asarray(detections.xyxy, dtype=np.float64).reshape(-1, 4)
    given = detections.confidence
    scores = np.ones(len(boxes)) if given is None else np.asarray(given, dtype=np.float64)
    good = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(boxes.sum(axis=1) + scores)
    order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], scores))
    if not good.all():
        order = order[good[order]]
    return order, boxes[order], scores[order]


def labelled(detections: sv.Detections, rows: np.ndarray, ids: np.ndarray) -> sv.Detections:
    """The rows of `detections` that have an id, in their own order, with `tracker_id`.

    rows: (N,) where each id of `ids` (N,) belongs; ids of 0 are left out.
    """
    tracker_id = np.zeros(len(detections.xyxy), dtype=int)
    tracker_id[rows] = ids
    shown = tracker_id.nonzero()[0]
    seen: sv.Detections = detections[shown]
    seen.tracker_id = tracker_id[shown]
    return seen
