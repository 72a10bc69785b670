"""What one camera remembers of its people."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import supervision as sv

from par_model.schema import load_schema
from pipeline.attributes import AttributeState
from pipeline.camera import CameraPipeline
from pipeline.config import RecognitionConfig
from pipeline.recognition import Reading, Request
from pipeline.tracklets import TrackletBuffer
from pipeline.types import Frame, FrameResult, TrackSummary
from trackers import create_tracker
from trackers.identities import Identities
from trackers.reattach import Gallery

RATE = 10
COLOURS = {"red": ((40, 30, 200), (90, 40, 30)), "green": ((60, 160, 60), (30, 30, 30))}


def camera(memory: float = 10.0, reattach: bool = True) -> CameraPipeline:
    return CameraPipeline(
        "gate",
        create_tracker("bytetrack", lost_seconds=0.5),
        TrackletBuffer(spacing=0.1),
        None,
        RecognitionConfig(),
        identities=(lambda: Identities(Gallery(memory))) if reattach else None,
        memory=memory,
    )


def walk(pipeline: CameraPipeline, start: float, seconds: float, left: float, dress: str) -> list[int]:
    """Somebody in coloured clothes walks for a while; the ids shown."""
    shown = []
    for step in range(int(seconds * RATE)):
        image = np.random.default_rng(step).integers(100, 130, (240, 320, 3), dtype=np.uint8)
        x = int(left + 2 * step)
        top, bottom = COLOURS[dress]
        image[60:110, x : x + 40], image[110:180, x : x + 40] = top, bottom
        image[40:60, x + 12 : x + 28] = (120, 140, 190)
        found = sv.Detections(
            xyxy=np.array([[x, 40, x + 40, 180]], dtype=np.float32),
            confidence=np.array([0.9], dtype=np.float32),
            class_id=np.array([0]),
        )
        people = pipeline.observe(Frame("gate", 0, start + step / RATE, image), found)
        shown += [] if people.tracker_id is None else people.tracker_id.tolist()
    return shown


def rest(pipeline: CameraPipeline, start: float, seconds: float) -> None:
    """Nobody is in the picture."""
    for step in range(int(seconds * RATE)):
        image = np.full((240, 320, 3), 115, dtype=np.uint8)
        pipeline.observe(Frame("gate", 0, start + step / RATE, image), sv.Detections.empty())


def spans(summaries: list[TrackSummary]) -> list[tuple[int, float, float]]:
    return [(one.track, round(one.first_time, 1), round(one.last_time, 1)) for one in summaries]


def test_somebody_who_comes_back_goes_on_under_their_number_as_one_person() -> None:
    pipeline = camera()
    assert set(walk(pipeline, 0.0, 3.0, 20, "red")) == {1}
    rest(pipeline, 3.0, 4.0)
    again = walk(pipeline, 7.0, 4.0, 90, "red")
    assert again[-1] == 1
    assert pipeline.ended() == []
    [summary] = pipeline.finish()
    assert spans([summary]) == [(1, 0.0, 10.9)]
    assert {summary.track, *summary.also} == {1, *again}


class Unsure:
    """Beliefs about nobody."""

    def settled(self, track: int) -> bool:
        return False


def test_whoever_leaves_after_one_look_is_due_once_and_whoever_stays_when_there_are_more() -> None:
    pipeline = camera(reattach=False)
    pipeline.beliefs = cast(AttributeState, Unsure())
    pipeline.buffer = TrackletBuffer(spacing=0.4)
    walk(pipeline, 0.0, 0.3, 20, "red")
    assert pipeline.due(0.2) == []
    rest(pipeline, 0.3, 0.4)
    assert pipeline.due(0.6) == []
    [request] = pipeline.due(1.1)
    assert (request.track, len({id(crop) for crop in request.crops})) == (1, 1)
    pipeline.claim([request])
    assert pipeline.due(1.2) == []
    assert pipeline.due(1.2, last=True) == []


def test_a_frame_tells_of_those_without_a_number_and_of_those_missed_for_a_moment() -> None:
    pipeline = camera()
    image = np.zeros((240, 320, 3), np.uint8)
    one, other = [20.0, 40.0, 60.0, 180.0], [200.0, 40.0, 240.0, 180.0]

    def look(index: int, *boxes: list[float]) -> FrameResult:
        frame = Frame("gate", index, index / RATE, image)
        xyxy = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        pipeline.observe(frame, sv.Detections(xyxy=xyxy, confidence=np.full(len(boxes), 0.9, np.float32)))
        return pipeline.result(frame)

    look(0, one)
    first = look(1, one, other)
    assert len(first.people) == 1
    assert tuple(other) in first.others
    missed = look(2)
    assert (missed.people, missed.others) == ((), ())
    assert any(np.allclose(box, one, atol=3) for box in missed.missed)
    for index in range(3, 20):
        gone = look(index)
    assert (gone.others, gone.missed) == ((), ())


def test_whoever_is_missed_for_a_moment_does_not_walk_out_of_what_is_hidden() -> None:
    pipeline = camera()
    pipeline.tracker = create_tracker("sidewalk")
    image = np.zeros((480, 640, 3), np.uint8)
    for step in range(75):
        x, time = 20 + 5 * step, step / 25
        box = np.array([[x, 100, x + 56, 260]], np.float32)
        found = sv.Detections(xyxy=box, confidence=np.array([0.9], np.float32)) if step < 50 else sv.Detections.empty()
        frame = Frame("gate", step, time, image)
        pipeline.observe(frame, found)
        if step >= 50:
            x1, y1, x2, y2 = box[0]
            [hidden] = pipeline.result(frame).missed
            assert (hidden[0] <= x1, hidden[1] <= y1, hidden[2] >= x2, hidden[3] >= y2) == (True,) * 4


@pytest.mark.parametrize(
    ("apart", "lost", "memory"),
    [(1.0, 2.0, 10.0), (5.0, 2.0, 10.0), (15.0, 2.0, 10.0), (60.0, 2.0, 10.0), (0.7, 0.5, 0.0)],
)
def test_people_of_pictures_however_far_apart_are_read(apart: float, lost: float, memory: float) -> None:
    pipeline = CameraPipeline(
        "gate", create_tracker(lost_seconds=lost), TrackletBuffer(), AttributeState(load_schema("mars")),
        RecognitionConfig(), identities=(lambda: Identities(Gallery())) if memory else None, memory=memory,
    )  # fmt: skip
    boxes = np.array([[20, 40, 60, 180], [200, 40, 240, 180]], np.float32)
    asked: set[int] = set()
    for number in range(6):
        frame = Frame("gate", number, number * apart, np.zeros((240, 320, 3), np.uint8))
        pipeline.observe(frame, sv.Detections(xyxy=boxes, confidence=np.full(2, 0.9, np.float32)))
        requests = pipeline.due(frame.time, last=number == 5)
        pipeline.claim(requests)
        asked |= {request.track for request in requests}
    assert asked == set(range(1, 3 if apart < lost else 13))
    assert len(pipeline.finish()) == len(asked)


def test_a_reading_under_way_is_waited_for() -> None:
    pipeline = CameraPipeline(
        "gate",
        create_tracker(lost_seconds=0.5),
        TrackletBuffer(),
        AttributeState(load_schema("mars")),
        RecognitionConfig(),
    )
    box = np.array([[20, 40, 60, 180]], np.float32)
    asked: Request | None = None
    for step in range(40):
        found = sv.Detections(xyxy=box, confidence=np.full(1, 0.9, np.float32)) if step < 3 else sv.Detections.empty()
        frame = Frame("gate", step, step / RATE, np.zeros((240, 320, 3), np.uint8))
        pipeline.observe(frame, found)
        if requests := pipeline.due(frame.time):
            [asked] = requests
            pipeline.claim(requests)
        if asked is not None and abs(frame.time - asked.time - 1.0) < 0.01:
            pipeline.apply(Reading("gate", asked.track, asked.time, np.full(43, 0.1, np.float32), 0.9, 1.0, None))
    [track] = pipeline.ended()
    assert track.readings == 1


class Scripted:
    """A tracker whose people are given by frame: ids in sight, ids that end, ids that go on as others."""

    lost_seconds = 2.0

    def __init__(self, frames: list[tuple[list[int], list[int], dict[int, int]]]) -> None:
        self._frames = iter(frames)
        self.ended: list[int] = []
        self.merged: dict[int, int] = {}

    def update(self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None) -> sv.Detections:
        ids, self.ended, self.merged = next(self._frames)
        seen = cast(sv.Detections, detections[: len(ids)])
        seen.tracker_id = np.array(ids)
        return seen

    def reset(self) -> None: ...


def play(frames: list[tuple[list[int], list[int], dict[int, int]]], reattach: bool, wait: int = 0) -> CameraPipeline:
    """A camera to whose model each request takes `wait` frames."""
    schema = load_schema("mars")
    pipeline = CameraPipeline(
        "gate",
        Scripted(frames),
        TrackletBuffer(min_quality=0.0),
        AttributeState(schema),
        RecognitionConfig(),
        identities=(lambda: Identities(Gallery(), looks=1)) if reattach else None,
    )
    under_way: list[tuple[int, Reading]] = []
    for step, (ids, _, _) in enumerate(frames):
        boxes = np.array([[40 + 70 * place, 40, 100 + 70 * place, 220] for place in range(len(ids))], np.float32)
        found = sv.Detections(xyxy=boxes.reshape(-1, 4), confidence=np.full(len(ids), 0.9, np.float32))
        frame = Frame("gate", step, step / RATE, np.zeros((240, 320, 3), np.uint8))
        pipeline.observe(frame, found)
        requests = pipeline.due(frame.time)
        pipeline.claim(requests)
        for request in requests:
            looks = np.eye(4, dtype=np.float32)[request.track % 4]
            probabilities = np.full(len(schema.words), 0.1, np.float32)
            reading = Reading("gate", request.track, request.time, probabilities, 0.9, 1.0, looks)
            under_way.append((step + wait, reading))
        for due, reading in under_way:
            if due == step:
                pipeline.apply(reading)
    return pipeline


@pytest.mark.parametrize("reattach", [True, False])
def test_a_reading_under_way_reaches_its_person_under_their_new_number(reattach: bool) -> None:
    alone = [([2], [], {})] * 8 + [([1], [2], {2: 1})] + [([1], [], {})] * 2
    pipeline = play(alone, reattach, wait=5)
    [person] = pipeline.finish()
    assert (person.track, person.also, person.readings) == (1, (2,), 1)


@pytest.mark.parametrize("reattach", [True, False])
def test_two_who_were_in_view_together_are_no_one_person(reattach: bool) -> None:
    both = [([1, 2], [], {})] * 8 + [([1], [2], {2: 1})] + [([1], [], {})] * 8
    pipeline = play(both, reattach)
    assert [(one.track, one.also, one.frames) for one in pipeline.ended() + pipeline.finish()] in (
        [(1, (), 17), (2, (), 8)],
        [(2, (), 8), (1, (), 17)],
    )


@pytest.mark.parametrize("reattach", [True, False])
def test_two_tracks_that_turn_out_to_be_one_person_are_one_record(reattach: bool) -> None:
    schema = load_schema("mars")
    pipeline = CameraPipeline(
        "gate",
        create_tracker("sidewalk", lost_seconds=5.0),
        TrackletBuffer(min_quality=0.0),
        AttributeState(schema),
        RecognitionConfig(),
        identities=(lambda: Identities(Gallery(), looks=1)) if reattach else None,
    )
    read = 0
    for step in range(100):
        # They stand, and are found under a new number as they walk back to their place.
        aside = 0.0 if step < 40 else max(220.0 - 6 * (step - 40), 0.0)
        box = np.array([[200 + aside, 100, 260 + aside, 250]], np.float32)
        found = sv.Detections(xyxy=box, confidence=np.full(len(box), 0.9, np.float32))
        frame = Frame("gate", step, step / RATE, np.zeros((480, 640, 3), np.uint8))
        pipeline.observe(frame, found)
        requests = pipeline.due(frame.time)
        pipeline.claim(requests)
        for request in requests:
            probabilities = np.full(len(schema.words), 0.1, np.float32)
            looks = np.ones(4, np.float32) / 2
            pipeline.apply(Reading("gate", request.track, request.time, probabilities, 0.9, 1.0, looks))
            read += 1
    [person] = pipeline.finish()
    assert (person.track, person.also) == (1, (2,))
    assert person.readings == read
    assert person.frames == 99  # all but the first sight of a new track
    assert pipeline.beliefs is not None
    assert not pipeline.beliefs._beliefs


def test_boxes_end_where_the_picture_does() -> None:
    pipeline = camera()
    for left in (-30.0, 270.0):
        for step in range(30):
            x = left + 2 * step
            found = sv.Detections(
                xyxy=np.array([[x, 40, x + 40, 300]], dtype=np.float32), confidence=np.array([0.9], dtype=np.float32)
            )
            frame = Frame("gate", 0, left + step / RATE, np.zeros((240, 320, 3), np.uint8))
            boxes = pipeline.observe(frame, found).xyxy
            assert (boxes >= 0).all()
            assert (boxes <= [320, 240, 320, 240]).all()
            assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()


def test_somebody_else_gets_a_number_of_their_own() -> None:
    pipeline = camera()
    walk(pipeline, 0.0, 3.0, 20, "red")
    rest(pipeline, 3.0, 4.0)
    assert 1 not in walk(pipeline, 7.0, 4.0, 90, "green")
    assert [track for track, *_ in spans(pipeline.finish())] == [1, 2]


def test_whoever_stays_away_is_written_down_once_memory_ends() -> None:
    pipeline = camera(memory=5.0)
    walk(pipeline, 0.0, 3.0, 20, "red")
    rest(pipeline, 3.0, 4.5)
    assert pipeline.ended() == []
    rest(pipeline, 7.5, 2.0)
    assert spans(pipeline.ended()) == [(1, 0.0, 2.9)]
    assert pipeline.finish() == []
    assert 1 not in walk(pipeline, 10.0, 4.0, 90, "red")


def test_without_memory_a_track_ends_when_the_tracker_lets_go() -> None:
    pipeline = camera(reattach=False)
    walk(pipeline, 0.0, 3.0, 20, "red")
    rest(pipeline, 3.0, 1.0)
    assert spans(pipeline.ended()) == [(1, 0.0, 2.9)]


def test_after_the_end_of_everything_numbers_go_on_and_nobody_is_remembered() -> None:
    pipeline = camera()
    walk(pipeline, 0.0, 3.0, 20, "red")
    assert len(pipeline.finish()) == 1
    assert 1 not in walk(pipeline, 4.0, 4.0, 40, "red")
