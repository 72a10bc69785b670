"""What is given up first when the machine cannot keep up, and when it is taken back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """One step of relief.

    cadence: factor on the seconds between two readings of a person; rest: pause after a recognition round, in
    rounds; stride: one of so many frames is processed; small: whether the detector looks at a smaller picture.
    """

    cadence: float = 1.0
    rest: float = 0.0
    stride: int = 1
    small: bool = False


LEVELS = (
    Load(),
    Load(cadence=2.0, rest=1.0),
    Load(cadence=4.0, rest=3.0),
    Load(cadence=4.0, rest=3.0, stride=2),
    Load(cadence=4.0, rest=3.0, stride=3),
    Load(cadence=4.0, rest=3.0, stride=3, small=True),
)
"""The order: readings get rarer, then frames, then the detector's picture smaller."""
RECOGNITION_LEVELS = 2
"""Up to here relief costs no frames, so a low frame rate alone asks for it too."""
SETTLE_SECONDS = 5.0
TROUBLE_SECONDS = 1.0
"""What passes within this time is no load, such as a burst of lost packets."""
RELIEF_SECONDS = 10.0
LONGEST_RELIEF = 300.0


class LoadShedder:
    """Chooses the level from the delay and the frame rate reached.

    max_delay: seconds from capture to result.
    A level that had to be taken again right after it was left is left more slowly the next time.
    """

    def __init__(self, max_delay: float) -> None:
        self.level = 0
        self._max_delay = max_delay
        self._changed: float | None = None
        self._well_since: float | None = None
        self._ill_since: float | None = None
        self._lowered = float("-inf")
        self._patience = RELIEF_SECONDS

    @property
    def load(self) -> Load:
        return LEVELS[self.level]

    def update(self, now: float, delay: float | None, kept_up: float | None) -> bool:
        """Take a look; True where the level changed.

        now: seconds of a monotonic clock; delay: recent p95 in seconds of the slowest camera; kept_up: least share
        of a camera's frames, up to as many as are enough, that became results. None where there is nothing to tell.
        """
        if delay is None:
            self._ill_since = self._well_since = None
            return False
        if self._changed is None:
            self._changed = now
        if now - self._changed < SETTLE_SECONDS:
            return False
        late = delay > self._max_delay
        sparse = kept_up is not None and kept_up < 0.7
        if late or (sparse and self.level < RECOGNITION_LEVELS):
            self._well_since = None
            if self._ill_since is None:
                self._ill_since = now
            if now - self._ill_since >= TROUBLE_SECONDS and self.level + 1 < len(LEVELS):
                return self._raise(now)
            return False
        self._ill_since = None
        if delay > 0.6 * self._max_delay or (sparse and self.level <= RECOGNITION_LEVELS):
            self._well_since = None
            return False
        if self._well_since is None:
            self._well_since = now
        if self.level and now - self._well_since >= self._patience:
            self.level -= 1
            self._changed = self._lowered = self._well_since = now
            return True
        return False

    def _raise(self, now: float) -> bool:
        relapse = now - self._lowered < 2 * self._patience
        self._patience = min(2 * self._patience, LONGEST_RELIEF) if relapse else RELIEF_SECONDS
        self.level += 1
        self._changed, self._ill_since = now, None
        return True
