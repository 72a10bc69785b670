"""The live mode: the newest frame of every camera, one set of models, a bounded delay."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.camera import CameraPipeline
from pipeline.config import RecognitionConfig
from pipeline.detectors.base import Detector
from pipeline.gathering import ENOUGH_FPS, Gathering, Lane, LiveCamera
from pipeline.memory import give_back
from pipeline.recognition import SequenceModel, affordable
from pipeline.recognition_worker import RecognitionWorker
from pipeline.shedding import Load, LoadShedder
from pipeline.sinks.base import hand_out
from pipeline.sinks.guarded import GuardedSink
from pipeline.sources.clock import system_clock_step, wall_clock
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import Telemetry
from pipeline.types import Frame, FrameResult, SourceInfo

if TYPE_CHECKING:
    import supervision as sv

log = logging.getLogger("sidewalk.live")

ATTEMPTS = 3
"""Failures in a row of the detector, or of one camera's tracker, that end the run: it is no accident then."""
SMALL_SHARE = 0.6
"""Long side of the detector's picture under the last relief, as a share of the usual one."""
NOT_OURS = ("rate", "corrupt", "connection_lost")
"""Frames dropped for these reasons say nothing of how well this machine keeps up."""
STEP_SECONDS = 2.0
TIDY_SECONDS = 60.0
AWAY_SECONDS = 60.0
"""Without a frame for so long, a camera's tracks are over."""
CLOSE_SECONDS = 1.5
"""What the sinks get for the data that waits when the run ends."""


