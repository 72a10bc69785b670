"""A camera that goes away, stalls or never returns is trouble for nobody else, and comes back by itself."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from pipeline.health_server import health_report


def longest_gap(arrivals: list[float]) -> float:
    return float(np.diff(arrivals).max())


@pytest.mark.slow
def test_an_unplugged_camera_resumes_and_the_others_lose_nothing(fake_camera: Any, live_run: Any) -> None:
    unplugged, steady = fake_camera(), fake_camera()
    with live_run({"unplugged": unplugged.url(), "steady": steady.url()}) as run:
        run.wait_live("unplugged", "steady")
        time.sleep(2.0)
        lost_before = run.engine.healths()["steady"].dropped
        unplugged.kill()
        run.wait(lambda: run.state("unplugged") in ("down", "connecting"), 5.0, "the outage is noticed")
        time.sleep(0.5)
        before = len(run.records["unplugged"].indices)
        ids_before = set(run.records["unplugged"].tracks)
        seen_before = len(run.records["unplugged"].tracks)
        time.sleep(6.0)
        unplugged.start()
        run.wait(lambda: len(run.records["unplugged"].indices) > before + 5, 10.0, "it resumes by itself")
        lost_after = run.engine.healths()["steady"].dropped
        assert run.engine.healths()["unplugged"].reconnects == 1
    back, other = run.records["unplugged"], run.records["steady"]
    assert (np.diff(back.times) > 0).all()
    assert (np.diff(back.indices) > 0).all()
    ids_after = set(back.tracks[seen_before:])
    assert ids_after
    assert ids_after.isdisjoint(ids_before)
    assert sum(lost_after.values()) - sum(lost_before.values()) <= 1
    assert longest_gap(other.arrivals[5:]) < 1.0


def test_a_camera_that_drops_its_clients_disturbs_no_other(fake_camera: Any, live_run: Any) -> None:
    camera = fake_camera("--cameras", "2")
    with live_run({"dropped": camera.url("cam0"), "steady": camera.url("cam1")}) as run:
        run.wait_live("dropped", "steady")
        time.sleep(1.0)
        camera.command("kick cam0")
        run.wait(lambda: run.engine.healths()["dropped"].reconnects == 1, 10.0, "it is connected anew")
        assert run.engine.healths()["steady"].reconnects == 0
        assert run.state("steady") == "live"


def test_a_camera_gone_for_good_is_reported_and_the_others_go_on(fake_camera: Any, live_run: Any) -> None:
    gone, steady = fake_camera(), fake_camera("--codec", "h265")
    with live_run({"gone": gone.url(), "steady": steady.url()}) as run:
        run.wait_live("gone", "steady")
        gone.kill()
        run.wait(lambda: run.reason("gone") == "refused", 8.0, "the reason is known")
        count = len(run.records["steady"].indices)
        time.sleep(3.0)
        report = health_report(run.telemetry, run.engine.healths())
        assert len(run.records["steady"].indices) - count > 20
    assert report["status"] == "degraded"
    assert report["cameras"]["gone"]["state"] in ("down", "connecting")
    assert report["cameras"]["steady"]["state"] == "live"
    json.dumps(report)


@pytest.mark.slow
def test_a_stall_without_disconnection_is_noticed_and_ends(
    fake_camera: Any, live_run: Any, captured_log: list[str]
) -> None:
    def given_up() -> bool:
        events = [json.loads(line) for line in captured_log]
        return any(event.get("event") == "down" and event["reason"] == "no_data" for event in events)

    camera = fake_camera()
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        time.sleep(1.0)
        camera.command("stall all")
        run.wait(lambda: run.state("camera") == "stalled", 4.0, "the stall is seen before any timeout")
        run.wait(given_up, 6.0, "the connection is given up")
        time.sleep(4.0)
        before = len(run.records["camera"].indices)
        camera.command("resume all")
        run.wait(lambda: len(run.records["camera"].indices) > before + 5, 10.0, "it resumes by itself")


def test_a_reader_that_hangs_in_c_is_abandoned(fake_camera: Any, live_run: Any) -> None:
    import os
    import signal

    camera = fake_camera()
    with live_run({"camera": camera.url()}) as run:
        run.wait_live("camera")
        reader = run.supervisors[0]._reader
        assert reader is not None
        hung = reader.pid
        # A stopped process does what a decoder does that never returns and holds the interpreter's lock.
        os.kill(hung, signal.SIGSTOP)
        run.wait(lambda: run.reason("camera") == "hung", 8.0, "the hang is noticed")
        before = len(run.records["camera"].indices)
        run.wait(lambda: len(run.records["camera"].indices) > before + 5, 10.0, "another reader takes over")
        assert not os.path.exists(f"/proc/{hung}")
