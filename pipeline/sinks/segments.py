"""The annotated picture of a live camera as video files that play whatever becomes of the program."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.sinks.encoding import CLOCK, encodable, prepare
from pipeline.sinks.output import finish, partial
from pipeline.types import Frame, FrameResult, Image, TrackSummary

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

Draw = Callable[[Frame, FrameResult], Image]


class SharedDrawing:
    """Draws each frame once for all the sinks of a camera that show it, whichever asks first."""

    def __init__(self, draw: Draw, kept: int = 4) -> None:
        self._draw = draw
        self._drawn: deque[tuple[int, Image]] = deque(maxlen=kept)
        self._lock = threading.Lock()

    def __call__(self, frame: Frame, result: FrameResult) -> Image:
        with self._lock:
            for index, image in self._drawn:
                if index == frame.index:
                    return image
            image = self._draw(frame, result)
            self._drawn.append((frame.index, image))
            return image


class H264Writer:
    """Encodes pictures of one size into a container as they come, each at its own time.

    target: an open file or an address; container: FFmpeg's name of its format; rate: frames a second, for the
    encoder's rate control and key frame interval alone. Raises OSError or ValueError where it cannot be written.
    """

    def __init__(
        self,
        target: str | BinaryIO,
        container: str,
        width: int,
        height: int,
        rate: float,
        *,
        encoder: dict[str, str],
        options: dict[str, str],
    ) -> None:
        import av

        # H.264 in 4:2:0 needs even sides.
        self.width, self.height = width & ~1, height & ~1
        self._container: OutputContainer = av.open(target, "w", format=container, options=options)
        try:
            stream: Any = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
            self._stream: VideoStream = stream
            prepare(self._stream.codec_context, self.width, self.height, CLOCK)
            self._stream.options = {"g": str(max(1, round(2 * rate))), **encoder}
            self._stream.codec_context.thread_count = 1
        except BaseException:
            self._container.close()
            raise
        self._start: float | None = None
        self._last = -1

    def open(self) -> None:
        """Write the header, or connect to the server, now and not with the first picture."""
        self._container.start_encoding()

    def write(self, image: Image, time: float) -> None:
        """image: BGR uint8 (H, W, 3); time: seconds, of capture."""
        if self._start is None:
            self._start = time
        self._last = max(round((time - self._start) / CLOCK), self._last + 1)
        self._container.mux(self._stream.encode(encodable(image[: self.height, : self.width], self._last, CLOCK)))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class SegmentSink:
    """One overlay file. It is written in fragments, so that it plays up to the last two seconds even unclosed.

    path: of the finished file; until then it is called `*.partial`.
    """

    def __init__(self, path: Path, draw: Draw, rate: float, crf: int = 23, preset: str = "veryfast") -> None:
        self._path = path
        self._partial = partial(path)
        self._draw = draw
        self._rate = rate
        # Without look-ahead nothing waits in the encoder: a crash costs the fragment under way and no more.
        self._encoder = {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
        self._file: BinaryIO | None = None
        self._writer: H264Writer | None = None

    def write(self, frame: Frame, result: FrameResult) -> None:
        image = self._draw(frame, result)
        if self._writer is None:
            height, width = image.shape[:2]
            # Opened here and not by FFmpeg, which never closes a file whose header it could not write.
            self._file = self._partial.open("wb", buffering=0)
            self._writer = H264Writer(
                self._file,
                "mp4",
                width,
                height,
                self._rate,
                encoder=self._encoder,
                options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
            )
        self._writer.write(image, frame.time)

    def end_track(self, summary: TrackSummary) -> None:
        """Nothing of it shows."""

    def close(self, completed: bool = True) -> None:
        writer, self._writer = self._writer, None
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            if writer is not None:
                writer.close()
        if writer is not None:
            finish(self._path, completed)
