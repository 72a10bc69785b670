"""What is believed of each person: evidence over time, and labels that change only for a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.recognition import Reading
from pipeline.types import Label

if TYPE_CHECKING:
    from par_model.schema import Group, Schema

PRIOR_MASS = 0.15
"""Weight, in readings, of knowing nothing: one poor look does not make a label."""
STALE_HALF_LIVES = 5.0
"""A group nobody has read for so many half-lives is unknown again; for what somebody does that is 10 s, as a machine
under load reads people 6.4 s apart at best, and labels that went in between would blink."""
_EPS = 1e-4


@dataclass(slots=True)
class _Belief:
    """evidence: per group, the sum of weighted log-odds of its labels; mass: per group, the sum of weights."""

    time: float
    evidence: list[np.ndarray]
    mass: np.ndarray
    shown: list[int | None]
    labels: dict[str, Label] = field(default_factory=dict)


class AttributeState:
    """Evidence about every person of one camera.

    A reading adds its log-odds, weighted by the quality of its crops and by how many of them are new; older
    evidence fades with the group's half-life in seconds. The belief is the weighted mean, drawn towards
    indecision while evidence is thin. A shown label gives way only to one that is more probable by `margin`,
    and to none once its own probability falls `margin` below the group's threshold.
    """

    def __init__(self, schema: Schema, margin: float = 0.15) -> None:
        self.schema = schema
        self.margin = margin
        self._half_lives = np.array([group.half_life for group in schema.groups])
        self._centres = [_indecision(group) for group in schema.groups]
        self._beliefs: dict[int, _Belief] = {}

    def update(self, track: int, reading: Reading) -> None:
        """Add a reading of a track; readings of one track may arrive late but are taken in order of arrival."""
        belief = self._beliefs.get(track)
        if belief is None:
            belief = self._beliefs[track] = self._ignorance(reading.time)
        elapsed = max(reading.time - belief.time, 0.0)
        belief.time = max(reading.time, belief.time)
        fade = 0.5 ** (elapsed / self._half_lives)
        weight = reading.quality * reading.fresh
        belief.mass = belief.mass * fade + weight
        probabilities = reading.probabilities[None]
        for i, group in enumerate(self.schema.groups):
            shares = np.clip(self.schema.shares(probabilities, group)[0], _EPS, 1.0)
            log_odds = np.log(shares)
            log_odds -= log_odds.mean()
            belief.evidence[i] = belief.evidence[i] * fade[i] + weight * (log_odds - self._centres[i])
        self._decide(belief)

    def labels(self, track: int, time: float | None = None) -> dict[str, Label]:
        """What is shown of a track, by group; all unknown before the first reading.

        time: seconds; what was read too long ago to hold then is unknown. None: as last believed.
        """
        belief = self._beliefs.get(track)
        if belief is None:
            return {group.name: Label(None, 1.0 / len(group.labels)) for group in self.schema.groups}
        if time is None:
            return dict(belief.labels)
        age = time - belief.time
        stale = age > STALE_HALF_LIVES * self._half_lives
        if not stale.any():
            return dict(belief.labels)
        return {
            name: Label(None, label.probability) if old else label
            for (name, label), old in zip(belief.labels.items(), stale)
        }

    def settled(self, track: int) -> bool:
        """Whether a label is shown for everything that lasts and that the model answers at all."""
        belief = self._beliefs.get(track)
        return belief is not None and all(
            shown is not None
            for group, shown in zip(self.schema.groups, belief.shown)
            if group.dynamics == "static" and group.above < 1.0
        )

    def distribution(self, track: int) -> dict[str, np.ndarray]:
        """Per lasting group the probabilities of its labels, for comparing people; empty before a reading."""
        belief = self._beliefs.get(track)
        if belief is None:
            return {}
        return {
            group.name: self._probabilities(belief, i)
            for i, group in enumerate(self.schema.groups)
            if group.dynamics == "static"
        }

    def merge(self, track: int, into: int) -> None:
        """Give the evidence of `track` to `into`: they are the same person. Unknown tracks are no error."""
        other = self._beliefs.pop(track, None)
        if other is None:
            return
        belief = self._beliefs.setdefault(into, other)
        if belief is other:
            return
        now = max(belief.time, other.time)
        fade, other_fade = (0.5 ** ((now - one.time) / self._half_lives) for one in (belief, other))
        belief.time = now
        belief.mass = belief.mass * fade + other.mass * other_fade
        belief.evidence = [a * f + b * g for a, f, b, g in zip(belief.evidence, fade, other.evidence, other_fade)]
        self._decide(belief)

    def forget(self, track: int) -> None:
        """Drop a track that ended."""
        self._beliefs.pop(track, None)

    def _ignorance(self, time: float) -> _Belief:
        groups = self.schema.groups
        evidence = [np.zeros(len(group.labels)) for group in groups]
        return _Belief(time, evidence, np.zeros(len(groups)), [None] * len(groups))

    def _probabilities(self, belief: _Belief, i: int) -> np.ndarray:
        mean = belief.evidence[i] / (belief.mass[i] + PRIOR_MASS) + self._centres[i]
        odds = np.exp(mean - mean.max())
        share: np.ndarray = odds / odds.sum()
        return share

    def _decide(self, belief: _Belief) -> None:
        labels = {}
        for i, group in enumerate(self.schema.groups):
            shares = self._probabilities(belief, i)
            shown = belief.shown[i] = self._choose(group, shares, belief.shown[i])
            choice = int(shares.argmax()) if shown is None else shown
            value = None if shown is None else group.labels[shown]
            labels[group.name] = Label(value, float(shares[choice]))
        belief.labels = labels

    def _choose(self, group: Group, shares: np.ndarray, shown: int | None) -> int | None:
        strength = group.clearance(shares)
        best = int(strength.argmax())
        if shown is None:
            return best if strength[best] >= 0 else None
        if best != shown and strength[best] >= max(strength[shown] + self.margin, 0.0):
            return best
        return shown if strength[shown] >= -self.margin else None


def _indecision(group: Group) -> np.ndarray:
    """Log-odds of a group's labels at which nothing should be shown, with mean zero."""
    if group.kind == "one-of":
        return np.zeros(len(group.labels))
    middle = float(np.clip(group.middle, _EPS, 1 - _EPS))
    log_odds = np.log([1 - middle, middle])
    centred: np.ndarray = log_odds - log_odds.mean()
    return centred
