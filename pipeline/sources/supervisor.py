"""The supervisor of one live camera: keeps it connected for ever, and knows at any moment how it is."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from pipeline.sources.failures import Failure, failure
from pipeline.sources.handover import (
    Beat,
    Counts,
    Failed,
    Opened,
    Picture,
    ReaderOptions,
    Want,
)
from pipeline.sources.reader_process import ReaderProcess
from pipeline.sources.watch import ConnectionWatch
from pipeline.types import Frame

log = logging.getLogger("sidewalk.camera")

STEADY_SECONDS = 5.0
"""A connection that lasted this long was a good one: the next failure is retried quickly again."""


class CameraState(StrEnum):
    """What a camera is doing. Only `ended` is final."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    DOWN = "down"
    ENDED = "ended"


AWAY = {CameraState.CONNECTING, CameraState.DOWN}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a lost camera is tried. first, longest: seconds; limit: attempts in a row, None is for ever."""

    first: float = 0.5
    longest: float = 30.0
    limit: int | None = None

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row; chance in [0, 1) spreads cameras out."""
        return float(min(self.longest, self.first * 2 ** min(failures - 1, 30)) * (0.5 + 0.5 * chance))


@dataclass(frozen=True, slots=True)
class Health:
    """A camera at one moment.

    since: epoch seconds of the last change of state; of a camera that is away, since it was lost. dropped: frames by
    reason.
    """

    camera: str
    state: CameraState
    reason: str
    message: str
    since: float
    reconnects: int
    received: int
    delivered: int
    dropped: dict[str, int]
    repairs: int
    segment: int
    codec: str
    width: int
    height: int
    rate: Fraction | None