class LiveEngine:
    """Runs live cameras until `stop`, for a duration, or until all of them have ended for good.

    A camera asks for nothing but its own frames: while it is away nobody waits for it. Recognition runs in its
    own thread and its readings join their tracks when they arrive. Sinks run in theirs. The tracker of a camera
    that fails starts afresh, alone; one, or a detector, that fails three times in a row ends the run with its error.

    pipelines: makes a camera's state; sinks: makes its guarded sinks once its first frame is there; observer: called
    after each frame.
    """

    def __init__(
        self,
        sources: Sequence[LiveCamera],
        detector: Detector,
        pipelines: Callable[[str], CameraPipeline],
        recognizer: SequenceModel | None,
        sinks: Callable[[SourceInfo], list[GuardedSink]],
        telemetry: Telemetry,
        *,
        policy: RecognitionConfig,
        batch_window: float = 0.03,
        max_delay: float = 1.0,
        observer: Callable[[SourceInfo, FrameResult], None] | None = None,
    ) -> None:
        self._detector = detector
        self._sinks = sinks
        self._telemetry = telemetry
        self._policy = policy
        self._shedder = LoadShedder(max_delay)
        self._image_size = detector.image_size
        # A CPU takes as long for a batch as for its pictures one after the other.
        self._together = not detector.device.lower().endswith("cpu")
        self._observer = observer
        self._wake = threading.Event()
        self._stopping = False
        self._detector_failures = 0
        self._clock_reported = False
        self._tidied = time.monotonic()
        self.lanes = [Lane(source, pipelines(source.camera), telemetry.camera(source.camera)) for source in sources]
        self._gathering = Gathering(self.lanes, batch_window if self._together else 0.0, self._wake)
        self._worker: RecognitionWorker | None = None
        if recognizer is not None:
            self._worker = RecognitionWorker(
                recognizer,
                policy.budget_ms / 1000,
                self._wake.set,
                lambda seconds: telemetry.stages.add("recognize", seconds),
            )
        for source in sources:
            source.on_change = self._wake.set

    def stop(self) -> None:
        """End the run soon, in order; callable from anywhere.

        Touches no lock: a signal handler may interrupt the loop while it holds one.
        """
        self._stopping = True

    def healths(self) -> dict[str, Health]:
        return {lane.source.camera: lane.source.health for lane in self.lanes}

    def run(self, duration: float | None = None) -> None:
        """Process frames until the end. Raises what ended the run, after every sink is closed."""
        end = None if duration is None else time.monotonic() + duration
        completed = False
        try:
            for lane in self.lanes:
                lane.source.start()
            while not self._stopping and (end is None or time.monotonic() < end):
                self._telemetry.tick()
                batch = self._gathering.gather(self._shedder.load.stride)
                self._apply_readings()
                if batch:
                    self._process(batch)
                elif all(lane.source.health.state is CameraState.ENDED for lane in self.lanes):
                    break
                self._dispatch()
                self._shed()
                self._end_forsaken_tracks()
                self._watch_system_clock()
                self._tidy()
            completed = True
        finally:
            self._close(completed)

    def _process(self, batch: list[Lane]) -> None:
        """Detect together where the device gains from it; else one by one, so that nobody waits for the others."""
        oldest_first = sorted(batch, key=lambda lane: lane.frame.time if lane.frame else 0.0)
        for lanes in [oldest_first] if self._together else [[lane] for lane in oldest_first]:
            frames = [lane.frame for lane in lanes if lane.frame is not None]
            found = self._detect(frames)
            for lane in lanes:
                lane.frame = None
                if found is None:
                    lane.meter.dropped["detector_failed"] += 1
            for lane, frame, detections in zip(lanes, frames, found or []):
                self._finish_frame(lane, frame, detections)

    def _detect(self, frames: list[Frame]) -> list[sv.Detections] | None:
        """People of each frame; None where the detector failed, until it failed too often."""
        try:
            with self._telemetry.stages.measure("detect"):
                found = self._detector.detect([frame.image for frame in frames])
        except Exception as error:
            self._detector_failures += 1
            log.exception("the detector failed", extra={"event": "detector_failed", "reason": type(error).__name__})
            if self._detector_failures >= ATTEMPTS:
                raise
            return None
        self._detector_failures = 0
        return found

    def _finish_frame(self, lane: Lane, frame: Frame, detections: sv.Detections) -> None:
        if lane.info is None or frame.segment != lane.segment:
            self._begin_segment(lane, frame)
        assert lane.info is not None
        try:
            with self._telemetry.stages.measure("track"):
                lane.pipeline.observe(frame, detections)
            result = lane.pipeline.result(frame)
        except Exception as error:
            log.exception(
                "tracking failed; this camera's tracks start afresh",
                extra={
                    "camera": frame.camera,
                    "event": "tracking_failed",
                    "reason": type(error).__name__,
                },
            )
            lane.meter.dropped["tracking_failed"] += 1
            lane.failures += 1
            if lane.failures >= ATTEMPTS:
                raise
            lane.meter.tracks += hand_out(lane.pipeline.finish(), lane.sinks)
            return
        lane.failures = 0
        lane.abandoned = False
        lane.last_time, lane.last_result = frame.time, time.monotonic()
        delay = max(wall_clock() - frame.time, 0.0)
        lane.meter.delay.add(delay)
        lane.meter.recent.add(delay)
        lane.own_delay.add(max(delay - frame.late, 0.0))
        lane.meter.processed += 1
        lane.meter.people = len(result.people)
        for sink in lane.sinks:
            sink.write(frame, result)
        lane.meter.tracks += hand_out(lane.pipeline.ended(), lane.sinks)
        if self._observer is not None:
            self._observer(lane.info, result)

    def _begin_segment(self, lane: Lane, frame: Frame) -> None:
        """The first frame, or the first of another size, codec or rate: tracks end, ids go on from where they were."""
        health = lane.source.health
        height, width = frame.image.shape[:2]
        if lane.info is None:
            lane.info = SourceInfo(frame.camera, "", width, height, True, health.rate, None, health.codec)
            lane.sinks = self._sinks(lane.info)
        else:
            lane.info = replace(lane.info, width=width, height=height, rate=health.rate, codec=health.codec)
            lane.meter.tracks += hand_out(lane.pipeline.finish(), lane.sinks)
            log.info(
                f"new segment: {health.codec} {width}x{height}",
                extra={"camera": frame.camera, "event": "segment", "reason": "format_changed"},
            )
        lane.segment = frame.segment

    def _end_forsaken_tracks(self) -> None:
        """Nobody is still there when a camera comes back after minutes: what is known is written down now."""
        for lane in self.lanes:
            away = time.monotonic() - lane.last_result
            if not lane.abandoned and lane.info is not None and away > AWAY_SECONDS:
                lane.abandoned = True
                lane.meter.tracks += hand_out(lane.pipeline.finish(), lane.sinks)

    def _watch_system_clock(self) -> None:
        """Capture times keep running evenly when the system's clock is set; then they no longer agree with it."""
        step = system_clock_step()
        if abs(step) > STEP_SECONDS and not self._clock_reported:
            self._clock_reported = True
            log.warning(
                f"the system's clock was set by {step:+.0f} s; times go on as before until the run is started again",
                extra={"event": "clock_step", "reason": "system_clock"},
            )

    def _tidy(self) -> None:
        """Once in a while, let go of the memory that a busy moment took."""
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            give_back()
            self._tidied = time.monotonic()

    def _apply_readings(self) -> None:
        if self._worker is None:
            return
        by_name = {lane.source.camera: lane for lane in self.lanes}
        for reading in self._worker.collect():
            lane = by_name[reading.camera]
            lane.meter.readings += 1
            lane.pipeline.apply(reading)

    def _dispatch(self) -> None:
        """Give the recogniser its next round: the most valuable tracklets of all cameras that fit the budget."""
        worker = self._worker
        if worker is None:
            return
        self._telemetry.recognition_fails = worker.failing
        if not worker.idle:
            return
        due = [request for lane in self.lanes for request in lane.pipeline.due(lane.last_time)]
        chosen = affordable(due, worker.affordable)
        if not chosen:
            return
        for lane in self.lanes:
            lane.pipeline.claim([request for request in chosen if request.camera == lane.source.camera])
        worker.submit(chosen)

    def _shed(self) -> None:
        delay, share = self._pressure()
        if self._shedder.update(time.monotonic(), delay, share):
            self._relieve(self._shedder.level, self._shedder.load)

    def _pressure(self) -> tuple[float | None, float | None]:
        """The slowest camera's p95 delay in seconds, and the least share of what a camera offers that is processed.

        A camera of which every frame is wanted has chosen its delay. None where no camera tells.
        """
        delays, shares = [], []
        for lane in self.lanes:
            health = lane.source.health
            if health.state is CameraState.DOWN:
                lane.last_trouble = health.message
            sent = health.received - sum(health.dropped.get(reason, 0) for reason in NOT_OURS)
            if sent > lane.seen:
                lane.offered.add(sent - lane.seen)
                lane.seen = sent
            offered = lane.offered.total_rate
            delay = lane.own_delay.quantile(0.95)
            if health.state is CameraState.LIVE and delay is not None and offered:
                delays.append(0.0 if lane.source.complete else delay)
                shares.append(lane.meter.recent.rate / min(offered, ENOUGH_FPS))
        return max(delays, default=None), min(shares, default=None)

    def _relieve(self, level: int, load: Load) -> None:
        """Give up, or take back, what the load level says."""
        self._telemetry.load_level = level
        self._telemetry.level_changes[level] += 1
        log.warning(
            f"load level {level}: readings {load.cadence:g} times rarer, one frame of {load.stride}"
            + (", detector on smaller pictures" if load.small else ""),
            extra={"event": "load_level", "reason": f"level {level}"},
        )
        policy = self._policy.model_copy(
            update={
                "interval": self._policy.interval * load.cadence,
                "settled_interval": self._policy.settled_interval * load.cadence,
            }
        )
        for lane in self.lanes:
            lane.pipeline.policy = policy
        if self._worker is not None:
            self._worker.rest = load.rest
        share = SMALL_SHARE if load.small else 1.0
        self._detector.image_size = max(32, int(self._image_size * share) // 32 * 32)

    def _close(self, completed: bool) -> None:
        for lane in self.lanes:
            lane.source.stop()
        if self._worker is not None:
            self._worker.close(0.5)
            self._apply_readings()
        for lane in self.lanes:
            lane.meter.tracks += hand_out(lane.pipeline.finish(), lane.sinks)
            for sink in lane.sinks:
                sink.end(completed)
        deadline = time.monotonic() + CLOSE_SECONDS
        for lane in self.lanes:
            for sink in lane.sinks:
                sink.join(deadline - time.monotonic())
        deadline = time.monotonic() + 1.0
        for lane in self.lanes:
            lane.source.close(max(0.0, deadline - time.monotonic()))
