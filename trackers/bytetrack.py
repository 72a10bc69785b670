"""ByteTrack: every detection box is associated, the strong ones first (Zhang et al., ECCV 2022)."""

from __future__ import annotations

import numpy as np

from trackers import motion
from trackers.association import assign, iou
from trackers.lifecycle import ArrayTracker


class ByteTrack(ArrayTracker):
    """Two-stage association by IoU of predicted boxes.

    high, low: detections at or above `high` are associated first, those between `low` and `high` only with
    tracks that were in sight a moment ago; new: score that starts a track.
    similarity, low_similarity, new_similarity: least IoU (times score in the first and last stage) for a pair
    with a strong detection, with a weak one, and for the second sight of someone new.
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
    ) -> None:
        super().__init__(lost_seconds, motion.Noise())
        self.high, self.low, self.new = high, low, new
        self.similarity, self.low_similarity, self.new_similarity = similarity, low_similarity, new_similarity
        self.duplicate = duplicate
        self._in_sight = 0.0

    def _step(self, boxes: np.ndarray, scores: np.ndarray, dt: float, frame: np.ndarray | None) -> np.ndarray:
        tracks = self._tracks
        before = self._clock - dt
        first = not len(tracks)
        motion.predict(tracks["state"], dt, self.noise)
        overlap = iou(motion.to_corners(tracks["state"][:, motion.VALUE]), boxes)
        fused = overlap * scores
        strong = scores >= self.high
        known = tracks["id"] > 0
        owner = np.full(len(boxes), -1)

        self._pair(owner, known, strong, fused, self.similarity)
        recent = known & (tracks["seen"] >= before)
        recent[owner[owner >= 0]] = False
        self._pair(owner, recent, (scores >= self.low) & ~strong, overlap, self.low_similarity)
        self._pair(owner, ~known, strong & (owner < 0), fused, self.new_similarity)

        matched = (owner >= 0).nonzero()[0]
        self._see(owner[matched], boxes[matched], scores[matched])
        self._confirm(np.sort(owner[matched][tracks["id"][owner[matched]] == 0]))
        born = ((owner < 0) & (scores >= max(self.new, self.high))).nonzero()[0]
        owner[born] = self._start(boxes[born], scores[born], confirmed=first)
        ids = np.where(owner >= 0, self._tracks["id"][owner], 0) if len(self._tracks) else owner * 0

        tracks = self._tracks
        now = tracks["seen"] == self._clock
        kept = now | ((tracks["id"] > 0) & (tracks["seen"] >= self._clock - self.lost_seconds))
        self._keep(kept & ~self._duplicates(now))
        return ids

    @staticmethod
    def _pair(
        owner: np.ndarray, tracks: np.ndarray, detections: np.ndarray, similarity: np.ndarray, minimum: float
    ) -> None:
        """Pair the masked tracks (T,) and detections (N,), writing track rows into `owner` (N,)."""
        rows, columns = tracks.nonzero()[0], detections.nonzero()[0]
        if len(rows) and len(columns):
            a, b = assign(similarity[np.ix_(rows, columns)], minimum)
            owner[columns[b]] = rows[a]

    def _see(self, rows: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Correct the tracks at `rows` by their detections."""
        tracks = self._tracks
        tracks["state"][rows] = motion.correct(tracks["state"][rows], motion.to_centre(boxes), self.noise)
        tracks["box"][rows] = boxes
        tracks["score"][rows] = scores
        tracks["hits"][rows] += 1
        tracks["seen"][rows] = self._clock

    def _duplicates(self, now: np.ndarray) -> np.ndarray:
        """Lost tracks (T,) that lie on somebody in sight, or the other way round where the lost one is older."""
        tracks = self._tracks
        gone = np.zeros(len(tracks), dtype=bool)
        lost = (~now).nonzero()[0]
        if len(lost):
            seen = now.nonzero()[0]
            corners = motion.to_corners(tracks["state"][:, motion.VALUE])
            a, b = (iou(corners[lost], corners[seen]) > self.duplicate).nonzero()
            lost_is_older = tracks["hits"][lost[a]] > tracks["hits"][seen[b]]
            gone[np.where(lost_is_older, seen[b], lost[a])] = True
        return gone
