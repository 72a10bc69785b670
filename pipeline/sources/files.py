"""Recordings, and streams read as they come: every frame in order, with the container's own time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from pipeline.sources.adjusted import picture, upright
from pipeline.sources.clock import CaptureClock, wall_clock
from pipeline.sources.container import video_stream
from pipeline.sources.failures import explain
from pipeline.sources.url import redact_address
from pipeline.types import Frame, Image, SidewalkError, SourceInfo

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

FALLBACK_RATE = Fraction(25)
"""Frames per second assumed where a container tells neither times nor a rate."""
RESTART_SECONDS = 1.0
"""Time stamps that run back further than this have begun anew."""


class VideoSource:
    """The frames of an open container.

    The first frame is decoded at once: only then are the size after rotation, and that it is a video, known.
    What goes wrong later ends up in `warnings`: damaged frames are skipped, a truncated file ends early.
    live: frames carry the wall clock at capture instead of the time since the first frame.

    Raises SidewalkError where there is no video or no frame can be decoded.
    """

    def __init__(self, container: InputContainer, camera: str, uri: str, live: bool = False) -> None:
        self.warnings: list[str] = []
        self._container = container
        self._name = redact_address(uri)
        self._camera = camera
        self._damaged = 0
        self._decoded = 0
        self._shift = self._restarts = 0
        self._before: int | None = None
        try:
            self._stream = video_stream(container, self._name)
            self._base = self._stream.time_base or Fraction(1, 90000)
            self._frames = self._decode()
            self._first = next(self._frames, None)
        except BaseException:
            container.close()
            raise
        if self._first is None:
            container.close()
            raise SidewalkError(
                f"{self._name}: no frame can be decoded ({self._stream.codec_context.name}); "
                "check that the file is whole"
            )
        self._tick = max(1, round(1 / (self._rate() or FALLBACK_RATE) / self._base))
        height, width = self._upright(self._first).shape[:2]
        self.info = SourceInfo(
            camera=camera,
            uri=uri,
            width=width,
            height=height,
            live=live,
            rate=None if self._varies() else self._rate(),
            frames=self._stream.frames or None,
            codec=self._stream.codec_context.name,
        )

    def __iter__(self) -> Iterator[Frame]:
        clock = CaptureClock()
        start: int | None = None
        last: int | None = None
        try:
            for index, frame in enumerate(self._from_first()):
                pts = self._repaired(frame.pts, last)
                start = pts if start is None else start
                last = pts
                seconds = float((pts - start) * self._base)
                yield Frame(
                    camera=self._camera,
                    index=index,
                    time=clock.stamp(seconds, wall_clock()) if self.info.live else seconds,
                    image=self._upright(frame),
                    pts=pts,
                    time_base=self._base,
                )
            self._report_length(start, last)
        finally:
            self._report_damage()

    def close(self) -> None:
        self._container.close()

    def _from_first(self) -> Iterator[VideoFrame]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._frames

    def _repaired(self, pts: int | None, last: int | None) -> int:
        """A time stamp after the last one: a missing one is a frame later, one that runs back a tick later.

        One that runs back further begins a recording of its own, as recorders string them together: it, and all
        that follow, go on from there.
        """
        if last is None:
            return pts or 0
        if pts is None:
            return last + self._tick
        second = RESTART_SECONDS / self._base
        if pts + self._shift < last - second:
            self._before, self._shift = self._shift, last + self._tick - pts
            self._restarts += 1
        elif self._before is not None and 0 < pts + self._before - last <= second:
            # Only one stamp was astray, backwards: the others go on where they were.
            self._shift, self._before = self._before, None
            self._restarts -= 1
        return max(pts + self._shift, last + 1)

    def _decode(self) -> Iterator[VideoFrame]:
        """Intact frames in order of display, to the end or to where reading fails."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.warnings.append(f"{self._name}: reading ended early: {explain(error).message}")
                return
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, OSError):
                self._damaged += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._damaged += 1
                else:
                    self._decoded += 1
                    yield frame

    def _report_damage(self) -> None:
        if self._damaged:
            self.warnings.append(f"{self._name}: {self._damaged} damaged frames were skipped")
        if self._restarts:
            self.warnings.append(f"{self._name}: its time stamps begin anew {self._restarts} times; times go on evenly")

    def _report_length(self, start: int | None, last: int | None) -> None:
        """Says whether the end is missing. start, last: time stamps of the first and the last frame."""
        expected, duration = self.info.frames, self._stream.duration
        if start is None or last is None or not expected or not duration:
            return
        # Both must fall short: AVI counts frames that were never recorded.
        missing = self._decoded + self._damaged < expected
        if missing and last - start + 1.5 * self._tick < duration:
            self.warnings.append(
                f"{self._name}: ends after {self._decoded} of {expected} frames; the file is truncated, "
                "what could be decoded was processed"
            )

    def _upright(self, frame: VideoFrame) -> Image:
        """The picture in BGR, with square pixels, turned as the recorder's display matrix says."""
        return upright(picture(frame, self._stream.sample_aspect_ratio), frame)

    def _rate(self) -> Fraction | None:
        return self._stream.guessed_rate or self._stream.average_rate

    def _varies(self) -> bool:
        """Whether the frame rate is variable: the average then differs from the finest regular rate."""
        average, regular = self._stream.average_rate, self._stream.guessed_rate
        return bool(average and regular and abs(average - regular) > regular / 100)
