"""Frames as they are wanted: with square pixels, turned, thinned out, cut short."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.sources.base import Source
from pipeline.sources.clock import CLOCK_TICK
from pipeline.types import Frame, Image

if TYPE_CHECKING:
    from av import VideoFrame

ODD_PIXELS, ABSURD_PIXELS = math.log(1.02), math.log(4.0)
"""Pixels that are hardly not square stay as they are, and so do those of which nonsense is stated."""


class RateLimit:
    """Lets at most so many frames a second through, evenly; fps: None lets all through."""

    def __init__(self, fps: float | None) -> None:
        self._period = 1 / fps if fps else 0.0
        self._next: float | None = None

    def passes(self, time: float) -> bool:
        """Whether the frame of that time, in seconds, is wanted; to be asked once a frame, in order."""
        due = time if self._next is None else self._next
        if time < due - CLOCK_TICK:
            return False
        # A late frame does not put off the ones after it, which keeps 5 of 10 frames a second at 5 and not at 3.3.
        self._next = max(due + self._period, time + self._period / 2)
        return True


class AdjustedSource:
    """The frames of another source that are wanted; they keep their numbers and times.

    rotate: degrees clockwise; fps: most frames a second; duration: seconds after which it ends.
    """

    def __init__(
        self, source: Source, *, rotate: int = 0, fps: float | None = None, duration: float | None = None
    ) -> None:
        self._source = source
        self._turns = rotate // 90 % 4
        self._fps = fps
        self._duration = float("inf") if duration is None else duration
        self.warnings = source.warnings
        self.info = source.info
        if self._turns % 2:
            self.info = replace(self.info, width=self.info.height, height=self.info.width)
        if fps is not None:
            self.info = replace(self.info, rate=None, frames=None)
        if duration is not None:
            self.info = replace(self.info, frames=None)

    def __iter__(self) -> Iterator[Frame]:
        limit = RateLimit(self._fps)
        for frame in self._source:
            if frame.time >= self._duration:
                return
            if limit.passes(frame.time):
                yield replace(frame, image=turned(frame.image, self._turns))

    def close(self) -> None:
        self._source.close()


def picture(frame: VideoFrame, ratio: Fraction | None) -> Image:
    """A decoded frame in BGR with square pixels, as players show it.

    ratio: of a pixel's width to its height, as the stream states it; the short side of a pixel grows.
    """
    width, height = frame.width, frame.height
    if ratio and ODD_PIXELS < abs(math.log(ratio)) < ABSURD_PIXELS:
        width, height = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    image: np.ndarray = frame.to_ndarray(format="bgr24", width=width, height=height)
    return image


def upright(image: Image, frame: VideoFrame) -> Image:
    """The picture turned, and mirrored, as the recorder's display matrix says; quarters of a turn only."""
    try:
        stored: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the frame has other data as well, of a kind that PyAV does not know
        return turned(image, -round(frame.rotation / 90) % 4)
    if stored is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()
    if abs(b) > abs(a):  # columns become rows
        image, across, down = image.swapaxes(0, 1), c < 0, b < 0
    else:
        across, down = a < 0, d < 0
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def turned(image: Image, turns: int) -> Image:
    """The picture turned clockwise by that many right angles."""
    return np.ascontiguousarray(np.rot90(image, -turns)) if turns else image
