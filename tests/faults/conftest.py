"""Real cameras on loopback, and small models to run them with."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv

from pipeline.camera import CameraPipeline
from pipeline.config import CameraConfig, LiveConfig, RecognitionConfig
from pipeline.live_engine import LiveEngine
from pipeline.sinks.guarded import GuardedSink
from pipeline.sources.live import supervise
from pipeline.sources.supervisor import CameraSupervisor
from pipeline.telemetry import Telemetry
from pipeline.tracklets import TrackletBuffer
from pipeline.types import Frame, FrameResult, SourceInfo, TrackSummary

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "fake_camera.py"
SYSTEM_PYTHON = "/usr/bin/python3"
PASSWORD = "h0rse-battery"


def _load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_camera", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


read_stamp = _load_script().read_stamp


class FakeCamera:
    """A running tools/fake_camera.py; `start` again after `kill` brings it back on the same port."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SCRIPT), "--port", str(self.port), "--duration", "900", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fake camera did not start"
        self.port = json.loads(line)["port"]

    def url(self, path: str = "cam0", user: str | None = None) -> str:
        who = f"{user}@" if user else ""
        return f"rtsp://{who}127.0.0.1:{self.port}/{path}"

    def command(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "done" in answer, answer

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process = None


@pytest.fixture
def frames_in() -> Callable[[Path], int]:
    """Counts the pictures that decode from an MP4 file, whatever it is called."""

    def count(path: Path) -> int:
        with av.open(str(path), format="mp4") as container:
            return sum(1 for _ in container.decode(video=0))

    return count


PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst
Gst.init(None)
for element in ("x264enc", "x265enc", "rtph264pay", "avdec_h264"):
    assert Gst.ElementFactory.find(element), element
"""


@pytest.fixture(scope="session")
def rtsp_server() -> None:
    """Skips where GStreamer's RTSP server is not there."""
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", PROBE], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("GStreamer's RTSP server is not installed (tests/faults/setup_system.sh does)")


@pytest.fixture
def fake_camera(rtsp_server: None) -> Iterator[Callable[..., FakeCamera]]:
    """Starts fake cameras with the given options; all are gone after the test."""
    cameras: list[FakeCamera] = []

    def start(*options: str) -> FakeCamera:
        cameras.append(FakeCamera(*options))
        return cameras[-1]

    yield start
    for camera in cameras:
        camera.kill()


class OnePerson:
    """A detector that sees one person, walking to and fro, and may take its time."""

    name = "one person"
    device = "none"
    image_size = 640

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        time.sleep(self.seconds * len(images))
        left = 100.0 + 40.0 * np.sin(time.monotonic())
        box = np.array([[left, 60.0, left + 40.0, 160.0]], dtype=np.float32)
        return [
            sv.Detections(xyxy=box.copy(), confidence=np.array([0.9], np.float32), class_id=np.zeros(1, int))
            for _ in images
        ]

    def close(self) -> None:
        pass


class Record:
    """A sink that keeps what the tests ask about every frame. delay: from the stamp in the picture to here."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.times: list[float] = []
        self.delays: list[float] = []
        self.sizes: list[tuple[int, int]] = []
        self.segments: list[int] = []
        self.tracks: list[int] = []
        self.arrivals: list[float] = []
        self.ended: list[TrackSummary] = []
        self.torn = 0

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.arrivals.append(time.monotonic())
        self.indices.append(frame.index)
        self.times.append(frame.time)
        self.sizes.append((frame.image.shape[1], frame.image.shape[0]))
        self.segments.append(frame.segment)
        self.tracks.extend(person.track for person in result.people)
        stamp = read_stamp(frame.image)
        if stamp is None or stamp != read_stamp(frame.image, bottom=True):
            self.torn += 1
        else:
            self.delays.append(time.time() - stamp)

    def end_track(self, summary: TrackSummary) -> None:
        self.ended.append(summary)

    def close(self, completed: bool = True) -> None:
        pass


class LiveRun:
    """An engine in a thread over real cameras."""

    def __init__(
        self,
        urls: dict[str, str],
        *,
        detector: Any = None,
        live: LiveConfig | None = None,
        sinks: Callable[[SourceInfo, Telemetry], list[GuardedSink]] | None = None,
        **camera_settings: Any,
    ) -> None:
        from trackers import create_tracker

        live = live or LiveConfig(open_timeout=3.0, read_timeout=3.0, retry_first=0.2, retry_longest=2.0)
        self.records = {name: Record() for name in urls}
        self.telemetry = Telemetry()
        configs = [CameraConfig(url=url, name=name, **camera_settings) for name, url in urls.items()]
        self.supervisors: list[CameraSupervisor] = supervise(configs, list(urls), live)
        policy = RecognitionConfig()
        self.error: BaseException | None = None

        def make_sinks(info: SourceInfo) -> list[GuardedSink]:
            name = info.camera
            guards = [GuardedSink(name, "record", lambda: self.records[name], self.telemetry.sink(name, "record"))]
            return guards + (sinks(info, self.telemetry) if sinks else [])

        self.engine = LiveEngine(
            self.supervisors,
            detector or OnePerson(),
            lambda name: CameraPipeline(name, create_tracker("bytetrack"), TrackletBuffer(), None, policy),
            None,
            make_sinks,
            self.telemetry,
            policy=policy,
            max_delay=live.max_delay,
        )
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.engine.run()
        except BaseException as error:
            self.error = error

    def __enter__(self) -> LiveRun:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.stop()
        self._thread.join(10.0)
        assert not self._thread.is_alive(), "the engine did not end"
        assert self.error is None, self.error

    def state(self, camera: str) -> str:
        return str(self.engine.healths()[camera].state)

    def reason(self, camera: str) -> str:
        return self.engine.healths()[camera].reason

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Seconds until the condition held; fails where it does not in time."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s; {self.engine.healths()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_live(self, *cameras: str, seconds: float = 15.0) -> None:
        for camera in cameras:
            self.wait(lambda camera=camera: bool(self.records[camera].indices), seconds, f"{camera} live")


@pytest.fixture
def live_run() -> type[LiveRun]:
    """The engine over real cameras, as a context manager."""
    return LiveRun


@pytest.fixture
def one_person() -> type[OnePerson]:
    """A detector that takes its time."""
    return OnePerson


@pytest.fixture
def captured_log() -> Iterator[list[str]]:
    """Every message of the `sidewalk` loggers, debug included, as the log file would have it."""
    from pipeline.logs import JsonFormatter

    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonFormatter().format(record))

    logger = logging.getLogger("sidewalk")
    handler, level = Keep(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)
