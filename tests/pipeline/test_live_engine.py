"""The live engine with cameras made of code: who waits for whom, and who does not."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import supervision as sv

from pipeline.camera import CameraPipeline
from pipeline.config import RecognitionConfig
from pipeline.ignore import NOTHING_IGNORED, IgnoredAreas
from pipeline.live_engine import LiveEngine
from pipeline.recognition import Request
from pipeline.recognition_worker import RecognitionWorker
from pipeline.sinks.guarded import GuardedSink
from pipeline.sources.clock import wall_clock
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import Telemetry
from pipeline.tracklets import Crop, TrackletBuffer
from pipeline.types import Frame, FrameResult, SourceInfo, TrackSummary


class Ticking:
    """A camera that has a new frame every period; `silent` stops it, `segment` is what its frames carry."""

    complete = False

    def __init__(self, camera: str, period: float = 0.05) -> None:
        self.camera = camera
        self.on_change: Callable[[], None] = lambda: None
        self.silent = False
        self.segment = 0
        self.size = (120, 160)
        self._period = period
        self._lock = threading.Lock()
        self._wanted = False
        self._newest: Frame | None = None
        self._frame: Frame | None = None
        self._stop = threading.Event()
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._period):
            if self.silent:
                continue
            image = np.zeros((*self.size, 3), np.uint8)
            with self._lock:
                self._count += 1
                self._newest = Frame(self.camera, self._count, wall_clock(), image, segment=self.segment)
                self._hand_over()

    def _hand_over(self) -> None:
        if self._wanted and self._newest is not None:
            self._frame, self._newest, self._wanted = self._newest, None, False
            self.on_change()

    def request(self) -> None:
        with self._lock:
            self._wanted = self._frame is None
            self._hand_over()

    def take(self) -> Frame | None:
        frame, self._frame = self._frame, None
        return frame

    @property
    def health(self) -> Health:
        state = CameraState.STALLED if self.silent else CameraState.LIVE
        rate = Fraction(1 / self._period).limit_denominator(100)
        return Health(self.camera, state, "", "", 0.0, 0, self._count, 0, {}, 0, self.segment, "h264", 160, 120, rate)

    def stop(self) -> None:
        self._stop.set()

    def close(self, seconds: float = 2.0) -> None:
        self._stop.set()


class Box:
    """A detector with one person per picture that counts how many pictures come together."""

    name, device, image_size = "box", "none", 640

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[int] = []
        self.seconds = seconds
        self.failures = 0

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("out of memory")
        time.sleep(self.seconds)
        self.batches.append(len(images))
        xyxy = np.array([[10, 10, 50, 110]], np.float32)
        return [
            sv.Detections(xyxy=xyxy.copy(), confidence=np.array([0.9], np.float32), class_id=np.zeros(1, int))
            for _ in images
        ]

    def close(self) -> None:
        pass


@dataclass
class Kept:
    """What a sink was given."""

    def __post_init__(self) -> None:
        self.results: list[FrameResult] = []
        self.ended: list[TrackSummary] = []

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.results.append(result)

    def end_track(self, summary: TrackSummary) -> None:
        self.ended.append(summary)

    def close(self, completed: bool = True) -> None:
        pass


def build(
    cameras: list[Ticking], detector: Any, areas: Mapping[str, IgnoredAreas] = {}, **options: Any
) -> tuple[LiveEngine, dict[str, Kept]]:
    from trackers import create_tracker

    policy = RecognitionConfig()
    kept = {camera.camera: Kept() for camera in cameras}

    def sinks(info: SourceInfo) -> list[GuardedSink]:
        return [GuardedSink(info.camera, "kept", lambda: kept[info.camera], Counter())]

    def pipeline(name: str) -> CameraPipeline:
        ignored = areas.get(name, NOTHING_IGNORED)
        return CameraPipeline(name, create_tracker("bytetrack"), TrackletBuffer(), None, policy, areas=ignored)

    engine = LiveEngine(cameras, detector, pipeline, None, sinks, Telemetry(), policy=policy, **options)
    return engine, kept


def test_frames_of_several_cameras_are_detected_together() -> None:
    detector = Box(0.02)
    engine, kept = build([Ticking("a"), Ticking("b"), Ticking("c")], detector)
    engine.run(1.5)
    counts = [len(kept[name].results) for name in "abc"]
    assert np.mean(detector.batches) > 1.5
    assert min(counts) > 0.8 * max(counts)


def test_on_a_cpu_every_frame_is_detected_by_itself() -> None:
    detector = Box(0.02)
    detector.device = "openvino:cpu"
    engine, kept = build([Ticking("a"), Ticking("b"), Ticking("c")], detector)
    engine.run(1.5)
    counts = [len(kept[name].results) for name in "abc"]
    assert set(detector.batches) == {1}
    assert min(counts) > 0.8 * max(counts)


def test_nobody_waits_for_a_camera_that_stalled() -> None:
    steady, stalled = Ticking("steady"), Ticking("stalled")
    engine, kept = build([steady, stalled], Box(), batch_window=0.5)
    threading.Timer(0.5, lambda: setattr(stalled, "silent", True)).start()
    engine.run(2.0)
    times = np.array([result.time for result in kept["steady"].results])
    late = times[times > times[0] + 0.7]
    assert np.diff(late).max() < 0.2


def test_another_segment_ends_the_tracks_and_never_reuses_their_numbers() -> None:
    camera = Ticking("camera")
    engine, kept = build([camera], Box())

    def change() -> None:
        camera.segment, camera.size = 1, (240, 320)

    threading.Timer(0.6, change).start()
    engine.run(1.5)
    tracks = [person.track for result in kept["camera"].results for person in result.people]
    assert sorted(set(tracks)) == [1, 2]
    assert tracks == sorted(tracks)
    assert [summary.track for summary in kept["camera"].ended] == [1, 2]


def test_a_detector_that_fails_once_loses_a_frame_and_one_that_keeps_failing_ends_the_run() -> None:
    detector = Box()
    detector.failures = 2
    engine, kept = build([Ticking("camera")], detector)
    engine.run(1.0)
    assert len(kept["camera"].results) > 5
    detector.failures = 100
    engine, _ = build([Ticking("camera")], detector)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.run(5.0)


def test_a_run_ends_when_every_camera_was_given_up() -> None:
    class Gone(Ticking):
        @property
        def health(self) -> Health:
            return replace(super().health, state=CameraState.ENDED)

    camera = Gone("camera")
    camera.silent = True
    engine, _ = build([camera], Box())
    began = time.monotonic()
    engine.run(30.0)
    assert time.monotonic() - began < 2.0


def test_a_run_that_is_late_reads_rarer_then_skips_frames_then_looks_at_smaller_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.shedding.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.shedding.TROUBLE_SECONDS", 0.0)
    detector = Box()
    engine, _ = build([Ticking("camera", period=0.02)], detector, max_delay=1e-6)
    engine.run(3.0)
    [lane] = engine.lanes
    assert lane.pipeline.policy.interval == 4 * RecognitionConfig().interval
    assert lane.meter.dropped["stride"] > 10
    assert lane.meter.recent.rate > 4.0
    assert detector.image_size == 384


@pytest.mark.parametrize(("reason", "level"), [("rate", 0), ("corrupt", 0), ("superseded", 2)])
def test_only_frames_that_this_machine_could_have_had_tell_of_its_load(
    monkeypatch: pytest.MonkeyPatch, reason: str, level: int
) -> None:
    class Thinned(Ticking):
        """Sends ten frames for each that can be had."""

        @property
        def health(self) -> Health:
            health = super().health
            return replace(health, received=10 * health.received, dropped={reason: 9 * health.received})

    monkeypatch.setattr("pipeline.shedding.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.shedding.TROUBLE_SECONDS", 0.1)
    engine, _ = build([Thinned("camera", period=0.4)], Box())
    engine.run(3.0)
    assert engine._shedder.level == level


@pytest.mark.parametrize("late", [3.0, 0.0])
def test_a_slow_network_is_no_load_of_this_machine(monkeypatch: pytest.MonkeyPatch, late: float) -> None:
    class FarAway(Ticking):
        """Its pictures are three seconds old when they come."""

        def take(self) -> Frame | None:
            frame = super().take()
            return frame and replace(frame, time=frame.time - 3.0, late=late)

    monkeypatch.setattr("pipeline.shedding.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.shedding.TROUBLE_SECONDS", 0.5)
    engine, _ = build([FarAway("far"), Ticking("near")], Box())
    engine.run(2.0)
    assert (engine._shedder.level == 0) == (late > 0)
    assert engine.lanes[0].meter.delay.quantile(0.5) > 2.5


def test_somebody_in_pictures_from_long_ago_keeps_their_number() -> None:
    class Behind(Ticking):
        """Its pictures are a minute and a half old, as those of a recording that is read in full may be."""

        def take(self) -> Frame | None:
            frame = super().take()
            return frame and replace(frame, time=frame.time - 90.0)

    engine, kept = build([Behind("camera")], Box())
    engine.run(1.0)
    assert len(kept["camera"].results) > 5
    assert {person.track for result in kept["camera"].results for person in result.people} == {1}


def test_a_camera_of_which_every_frame_is_wanted_loses_none_and_sheds_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    class Complete(Ticking):
        """Far behind, for it waits for the models."""

        complete = True

        def take(self) -> Frame | None:
            frame = super().take()
            return frame and replace(frame, time=frame.time - 5.0)

    monkeypatch.setattr("pipeline.shedding.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.shedding.TROUBLE_SECONDS", 0.5)
    engine, _ = build([Complete("camera")], Box())
    engine.run(1.5)
    assert engine._shedder.level == 0
    engine, kept = build([Complete("camera", period=0.02)], Box())
    engine._shedder.level = 4
    monkeypatch.setattr(engine._shedder, "update", lambda *_: False)
    engine.run(1.0)
    assert engine.lanes[0].meter.dropped["stride"] == 0
    assert len(kept["camera"].results) > 10


def test_people_in_ignored_areas_are_not_tracked() -> None:
    left_half = IgnoredAreas([[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]])
    engine, kept = build([Ticking("a"), Ticking("b")], Box(), areas={"a": left_half})
    engine.run(0.8)
    assert kept["a"].results
    assert not any(result.people for result in kept["a"].results)
    assert all(result.others for result in kept["a"].results)  # to be made unrecognisable all the same
    assert any(result.people for result in kept["b"].results)


class SlowModel:
    """Does some work, given the number of tracklets, for each round."""

    frames = 2
    schema = None

    def __init__(self, work: Callable[[int], object] = lambda count: None) -> None:
        self.rounds: list[int] = []
        self.work = work
        self.broken = False

    def encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        if self.broken:
            raise RuntimeError("broken")
        return [object() for _ in crops]

    def recognize(self, sequences: Sequence[Sequence[Any]]) -> np.ndarray:
        self.rounds.append(len(sequences))
        self.work(len(sequences))
        return np.zeros((len(sequences), 3))


def request(track: int) -> Request:
    crop = Crop(0.0, np.zeros((4, 2, 3), np.uint8), (0.0, 0.0, 2.0, 4.0), 1.0)
    return Request("camera", track, [crop, crop], 0.0, 1.0, 1.0, 1.0)


def test_nobody_waits_for_a_recognition_round() -> None:
    go_on, ready = threading.Event(), threading.Event()
    worker = RecognitionWorker(SlowModel(lambda count: go_on.wait(10.0)), 0.1, ready.set)
    worker.submit([request(1)])
    assert not worker.idle
    assert worker.collect() == []
    go_on.set()
    assert ready.wait(2.0)
    assert len(worker.collect()) == 1
    worker.close(1.0)


def test_recognition_rounds_grow_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work(count: int) -> None:
        nonlocal now
        now += count / 64

    monkeypatch.setattr("pipeline.recognition_worker.time", SimpleNamespace(monotonic=lambda: now))
    model, ready = SlowModel(work), threading.Event()
    worker = RecognitionWorker(model, 5 / 64, ready.set)
    for _ in range(4):
        count = worker.affordable
        worker.submit([request(track) for track in range(count)])
        assert ready.wait(2.0)
        ready.clear()
        assert len(worker.collect()) == count
    assert model.rounds == [1, 5, 5, 5]
    worker.close(1.0)


def test_a_failing_recogniser_pauses_and_leaves_the_rest_alone() -> None:
    model, ready = SlowModel(), threading.Event()
    model.broken = True
    worker = RecognitionWorker(model, 0.1, ready.set)
    worker.submit([request(1)])
    assert ready.wait(2.0)
    assert worker.failing
    assert worker.collect() == []
    assert not worker.idle
    model.broken = False
    ready.clear()
    worker.submit([request(1)])
    assert ready.wait(2.0)
    assert not worker.failing
    worker.close(1.0)
