"""A camera that cannot be read says why, within ten seconds, and never with its password."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from typing import Any

import pytest

from pipeline.config import LiveConfig
from pipeline.health_server import HealthServer

PASSWORD = "h0rse-battery"
REASONS = {
    "rejected": "auth",
    "anonymous": "auth",
    "misnamed": "not_found",
    "refused": "refused",
    "unknown": "unknown_host",
    "silent": "timeout",
}


@pytest.fixture
def silent_port() -> Any:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_each_failure_has_its_own_reason_and_no_password_leaks(
    fake_camera: Any, live_run: Any, silent_port: int, captured_log: list[str]
) -> None:
    camera = fake_camera("--user", "viewer", "--password", PASSWORD)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free_port = closed.getsockname()[1]
    urls = {
        "good": camera.url(user=f"viewer:{PASSWORD}"),
        "rejected": camera.url(user=f"viewer:{PASSWORD}-not"),
        "anonymous": camera.url(),
        "misnamed": camera.url("no-such-stream", user=f"viewer:{PASSWORD}"),
        "refused": f"rtsp://viewer:{PASSWORD}@127.0.0.1:{free_port}/cam0",
        "unknown": f"rtsp://viewer:{PASSWORD}@no-such-camera.invalid/cam0",
        "silent": f"rtsp://viewer:{PASSWORD}@127.0.0.1:{silent_port}/cam0",
    }
    patience = LiveConfig(open_timeout=1.5, read_timeout=3.0, retry_first=0.2, retry_longest=2.0)
    with live_run(urls, live=patience) as run:
        began = time.monotonic()
        for name, reason in REASONS.items():
            run.wait(lambda n=name, r=reason: run.reason(n) == r, 10.0 - (time.monotonic() - began), name)
        run.wait_live("good")
        server = HealthServer(0, run.telemetry, run.engine.healths)
        try:
            pages = {path: _get(server.port, path) for path in ("metrics", "healthz", "readyz")}
        finally:
            server.close()
    health = json.loads(pages["healthz"])
    assert health["status"] == "degraded"
    assert health["cameras"]["good"]["state"] == "live"
    assert health["cameras"]["silent"]["reason"] == "timeout"
    assert json.loads(pages["readyz"])["ready"]
    assert 'sidewalk_camera_state{camera="good",state="live"} 1.0' in pages["metrics"]
    assert len(captured_log) >= len(REASONS)
    for text in (*pages.values(), *captured_log):
        assert PASSWORD not in text


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
        return str(answer.read().decode())
