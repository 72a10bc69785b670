"""What a reader makes of packets, whose fault it is that they are late, and whose code it runs."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from pipeline.sources.damage import DamageLog
from pipeline.sources.handover import ReaderOptions
from pipeline.sources.reader import Reader
from pipeline.sources.reader_process import ReaderProcess


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The reader's clock, to be set."""
    clock = [1000.0]
    monkeypatch.setattr("pipeline.sources.reader.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("pipeline.sources.reader.wall_clock", lambda epoch: clock[0])
    return clock


def lateness(now: list[float], waits: Sequence[float], work: float = 0.0) -> list[float]:
    """How late the reader takes packets of a tenth of a second to be that it waits for, and works on, for so long."""
    reader = Reader(cast(Any, None), cast(Any, None), DamageLog())
    options = ReaderOptions("http://camera/", "tcp", "every_frame", 1.0, 1.0, 5.0, 0, None, 0.0)
    stream = SimpleNamespace(codec_context=SimpleNamespace(name="mjpeg"))

    def demux(_: object) -> Iterator[Any]:
        for number, wait in enumerate(waits):
            now[0] += wait
            yield SimpleNamespace(size=1, pts=number, time_base=Fraction(1, 10), is_keyframe=True)

    late = []
    for packet, _, _ in reader._packets(cast(Any, SimpleNamespace(demux=demux)), cast(Any, stream), options):
        reader._clock.stamp(packet.pts / 10, now[0])
        late.append(reader._late)
        now[0] += work
    return late


def test_what_was_waited_for_is_late_by_the_networks_fault_and_what_came_with_it_no_more_than_it_is(
    now: list[float],
) -> None:
    found = lateness(now, [0.1, 0.1, 0.7, 0.0, 0.0, 0.0, 0.0])
    assert found == pytest.approx([0.0, 0.0, 0.6, 0.5, 0.4, 0.3, 0.2], abs=0.02)


def test_a_backlog_of_our_own_is_not_the_networks(now: list[float]) -> None:
    assert lateness(now, [0.0] * 8, work=0.3) == [0.0] * 8


@pytest.mark.parametrize("gap", [1.5, 3.0, 8.0])
def test_a_camera_whose_clock_stood_still_is_not_taken_for_a_slow_decoder(now: list[float], gap: float) -> None:
    reader = Reader(cast(Any, None), cast(Any, None), DamageLog())
    reader._outbox = cast(Any, SimpleNamespace(dropped=Counter()))
    options = ReaderOptions("http://camera/", "tcp", "newest", 1.0, 1.0, 1.0, 0, None, 0.0)
    stream = SimpleNamespace(codec_context=SimpleNamespace(name="mjpeg"))

    def demux(_: object) -> Iterator[Any]:
        for number in range(2000):
            # Time stamps go on as if the gap had not been; now and then two packets come at once.
            now[0] += gap if number == 100 else 0.0 if number % 40 == 39 else 0.2 if number % 40 == 0 else 0.1
            yield SimpleNamespace(size=1, pts=number, time_base=Fraction(1, 10), is_keyframe=number % 50 == 0)

    decoded = 0
    for packet, arrival, _ in reader._packets(cast(Any, SimpleNamespace(demux=demux)), cast(Any, stream), options):
        stamp = reader._clock.stamp(packet.pts / 10, arrival)
        decoded += 1
    assert decoded > 1900
    assert now[0] - stamp < 0.3
    assert reader._clock.repairs == 1


def test_a_folder_of_the_same_name_where_it_is_started_is_no_part_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    reader = ReaderProcess()
    try:
        reader.open(ReaderOptions("http://127.0.0.1:1/", "tcp", "newest", 1.0, 1.0, 5.0, 0, None, 0.0), 0.0)
        message = next(filter(None, (reader.receive(0.1) for _ in range(300))), None)
    finally:
        reader.abandon()
    assert message is not None
    assert not (tmp_path / "ran").exists()


def test_what_the_decoder_holds_back_comes_when_a_stream_ends(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
        container.mux(stream.encode())
    reader, given = Reader(cast(Any, None), cast(Any, None), DamageLog()), []
    reader._outbox = cast(Any, SimpleNamespace(put=given.append, send=lambda *_: None, dropped=Counter(), number=0))
    options = ReaderOptions("http://camera/", "tcp", "every_frame", 1.0, 1.0, 5.0, 0, None, 0.0)
    with av.open(str(path)) as container:
        reader._read(container, options)
    assert [one.number for one in given] == list(range(30))


def test_a_reader_leaves_its_end_to_the_program() -> None:
    reader = ReaderProcess()
    try:
        reader.open(ReaderOptions("http://127.0.0.1:1/", "tcp", "newest", 1.0, 1.0, 5.0, 0, None, 0.0), 0.0)
        assert next(filter(None, (reader.receive(0.1) for _ in range(300))), None) is not None
        os.kill(reader.pid, signal.SIGTERM)  # as a service manager does to all of a service's processes
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            reader.receive(0.1)
    finally:
        reader.abandon()
