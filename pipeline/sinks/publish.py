"""Publishing a camera's overlay to an RTSP server, live."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time

from pipeline.sinks.publisher import TIME
from pipeline.sinks.segments import Draw
from pipeline.sources.reader_process import child_environment
from pipeline.types import Frame, FrameResult, TrackSummary

PATIENCE = 3.0
"""Seconds in which the publishing process must take a picture, or it is given up."""
CONNECT_SECONDS = 6.0
BITS_PER_PIXEL = 0.12
"""H.264 at which a surveillance picture with boxes looks clean."""


class PublishSink:
    """Sends the annotated picture as H.264 with low latency; any failure is an OSError, for the guard to retry.

    url: an rtsp:// address that accepts a published stream; rate: frames a second the camera gives.
    """

    def __init__(self, url: str, draw: Draw, rate: float) -> None:
        self._url = url
        self._draw = draw
        self._rate = rate
        self._process: subprocess.Popen[bytes] | None = None
        self._size = (0, 0)

    def write(self, frame: Frame, result: FrameResult) -> None:
        image = self._draw(frame, result)
        height, width = image.shape[:2]
        if self._process is None or self._size != (width, height):
            self.close()
            self._start(width, height)
        self._send(TIME.pack(frame.time) + image.tobytes())

    def end_track(self, summary: TrackSummary) -> None:
        """Nothing of it shows."""

    def close(self, completed: bool = True) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.close()
        try:
            process.wait(1.0 if completed else 0.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()

    def _start(self, width: int, height: int) -> None:
        bitrate = max(200_000, int(BITS_PER_PIXEL * width * height * self._rate))
        order = {"url": self._url, "width": width, "height": height, "rate": self._rate, "bitrate": bitrate}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline.sinks.publisher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=child_environment(),
            start_new_session=True,
        )
        self._size = (width, height)
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._send(json.dumps(order).encode() + b"\n")
        self._await_server(self._process)

    def _await_server(self, process: subprocess.Popen[bytes]) -> None:
        """Until the server has accepted: what is sent before would be lost and counted as written."""
        assert process.stdout is not None
        if not _ready(process.stdout.fileno(), select.POLLIN, CONNECT_SECONDS):
            raise TimeoutError("the server accepts the connection but does not answer in time")
        if process.stdout.readline() != b"open\n":
            raise OSError(self._last_words(process))

    def _send(self, data: bytes) -> None:
        """Write everything to the process, or find out why not."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        left = memoryview(data)
        limit = time.monotonic() + PATIENCE
        while left:
            if not _ready(pipe, select.POLLOUT, limit - time.monotonic()):
                raise TimeoutError("the server does not take the stream in time")
            try:
                left = left[os.write(pipe, left) :]
            except BrokenPipeError:
                raise OSError(self._last_words(process)) from None

    @staticmethod
    def _last_words(process: subprocess.Popen[bytes]) -> str:
        assert process.stderr is not None
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the publishing process hangs"
        words = process.stderr.read().decode(errors="replace").strip().splitlines()
        return words[-1] if words else "the publishing process ended"


def _ready(descriptor: int, event: int, seconds: float) -> bool:
    """Whether a pipe can be read or written within some seconds, or will fail at once if it is tried."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, 1000 * seconds)))
