"""A consumer that is far too slow gets fewer frames, not older ones, and memory does not grow."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
import pytest

from pipeline.memory import resident_bytes

SECONDS = 25.0
"""`tools/benchmark.py live` runs the same for as long as one likes."""


@pytest.mark.slow
def test_a_consumer_five_times_too_slow_stays_within_a_bounded_delay(
    fake_camera: Any, live_run: Any, one_person: Any
) -> None:
    camera = fake_camera()
    with live_run({"camera": camera.url()}, detector=one_person(0.5)) as run:
        run.wait_live("camera")
        time.sleep(5.0)
        memory = resident_bytes()
        time.sleep(SECONDS)
        growth = resident_bytes() - memory
        health = run.engine.healths()["camera"]
    record = run.records["camera"]
    half = len(record.delays) // 2
    assert np.percentile(record.delays, 95) < 1.5
    assert np.median(record.delays[half:]) < np.median(record.delays[:half]) + 0.2
    assert health.dropped["superseded"] > 0.6 * health.received
    assert health.received == pytest.approx(health.delivered + sum(health.dropped.values()), abs=15)
    assert growth < 30e6


def test_a_decoder_that_fell_behind_catches_up_from_key_frame_to_key_frame(fake_camera: Any, live_run: Any) -> None:
    camera = fake_camera("--gop", "20", "--fps", "20")
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        time.sleep(1.0)
        reader = run.supervisors[0]._reader
        os.kill(reader.pid, signal.SIGSTOP)
        time.sleep(2.5)  # and not for the read timeout: the connection is to be kept
        os.kill(reader.pid, signal.SIGCONT)
        time.sleep(3.0)
        health = run.engine.healths()["camera"]
    assert health.state == "live"
    assert health.reconnects == 0
    assert health.dropped["decoder_behind"] > 10
    assert np.median(run.records["camera"].delays[-20:]) < 0.5


def test_every_frame_is_kept_where_that_is_asked_for(fake_camera: Any, live_run: Any, one_person: Any) -> None:
    camera = fake_camera()
    with live_run({"camera": camera.url()}, detector=one_person(0.02), policy="every_frame") as run:
        run.wait_live("camera")
        time.sleep(4.0)
    assert np.diff(run.records["camera"].indices).max() == 1


def test_a_frame_rate_limit_thins_the_frames_out_evenly(fake_camera: Any, live_run: Any) -> None:
    camera = fake_camera("--fps", "20")
    with live_run({"camera": camera.url()}, fps=5.0) as run:
        run.wait_live("camera")
        time.sleep(5.0)
        health = run.engine.healths()["camera"]
    times = np.array(run.records["camera"].times)[2:]
    assert np.diff(times).mean() == pytest.approx(0.2, rel=0.1)
    assert health.dropped["rate"] > health.delivered
