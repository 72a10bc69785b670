"""A second chance by appearance: people who left and came back under a new track keep their display id."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

Belief = Mapping[str, np.ndarray]
"""For each attribute group the probabilities (K,) of its values; one number for a yes-or-no group."""

UNLIKELY = -1.0
"""Agreement of two beliefs below which they are not of one person."""

EVERYBODY = 2.0
"""People of every kind that a gallery has seen before it has seen any: how slowly it learns which are common."""

TALLER = 1.5
"""Most that a person's height in pixels changes between leaving and coming back."""

PATIENCE = 4.0
"""Seconds after which a new track is taken for somebody new for good."""

STRANGERS = 512
"""Pairs of people seen together whose likeness is remembered: how alike different people look here."""

FEWEST_STRANGERS = 20
"""Of these, as many must have been seen before they move the threshold."""

FEATURES_LEAST = 0.7
"""`least` for a recogniser's features, in which strangers look far less alike than in counted colours."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Somebody out of sight. box: the last one, x1 y1 x2 y2; velocity: pixels per second in x and y."""

    display: int
    time: float
    box: np.ndarray
    velocity: np.ndarray
    appearance: np.ndarray
    belief: Belief


class Gallery:
    """People of one camera who went missing, and the question whether a new track is one of them.

    seconds: how long somebody may be out of sight; size: how many are remembered at most, the longest gone forgotten
    first.
    likeness: cosine that two appearances must reach until strangers have been seen together; from then on it is what
    those hardly reach, but never below `least` (`likeness` where it is None).
    ratio: the candidate's distance in appearance (1 - cosine) over that of anybody else known, at most.
    speed: fastest that people walk unseen, in box heights per second.
    """

    def __init__(
        self,
        seconds: float = 10.0,
        size: int = 100,
        likeness: float = 0.9,
        least: float | None = None,
        ratio: float = 0.5,
        speed: float = 1.0,
    ) -> None:
        self.seconds, self.size = seconds, size
        self.likeness, self.ratio, self.speed = likeness, ratio, speed
        self.least = likeness if least is None else least
        self._missing: OrderedDict[int, Missing] = OrderedDict()
        self._strangers: deque[float] = deque(maxlen=STRANGERS)
        self._common: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._missing)

    def lost(
        self,
        display: int,
        time: float,
        box: np.ndarray,
        appearance: np.ndarray | None,
        belief: Belief | None = None,
        velocity: np.ndarray | None = None,
    ) -> None:
        """Remember the person with this display id, whose track ended; time: when they were last seen.

        Nobody without an appearance is kept.
        """
        if appearance is None:
            return
        for group, probabilities in (belief or {}).items():
            values = _values(probabilities)
            self._common[group] = self._common.get(group, np.full(len(values), EVERYBODY / len(values))) + values
        still = np.zeros(2) if velocity is None else np.asarray(velocity, dtype=float)
        box = np.asarray(box, dtype=float)
        self._missing[display] = Missing(display, time, box, still, appearance, belief or {})
        while len(self._missing) > self.size:
            self._missing.popitem(last=False)

    def together(self, alike: Iterable[float]) -> None:
        """Learn how alike strangers look: the cosine of each pair of people newly seen in one picture."""
        self._strangers.extend(alike)

    @property
    def threshold(self) -> float:
        """The cosine that an appearance must reach now."""
        if len(self._strangers) < FEWEST_STRANGERS:
            return self.likeness
        return max(self.least, float(np.quantile(self._strangers, 0.98)))

    def match(
        self,
        first_time: float,
        now: float,
        box: np.ndarray,
        appearance: np.ndarray | None,
        belief: Belief | None = None,
        others: np.ndarray | None = None,
    ) -> int | None:
        """The display id of the missing person that a new track continues, None where nobody is sure.

        first_time: when the track was first seen, box: where; appearance and belief: as they are `now`.
        others: unit vectors (N, D) of people who are in the picture at the same time.
        Whoever was last seen after `first_time` is somebody else, as is anyone too far away, too tall or
        short, or whose static attributes disagree. The person found is missing no longer.
        """
        self._forget(now)
        if appearance is None:
            return None
        box = np.asarray(box, dtype=float)
        missing = list(self._missing.values())
        near = [i for i, one in enumerate(missing) if self._reachable(one, first_time, box)]
        if not near:
            return None
        looks = np.stack([one.appearance for one in missing])
        alike = looks @ appearance
        best = max(near, key=lambda i: float(alike[i]))
        found = missing[best]
        if alike[best] < self.threshold or agreement(found.belief, belief or {}, self._common) < UNLIKELY:
            return None
        # Dark clothes look like other dark clothes: both must be more like each other than like anybody else.
        strangers = np.delete(looks, best, axis=0)
        if others is not None and len(others):
            strangers = np.concatenate([strangers, others])
        if len(strangers):
            nearest = float(max((strangers @ appearance).max(), (strangers @ found.appearance).max()))
            if 1 - alike[best] > self.ratio * (1 - nearest):
                return None
        del self._missing[found.display]
        return found.display

    def _forget(self, now: float) -> None:
        """Drop whom no track can continue any more: those that appeared in time have been asked about."""
        gone = [one.display for one in self._missing.values() if now - one.time > self.seconds + PATIENCE]
        for display in gone:
            del self._missing[display]

    def _reachable(self, one: Missing, first_time: float, box: np.ndarray) -> bool:
        """Whether somebody could have walked, unseen, from where they were to `box`."""
        gap = first_time - one.time
        tall, now_tall = one.box[3] - one.box[1], box[3] - box[1]
        if not 0 < gap <= self.seconds or not 1 / TALLER < now_tall / tall < TALLER:
            return False
        height = 0.5 * (tall + now_tall)
        reach = height * (0.5 + self.speed * gap)
        step = feet(box) - feet(one.box)
        # They may have stopped behind something, or walked on as they did.
        return bool(min(np.hypot(*step), np.hypot(*(step - one.velocity * gap))) <= reach)


def feet(box: np.ndarray) -> np.ndarray:
    """The middle of the lower edge of x1 y1 x2 y2."""
    return np.array([(box[0] + box[2]) / 2, box[3]])


def agreement(a: Belief, b: Belief, common: Belief) -> float:
    """How much likelier two beliefs are if they are of one person than of any two: the logarithm of the ratio.

    common: how often each value occurs, in any unit; values of a group that it lacks are equally common. What many
    have in common says little. Groups count as independent; one that a belief lacks says nothing.
    """
    log_ratio = 0.0
    for group in a.keys() & b.keys():
        first, second = _values(a[group]), _values(b[group])
        often = common.get(group, np.ones(len(first)))
        together = float((first * second / often).sum() * often.sum())
        log_ratio += float(np.log(max(together, 1e-3)))
    return log_ratio


def _values(probabilities: np.ndarray) -> np.ndarray:
    """A yes-or-no group as two values."""
    p = np.atleast_1d(np.asarray(probabilities, dtype=float))
    return np.array([1 - p[0], p[0]]) if len(p) == 1 else p


class DisplayIds:
    """Which id people see for a track: its own, or that of the person it turned out to continue."""

    def __init__(self) -> None:
        self._shown: dict[int, int] = {}

    def of(self, track: int) -> int:
        """The id shown for `track`."""
        return self._shown.get(track, track)

    def adopt(self, track: int, display: int) -> None:
        """Show `track` under the display id of somebody who was missing, from now on."""
        self._shown[track] = display

    def forget(self, track: int) -> None:
        """Drop what is known of a track that ended."""
        self._shown.pop(track, None)
