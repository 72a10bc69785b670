"""What a camera sends may change, jump and arrive torn: the models see whole pictures in running time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_both_codecs_come_through_with_their_capture_time(fake_camera: Any, live_run: Any, codec: str) -> None:
    camera = fake_camera("--codec", codec)
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        time.sleep(4.0)
        health = run.engine.healths()["camera"]
    record = run.records["camera"]
    assert health.codec == {"h264": "h264", "h265": "hevc"}[codec]
    # One frame of delay is the parser's, which knows a picture's end by the next one's beginning.
    assert np.median(record.delays) < 0.35
    assert np.median(np.diff(record.times[5:])) == pytest.approx(0.1, abs=0.02)


def test_another_picture_size_after_a_reconnection_begins_a_segment(fake_camera: Any, live_run: Any) -> None:
    camera = fake_camera()
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        time.sleep(1.5)
        camera.command("size all 320x240")
        run.wait(lambda: (320, 240) in run.records["camera"].sizes, 10.0, "the new size arrives")
        time.sleep(1.0)
    record = run.records["camera"]
    assert next(segment for segment, size in zip(record.segments, record.sizes) if size == (320, 240)) == 1
    assert {size for segment, size in zip(record.segments, record.sizes) if segment == 0} == {(640, 360)}
    # Tracks of the old picture ended, and no id is used twice.
    assert len(record.ended) >= 2
    assert len({summary.track for summary in record.ended}) == len(record.ended)


def test_time_stamps_that_jump_are_repaired_and_counted(fake_camera: Any, live_run: Any) -> None:
    camera = fake_camera()
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        for jump in ("+100", "-60", "+7", "-40"):
            time.sleep(1.0)
            camera.command(f"jump all {jump}")
        time.sleep(1.5)
        health = run.engine.healths()["camera"]
    steps = np.diff(run.records["camera"].times[3:])
    assert health.repairs == 4
    assert (steps > 0).all()
    assert steps.max() < 1.0
    assert abs(run.records["camera"].times[-1] - time.time()) < 3.0


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_lost_packets_never_show_as_torn_pictures(fake_camera: Any, live_run: Any, codec: str) -> None:
    # Damage shows: the capture time is painted along the upper and the lower edge, and tears apart.
    camera = fake_camera("--codec", codec, "--gop", "5", "--bitrate", "600", "--loss", "0.05")
    with live_run({"camera": camera.url()}, transport="udp") as run:
        run.wait_live("camera", seconds=30.0)
        time.sleep(7.0)
        run.wait(lambda: run.engine.healths()["camera"].dropped["corrupt"] > 20, 30.0, "pictures are damaged")
        run.wait(lambda: len(run.records["camera"].indices) > 5, 30.0, "whole ones arrive all the same")
    assert run.records["camera"].torn == 0
