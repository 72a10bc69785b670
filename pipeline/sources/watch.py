"""What a connection to a camera owes and by when: signs of life, an answer, usable pictures."""

from __future__ import annotations

import time

from pipeline.sources.failures import Failure, failure
from pipeline.sources.handover import Beat, Opened, Picture, ReaderOptions

SILENCE_SECONDS = 5.0
"""A reader that does not even say that it is alive for so long is hung; it says so twice a second."""
START_SECONDS = 30.0
"""The same for a process that is only starting, on a machine with better things to do."""
GRACE_SECONDS = 1.0
UNSEEN = "corrupt", "decoder_behind"
"""Reasons to drop a frame that was never made a picture of."""
UNHINDERED = {"idle", "delivering"}
"""Stages that may take any time: nothing is asked of the camera in them."""


class ConnectionWatch:
    """Listens to one connection of a reader and says when it has to be given up.

    stall_timeout: seconds without a usable picture; the other limits are in the options.
    """

    def __init__(self, options: ReaderOptions, stall_timeout: float) -> None:
        self._limits = {
            "resolving": options.open_timeout,
            "opening": options.open_timeout,
            "reading": options.read_timeout,
            "decoding": options.read_timeout,
            "closing": options.read_timeout,
        }
        self._stall_timeout = stall_timeout
        self._heard = self._progress = time.monotonic()
        self._anything = False
        self._beat: Beat | None = None
        self._usable = 0
        self._first_picture: float | None = None

    @property
    def live(self) -> bool:
        return self._first_picture is not None

    @property
    def quiet(self) -> float:
        """Seconds without a usable picture."""
        return time.monotonic() - self._progress

    @property
    def lasted(self) -> float:
        """Seconds from the first usable picture to the last."""
        return 0.0 if self._first_picture is None else self._progress - self._first_picture

    def heard(self, message: object) -> None:
        self._heard = time.monotonic()
        self._anything = True
        if isinstance(message, Beat):
            self._beat = message
            usable = message.counts.received - sum(message.counts.dropped.get(reason, 0) for reason in UNSEEN)
            if usable > self._usable or message.stage == "delivering":
                self._usable = usable
                self._pictured()
        elif isinstance(message, Picture):
            self._pictured()
        elif isinstance(message, Opened):
            self._progress = self._heard

    def _pictured(self) -> None:
        self._progress = time.monotonic()
        if self._first_picture is None:
            self._first_picture = self._progress

    def verdict(self) -> Failure | None:
        """Why the connection has to be given up, or None."""
        now = time.monotonic()
        silence = now - self._heard
        if silence > (SILENCE_SECONDS if self._anything else START_SECONDS):
            return failure("hung", f"silent for {silence:.0f} s")
        beat = self._beat
        if beat is not None and beat.stage not in UNHINDERED:
            spent = beat.seconds + silence
            if spent > self._limits[beat.stage] + GRACE_SECONDS:
                return failure("hung", f"{beat.stage} for {spent:.0f} s")
        if beat is not None and beat.stage in ("reading", "decoding") and self.quiet > self._stall_timeout:
            return failure("no_data", f"no usable picture for {self.quiet:.0f} s")
        return None
