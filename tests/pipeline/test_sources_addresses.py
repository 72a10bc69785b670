"""Network streams and webcams: found quickly, or refused in one line without the password."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.sources import open_source
from pipeline.types import SidewalkError


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_silent_server_is_given_up_after_the_timeout(silent_port: int, scheme: str) -> None:
    started = time.monotonic()
    with pytest.raises(SidewalkError, match="does not answer in time") as caught:
        open_source(f"{scheme}://admin:secret@127.0.0.1:{silent_port}/a", open_timeout=1, read_timeout=1)
    assert time.monotonic() - started < 5
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_closed_port_is_named_at_once(scheme: str) -> None:
    with pytest.raises(SidewalkError, match=rf"{scheme}://\*\*\*@127\.0\.0\.1:9/a: nothing listens"):
        open_source(f"{scheme}://admin:secret@127.0.0.1:9/a")


@pytest.mark.skipif(sys.platform != "linux", reason="device files are Linux's")
def test_a_webcam_that_is_not_there_is_named() -> None:
    with pytest.raises(SidewalkError, match="webcam:87: no camera answers at /dev/video87"):
        open_source("webcam:87")
    with pytest.raises(SidewalkError, match="write webcam:0"):
        open_source("webcam:front")


def test_a_recording_on_a_web_server_is_read_like_a_file(shared: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(shared / "data" / "videos"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        source = open_source(f"{address}/vtest_pets09-s2l1_480x360.mp4")
        assert not source.info.live
        frames = iter(source)
        assert [next(frames).time for _ in range(3)] == pytest.approx([0, 0.1, 0.2])
        source.close()
        with pytest.raises(SidewalkError, match="no stream of that name"):
            open_source(f"{address}/missing.mp4")
        server.shutdown()
