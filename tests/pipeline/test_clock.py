"""Capture time of live cameras stays on the wall clock and never runs backwards."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sources.clock import CaptureClock

NOW = 1_800_000_000.0


def stamps(clock: CaptureClock, pts: list[float | None], arrivals: list[float]) -> list[float]:
    return [clock.stamp(p, NOW + a) for p, a in zip(pts, arrivals)]


def test_network_jitter_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    capture = np.arange(200) / 10.0
    arrivals = capture + 0.02 + rng.exponential(0.05, 200)
    times = np.array(stamps(CaptureClock(), list(capture), list(arrivals))) - NOW
    spacing = np.diff(times[50:])
    assert np.abs(spacing - 0.1).max() < 0.01
    assert np.abs(np.diff(arrivals[50:]) - 0.1).max() > 0.05


def test_a_burst_of_old_frames_at_the_start_is_recognised_as_old() -> None:
    clock = CaptureClock()
    # Two seconds of video arrive at once, then the stream goes on in real time.
    pts = [i / 10 for i in range(60)]
    arrivals = [max(p, 2.0) for p in pts]
    times = [t - NOW for t in stamps(clock, list(pts), arrivals)]
    assert times[40] == pytest.approx(4.0, abs=0.01)
    assert (np.diff(times) > 0).all()


def test_jumps_forward_and_back_are_absorbed_and_counted() -> None:
    clock = CaptureClock()
    pts = [0.0, 0.1, 0.2, 100.3, 100.4, 100.5, 0.6, 0.7]
    times = stamps(clock, list(pts), [i / 10 for i in range(8)])
    assert clock.repairs == 2
    assert np.allclose(np.diff(times), 0.1, atol=0.01)


def test_a_delay_that_builds_up_is_seen_as_lag_not_as_time() -> None:
    clock = CaptureClock()
    for i in range(20):
        clock.stamp(i / 10, NOW + i / 10)
    late = clock.stamp(2.0, NOW + 2.0 + 1.5)
    assert late - NOW == pytest.approx(2.0, abs=0.01)
    assert clock.lag(2.1, NOW + 3.6) == pytest.approx(1.5, abs=0.01)


def test_a_slow_camera_clock_is_followed() -> None:
    clock = CaptureClock()
    behind = 0.0
    for i in range(10_000):
        arrival = i / 10
        behind = NOW + arrival - clock.stamp(arrival * (1 - 1e-4), NOW + arrival)
    assert behind < 0.01


def test_frames_without_time_stamps_take_their_arrival() -> None:
    clock = CaptureClock()
    assert stamps(clock, [None, None], [1.0, 1.1]) == [NOW + 1.0, NOW + 1.1]


def test_time_never_runs_backwards_over_a_reconnection() -> None:
    clock = CaptureClock()
    first = clock.stamp(5.0, NOW)
    clock.restart()
    second = clock.stamp(0.0, NOW - 3.0)
    assert second > first
    assert clock.repairs == 1


def test_what_a_connection_held_back_keeps_its_capture_times() -> None:
    clock = CaptureClock()
    pts = [i / 10 for i in range(100)]
    # Nothing arrives for three seconds, then everything that was captured meanwhile.
    arrivals = [8.0 if 5.0 <= p < 8.0 else p for p in pts]
    times = np.array(stamps(clock, list(pts), arrivals)) - NOW
    np.testing.assert_allclose(times, pts, atol=0.01)
    assert clock.repairs == 0
