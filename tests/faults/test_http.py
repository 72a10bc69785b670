"""Cameras that send Motion JPEG over HTTP, as many cheap ones do: no time stamps, but as live as the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
import pytest


class MotionJpeg:
    """A server of ten pictures a second; while it is `away` streams end and new ones are refused."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.sent = 0
        outer = self

        class Stream(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.away.is_set():
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                while not outer.away.wait(0.1):
                    grey = np.full((240, 320, 3), int(time.time() * 50) % 255, np.uint8)
                    jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                    except OSError:
                        return
                    outer.sent += 1

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/stream.mjpg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.away.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def motion_jpeg() -> Iterator[MotionJpeg]:
    server = MotionJpeg()
    yield server
    server.close()


def test_motion_jpeg_keeps_the_pace_of_the_clock(motion_jpeg: MotionJpeg, live_run: Any) -> None:
    with live_run({"camera": motion_jpeg.url}) as run:
        run.wait_live("camera")
        time.sleep(4.0)
        # Of several looks the best: a lag of the stream stays, one of this machine passes.
        behind = min(_seconds_behind(run) for _ in range(10))
        health = run.engine.healths()["camera"]
    assert behind < 0.5
    assert health.codec == "mjpeg"
    assert np.median(np.diff(run.records["camera"].times)) == pytest.approx(0.1, abs=0.03)
    assert health.reconnects == 0


def _seconds_behind(run: Any) -> float:
    time.sleep(0.1)
    return float(time.time() - run.records["camera"].times[-1])


@pytest.mark.parametrize("policy", ["newest", "every_frame"])
def test_what_a_lost_connection_said_is_not_taken_for_the_next_ones(
    policy: str, motion_jpeg: MotionJpeg, live_run: Any, one_person: Any, captured_log: list[str]
) -> None:
    def times_live() -> int:
        return sum('"event": "live"' in line for line in captured_log)

    with live_run({"camera": motion_jpeg.url}, detector=one_person(0.15), policy=policy) as run:
        run.wait_live("camera")
        run.wait(lambda: motion_jpeg.sent >= 30, 20, "pictures")
        motion_jpeg.away.set()
        run.wait(lambda: run.reason("camera") == "not_found", 10, "refused")
        assert times_live() == 1
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            assert run.state("camera") in ("down", "connecting")
            assert run.engine.healths()["camera"].received <= motion_jpeg.sent
            time.sleep(0.01)
        health = run.engine.healths()["camera"]
        assert health.delivered + sum(health.dropped.values()) == health.received
        motion_jpeg.away.clear()
        run.wait(lambda: times_live() == 2, 10, "live again")
    indices = run.records["camera"].indices
    assert indices == sorted(set(indices))
