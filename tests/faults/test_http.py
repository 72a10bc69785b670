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


@pytest.fixture
def motion_jpeg() -> Iterator[str]:
    """A server of ten pictures a second."""
    stop = threading.Event()

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            while not stop.wait(0.1):
                grey = np.full((240, 320, 3), int(time.time() * 50) % 255, np.uint8)
                jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/stream.mjpg"
    stop.set()
    server.shutdown()
    server.server_close()


def test_motion_jpeg_keeps_the_pace_of_the_clock(motion_jpeg: str, live_run: Any) -> None:
    with live_run({"camera": motion_jpeg}) as run:
        run.wait_live("camera")
        time.sleep(4.0)
        behind = time.time() - run.records["camera"].times[-1]
        health = run.engine.healths()["camera"]
    assert behind < 0.5
    assert health.codec == "mjpeg"
    assert np.median(np.diff(run.records["camera"].times)) == pytest.approx(0.1, abs=0.03)
    assert health.reconnects == 0
