"""The recorded mode: every frame of every source, in order, with recognition inline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.camera import CameraPipeline
from pipeline.detectors.base import Detector
from pipeline.recognition import Request, SequenceModel, read
from pipeline.signals import ending_on_signals
from pipeline.sinks.base import Sink, hand_out
from pipeline.sources.base import Source
from pipeline.stages import Ahead, marking_last
from pipeline.telemetry import StageTimes
from pipeline.types import Frame, FrameResult, SourceInfo

if TYPE_CHECKING:
    import supervision as sv

DECODE_AHEAD = 8
DETECT_AHEAD = 4

Observer = Callable[[SourceInfo, FrameResult], None]


@dataclass(slots=True)
class CameraReport:
    """What became of one source, and milliseconds per stage."""

    info: SourceInfo
    frames_read: int = 0
    frames_processed: int = 0
    frames_dropped: int = 0
    tracks: int = 0
    readings: int = 0
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    times: StageTimes = field(default_factory=StageTimes)


@dataclass(slots=True)
class RunReport:
    """What a run did, camera by camera. interrupted: whether it was ended early."""

    cameras: list[CameraReport] = field(default_factory=list)
    interrupted: bool = False


class Engine:
    """Runs sources through detection, tracking, recognition and the sinks, one source after the other.

    Decoding and detection run in threads of their own, a bounded number of frames ahead; what comes out does not
    depend on their speed. An error in any stage ends the run: sinks are closed as incomplete and the error is
    raised. Ctrl-C, SIGTERM and `stop` end it early, after a whole frame, with complete files.

    cameras: makes the state of a source's camera; sinks: makes its sinks; recognizer: None switches attributes
    off; observer: called after each frame, for progress.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        detector: Detector,
        cameras: Callable[[SourceInfo], CameraPipeline],
        recognizer: SequenceModel | None,
        sinks: Callable[[SourceInfo], Sequence[Sink]],
        observer: Observer | None = None,
    ) -> None:
        self._sources = sources
        self._detector = detector
        self._cameras = cameras
        self._recognizer = recognizer
        self._sinks = sinks
        self._observer = observer
        self._stopping = threading.Event()
        self.report = RunReport()

    def run(self) -> RunReport:
        """Process every source to its end and return what was done."""
        try:
            with ending_on_signals(self.stop):
                for source in self._sources:
                    self._run_source(source)
                    if self._stopping.is_set():
                        break
        finally:
            for source in self._sources[len(self.report.cameras) :]:
                source.close()
        self.report.interrupted = self._stopping.is_set()
        return self.report

    def stop(self) -> None:
        """End the run once every sink has the frame now in work; returns at once, from any thread."""
        self._stopping.set()

    def _run_source(self, source: Source) -> None:
        report = CameraReport(source.info)
        self.report.cameras.append(report)
        sinks: Sequence[Sink] = ()
        completed = False
        try:
            camera = self._cameras(source.info)
            sinks = self._sinks(source.info)
            self._run_frames(source, camera, sinks, report)
            report.tracks += hand_out(camera.finish(), sinks)
            completed = True
        finally:
            report.interrupted = report.interrupted or not completed
            report.warnings.extend(source.warnings)
            source.close()
            try:
                _close_all(sinks, completed)
            except BaseException:
                report.interrupted = True
                raise

    def _run_frames(self, source: Source, camera: CameraPipeline, sinks: Sequence[Sink], report: CameraReport) -> None:
        times = report.times
        with (
            Ahead(self._decode(source, report), DECODE_AHEAD, "decode") as frames,
            Ahead(self._detect(frames, report), DETECT_AHEAD, "detect") as detected,
        ):
            for (frame, detections), last in marking_last(detected):
                with times.measure("track"):
                    camera.observe(frame, detections)
                self._read(camera, camera.due(frame.time, last), report)
                result = camera.result(frame)
                with times.measure("write"):
                    for sink in sinks:
                        sink.write(frame, result)
                    report.tracks += hand_out(camera.ended(), sinks)
                report.frames_processed += 1
                if self._observer is not None:
                    self._observer(source.info, result)
                if self._stopping.is_set():
                    report.interrupted = not last
                    return

    def _read(self, camera: CameraPipeline, requests: list[Request], report: CameraReport) -> None:
        if not requests or self._recognizer is None:
            return
        with report.times.measure("recognize"):
            camera.claim(requests)
            for reading in read(self._recognizer, requests):
                camera.apply(reading)
        report.readings += len(requests)

    def _decode(self, source: Source, report: CameraReport) -> Iterator[Frame]:
        frames = iter(source)
        while True:
            with report.times.measure("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            report.frames_read += 1
            yield frame

    def _detect(self, frames: Ahead[Frame], report: CameraReport) -> Iterator[tuple[Frame, sv.Detections]]:
        for frame in frames:
            with report.times.measure("detect"):
                [detections] = self._detector.detect([frame.image])
            yield frame, detections


def _close_all(sinks: Sequence[Sink], completed: bool) -> None:
    """Close every sink, even after one of them failed; the first failure is raised at the end."""
    failure: Exception | None = None
    for sink in sinks:
        try:
            sink.close(completed and failure is None)
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
