"""overlay.mp4: the source's pictures with what is known drawn in, as H.264 that every browser plays."""

from __future__ import annotations

import queue
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.sinks.encoding import CLOCK, encodable, prepare
from pipeline.sinks.output import finish, partial, writing
from pipeline.types import Frame, FrameResult, Image, SourceInfo, TrackSummary

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

WAITING = 4
"""Frames that may wait for the encoder before the run waits for it."""


class Draws(Protocol):
    """What makes the picture that is written, e.g. `pipeline.overlay.Overlay`."""

    def draw(self, image: Image, result: FrameResult) -> Image: ...


class VideoSink:
    """Draws and encodes in a thread of its own; its failure is raised by the next `write` or by `close`.

    The video keeps the source's time stamps, so a variable rate stays one. Odd sides are padded by a pixel;
    frames of another size than the first are fitted into it. crf: quality, lower is better and larger; preset:
    of x264. Raises SidewalkError where the file cannot be written.
    """

    def __init__(
        self, path: str | Path, info: SourceInfo, overlay: Draws, crf: int = 23, preset: str = "veryfast"
    ) -> None:
        self._path = Path(path)
        self._info = info
        self._overlay = overlay
        self._options = {"crf": str(crf), "preset": preset}
        self._waiting: queue.Queue[tuple[Frame, FrameResult] | None] = queue.Queue(WAITING)
        self._failure: BaseException | None = None
        self._closed = False
        with writing(self._path):
            partial(self._path).touch()
        self._thread = threading.Thread(target=self._work, name=f"video-{info.camera}", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Queue a frame; waits while the encoder is `WAITING` frames behind."""
        self._raise_failure()
        self._waiting.put((frame, result))

    def end_track(self, summary: TrackSummary) -> None:
        """The picture shows people as long as they are there."""

    def close(self, completed: bool = True) -> None:
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        self._raise_failure()
        finish(self._path, completed)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            with writing(self._path):
                raise self._failure

    def _work(self) -> None:
        """Encodes until the end; after a failure it only empties the queue, so that nobody waits for ever."""
        encoder: _Encoder | None = None
        while (item := self._waiting.get()) is not None:
            if self._failure is not None:
                continue
            try:
                frame, result = item
                if encoder is None:
                    encoder = _Encoder(partial(self._path), self._info, frame, self._options)
                encoder.add(frame, self._overlay.draw(frame.image, result))
            except BaseException as error:  # it is raised again where the run can see it
                self._failure = error
        try:
            if encoder is not None:
                encoder.close()
        except BaseException as error:
            self._failure = self._failure or error


class _Encoder:
    """An open MP4 file that takes pictures of any size."""

    def __init__(self, path: Path, info: SourceInfo, first: Frame, options: dict[str, str]) -> None:
        import av

        height, width = (side + side % 2 for side in first.image.shape[:2])
        self._size = height, width
        self._live = info.live or first.pts is None or first.time_base is None
        self._base = CLOCK if self._live else first.time_base or CLOCK
        self._start = self._stamp(first)
        self._last = -1
        self._container: OutputContainer = av.open(
            str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}
        )
        self._stream: VideoStream = self._container.add_stream(
            "libx264", rate=info.rate or Fraction(25), options=options
        )
        prepare(self._stream.codec_context, width, height, self._base)
        self._stream.time_base = self._base

    def add(self, frame: Frame, image: Image) -> None:
        self._last = max(self._stamp(frame) - self._start, self._last + 1)
        self._container.mux(self._stream.encode(encodable(self._fit(image), self._last, self._base)))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()

    def _stamp(self, frame: Frame) -> int:
        if self._live or frame.pts is None:
            return round(frame.time / self._base)
        return frame.pts

    def _fit(self, image: Image) -> np.ndarray:
        """The picture in the file's size: padded by repeating its edge, or scaled with black borders."""
        import cv2

        height, width = self._size
        if image.shape[0] not in (height, height - 1) or image.shape[1] not in (width, width - 1):
            scale = min(height / image.shape[0], width / image.shape[1])
            size = (max(int(image.shape[1] * scale), 1), max(int(image.shape[0] * scale), 1))
            canvas = np.zeros((height, width, 3), np.uint8)
            canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            return canvas
        bottom, right = height - image.shape[0], width - image.shape[1]
        if bottom or right:
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        return image
