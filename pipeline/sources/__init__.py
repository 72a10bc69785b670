"""Sources: files, folders of pictures, webcams and network streams behind one function."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipeline.sources.base import Source

__all__ = ["Source", "open_source"]


def open_source(
    url: str,
    camera: str = "camera",
    *,
    fps: float | None = None,
    open_timeout: float = 5.0,
    read_timeout: float = 5.0,
    transport: Literal["tcp", "udp"] = "tcp",
) -> Source:
    """Open a source; iterate it for frames, close it when done.

    url: a video file; a folder, glob or file of pictures; `webcam:N`; an rtsp:// or http(s):// address.
    camera: its name in the results. fps: rate of pictures; None is a MOTChallenge sequence's own, else 25.
    timeouts: seconds, and transport: of RTSP, for addresses.

    Frames come as they are read: who needs a live camera that reconnects wants `pipeline.live`.
    Raises SidewalkError that names the source and the remedy.
    """
    from pipeline.sources.images import SUFFIXES, ImageSource
    from pipeline.sources.url import is_address

    if url.startswith("webcam:"):
        return _open_webcam(url, camera)
    path = Path(url)
    if not is_address(url) and not path.is_file():
        if path.is_dir() or any(sign in url for sign in "*?["):
            return ImageSource(url, camera, fps)
    elif path.suffix.lower() in SUFFIXES and path.is_file():
        return ImageSource(url, camera, fps)
    from pipeline.sources.container import open_container
    from pipeline.sources.files import VideoSource

    container = open_container(url, open_timeout, read_timeout, transport)
    # A stream without a length is a camera; a file on a web server has one.
    live = is_address(url) and container.duration is None
    return VideoSource(container, camera, url, live)


def _open_webcam(url: str, camera: str) -> Source:
    from pipeline.sources.files import VideoSource
    from pipeline.sources.webcam import open_webcam, webcam_number

    return VideoSource(open_webcam(webcam_number(url)), camera, url, live=True)
