"""Live benchmarks: delay under a slow consumer beside Ultralytics' stream loader, and memory over a long run."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tools" / "fake_camera.py"
WARM_UP_SHARE = 0.2
"""Share of a soak that is not counted: caches fill and the allocator finds its size."""


def live(
    seconds: Annotated[float, typer.Option(help="How long each contender watches the camera.")] = 60.0,
    consumer: Annotated[float, typer.Option(help="Seconds the consumer takes for a frame.")] = 0.5,
    fps: Annotated[int, typer.Option(help="Frames a second of the camera.")] = 10,
    source: Annotated[str, typer.Option(help="A video file, or `pattern`.")] = "pattern",
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file.")] = None,
) -> None:
    """Delay from capture to a slow consumer: Sidewalk, Ultralytics' LoadStreams, and a plain OpenCV loop.

    All watch one fake camera at the same time; the capture time is painted into its pictures.
    """
    with _Camera("--fps", str(fps), "--source", source) as urls:
        rows = _side_by_side(urls[0], seconds, consumer)
    print(f"\n{fps} fps camera, consumer {consumer:g} s a frame, {seconds:g} s; delay in milliseconds")
    print(f"{'':34}{'frames':>7}{'p50':>9}{'p95':>9}{'p99':>9}{'1st half':>10}{'2nd half':>10}{'MB':>7}")
    for name, row in rows.items():
        numbers = "".join(f"{row[key]:>{width}.0f}" for key, width in _COLUMNS.items())
        print(f"{name:34}{numbers}")
    if out is not None:
        out.write_text(json.dumps({"seconds": seconds, "consumer": consumer, "fps": fps, "rows": rows}, indent=2))


def soak(
    minutes: Annotated[float, typer.Option(help="How long to run.")] = 60.0,
    cameras: Annotated[int, typer.Option(help="Fake cameras.")] = 2,
    fps: Annotated[int, typer.Option(help="Frames a second of each.")] = 5,
    source: Annotated[str, typer.Option(help="A video file, or `pattern`.")] = "pattern",
    reconnect: Annotated[float, typer.Option(help="Seconds between two cut connections; 0 is never.")] = 60.0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As for `sidewalk run`.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the run's files and soak.json.")] = Path("results/soak"),
) -> None:
    """Memory of a whole live run over a long time: resident megabytes an hour, after a warm-up."""
    samples: list[tuple[float, float, float, int]] = []
    arguments = ["--cameras", str(cameras), "--fps", str(fps), "--source", source]
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(_Camera(*arguments))
        command = [sys.executable, "-m", "pipeline", "run", *urls, "--out", str(out.resolve())]
        for setting in ["live.segment_minutes=2", "live.retry_longest=2", *(settings or [])]:
            command += ["--set", setting]
        out.mkdir(parents=True, exist_ok=True)
        log = stack.enter_context((out / "soak.log").open("w"))
        started = time.time()
        run = subprocess.Popen(command, cwd=ROOT, stderr=log)
        began, cut = time.monotonic(), time.monotonic()
        try:
            while time.monotonic() - began < 60 * minutes and run.poll() is None:
                time.sleep(5.0)
                readers = _children(run.pid)
                memory = _resident(run.pid)
                samples.append((time.monotonic() - began, memory, sum(map(_resident, readers)), _descriptors(run.pid)))
                if reconnect and time.monotonic() - cut > reconnect:
                    cut = time.monotonic()
                    urls.command("kick all")
            died = run.poll()
        finally:
            run.send_signal(signal.SIGINT)
            try:
                run.wait(20)
            except subprocess.TimeoutExpired:
                run.kill()
    if died is not None:
        raise SystemExit(f"the run ended by itself with exit code {died}; see {out / 'soak.log'}")
    report = _soak_report(np.array(samples), minutes)
    report["cameras"] = {
        record["camera"]: {"frames": record["frames"], **record["live"]}
        for record in (
            json.loads(path.read_text()) for path in sorted(out.rglob("run.json")) if path.stat().st_mtime >= started
        )
    }
    (out / "soak.json").write_text(json.dumps(report, indent=2))
    print(
        f"{report['minutes']:.0f} min, {cameras} cameras: main process {report['main_mb']:.0f} MB, "
        f"{report['main_mb_per_hour']:+.1f} MB/h; readers {report['readers_mb']:.0f} MB, "
        f"{report['readers_mb_per_hour']:+.1f} MB/h; descriptors {report['descriptors']}"
    )
    for name, camera in report["cameras"].items():
        print(f"{name}: {camera['frames']}, delay {camera['delay']}, reconnects {camera['reconnects']}")


_COLUMNS = {"frames": 7, "p50": 9, "p95": 9, "p99": 9, "first_half": 10, "second_half": 10, "mb": 7}


class _Urls(list[str]):
    """Addresses of a fake camera's streams, with its control."""

    process: subprocess.Popen[str]

    def command(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


class _Camera:
    """A fake camera for the length of a `with` block."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> _Urls:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--port", "0", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the fake camera did not start; see tests/faults/setup_system.sh")
        urls = _Urls(json.loads(line)["urls"])
        urls.process = self._process
        return urls

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _side_by_side(url: str, seconds: float, consumer: float) -> dict[str, dict[str, float]]:
    context = multiprocessing.get_context("spawn")
    contenders: dict[str, Callable[..., None]] = {
        "Sidewalk": _watch_sidewalk,
        "Ultralytics LoadStreams": _watch_ultralytics,
        "Ultralytics LoadStreams, buffered": _watch_ultralytics_buffered,
        "OpenCV VideoCapture": _watch_opencv,
    }
    results: Any = context.Queue()
    workers = [
        context.Process(target=watch, args=(name, url, seconds, consumer, results), daemon=True)
        for name, watch in contenders.items()
    ]
    for worker in workers:
        worker.start()
    rows: dict[str, dict[str, float]] = {}
    for _ in workers:
        name, row = results.get(timeout=seconds + 90)
        rows[name] = row
    for worker in workers:
        worker.join(10)
        worker.kill()
    return {name: rows[name] for name in contenders}


class _Consumer:
    """Takes its time for each picture and remembers how old it was at the end of that."""

    def __init__(self, seconds: float, consumer: float) -> None:
        self._end = time.monotonic() + seconds
        self._consumer = consumer
        self._delays: list[float] = []

    def take(self, image: np.ndarray) -> bool:
        """False once time is up."""
        sys.path.insert(0, str(SCRIPT.parent))
        from fake_camera import read_stamp

        stamp = read_stamp(image)
        time.sleep(self._consumer)
        if stamp is not None:
            self._delays.append(time.time() - stamp)
        return time.monotonic() < self._end

    def row(self) -> dict[str, float]:
        delays = 1000 * np.array(self._delays)
        half = len(delays) // 2
        p50, p95, p99 = np.percentile(delays, (50, 95, 99))
        return {
            "frames": len(delays),
            "p50": p50,
            "p95": p95,
            "p99": p99,
            "first_half": float(np.median(delays[:half])),
            "second_half": float(np.median(delays[half:])),
            "mb": _resident(os.getpid()) + sum(map(_resident, _children(os.getpid()))),
        }


def _watch_sidewalk(name: str, url: str, seconds: float, consumer: float, results: Any) -> None:
    import threading

    from pipeline.config import CameraConfig, LiveConfig
    from pipeline.sources.live import supervise

    arrived = threading.Event()
    [camera] = supervise([CameraConfig(url=url)], ["camera"], LiveConfig())
    camera.on_change = arrived.set
    camera.start()
    watcher = _Consumer(seconds, consumer)
    going = True
    while going:
        camera.request()
        arrived.wait(1.0)
        arrived.clear()
        frame = camera.take()
        if frame is not None:
            going = watcher.take(frame.image)
    row = watcher.row()
    camera.close()
    _report(results, name, row)


def _watch_ultralytics(
    name: str, url: str, seconds: float, consumer: float, results: Any, buffered: bool = False
) -> None:
    from ultralytics.data.loaders import LoadStreams

    loader = LoadStreams(url, buffer=buffered)
    watcher = _Consumer(seconds, consumer)
    for _, images, _ in loader:
        if not watcher.take(images[0]):
            break
    _report(results, name, watcher.row())


def _watch_ultralytics_buffered(name: str, url: str, seconds: float, consumer: float, results: Any) -> None:
    _watch_ultralytics(name, url, seconds, consumer, results, buffered=True)


def _watch_opencv(name: str, url: str, seconds: float, consumer: float, results: Any) -> None:
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    watcher = _Consumer(seconds, consumer)
    while True:
        there, image = capture.read()
        if not there or not watcher.take(image):
            break
    _report(results, name, watcher.row())


def _report(results: Any, name: str, row: dict[str, float]) -> None:
    """Send the numbers and end: reading threads of the contenders know no other way to stop."""
    results.put((name, row))
    results.close()
    results.join_thread()
    os._exit(0)


def _soak_report(samples: np.ndarray, minutes: float) -> dict[str, Any]:
    """samples: (N, 4) seconds, megabytes of the main process and of its readers, descriptors."""
    steady = samples[samples[:, 0] > WARM_UP_SHARE * 60 * minutes]
    hours = steady[:, 0] / 3600
    return {
        "minutes": samples[-1, 0] / 60,
        "main_mb": float(np.median(steady[:, 1])),
        "main_mb_per_hour": float(np.polyfit(hours, steady[:, 1], 1)[0]),
        "readers_mb": float(np.median(steady[:, 2])),
        "readers_mb_per_hour": float(np.polyfit(hours, steady[:, 2], 1)[0]),
        "descriptors": f"{int(steady[:, 3].min())}..{int(steady[:, 3].max())}",
        "samples": [[round(float(value), 1) for value in row] for row in samples],
    }


def _children(pid: int) -> list[int]:
    try:
        text = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _resident(pid: int) -> float:
    """Resident megabytes of a process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0
