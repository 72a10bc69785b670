"""The people of one camera as a user knows them: tracks joined over absences, fed frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from trackers.appearance import MeanAppearance
from trackers.reattach import PATIENCE, Belief, DisplayIds, Gallery, feet

TOGETHER_EVERY = 1.0
"""Seconds between two lessons on how alike the strangers in one picture look."""


@dataclass(slots=True)
class Known:
    """What is remembered of a track while it lives.

    first, last: (time, box) of its first and latest sight; met: older tracks that were once in sight with it.
    """

    first: tuple[float, np.ndarray]
    last: tuple[float, np.ndarray]
    looks: MeanAppearance = field(default_factory=MeanAppearance)
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    belief: Belief = field(default_factory=dict)
    asked: float = -np.inf
    met: set[int] = field(default_factory=set)


class Identities:
    """Watches tracks come and go, and asks the gallery whether somebody new is somebody missing.

    gallery: None switches re-attachment off; every track then shows its own id.
    wait: seconds a track is looked at before the gallery is asked or takes it in, and between two questions.
    patience: age in seconds at which a track is taken for somebody new for good.
    looks: appearances that must have been seen of both sides; 1 where each is already a mean of several crops.
    """

    def __init__(self, gallery: Gallery | None, wait: float = 1.0, patience: float = PATIENCE, looks: int = 5) -> None:
        self.gallery = gallery
        self.wait, self.patience, self.looks = wait, patience, looks
        self._known: dict[int, Known] = {}
        self._ids = DisplayIds()
        self._lesson = -np.inf

    def display(self, track: int) -> int:
        """The id to show for `track`."""
        return self._ids.of(track)

    def update(
        self,
        time: float,
        tracks: np.ndarray,
        boxes: np.ndarray,
        ended: Iterable[int],
        looks: Mapping[int, np.ndarray],
        beliefs: Mapping[int, Belief] | None = None,
        merged: Mapping[int, int] | None = None,
    ) -> dict[int, int]:
        """Take in one frame: the tracks (M,) with their boxes (M, 4), and the tracks that `ended`.

        looks: new appearances (unit vectors) of people seen before, in the frame or not, by display id; beliefs: their
        static attributes, as they are now. merged: those of `ended` whose people go on under another track.
        Returns the display id of each track that was found to continue somebody just now, so that evidence
        gathered under that id can move over.
        """
        if self.gallery is None:
            return {}
        for track, known in self._known.items():
            person = self._ids.of(track)
            if person in looks:
                known.looks.add(looks[person])
            if beliefs and person in beliefs:
                known.belief = beliefs[person]
        for track, other in (merged or {}).items():
            self._join(track, other)
        for track in ended:
            self._end(track)
        for track, box in zip(tracks.tolist(), np.asarray(boxes, dtype=float)):
            known = self._known.setdefault(track, Known((time, box), (time, box)))
            _move(known, time, box)
        self._learn(time, tracks.tolist())
        found = {}
        for track in tracks.tolist():
            display = self._ask(time, track, tracks.tolist())
            if display is not None:
                self._ids.adopt(track, display)
                found[track] = display
        return found

    def _ask(self, time: float, track: int, present: list[int]) -> int | None:
        """The display id that a track which is new, but seen well enough, takes over."""
        known = self._known[track]
        age = time - known.first[0]
        if (
            self.gallery is None
            or not len(self.gallery)
            or not self.wait <= age <= self.patience
            or time - known.asked < self.wait
            or known.looks.looks < self.looks
            or self._ids.of(track) != track
        ):
            return None
        known.asked = time
        look = known.looks.vector
        others = [self._known[other].looks.vector for other in present if other != track]
        seen = [vector for vector in others if vector is not None]
        crowd = np.stack(seen) if seen else None
        return self.gallery.match(known.first[0], time, known.first[1], look, known.belief, crowd)

    def _join(self, track: int, other: int) -> None:
        """`track` has ended, but its person goes on as `other`: nobody is missing."""
        gone, known = self._known.pop(track, None), self._known.get(other)
        if gone is not None and known is not None:
            known.first = min(gone.first, known.first, key=lambda sight: sight[0])
            known.met |= gone.met

    def _end(self, track: int) -> None:
        known, display = self._known.pop(track, None), self._ids.of(track)
        self._ids.forget(track)
        if self.gallery is None or known is None:
            return
        moment, box = known.last
        if known.looks.looks >= self.looks and moment - known.first[0] >= self.wait:
            self.gallery.lost(display, moment, box, known.looks.vector, known.belief, known.velocity)

    def _learn(self, time: float, tracks: list[int]) -> None:
        """Show the gallery how alike the people are who are in the picture together, each two of them once."""
        if self.gallery is None or 0 <= time - self._lesson < TOGETHER_EVERY:
            return
        self._lesson = time
        seen = {t: self._known[t].looks.vector for t in sorted(tracks) if self._known[t].looks.looks >= self.looks}
        alike = []
        for (older, a), (newer, b) in combinations(seen.items(), 2):
            met = self._known[newer].met
            if older not in met and a is not None and b is not None:
                met.add(older)
                alike.append(float(a @ b))
        self.gallery.together(alike)


def _move(known: Known, time: float, box: np.ndarray) -> None:
    """Note where somebody is now, and their velocity smoothed over about half a second."""
    before, last = known.last
    if time > before:
        share = 1.0 - np.exp(-(time - before) / 0.5)
        known.velocity = known.velocity + share * ((feet(box) - feet(last)) / (time - before) - known.velocity)
    known.last = (time, box)
