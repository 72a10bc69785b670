"""Cameras at the machine itself: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.types import SidewalkError

if TYPE_CHECKING:
    from av.container import InputContainer


def webcam_number(url: str) -> int:
    """The number in `webcam:N`. Raises SidewalkError where there is none."""
    number = url.removeprefix("webcam:")
    if not (number.isascii() and number.isdigit()):
        raise SidewalkError(f"{url}: webcams are numbered from 0; write webcam:0")
    return int(number)


def open_webcam(number: int) -> InputContainer:
    """Open the machine's camera of that number, counted from 0. Raises SidewalkError where there is none."""
    import av

    name, device, options = _device(number)
    try:
        return av.open(name, format=device, options=options)
    except PermissionError as error:
        raise SidewalkError(
            f"webcam:{number}: {name} may not be opened; add yourself to the group video, "
            "or allow this program the camera"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise SidewalkError(
            f"webcam:{number}: no camera answers at {name}; check that it is plugged in and that no other "
            "program holds it"
        ) from error


def _device(number: int) -> tuple[str, str, dict[str, str]]:
    """FFmpeg's name of the camera, the kind of device, and its options."""
    if sys.platform == "darwin":
        return f"{number}:none", "avfoundation", {"framerate": "30", "pixel_format": "uyvy422"}
    if sys.platform == "win32":
        import av

        cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
        if number >= len(cameras):
            raise SidewalkError(f"webcam:{number}: this machine has {len(cameras)} cameras; check the number")
        return f"video={cameras[number]}", "dshow", {}
    return f"/dev/video{number}", "v4l2", {}
