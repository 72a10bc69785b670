"""Collecting the next batch: a frame of every live camera that has one, without waiting for those that have none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from pipeline.camera import CameraPipeline
from pipeline.sinks.guarded import GuardedSink
from pipeline.sources.clock import wall_clock
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import CameraMeter, Recent
from pipeline.types import Frame, SourceInfo

ENOUGH_FPS = 5.0
"""A camera that reaches this many frames a second is well served; with fewer, people outrun their tracks."""
IDLE_SECONDS = 0.2
"""The loop comes round at least so often, frames or not."""


class LiveCamera(Protocol):
    """What the engine asks of a camera; `CameraSupervisor` is one."""

    camera: str
    on_change: Callable[[], None]
    complete: bool
    """Whether each of its frames is wanted, at the price of delay."""

    def start(self) -> None: ...

    def request(self) -> None: ...

    def take(self) -> Frame | None: ...

    @property
    def health(self) -> Health: ...

    def stop(self) -> None: ...

    def close(self, seconds: float = 2.0) -> None: ...


@dataclass(slots=True)
class Lane:
    """One camera's way through the engine."""

    source: LiveCamera
    pipeline: CameraPipeline
    meter: CameraMeter
    sinks: list[GuardedSink] = field(default_factory=list)
    info: SourceInfo | None = None
    segment: int = 0
    frame: Frame | None = None
    last_time: float = float("-inf")
    last_result: float = float("-inf")
    """Capture time of the last frame, and when (monotonic) it was a result."""
    own_delay: Recent = field(default_factory=Recent)
    """Recent delays without the network's part."""
    offered: Recent = field(default_factory=Recent)
    """Usable frames the camera sent lately; seen: how many it had sent when last asked."""
    seen: int = 0
    failures: int = 0
    abandoned: bool = False
    """Whether the tracks were ended because the camera has been away for long."""
    last_trouble: str = ""


class Gathering:
    """Asks all cameras for a frame and matches arrivals: after the first, it waits at most `window` seconds, and
    only for cameras whose next frame is about to come.

    wake: set whenever a camera has something.
    """

    def __init__(self, lanes: Sequence[Lane], window: float, wake: threading.Event) -> None:
        self._lanes = lanes
        self._window = window
        self._wake = wake

    def gather(self, stride: int = 1) -> list[Lane]:
        """The lanes that have a frame; none after a moment without any. stride: one of so many frames
        is taken, but never fewer on purpose than tracking needs."""
        for lane in self._lanes:
            lane.source.request()
        self._take_frames(stride)
        if not any(lane.frame for lane in self._lanes):
            self._wake.wait(IDLE_SECONDS)
            self._wake.clear()
            self._take_frames(stride)
        ready = [lane for lane in self._lanes if lane.frame]
        if not ready:
            return []
        deadline = time.monotonic() + self._window
        while self._expected(deadline) and (left := deadline - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
            self._take_frames(stride)
        return [lane for lane in self._lanes if lane.frame]

    def _take_frames(self, stride: int) -> None:
        for lane in self._lanes:
            if lane.frame is not None:
                continue
            frame = lane.source.take()
            if frame is None:
                continue
            rate = None if lane.source.complete else stated_rate(lane.source.health.rate)
            if stride > 1 and rate and frame.time < lane.last_time + min((stride - 0.5) / rate, 0.9 / ENOUGH_FPS):
                lane.meter.dropped["stride"] += 1
                lane.source.request()
                continue
            lane.frame = frame

    def _expected(self, deadline: float) -> bool:
        """Whether a live camera without a frame should deliver one before the deadline."""
        horizon = wall_clock() + deadline - time.monotonic()
        for lane in self._lanes:
            if lane.frame is None and lane.source.health.state is CameraState.LIVE:
                rate = stated_rate(lane.source.health.rate)
                # A camera in time delivers its next frame one period after its last.
                due = lane.last_time + 1 / rate if rate else float("inf")
                if horizon - 2 * self._window < due <= horizon:
                    return True
        return False


def stated_rate(rate: Fraction | None) -> float | None:
    """Frames a second that a camera states, within reason; None where it states none."""
    return float(rate) if rate and 0.1 <= rate <= 240 else None
