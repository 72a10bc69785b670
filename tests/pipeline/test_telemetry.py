"""Numbers of a live run: quantiles that can be trusted, in memory that does not grow, for people and for Prometheus."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pipeline.health_server import HealthServer
from pipeline.live_table import render
from pipeline.logs import live_logging
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import Histogram, Recent, Telemetry
from pipeline.types import SidewalkError

DOWN = Health("yard", CameraState.DOWN, "auth", "", 0.0, 2, 10, 4, {"superseded": 6}, 1, 0, "h264", 640, 360, None)


def test_quantiles_are_within_four_percent() -> None:
    seconds = np.random.default_rng(0).lognormal(-2.0, 0.8, 20_000)
    histogram = Histogram()
    for value in seconds:
        histogram.add(float(value))
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(seconds, share), rel=0.04)
    assert histogram.cumulative([0.1, 1.0])[0] == pytest.approx((seconds <= 0.1).sum(), rel=0.05)
    assert histogram.summary()["count"] == 20_000


def test_an_empty_histogram_says_nothing() -> None:
    assert Histogram().summary() == {"count": 0, "p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0}


def test_extreme_values_do_not_break_it() -> None:
    histogram = Histogram()
    for value in (0.0, 1e-9, 1e9):
        histogram.add(value)
    assert histogram.count == 3
    assert histogram.quantile(0.0) < 0.001


def test_recent_samples_age() -> None:
    recent = Recent(seconds=1.0)
    for value in (1.0, 2.0, 3.0):
        recent.add(value)
    assert recent.quantile(0.95) == 3.0
    assert recent.rate == pytest.approx(3.0)
    assert recent.total_rate == pytest.approx(6.0)
    time.sleep(1.05)
    assert recent.quantile(0.95) is None


def test_samples_may_be_asked_for_while_they_come() -> None:
    recent, stop = Recent(seconds=0.001), threading.Event()

    def add() -> None:
        while not stop.is_set():
            recent.add(1.0)

    writer = threading.Thread(target=add)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    writer.start()
    try:
        for _ in range(2000):
            assert recent.quantile(0.5) in (None, 1.0)
            assert recent.rate >= 0
    finally:
        stop.set()
        writer.join()
        sys.setswitchinterval(interval)


def test_health_is_degraded_by_a_camera_and_unhealthy_only_when_stuck() -> None:
    telemetry = Telemetry()
    telemetry.camera("yard").processed = 4
    telemetry.camera("yard").people = telemetry.camera("gate").people = 7
    telemetry.camera("yard").delay.add(0.2)
    telemetry.stages.add("detect", 0.03)
    telemetry.sink("yard", "overlay")["written"] += 3
    healths = {"yard": DOWN, "gate": replace(DOWN, camera="gate", state=CameraState.LIVE, reason="")}
    server = HealthServer(0, telemetry, lambda: healths)

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    try:
        status, body = get("/healthz")
        assert (status, json.loads(body)["status"]) == (200, "degraded")
        assert json.loads(body)["cameras"]["yard"]["reason"] == "auth"
        assert get("/readyz")[0] == 200
        metrics = get("/metrics")[1]
        for line in (
            'sidewalk_frames_dropped_total{camera="yard",reason="superseded"} 6.0',
            'sidewalk_camera_state{camera="yard",state="down"} 1.0',
            'sidewalk_people{camera="yard"} 0.0',
            'sidewalk_people{camera="gate"} 7.0',
            'sidewalk_delay_seconds_bucket{camera="yard",le="0.2"}',
            'sidewalk_sink_events_total{camera="yard",event="written",sink="overlay"} 3.0',
            'sidewalk_stage_seconds_count{stage="detect"} 1.0',
        ):
            assert line in metrics
        healths["yard"] = replace(healths["gate"], camera="yard")
        assert json.loads(get("/healthz")[1])["status"] == "ok"
        telemetry.sink("yard", "overlay")["outages"] += 1
        assert json.loads(get("/healthz")[1])["status"] == "degraded"
        assert json.loads(get("/healthz")[1])["failing_sinks"] == ["yard/overlay"]
        assert 'sidewalk_sink_failing{camera="yard",sink="overlay"} 1.0' in get("/metrics")[1]
        telemetry.sink("yard", "overlay")["recoveries"] += 1
        assert json.loads(get("/healthz")[1])["status"] == "ok"
        telemetry.recognition_fails = True
        assert json.loads(get("/healthz")[1])["status"] == "degraded"
        assert "sidewalk_recognition_failing 1.0" in get("/metrics")[1]
        telemetry.recognition_fails = False
        healths["yard"] = DOWN
        healths.pop("gate")
        assert get("/readyz")[0] == 503
        telemetry.last_tick -= 60
        assert get("/healthz")[0] == 503
        assert get("/elsewhere")[0] == 404
        with pytest.raises(SidewalkError, match="metrics_port"):
            HealthServer(server.port, telemetry, lambda: healths)
    finally:
        server.close()


def test_the_table_shows_state_and_reason() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(Telemetry(), {"yard": DOWN}))
    text = console.export_text()
    assert "yard" in text
    assert "down" in text
    assert "auth" in text
    assert "60 %" in text


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError()])
def test_a_terminal_that_is_gone_costs_nobody_anything(tmp_path: Path, error: OSError) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    with live_logging(tmp_path / "events.jsonl", Console(file=Gone())):
        logging.getLogger("sidewalk.camera").warning("down")
    assert "down" in (tmp_path / "events.jsonl").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_costs_log_lines_and_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    with live_logging(Path("/dev/full"), Console(file=shown)):
        logging.getLogger("sidewalk.camera").warning("down")
    assert "down" in shown.getvalue()
    assert capsys.readouterr().err == ""


def test_log_lines_name_camera_event_and_reason_and_hide_passwords(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with live_logging(tmp_path / "events.jsonl", console):
        logging.getLogger("sidewalk.camera").warning(
            "down: rtsp://user:s3cret@yard/1", extra={"camera": "yard", "event": "down", "reason": "auth"}
        )
    [line] = (tmp_path / "events.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["camera"], entry["event"], entry["reason"]) == ("warning", "yard", "down", "auth")
    assert "s3cret" not in line
    logging.getLogger("sidewalk.camera").warning("after the run")
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 1
