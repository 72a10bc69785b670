"""`sidewalk check`: is every camera of a configuration there, and what does it send?"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config import CameraConfig, Config
from pipeline.naming import camera_names
from pipeline.sources.live import supervise
from pipeline.sources.supervisor import CameraState, CameraSupervisor, Health
from pipeline.sources.url import redact_address
from pipeline.types import Frame, SidewalkError

if TYPE_CHECKING:
    from rich.console import Console

RATE_SECONDS = 1.5
"""The rate is that of the frames within this time, once the first is there."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one camera answered. first_frame: seconds until its first picture, None where none came; rate: measured."""

    camera: str
    url: str
    health: Health
    first_frame: float | None
    rate: float

    @property
    def ok(self) -> bool:
        return self.first_frame is not None


def check_cameras(config: Config, console: Console | None = None) -> bool:
    """Probe all cameras at once, print a table, and say whether every one sends pictures."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not config.cameras:
        raise SidewalkError("the configuration names no cameras; add `cameras:` with a url each")
    # What the supervisors would report is in the table.
    supervisor_log = logging.getLogger("sidewalk.camera")
    level = supervisor_log.level
    supervisor_log.setLevel(logging.ERROR)
    try:
        probes = probe_cameras(config.cameras, config)
    finally:
        supervisor_log.setLevel(level)
    table = Table("camera", "codec", "size", "rate", "first frame", "result", "url", box=None, pad_edge=False)
    for probe in probes:
        health = probe.health
        table.add_row(
            probe.camera,
            health.codec,
            f"{health.width}x{health.height}" if probe.ok else "",
            f"{probe.rate:.1f} fps" if probe.ok else "",
            f"{probe.first_frame:.2f} s" if probe.first_frame is not None else "",
            "ok" if probe.ok else health.reason or str(health.state),
            Text(probe.url),
        )
    console = console or Console()
    console.print(table)
    for probe in probes:
        if not probe.ok:
            trouble = probe.health.message or "no picture in time"
            console.print(f"{probe.camera}: {trouble}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    return all(probe.ok for probe in probes)


def probe_cameras(cameras: Sequence[CameraConfig], config: Config) -> list[Probe]:
    """Open every camera in parallel; each is given the configuration's open and read timeouts once."""
    supervisors = supervise(cameras, camera_names(cameras), config.live)
    patience = config.live.open_timeout + config.live.read_timeout
    with ThreadPoolExecutor(max_workers=len(cameras)) as pool:
        return list(
            pool.map(lambda pair: _probe(pair[0], redact_address(pair[1].url), patience), zip(supervisors, cameras))
        )


def _probe(supervisor: CameraSupervisor, url: str, patience: float) -> Probe:
    began = time.monotonic()
    supervisor.start()
    try:
        first = _next_frame(supervisor, patience)
        health, waited = supervisor.health, time.monotonic() - began
        if first is None:
            return Probe(supervisor.camera, url, health, None, 0.0)
        time.sleep(RATE_SECONDS)
        second = _next_frame(supervisor, patience)
        steady = second is not None and second.time > first.time
        rate = (second.index - first.index) / (second.time - first.time) if second and steady else 0.0
        return Probe(supervisor.camera, url, health, waited, rate)
    finally:
        supervisor.close()


def _next_frame(supervisor: CameraSupervisor, patience: float) -> Frame | None:
    """The next frame, or None if it does not come within `patience` seconds or the camera is lost."""
    supervisor.request()
    end = time.monotonic() + patience
    while time.monotonic() < end and supervisor.health.state not in (CameraState.DOWN, CameraState.ENDED):
        frame = supervisor.take()
        if frame is not None:
            return frame
        time.sleep(0.02)
    return None
