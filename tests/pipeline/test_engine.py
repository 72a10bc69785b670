"""The recorded mode from end to end, built from small parts."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import supervision as sv

from par_model.schema import load_schema
from pipeline.attributes import AttributeState
from pipeline.camera import CameraPipeline
from pipeline.config import RecognitionConfig
from pipeline.engine import Engine
from pipeline.tracklets import TrackletBuffer
from pipeline.types import Frame, FrameResult, Image, SourceInfo, TrackSummary
from trackers import create_tracker

SCHEMA = load_schema("mars")
RATE = 10


class Street:
    """A recording in which one person crosses a noisy picture from left to right."""

    def __init__(self, frames: int = 60, camera: str = "street", fails_at: int | None = None) -> None:
        self.info = SourceInfo(camera, "memory", 320, 240, live=False, rate=Fraction(RATE), frames=frames)
        self.warnings: list[str] = []
        self.fails_at = fails_at
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        rng = np.random.default_rng(5)
        assert self.info.frames is not None
        for index in range(self.info.frames):
            if index == self.fails_at:
                raise OSError("the cable is out")
            image = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
            image[0, 0] = index
            yield Frame(self.info.camera, index, index / RATE, image)

    def close(self) -> None:
        self.closed = True


class Walker:
    """Finds the person of `Street`, whose place follows from the frame's number in its first pixel."""

    name = "walker"
    device = "cpu"

    def detect(self, images: Sequence[Image]) -> list[sv.Detections]:
        found = []
        for image in images:
            left = 10 + 3.0 * float(image[0, 0, 0])
            found.append(
                sv.Detections(
                    xyxy=np.array([[left, 60, left + 40, 180]], dtype=np.float32),
                    confidence=np.array([0.9], dtype=np.float32),
                    class_id=np.array([0]),
                )
            )
        return found

    def close(self) -> None:
        pass


class RedTop:
    """An attribute model that sees a red top on everybody, and counts what it is asked."""

    frames = 6
    schema = SCHEMA

    def __init__(self) -> None:
        self.encoded = 0
        self.windows: list[int] = []

    def encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        self.encoded += len(crops)
        return [SimpleNamespace(appearance=np.ones(4, dtype=np.float32)) for _ in crops]

    def recognize(self, sequences: Sequence[Sequence[Any]]) -> np.ndarray:
        self.windows += [len(sequence) for sequence in sequences]
        probabilities = np.full((len(sequences), len(SCHEMA.words)), 0.02, dtype=np.float32)
        probabilities[:, SCHEMA.words.index("top red")] = 0.97
        return probabilities


@dataclass
class Shelf:
    """A sink that keeps what it gets."""

    def __post_init__(self) -> None:
        self.results: list[FrameResult] = []
        self.tracks: list[TrackSummary] = []
        self.closed: bool | None = None

    def write(self, frame: Frame, result: FrameResult) -> None:
        assert frame.index == result.index
        self.results.append(result)

    def end_track(self, summary: TrackSummary) -> None:
        self.tracks.append(summary)

    def close(self, completed: bool = True) -> None:
        self.closed = completed


def engine(
    *streets: Street, shelf: Shelf, model: RedTop | None = None, observer: Any = None, others: Sequence[Shelf] = ()
) -> Engine:
    def camera(info: SourceInfo) -> CameraPipeline:
        beliefs = AttributeState(SCHEMA) if model else None
        tracker = create_tracker("bytetrack")
        return CameraPipeline(info.camera, tracker, TrackletBuffer(), beliefs, RecognitionConfig(), window=6)

    return Engine(streets, Walker(), camera, model, lambda info: [shelf, *others], observer)


def test_one_person_gets_one_number_and_the_models_labels() -> None:
    shelf, model = Shelf(), RedTop()
    report = engine(Street(), shelf=shelf, model=model).run()
    assert [result.index for result in shelf.results] == list(range(60))
    assert {person.track for result in shelf.results for person in result.people} == {1}
    last = shelf.results[-1].people[0]
    assert last.attributes["top color"].value == "red"
    assert last.attributes["hat"].value == SCHEMA["hat"].absent
    [track] = shelf.tracks
    assert track.attributes["top color"].value == "red"
    assert track.readings == report.cameras[0].readings > 2
    assert shelf.closed is True
    assert set(report.cameras[0].times.summary()) == {"decode", "detect", "track", "recognize", "write"}


def test_no_crop_is_encoded_twice_and_windows_are_full() -> None:
    shelf, model = Shelf(), RedTop()
    engine(Street(), shelf=shelf, model=model).run()
    assert model.encoded <= 60 / RATE / 0.4 + 1
    assert set(model.windows) == {6}


