"""Capture time of live cameras: a monotonic wall clock made of jumping time stamps and jittering arrivals."""

from __future__ import annotations

import time as system

EPOCH = system.time() - system.monotonic()
"""Where this process places the monotonic clock on the wall clock; reader processes are told to use the same."""

JUMP_SECONDS = 2.0
"""A time stamp that moves this much further than the wall clock has jumped."""
IMPLAUSIBLE_LAG = 5.0
"""Seconds by which a packet that had to be waited for can hardly be late: its time stamp is made up."""
STEADY_LAG, STEADY_SECONDS = 0.5, 2.0
"""Seconds of a lag, and for how long it lasts, that is taken for the camera's clock and not for the network."""
DRIFT = 2e-4
"""Seconds a second by which a camera's clock may lag; crystals are good to a twentieth of a thousandth."""
NOTABLE = 0.5
"""Seconds backwards that are reported; less is the clock settling on its first frames."""
STEP = 1e-3
"""Least seconds between two frames, once time had to be held."""
CLOCK_TICK = 1e-3
"""Seconds by which rounded time stamps may come early."""


def wall_clock(epoch: float = EPOCH) -> float:
    """Epoch seconds that run evenly whatever is done to the system's clock while the program runs."""
    return epoch + system.monotonic()


def system_clock_step() -> float:
    """Seconds by which the system's clock has been set forward since the program started; less than 0: back."""
    return system.time() - wall_clock()


class CaptureClock:
    """Turns a camera's presentation times into epoch seconds that never run backwards.

    A frame arrives at its capture time plus a delay that varies and is never negative, so the smallest
    difference between arrival and time stamp seen so far places the camera's clock on the wall clock; what a
    later frame exceeds it by is that frame's extra delay on the way, however long: what a connection held back comes
    late and all at once. The difference may creep up slowly, for cameras whose clock is slow.

    not_before: time of the last frame before this clock took over.
    repairs: jumps of the camera's time stamps absorbed, and frames held because time would have run far backwards.
    """

    def __init__(self, not_before: float = float("-inf")) -> None:
        self.repairs = 0
        self._offset: float | None = None
        self._late_since: float | None = None
        self._last_pts: float | None = None
        self._last_arrival = 0.0
        self._last_time = not_before

    def restart(self) -> None:
        """Forget the camera's clock, as after a reconnection; time itself still never runs backwards."""
        self._offset = None
        self._last_pts = None
        self._late_since = None

    def stamp(self, pts: float | None, arrival: float) -> float:
        """Capture time of a frame in epoch seconds.

        pts: the camera's own time in seconds, None where it gave none; arrival: epoch seconds.
        """
        time = arrival
        if pts is not None:
            self._anchor(pts, arrival)
            assert self._offset is not None
            time = min(pts + self._offset, arrival)
        if time <= self._last_time:
            if time < self._last_time - NOTABLE:
                self.repairs += 1
            time = self._last_time + STEP
        self._last_time = time
        return time

    def watch(self, lag: float, arrival: float, waited_for: bool) -> None:
        """Begin anew where a packet's lag tells that the camera's time stamps do not keep the pace of time.

        What a network held back comes in a burst; where packet after packet is late and yet has to be waited for, the
        camera's clock stood still. arrival: epoch seconds.
        """
        if lag < STEADY_LAG:
            self._late_since = None
        elif waited_for:
            self._late_since = arrival if self._late_since is None else self._late_since
            if lag > IMPLAUSIBLE_LAG or arrival - self._late_since > STEADY_SECONDS:
                self.repairs += 1
                self.restart()

    def lag(self, pts: float | None, arrival: float) -> float:
        """Seconds by which a frame came later than the promptest frame of late would have."""
        if pts is None or self._offset is None:
            return 0.0
        return max(0.0, arrival - pts - self._offset)

    def _anchor(self, pts: float, arrival: float) -> None:
        difference = arrival - pts
        if self._offset is None or self._last_pts is None:
            self._offset = difference
        else:
            elapsed = arrival - self._last_arrival
            if pts < self._last_pts or pts - self._last_pts - elapsed > JUMP_SECONDS:
                self.repairs += 1
                self._offset = difference
            else:
                self._offset = min(self._offset + DRIFT * max(elapsed, 0.0), difference)
        self._last_pts = pts
        self._last_arrival = arrival
