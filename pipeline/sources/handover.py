"""What passes between a camera's reader process and the program: messages over a pipe, pixels in shared memory.

What the reader sends comes in pairs: the number of the connection that it tells of, as `Open` gave it, and the message.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from pipeline.types import Image

Policy = Literal["newest", "every_frame"]


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """What a reader process must know. The URL travels over the pipe: an argument would show in `ps`.

    open_timeout, read_timeout, max_lag: seconds; fps: most frames a second to hand over; rotate: degrees
    clockwise; epoch: where the monotonic clock lies on the wall clock.
    """

    url: str
    transport: Literal["tcp", "udp"]
    policy: Policy
    open_timeout: float
    read_timeout: float
    max_lag: float
    rotate: int
    fps: float | None
    epoch: float


@dataclass(frozen=True, slots=True)
class Open:
    """To the reader: connect. connection: its number; not_before: time of the last frame handed over before."""

    connection: int
    options: ReaderOptions
    not_before: float


@dataclass(frozen=True, slots=True)
class Want:
    """To the reader: hand one picture over as soon as there is one. The buffer is free.

    serial: of the request; one that was served already is not served again, so that asking twice does no harm.
    """

    serial: int


@dataclass(frozen=True, slots=True)
class Opened:
    """From the reader: the camera answered. rate: frames a second as the stream states it."""

    codec: str
    width: int
    height: int
    rate: Fraction | None


@dataclass(frozen=True, slots=True)
class Picture:
    """From the reader: a picture lies in the buffer.

    number: frames decoded in this connection before it; late: see `Frame`.
    """

    number: int
    width: int
    height: int
    time: float
    pts: int | None
    time_base: Fraction | None
    codec: str
    late: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What one connection did so far. dropped: frames by reason."""

    received: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    repairs: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """From the reader, twice a second: alive, and for how many seconds in which stage."""

    stage: str
    seconds: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Failed:
    """From the reader: the connection ended; it waits for the next `Open`."""

    reason: str
    message: str
    counts: Counts


class SharedPicture:
    """One picture's worth of memory that two processes share through an inherited file descriptor.

    It grows with the pictures and never shrinks, so neither side can be left with a mapping past its end.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _anonymous_file() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def write(self, image: Image) -> None:
        """image: BGR uint8 (H, W, 3)."""
        target = self._mapped(image.nbytes, grow=True)
        np.frombuffer(target, np.uint8, image.nbytes).reshape(image.shape)[:] = image

    def read(self, width: int, height: int) -> Image:
        """A copy of the picture last written, BGR uint8 (height, width, 3)."""
        size = width * height * 3
        return np.frombuffer(self._mapped(size), np.uint8, size).reshape(height, width, 3).copy()

    def _mapped(self, size: int, grow: bool = False) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            if grow and os.fstat(self.descriptor).st_size < size:
                os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        return self._map

    def close(self) -> None:
        """Give the memory back; the other process keeps its own mapping until it ends."""
        if self._map is not None:
            self._map.close()
            self._map = None
        os.close(self.descriptor)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sidewalk-picture")
    descriptor, path = tempfile.mkstemp(prefix="sidewalk-")
    os.unlink(path)
    return descriptor
