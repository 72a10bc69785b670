"""The supervisor of a camera: patience where the camera deserves it, and an end to it where not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.config import CameraConfig, LiveConfig
from pipeline.sources.clock import EPOCH
from pipeline.sources.failures import REMEDIES, explain
from pipeline.sources.handover import Beat, Counts, Picture, ReaderOptions, SharedPicture
from pipeline.sources.live import reader_options
from pipeline.sources.supervisor import CameraState, CameraSupervisor, Retry
from pipeline.sources.watch import ConnectionWatch
from pipeline.types import SidewalkError


def options(url: str = "rtsp://127.0.0.1:1/cam") -> ReaderOptions:
    return ReaderOptions(url, "tcp", "newest", 1.0, 1.0, 1.0, 0, None, EPOCH)


def wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_retries_get_rarer_up_to_a_limit_and_spread_out() -> None:
    retry = Retry(first=0.5, longest=30.0)
    assert [retry.delay(n, 0.999) for n in (1, 2, 3, 8, 10_000)] == pytest.approx([0.5, 1, 2, 30, 30], rel=0.01)
    assert retry.delay(3, 0.0) == 1.0


def test_a_camera_is_tried_for_ever_unless_told_otherwise() -> None:
    supervisor = CameraSupervisor("camera", options(), retry=Retry(0.01, 0.02, limit=2))
    supervisor.start()
    wait(lambda: supervisor.health.state is CameraState.ENDED, 10.0)
    assert supervisor.health.reason == "refused"
    endless = CameraSupervisor("camera", options(), retry=Retry(0.01, 0.02))
    endless.start()
    time.sleep(1.0)
    assert endless.health.state in (CameraState.DOWN, CameraState.CONNECTING)
    endless.close()
    assert endless.health.state is CameraState.ENDED


def test_a_camera_survives_a_fault_of_ours_and_is_away_since_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = CameraSupervisor("camera", options(), retry=Retry(0.01, 0.02))
    attempts = 0

    def fail(_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise ValueError

    monkeypatch.setattr(CameraSupervisor, "_connection", fail)
    supervisor.start()
    wait(lambda: supervisor.health.state is CameraState.DOWN, 5.0)
    lost = supervisor.health.since
    before = attempts
    wait(lambda: attempts > before + 5, 5.0)
    assert supervisor.health.reason == "error"
    assert supervisor.health.since == lost
    supervisor.close()


def test_a_reader_that_died_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam"
        patient = ReaderOptions(url, "tcp", "newest", 60.0, 60.0, 1.0, 0, None, EPOCH)
        supervisor = CameraSupervisor("camera", patient, retry=Retry(0.01, 0.02))
        supervisor.start()
        wait(lambda: supervisor._reader is not None, 5.0)
        first = supervisor._reader
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        wait(lambda: supervisor.health.reason == "crashed", 5.0)
        wait(lambda: supervisor._reader not in (None, first), 5.0)
        began = time.monotonic()
        supervisor.close()
        assert time.monotonic() - began < 1.0
        assert not os.path.exists(f"/proc/{first.pid}")


def test_a_hang_in_the_name_look_up_or_the_decoder_is_a_verdict() -> None:
    for stage in ("resolving", "opening", "reading", "decoding"):
        watch = ConnectionWatch(options(), stall_timeout=10.0)
        watch.heard(Beat(stage, 1.5, Counts()))
        assert watch.verdict() is None
        watch.heard(Beat(stage, 2.5, Counts()))
        verdict = watch.verdict()
        assert verdict is not None
        assert verdict.reason == "hung"
    watch.heard(Beat("delivering", 60.0, Counts(10)))
    assert watch.verdict() is None


def test_pictures_that_are_all_torn_count_as_none() -> None:
    watch = ConnectionWatch(options(), stall_timeout=0.2)
    watch.heard(Beat("reading", 0.0, Counts(5, {"corrupt": 5})))
    assert not watch.live
    time.sleep(0.3)
    watch.heard(Beat("reading", 0.0, Counts(50, {"corrupt": 50})))
    verdict = watch.verdict()
    assert verdict is not None
    assert verdict.reason == "no_data"


def test_a_decoder_that_waits_for_a_key_frame_for_ever_is_given_up() -> None:
    watch = ConnectionWatch(options(), stall_timeout=0.2)
    watch.heard(Beat("reading", 0.0, Counts(5)))
    assert watch.live
    time.sleep(0.3)
    watch.heard(Beat("reading", 0.0, Counts(50, {"decoder_behind": 45})))
    verdict = watch.verdict()
    assert verdict is not None
    assert verdict.reason == "no_data"


def test_frames_that_a_crashed_reader_took_along_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = CameraSupervisor("camera", options())

    beat = Beat("reading", 0.0, Counts(8, {"corrupt": 1}))
    messages: deque[object] = deque([beat, Picture(11, 4, 2, 1.0, None, None, "h264", 0.0)])

    class Reader:
        picture = SimpleNamespace(read=lambda width, height: np.zeros((height, width, 3), np.uint8))

        def open(self, *_: object) -> None: ...
        def send(self, _: object) -> None: ...
        def abandon(self) -> None: ...

        def receive(self, _: float) -> object:
            if not messages:
                raise EOFError
            return messages.popleft()

    monkeypatch.setattr("pipeline.sources.supervisor.ReaderProcess", Reader)
    assert supervisor._connection()[0].reason == "crashed"
    supervisor._connection()
    health = supervisor.health
    assert (health.received, health.delivered) == (12, 1)
    assert health.dropped == {"corrupt": 1, "connection_lost": 10}


def test_failures_are_told_apart_without_quoting_the_address() -> None:
    import av

    secret = "rtsp://user:s3cret@camera/1"
    for error, reason in (
        (av.error.HTTPUnauthorizedError(1, "x", secret), "auth"),
        (av.error.HTTPNotFoundError(1, "x", secret), "not_found"),
        (av.error.ConnectionRefusedError(111, "x", secret), "refused"),
        (av.error.ExitError(1, "x", secret), "timeout"),
        (av.error.InvalidDataError(1, "x", secret), "undecodable"),
        (socket.gaierror(-2, secret), "unknown_host"),
        (OSError(113, secret), "unreachable"),
        (RuntimeError(secret), "error"),
    ):
        told = explain(error)
        assert told.reason == reason
        assert "s3cret" not in told.message
    assert set(REMEDIES) >= {"hung", "crashed", "no_data", "closed"}


def test_shared_memory_grows_with_the_pictures_and_both_ends_see_it() -> None:
    near = SharedPicture()
    far = SharedPicture(os.dup(near.descriptor))
    for height, width in ((36, 64), (360, 640), (36, 64)):
        image = np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)
        far.write(image)
        assert (near.read(width, height) == image).all()
    near.close()
    far.close()


def test_cameras_override_what_is_said_for_all_and_recordings_are_refused() -> None:
    live = LiveConfig(transport="tcp", policy="newest")
    own = reader_options(CameraConfig(url="rtsp://c/1", transport="udp", rotate=90, policy="every_frame"), live)
    assert (own.transport, own.policy, own.rotate) == ("udp", "every_frame", 90)
    assert reader_options(CameraConfig(url="webcam:0"), live).transport == "tcp"
    with pytest.raises(SidewalkError, match="recording"):
        reader_options(CameraConfig(url="people.mp4"), live)


def test_readers_do_not_outlive_a_program_that_is_killed() -> None:
    program = (
        "import time; from pipeline.sources.reader_process import ReaderProcess;"
        "print(ReaderProcess().pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = int(process.stdout.readline())
        time.sleep(1.0)
        process.kill()
    wait(lambda: not _running(reader), 5.0)


def _running(pid: int) -> bool:
    """A process that nobody has reaped yet does not run any more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_idle_supervisor_needs_one_thread_and_leaves_none() -> None:
    before = threading.active_count()
    supervisor = CameraSupervisor("camera", options())
    supervisor.start()
    assert threading.active_count() == before + 1
    supervisor.close()
    assert threading.active_count() == before
