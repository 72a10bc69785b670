"""From the configuration to supervised cameras."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import CameraConfig, LiveConfig
from pipeline.sources.clock import EPOCH
from pipeline.sources.handover import ReaderOptions
from pipeline.sources.supervisor import CameraSupervisor, Retry
from pipeline.sources.url import is_address, redact_address
from pipeline.sources.webcam import webcam_number
from pipeline.types import SidewalkError


def reader_options(camera: CameraConfig, live: LiveConfig) -> ReaderOptions:
    """What a camera's reader is told: its own settings, else those for all. Raises SidewalkError for no camera."""
    if not is_address(camera.url) and not camera.url.startswith("webcam:"):
        raise SidewalkError(
            f"{redact_address(camera.url)}: a recording cannot run beside live cameras; run it by itself"
        )
    if camera.url.startswith("webcam:"):
        webcam_number(camera.url)
    return ReaderOptions(
        url=camera.url,
        transport=camera.transport or live.transport,
        policy=camera.policy or live.policy,
        open_timeout=live.open_timeout,
        read_timeout=live.read_timeout,
        max_lag=live.max_delay,
        rotate=camera.rotate,
        fps=camera.fps,
        epoch=EPOCH,
    )


def supervise(cameras: Sequence[CameraConfig], names: Sequence[str], live: LiveConfig) -> list[CameraSupervisor]:
    """A supervisor for every camera, not started yet."""
    return [
        CameraSupervisor(
            name,
            reader_options(camera, live),
            stall_timeout=live.stall_timeout,
            retry=Retry(live.retry_first, live.retry_longest, live.retry_limit),
        )
        for camera, name in zip(cameras, names)
    ]
