"""Between the decoder of a reader process and the program: the newest frame, or all in order, as they are asked for."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from pipeline.sources.adjusted import picture, turned
from pipeline.sources.handover import Picture, ReaderOptions, SharedPicture

if TYPE_CHECKING:
    import av

QUEUE_FRAMES = 8
"""Decoded frames that wait under `every_frame` before the camera has to."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded frame on its way out, still as the decoder left it."""

    number: int
    time: float
    frame: av.VideoFrame
    codec: str
    late: float
    ratio: Fraction | None
    """Of a pixel's width to its height."""


class Outbox:
    """Frames from the decoder until the program wants them: the newest one, or all in order."""

    def __init__(self, connection: Connection, picture: SharedPicture) -> None:
        self.dropped: Counter[str] = Counter()
        self.number = 0
        self._connection = connection
        self._picture = picture
        self._waiting: deque[Decoded] = deque()
        self._changed = threading.Condition()
        self._wanted = self._served = 0
        self._rotate = 0
        self._every_frame = False

    def begin(self, number: int, options: ReaderOptions) -> None:
        """Begin the connection of that number: nothing is dropped yet."""
        with self._changed:
            self.number = number
            self.dropped.clear()
            self._rotate = options.rotate
            self._every_frame = options.policy == "every_frame"

    def end(self, seconds: float) -> None:
        """End the connection: what waits is handed over if it is wanted within that time, and dropped otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting, seconds):
                self.dropped["connection_lost"] += len(self._waiting)
                self._waiting.clear()

    def put(self, decoded: Decoded) -> None:
        """Offer a frame; blocks under `every_frame` while too many wait."""
        with self._changed:
            if self._every_frame:
                self._changed.wait_for(lambda: len(self._waiting) < QUEUE_FRAMES)
            elif self._waiting:
                self._waiting.clear()
                self.dropped["superseded"] += 1
            self._waiting.append(decoded)
            self._hand_over()

    def want(self, serial: int) -> None:
        """The program is ready for one picture."""
        with self._changed:
            self._wanted = serial
            self._hand_over()

    def send(self, message: Any, number: int | None = None) -> None:
        """Send a message, whole, from any thread; number: of the connection it tells of, by default the present one."""
        with self._changed:
            self._connection.send((self.number if number is None else number, message))

    def _hand_over(self) -> None:
        if self._wanted == self._served or not self._waiting:
            return
        decoded = self._waiting.popleft()
        self._served = self._wanted
        image = turned(picture(decoded.frame, decoded.ratio), self._rotate // 90)
        self._picture.write(image)
        height, width = image.shape[:2]
        frame = decoded.frame
        self.send(
            Picture(
                decoded.number, width, height, decoded.time, frame.pts, frame.time_base, decoded.codec, decoded.late
            )
        )
        self._changed.notify()