class CameraSupervisor:
    """Runs a camera in a thread and a reader process; hands frames over one at a time, on `request`.

    stall_timeout: seconds without a usable picture after which a camera that still answers is opened anew;
    on_change: called, from the camera's thread, whenever a frame can be taken or the state changed.
    """

    def __init__(
        self,
        camera: str,
        options: ReaderOptions,
        *,
        stall_timeout: float = 10.0,
        retry: Retry = Retry(),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.camera = camera
        self.complete = options.policy == "every_frame"
        self.options = options
        self._stall_timeout = stall_timeout
        self._retry = retry
        self.on_change = on_change
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {camera}", daemon=True)
        self._reader: ReaderProcess | None = None
        self._wanted = False
        self._serial = 0
        self._next_number = self._delivered = 0
        self._frame: Frame | None = None
        self._last_time = float("-inf")
        self._form: tuple[str, int, int, Fraction | None] | None = None
        self._rate: Fraction | None = None
        self._past = Counts()
        self._now = Counts()
        self._connections = 0
        self._reported: tuple[CameraState, str] | None = None
        self._health = Health(camera, CameraState.CONNECTING, "", "", time.time(), 0, 0, 0, {}, 0, 0, "", 0, 0, None)

    def start(self) -> None:
        self._thread.start()

    def request(self) -> None:
        """Ask for the next frame; it is the newest one at that moment, or the next in order."""
        with self._lock:
            if self._wanted or self._frame is not None:
                return
            self._wanted = True
            self._serial += 1
            if self._reader is not None:
                self._reader.send(Want(self._serial))

    def take(self) -> Frame | None:
        """The frame that was asked for, once."""
        with self._lock:
            frame, self._frame = self._frame, None
            return frame

    @property
    def health(self) -> Health:
        """How the camera is and what became of its frames so far."""
        with self._lock:
            total = _sum(self._past, self._now)
            return replace(
                self._health,
                # A picture may be here before the reader's next report counts it.
                received=max(total.received, self._past.received + self._next_number),
                dropped=dict(total.dropped),
                repairs=total.repairs,
                reconnects=max(0, self._connections - 1),
            )

    def stop(self) -> None:
        """Tell the camera to end, without waiting for it."""
        self._stop.set()

    def close(self, seconds: float = 2.0) -> None:
        """End the camera for good, within `seconds` even where its decoder hangs."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                self._become(CameraState.CONNECTING, self._health.reason, self._health.message)
                try:
                    ended, lasted = self._connection()
                except Exception as error:  # a fault of ours costs this connection, not the camera
                    log.debug("the connection failed", exc_info=True, extra={"camera": self.camera})
                    self._abandon_reader()
                    ended, lasted = failure("error", type(error).__name__), 0.0
                if self._stop.is_set():
                    break
                failures = 1 if lasted >= STEADY_SECONDS else failures + 1
                if self._retry.limit is not None and failures > self._retry.limit:
                    self._become(CameraState.ENDED, ended.reason, ended.message)
                    return
                self._become(CameraState.DOWN, ended.reason, ended.message)
                self._stop.wait(self._retry.delay(failures, random.random()))
        finally:
            self._abandon_reader()
            if self._health.state is not CameraState.ENDED:
                self._become(CameraState.ENDED, "stopped", "")

    def _become(self, state: CameraState, reason: str = "", message: str = "") -> None:
        with self._lock:
            if (state, reason) == (self._health.state, self._health.reason):
                return
            # A camera that is away is so since it was lost, however often it has been tried.
            since = self._health.since if {state, self._health.state} <= AWAY else time.time()
            self._health = replace(self._health, state=state, reason=reason, message=message, since=since)
        self._report(state, reason, message)
        self.on_change()

    def _report(self, state: CameraState, reason: str, message: str) -> None:
        news = (state, reason)
        level = logging.WARNING if state in (CameraState.DOWN, CameraState.STALLED) else logging.INFO
        # A camera that stays away is news once, not at every attempt.
        if state is CameraState.CONNECTING or news == self._reported:
            level = logging.DEBUG
        else:
            self._reported = news
        text = f"{state}: {message}" if message and state is not CameraState.CONNECTING else str(state)
        log.log(level, text, extra={"camera": self.camera, "event": str(state), "reason": reason})

    def _connection(self) -> tuple[Failure, float]:
        """One connection from opening to its end: why it ended, and for how many seconds it gave pictures."""
        with self._lock:
            # A reader that crashed took its last counts along; numbers that were given out are not given again.
            received = max(self._now.received, self._next_number)
            lost = received - (self._health.delivered - self._delivered) - sum(self._now.dropped.values())
            self._past = _sum(self._past, replace(self._now, received=received))
            if lost > 0:
                self._past = _sum(self._past, Counts(dropped={"connection_lost": lost}))
            self._now, self._next_number = Counts(), 0
            self._delivered = self._health.delivered
        watch = ConnectionWatch(self.options, self._stall_timeout)
        try:
            if self._reader is None:
                reader = ReaderProcess()
                with self._lock:
                    self._reader = reader
            reader = self._reader
        except OSError as error:
            return failure("error", f"no reader process: {error.strerror}"), 0.0
        reader.open(self.options, self._last_time)
        with self._lock:
            if self._wanted:
                reader.send(Want(self._serial))
        while not self._stop.is_set():
            try:
                message = reader.receive(0.1)
            except EOFError:
                self._abandon_reader()
                return failure("crashed"), watch.lasted
            if isinstance(message, Failed):
                self._now = message.counts
                return Failure(message.reason, message.message), watch.lasted
            if message is not None:
                self._heed(message, reader, watch)
            verdict = watch.verdict()
            if verdict is not None:
                self._abandon_reader()
                return verdict, watch.lasted
            if watch.live:
                stalled = watch.quiet > max(2.0, 5 / float(self._rate or 5))
                if stalled:
                    self._become(CameraState.STALLED, "no_data", failure("no_data").message)
                else:
                    self._become(CameraState.LIVE)
        return failure("closed"), watch.lasted

    def _heed(self, message: object, reader: ReaderProcess, watch: ConnectionWatch) -> None:
        watch.heard(message)
        if isinstance(message, Beat):
            self._now = message.counts
        elif isinstance(message, Opened):
            self._connections += 1
            limit = Fraction(self.options.fps).limit_denominator(100) if self.options.fps else None
            self._rate = min(filter(None, (message.rate, limit)), default=None)
        elif isinstance(message, Picture):
            self._deliver(message, reader)

    def _deliver(self, picture: Picture, reader: ReaderProcess) -> None:
        image = reader.picture.read(picture.width, picture.height)
        form = (picture.codec, picture.width, picture.height, self._rate)
        with self._lock:
            segment = self._health.segment
            if self._form is not None and form != self._form:
                segment += 1
            self._form = form
            self._last_time = picture.time
            self._next_number = picture.number + 1
            self._wanted = False
            self._frame = Frame(
                self.camera,
                self._past.received + picture.number,
                picture.time,
                image,
                picture.pts,
                picture.time_base,
                segment,
                picture.late,
            )
            self._health = replace(
                self._health,
                delivered=self._health.delivered + 1,
                segment=segment,
                codec=picture.codec,
                width=picture.width,
                height=picture.height,
                rate=self._rate,
            )
        self.on_change()

    def _abandon_reader(self) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.abandon()


def _sum(first: Counts, second: Counts) -> Counts:
    dropped = Counter(first.dropped)
    dropped.update(second.dropped)
    return Counts(first.received + second.received, dict(dropped), first.repairs + second.repairs)
