"""What every algorithm here shares: clean input, a clock in seconds, ids, and the table of tracks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from trackers import motion
from trackers.association import assign, iou

if TYPE_CHECKING:
    import supervision as sv

FIELDS: list[tuple[Any, ...]] = [
    ("id", np.int64),
    ("seen", np.float64),
    ("born", np.float64),
    ("hits", np.int64),
    ("box", np.float64, 4),
    ("state", np.float64, (5, 4)),
]
"""One row a track. id: 0 until the track is confirmed; seen, born: seconds on the tracker's own clock;
hits: detections so far; box: the last measured x1 y1 x2 y2; state: see `motion`."""

NOBODY = -1


class ArrayTracker:
    """A table of tracks that an algorithm advances by overriding `_step`.

    Time only moves forward here: a timestamp earlier than the last one counts as no time passed, unless it
    lies more than `lost_seconds` back, which, like a gap of that length, ends every track.
    Boxes that are not finite or have no area are never tracked.

    boxes: "measured" returns the detector's boxes, "filtered" the motion filter's, which shake less and lie
    closer to the person where the detector is noisy.
    """

    fields: ClassVar[list[tuple[Any, ...]]] = FIELDS

    def __init__(self, lost_seconds: float, noise: motion.Noise, boxes: str = "measured") -> None:
        if not 0 < lost_seconds < math.inf:
            raise ValueError(f"lost_seconds is {lost_seconds}; it must be a number of seconds above 0")
        if boxes not in ("measured", "filtered"):
            raise ValueError(f"boxes is '{boxes}'; choose measured or filtered")
        self.lost_seconds = lost_seconds
        self.noise = noise
        self.boxes = boxes
        self.ended: list[int] = []
        self._dtype = np.dtype(self.fields)
        self._tracks = np.zeros(0, self._dtype)
        self._last_id = 0
        self._clock = 0.0
        self._timestamp: float | None = None

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        self.ended = shown_ids(self._tracks)
        self._tracks = self._tracks[:0]
        self._timestamp = None

    def update(self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None) -> sv.Detections:
        """Advance to `timestamp` and return the confirmed, visible people; see `Tracker.update`."""
        self.ended = []
        dt = self._advance(timestamp)
        rows, boxes, scores = usable(detections)
        owner = self._step(boxes, scores, dt, frame)
        ids = np.zeros(len(boxes), dtype=np.int64)
        held = owner >= 0
        ids[held] = self._tracks["id"][owner[held]]
        if self.boxes == "filtered":
            boxes[held] = motion.to_corners(self._tracks["state"][owner[held], motion.VALUE])
        self._retire()
        return labelled(detections, rows, ids, boxes if self.boxes == "filtered" else None)

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        """The row of the track (N,) that each box (N, 4) with its score (N,) now belongs to, or NOBODY.

        Called `dt` seconds after the last one; tracks may be appended, and go only in `_retire`.
        """
        raise NotImplementedError

    def _retire(self) -> None:
        """End tracks out of sight for longer than `lost_seconds`, and unconfirmed ones missed once."""
        seen = self._tracks["seen"]
        in_sight = seen == self._clock
        if not in_sight.all():
            remembered = (self._tracks["id"] > 0) & (seen >= self._clock - self.lost_seconds)
            self._keep(in_sight | remembered)

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
            self.ended += shown_ids(self._tracks[~kept])
            self._tracks = self._tracks[kept]

    def _start(self, boxes: np.ndarray, confirmed: bool) -> np.ndarray:
        """Append a track for each box; its row numbers."""
        first = len(self._tracks)
        rows = np.arange(first, first + len(boxes))
        if len(boxes):
            new = np.zeros(len(boxes), self._dtype)
            new["seen"] = new["born"] = self._clock
            new["hits"] = 1
            new["box"] = boxes
            new["state"] = motion.start(motion.to_centre(boxes), self.noise)
            self._tracks = np.concatenate([self._tracks, new])
            if confirmed:
                self._confirm(rows)
        return rows

    def _see(self, rows: np.ndarray, boxes: np.ndarray, spread: np.ndarray | float = 1.0) -> None:
        """Correct the tracks at `rows` by their detections; confirm those seen for the second time."""
        if not len(rows):
            return
        tracks = self._tracks
        tracks["state"][rows] = motion.correct(tracks["state"][rows], motion.to_centre(boxes), self.noise, spread)
        tracks["box"][rows] = boxes
        tracks["hits"][rows] += 1
        tracks["seen"][rows] = self._clock
        new = rows[tracks["id"][rows] == 0]
        if len(new):
            self._confirm(np.sort(new))

    def _confirm(self, rows: np.ndarray) -> None:
        """Give the tracks at `rows` their ids."""
        self._tracks["id"][rows] = np.arange(self._last_id + 1, self._last_id + 1 + len(rows))
        self._last_id += len(rows)


def pair(owner: np.ndarray, tracks: np.ndarray, detections: np.ndarray, similarity: np.ndarray, minimum: float) -> None:
    """One stage of association: pair the masked tracks (T,) and detections (N,), writing rows into `owner` (N,).

    similarity: (T, N); pairs at or below `minimum` stay apart.
    """
    rows, columns = tracks.nonzero()[0], detections.nonzero()[0]
    if len(rows) and len(columns):
        a, b = assign(similarity[rows[:, None], columns], minimum)
        owner[columns[b]] = rows[a]


def duplicates(tracks: np.ndarray, in_sight: np.ndarray, overlap: float) -> np.ndarray:
    """Which tracks (T,) are a second track of somebody: one in sight, one lost, IoU above `overlap`.

    The one with fewer detections goes.
    """
    gone = np.zeros(len(tracks), dtype=bool)
    lost, seen = (~in_sight).nonzero()[0], in_sight.nonzero()[0]
    if len(lost) and len(seen):
        boxes = motion.to_corners(tracks["state"][:, motion.VALUE])
        a, b = (iou(boxes[lost], boxes[seen]) > overlap).nonzero()
        lost_is_older = tracks["hits"][lost[a]] > tracks["hits"][seen[b]]
        gone[np.where(lost_is_older, seen[b], lost[a])] = True
    return gone


def shown_ids(tracks: np.ndarray) -> list[int]:
    """The ids of the tracks that have one."""
    ids = tracks["id"]
    found: list[int] = ids[ids > 0].tolist()
    return found


def usable(detections: sv.Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (N,), boxes (N, 4) float64 and scores (N,) of the detections with finite boxes that have an area.

    They are sorted by their values, so that the order in which a detector lists people changes nothing.
    A detection without a score counts as certain, as does one whose score exceeds 1.
    """
    boxes = np.asarray(detections.xyxy, dtype=np.float64).reshape(-1, 4)
    given = detections.confidence
    scores = np.ones(len(boxes)) if given is None else np.asarray(given, dtype=np.float64)
    x1, y1, x2, y2 = boxes.T
    good = (x2 > x1) & (y2 > y1) & np.isfinite(scores)
    finite = np.isfinite(boxes)
    if not finite.all():
        good &= finite.all(axis=1)
    order = np.lexsort((y2, x2, y1, x1, scores))
    if not good.all():
        order = order[good[order]]
    return order, boxes[order], np.minimum(scores[order], 1.0)


def labelled(
    detections: sv.Detections, rows: np.ndarray, ids: np.ndarray, boxes: np.ndarray | None = None
) -> sv.Detections:
    """The rows of `detections` that have an id, in their own order, with `tracker_id`.

    rows: (N,) where each id of `ids` (N,) belongs; ids of 0 are left out.
    boxes: (N, 4) x1 y1 x2 y2 to show instead of the measured ones.
    """
    order = rows.argsort()
    order = order[ids[order] > 0]
    seen = cast("sv.Detections", detections[rows[order]])
    seen.tracker_id = ids[order]
    if boxes is not None:
        seen.xyxy = boxes[order].astype(np.float32)
    return seen
