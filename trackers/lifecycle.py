"""What every algorithm here shares: clean input, a clock in seconds, ids, and the table of tracks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from trackers import motion
from trackers.association import assign, iou

if TYPE_CHECKING:
    import supervision as sv

FIELDS: list[tuple[Any, ...]] = [
    ("id", np.int64),
    ("born", np.float64),
    ("seen", np.float64),
    ("hits", np.int64),
]
"""One row a track. id: 0 until the track is confirmed; born, seen: when first and last, in seconds on the tracker's own
clock; hits: detections so far."""

NOBODY = -1


class ArrayTracker:
    """Tracks that an algorithm advances by overriding `_step`: a table of facts (T,), and states (5, 4, T).

    Time only moves forward here: a timestamp earlier than the last one counts as no time passed, unless it
    lies more than `lost_seconds` back, which, like a gap of that length, ends every track. Whoever is there at the
    first update, or at the first one after such a gap, needs no second sight to be confirmed.
    Boxes that are not finite or have no area are never tracked.

    boxes: "measured" returns the detector's boxes, "filtered" the motion filter's, which shake less and lie
    closer to the person where the detector is noisy.
    duplicate: IoU above which a lost track and one in sight are the same person; 1 keeps both.
    """

    fields: ClassVar[list[tuple[Any, ...]]] = FIELDS

    def __init__(self, lost_seconds: float, boxes: str = "measured", duplicate: float = 1.0) -> None:
        if not 0 < lost_seconds < math.inf:
            raise ValueError(f"lost_seconds is {lost_seconds}; it must be a number of seconds above 0")
        if boxes not in ("measured", "filtered"):
            raise ValueError(f"boxes is '{boxes}'; choose measured or filtered")
        self.lost_seconds = lost_seconds
        self.noise = motion.Noise()
        self.boxes = boxes
        self.duplicate = duplicate
        self.ended: list[int] = []
        self.merged: dict[int, int] = {}
        self._dtype = np.dtype(self.fields)
        self._tracks = np.zeros(0, self._dtype)
        self._states = np.zeros((5, 4, 0))
        self._last_id = 0
        self._clock = self._previous = 0.0
        self._timestamp: float | None = None
        self._opening = True

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        self.ended, self.merged = [], {}
        self._keep(np.zeros(len(self._tracks), dtype=bool))
        self._timestamp = None

    def update(self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None) -> sv.Detections:
        """Advance to `timestamp` and return the confirmed, visible people; see `Tracker.update`."""
        self.ended, self.merged = [], {}
        dt = self._advance(timestamp)
        rows, boxes, scores = usable(detections)
        owner = self._step(boxes, scores, dt, frame)
        held = (owner >= 0).nonzero()[0]
        rows, owner = rows[held], owner[held]
        kept = self._survivors(owner)
        ids = self._tracks["id"][owner]
        filtered = motion.to_corners(self._states[motion.VALUE][:, owner]) if self.boxes == "filtered" else None
        self._keep(kept)
        return labelled(detections, rows, ids, filtered)

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        """The row of the track (N,) that each box (N, 4) with its score (N,) now belongs to, or NOBODY.

        Called `dt` seconds after the last one; tracks may be appended, and go only when the step is over.
        """
        raise NotImplementedError

    def _survivors(self, owner: np.ndarray) -> np.ndarray:
        """Which tracks (T,) go on.

        Those end that are out of sight for longer than `lost_seconds`, unconfirmed ones missed once, and of two tracks
        of one person the one with fewer detections, whose place in `owner` (N,) the other takes. Tracks that were in
        sight together may be two boxes of one person or two people of whom one hides the other: the lost one ends
        where it has fewer detections, but never takes the place of the other.
        """
        ids, born, seen, hits = (self._tracks[field] for field in ("id", "born", "seen", "hits"))
        in_sight = seen == self._clock
        lost = ~in_sight & (self._tracks["id"] > 0) & (seen >= self._clock - self.lost_seconds)
        kept: np.ndarray = in_sight | lost
        if self.duplicate < 1 and lost.any():
            for old, new in self._duplicates(lost.nonzero()[0], in_sight.nonzero()[0]):
                if seen[old] == self._clock or not (kept[old] and kept[new]):  # taken over, or ended, just now
                    continue
                in_turn = born[new] > seen[old]
                gone, stays = (old, new) if hits[old] <= hits[new] else (new, old)
                if gone == new and not in_turn:
                    continue
                kept[gone] = False
                if in_turn and ids[new] > 0:
                    self.merged[int(ids[gone])] = int(ids[stays])
                if gone == new:
                    identity = ids[old], born[old], hits[old] + hits[new]
                    self._tracks[old], self._states[:, :, old] = self._tracks[new], self._states[:, :, new]
                    ids[old], born[old], hits[old] = identity
                    owner[owner == new] = old
        return kept

    def _duplicates(self, lost: np.ndarray, in_sight: np.ndarray) -> Iterator[tuple[int, int]]:
        """Pairs of rows, of those lost and those in sight, that are two tracks of one person."""
        value = self._states[motion.VALUE]
        apart = np.abs(value[:2, lost, None] - value[:2, None, in_sight])
        # Boxes that overlap so much have centres this close: hardly any pair needs the whole sum.
        close_x, close_y = apart < (1 / self.duplicate - 1) * value[2:, lost, None]
        a, b = (close_x & close_y).nonzero()
        lost, in_sight = lost[a], in_sight[b]
        if len(lost):
            boxes = motion.to_corners(value)
            same = iou(boxes[lost], boxes[in_sight]).diagonal() > self.duplicate
            lost, in_sight = lost[same], in_sight[same]
        return zip(lost.tolist(), in_sight.tolist())

    def _advance(self, timestamp: float) -> float:
        """Move the clock on from `_previous`, when the last update was; seconds since then."""
        if not math.isfinite(timestamp):
            raise ValueError(f"timestamp is {timestamp}; it must be a finite number of seconds")
        dt = 0.0 if self._timestamp is None else timestamp - self._timestamp
        self._opening = self._timestamp is None or abs(dt) > self.lost_seconds
        self._timestamp = timestamp
        if self._opening:
            self._keep(np.zeros(len(self._tracks), dtype=bool))
        dt = max(dt, 0.0)
        self._previous = self._clock
        self._clock += dt
        return dt

    def _keep(self, kept: np.ndarray) -> None:
        """Drop the tracks where `kept` (T,) is False; the ids among them have ended."""
        if not kept.all():
            self.ended += shown_ids(self._tracks[~kept])
            self._tracks = self._tracks[kept]
            self._states = self._states[:, :, kept]

    def _settle(
        self, owner: np.ndarray, measured: np.ndarray, newcomers: np.ndarray, spread: np.ndarray | None = None
    ) -> np.ndarray:
        """Correct the tracks that own a detection and start one for each masked newcomer (N,) without an owner.

        measured: (4, N) as centre, width, height; spread: (N,) how much noisier than usual each is. Returns the
        newcomers' columns, whose rows stand in `owner` (N,) from now on.
        """
        held, born = (owner >= 0).nonzero()[0], (newcomers & (owner < 0)).nonzero()[0]
        self._see(owner[held], measured[:, held], 1.0 if spread is None else spread[held])
        owner[born] = self._start(measured[:, born])
        return born

    def _start(self, measured: np.ndarray) -> np.ndarray:
        """Append a track for each box, `measured` (4, N) as centre, width, height; its row numbers."""
        first, count = len(self._tracks), measured.shape[1]
        rows = np.arange(first, first + count)
        if count:
            new = np.zeros(count, self._dtype)
            new["born"] = new["seen"] = self._clock
            new["hits"] = 1
            self._tracks = np.concatenate([self._tracks, new])
            self._states = np.concatenate([self._states, motion.start(measured, self.noise)], axis=2)
            if self._opening:
                self._confirm(rows)
        return rows

    def _see(self, rows: np.ndarray, measured: np.ndarray, spread: np.ndarray | float = 1.0) -> None:
        """Correct the tracks at `rows` by their detections (4, N); confirm those seen for the second time."""
        if not len(rows):
            return
        tracks, states = self._tracks, self._states.take(rows, axis=2)
        motion.correct(states, measured, self.noise, spread)
        self._states[:, :, rows] = states
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

    Whoever is paired already is left out. similarity: (T, N); pairs at or below `minimum` stay apart.
    """
    free = tracks.copy()
    free[owner[owner >= 0]] = False
    rows, columns = free.nonzero()[0], (detections & (owner < 0)).nonzero()[0]
    if len(rows) and len(columns):
        a, b = assign(similarity[rows[:, None], columns], minimum)
        owner[columns[b]] = rows[a]


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
    table = np.ones((5, len(detections.xyxy)))
    table[:4] = detections.xyxy.T
    if detections.confidence is not None:
        table[4] = detections.confidence
    x1, y1, x2, y2, scores = table
    order = np.lexsort((y2, x2, y1, x1, scores))
    good = np.isfinite(table).all(axis=0) & (x2 > x1) & (y2 > y1)
    if not good.all():
        order = order[good[order]]
    table = table.take(order, axis=1)
    return order, table[:4].T, np.minimum(table[4], 1.0)


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
