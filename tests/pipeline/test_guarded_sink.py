"""A sink behind its guard: slow, failing or hanging, it is nobody else's trouble."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.sinks.guarded import GuardedSink
from pipeline.telemetry import fails
from pipeline.types import Frame, FrameResult, SidewalkError, TrackSummary


class Sink:
    """Does what the test says with every frame."""

    def __init__(self, act: Any) -> None:
        self.act = act
        self.frames: list[int] = []
        self.tracks: list[int] = []
        self.closed: list[bool] = []

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.act(frame.index)
        self.frames.append(frame.index)

    def end_track(self, summary: TrackSummary) -> None:
        self.tracks.append(summary.track)

    def close(self, completed: bool = True) -> None:
        self.closed.append(completed)


def put(guard: GuardedSink, index: int) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    guard.write(Frame("camera", index, float(index), image), FrameResult("camera", index, float(index), ()))


def summary(track: int) -> TrackSummary:
    return TrackSummary("camera", track, 0.0, 1.0, 10, {}, 0, (0.0, 0.0, 1.0, 1.0), 0.0)


def test_a_slow_sink_drops_its_oldest_frames_but_no_track_and_never_blocks() -> None:
    sink, counts = Sink(lambda index: time.sleep(0.05)), Counter[str]()
    guard = GuardedSink("camera", "slow", lambda: sink, counts, depth=5)
    began = time.monotonic()
    for index in range(50):
        put(guard, index)
    guard.end_track(summary(7))
    assert time.monotonic() - began < 1.0  # fifty frames would take the sink two and a half
    guard.close()
    assert sink.frames[-1] == 49
    assert sink.tracks == [7]
    assert counts["dropped"] + counts["written"] == 50
    assert counts["tracks"] == 1
    assert sink.closed == [True]


def test_a_crowd_whose_tracks_end_at_once_pushes_nothing_out() -> None:
    sink, counts = Sink(lambda index: time.sleep(0.01)), Counter[str]()
    guard = GuardedSink("camera", "slow", lambda: sink, counts, depth=5)
    for index in range(5):
        put(guard, index)
    for track in range(200):
        guard.end_track(summary(track))
    guard.close()
    assert sink.frames == list(range(5))
    assert sink.tracks == list(range(200))
    assert counts["dropped"] == 0


def test_a_failing_sink_is_made_anew_after_a_pause_and_what_came_between_is_counted() -> None:
    sinks: list[Sink] = []
    broken = threading.Event()
    broken.set()

    def act(index: int) -> None:
        if broken.is_set():
            raise OSError(28, "No space left on device")

    def make() -> Sink:
        sinks.append(Sink(act))
        return sinks[-1]

    counts = Counter[str]()
    guard = GuardedSink("camera", "disk", make, counts, retry_seconds=0.1, retry_longest=0.2)
    for index in range(40):
        if index == 20:
            broken.clear()
        put(guard, index)
        time.sleep(0.02)
    guard.close()
    assert counts["errors"] >= 2
    assert counts["recoveries"] == 1
    assert counts["dropped"] + counts["written"] == 40
    assert sinks[-1].frames[-1] == 39
    assert sinks[0].closed == [False]
    assert sinks[-1].closed == [True]


def errors_of(make: Callable[[], Sink], caplog: pytest.LogCaptureFixture) -> int:
    """Puts twenty frames to a sink that cannot be made; how often that was tried."""
    counts = Counter[str]()
    with caplog.at_level(logging.DEBUG, "sidewalk.sink"):
        guard = GuardedSink("camera", "disk", make, counts, retry_seconds=0.02, retry_longest=0.02)
        for index in range(20):
            put(guard, index)
            time.sleep(0.02)
        guard.close()
    return counts["errors"]


def test_a_failure_is_news_once_whatever_the_file_is_called(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Sink:
        number = next(names)
        raise SidewalkError(f"overlay-{number}.mp4: cannot be written") from OSError(28, "No space left on device")

    names = itertools.count()
    assert errors_of(make, caplog) > 3
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_another_failure_is_news_again(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Sink:
        raise OSError("the publishing process ended" if next(tries) < 3 else "the server rejects the password")

    tries = itertools.count()
    errors_of(make, caplog)
    first, second = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert "the publishing process ended" in first
    assert "rejects the password" in second


def test_tracks_wait_for_the_end_of_a_pause_and_nothing_but_a_track_shows_that_it_is_over() -> None:
    counts, broken, written = Counter[str](), threading.Event(), []
    broken.set()

    class Tracks(Sink):
        def end_track(self, summary: TrackSummary) -> None:
            if broken.is_set():
                raise OSError(28, "No space left on device")
            written.append(summary.track)

    guard = GuardedSink("camera", "tracks", lambda: Tracks(lambda index: None), counts, retry_seconds=0.05)
    for number in range(20):
        guard.end_track(summary(number))
        put(guard, number)
        time.sleep(0.01)
    assert counts["recoveries"] == 0
    assert counts["errors"] >= 2
    assert counts["outages"] == 1
    assert fails(counts)
    broken.clear()
    end = time.monotonic() + 10.0
    while fails(counts) and time.monotonic() < end:
        time.sleep(0.01)
    guard.close()
    assert written == list(range(20))
    assert counts["tracks"] == 20
    assert not fails(counts)


def test_a_track_that_is_itself_at_fault_holds_nobody_up() -> None:
    class Picky(Sink):
        def end_track(self, summary: TrackSummary) -> None:
            if summary.track == 1:
                raise ValueError("not a number")
            super().end_track(summary)

    counts, sink = Counter[str](), Picky(lambda index: None)
    guard = GuardedSink("camera", "tracks", lambda: sink, counts, retry_seconds=0.05)
    for number in (1, 2, 3):
        guard.end_track(summary(number))
    guard.close()
    assert sink.tracks == [2, 3]
    assert counts["dropped"] == 1


def test_a_sink_that_needs_no_pictures_keeps_none_waiting() -> None:
    go_on = threading.Event()
    guard = GuardedSink("camera", "lines", lambda: Sink(lambda index: go_on.wait()), Counter(), pictures=False)
    image = np.zeros((20, 20, 3), np.uint8)
    kept = weakref.ref(image)
    for index in range(3):
        guard.write(Frame("camera", index, float(index), image), FrameResult("camera", index, float(index), ()))
    del image
    assert kept() is None
    go_on.set()
    guard.close()


def test_a_hanging_sink_is_abandoned_at_the_end() -> None:
    forever = threading.Event()
    guard = GuardedSink("camera", "hung", lambda: Sink(lambda index: forever.wait()), Counter())
    put(guard, 0)
    time.sleep(0.05)
    guard.end()
    began = time.monotonic()
    assert not guard.join(0.2)
    assert time.monotonic() - began < 0.5
    forever.set()