def test_the_same_recording_gives_the_same_results() -> None:
    shelves = [Shelf(), Shelf()]
    for shelf in shelves:
        engine(Street(), shelf=shelf, model=RedTop()).run()
    assert shelves[0].results == shelves[1].results
    assert shelves[0].tracks == shelves[1].tracks


def test_whoever_is_seen_only_once_is_read_at_the_end() -> None:
    shelf, model = Shelf(), RedTop()
    report = engine(Street(1), shelf=shelf, model=model).run()
    assert report.cameras[0].readings == model.encoded == 1
    assert shelf.results[0].people[0].attributes["top color"].value == "red"
    assert shelf.tracks[0].attributes["top color"].value == "red"


def test_attributes_can_be_switched_off() -> None:
    shelf = Shelf()
    engine(Street(), shelf=shelf).run()
    assert shelf.results[-1].people[0].attributes == {}


def test_cameras_share_no_state() -> None:
    shelf = Shelf()
    engine(Street(30, "a"), Street(30, "b"), shelf=shelf, model=RedTop()).run()
    assert [(track.camera, track.track) for track in shelf.tracks] == [("a", 1), ("b", 1)]


def test_a_failing_stage_ends_the_run_with_its_own_error_and_incomplete_files() -> None:
    shelf, street = Shelf(), Street(fails_at=20)
    with pytest.raises(OSError, match="the cable is out"):
        engine(street, shelf=shelf).run()
    assert shelf.closed is False
    assert street.closed


class Interrupting(Shelf):
    """Gets Ctrl-C, as often as it is told, while it has one frame in its hands."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def write(self, frame: Frame, result: FrameResult) -> None:
        if result.index == 25:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        super().write(frame, result)


def test_ctrl_c_ends_the_run_with_complete_files_after_a_whole_frame() -> None:
    first, second = Interrupting(), Shelf()
    report = engine(Street(), Street(), shelf=first, others=[second], model=RedTop()).run()
    assert report.interrupted
    assert [camera.interrupted for camera in report.cameras] == [True]
    for shelf in (first, second):
        assert len(shelf.results) == 26
        assert len(shelf.tracks) == 1
        assert shelf.closed is True


def test_a_second_ctrl_c_ends_the_run_as_it_is() -> None:
    shelf, street = Interrupting(times=2), Street()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        engine(street, shelf=shelf).run()
    assert shelf.closed is False
    assert street.closed
    assert signal.getsignal(signal.SIGINT) is before


def test_a_camera_that_was_done_is_complete_although_the_run_is_not() -> None:
    shelf = Shelf()
    run = engine(
        Street(30, "a"),
        Street(30, "b"),
        shelf=shelf,
        observer=lambda info, result: run.stop() if (info.camera, result.index) == ("b", 10) else None,
    )
    report = run.run()
    assert [camera.interrupted for camera in report.cameras] == [False, True]
    assert [camera.times.summary()["write"]["count"] for camera in report.cameras] == [30, 11]


@pytest.mark.parametrize("broken", ["camera", "sinks", "frames"])
def test_whatever_fails_every_source_is_closed_and_the_report_says_what_was_done(broken: str) -> None:
    def fail_on_b(info: SourceInfo, made: Any) -> Any:
        if info.camera == "b":
            raise RuntimeError("broken")
        return made

    streets = [Street(10, "a"), Street(10, "b", fails_at=3 if broken == "frames" else None), Street(10, "c")]
    run = engine(*streets, shelf=Shelf())
    if broken != "frames":
        name = {"camera": "_cameras", "sinks": "_sinks"}[broken]
        made = getattr(run, name)
        setattr(run, name, lambda info: fail_on_b(info, made(info)))
    with pytest.raises((RuntimeError, OSError)):
        run.run()
    assert all(street.closed for street in streets)
    assert [(c.info.camera, c.interrupted) for c in run.report.cameras] == [("a", False), ("b", True)]


def test_a_recording_whose_file_could_not_be_finished_is_not_complete() -> None:
    class Full(Shelf):
        def close(self, completed: bool = True) -> None:
            raise OSError("no space left")

    run = engine(Street(10), shelf=Full())
    with pytest.raises(OSError, match="no space"):
        run.run()
    assert run.report.cameras[0].interrupted


def test_a_run_can_be_stopped_from_elsewhere() -> None:
    shelf = Shelf()
    run = engine(Street(), shelf=shelf, observer=lambda info, result: run.stop() if result.index == 25 else None)
    assert run.run().interrupted
    assert len(shelf.results) == 26
    assert shelf.closed is True
