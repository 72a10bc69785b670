"""Opening what FFmpeg demuxes, by PyAV: files, network streams; every failure in one line with its remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.sources.failures import explain, failure
from pipeline.sources.url import is_address, is_rtsp, redact_address
from pipeline.types import SidewalkError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

TIMEOUT = 5.0
"""Seconds without a connection, or without data, before a network stream counts as lost."""


def open_container(
    url: str,
    open_timeout: float = TIMEOUT,
    read_timeout: float = TIMEOUT,
    transport: Literal["tcp", "udp"] = "tcp",
) -> InputContainer:
    """Open a file or an rtsp:// or http(s):// address.

    timeouts: seconds, for addresses only. transport: of RTSP; UDP loses packets, which shows as torn pictures.
    Raises SidewalkError that says what is wrong with it, free of passwords.
    """
    import av

    if not is_address(url):
        return _open_file(Path(url))
    microseconds = str(int(max(open_timeout, read_timeout) * 1e6))
    options = {"rw_timeout": microseconds}
    if is_rtsp(url):
        options = {"rtsp_transport": transport, "timeout": microseconds}
    started = time.monotonic()
    try:
        return av.open(url, options=options, timeout=(open_timeout, read_timeout))
    except (av.error.FFmpegError, OSError) as error:
        # An RTSP server that stays silent is reported as invalid data.
        late = time.monotonic() - started > 0.9 * open_timeout
        reason = failure("timeout") if late else explain(error)
        raise SidewalkError(f"{redact_address(url)}: {reason.message}") from error


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The container's video, ready for threaded decoding. name: for the error where there is none."""
    # A sound file's cover picture is a video stream too, and FFmpeg shows text files as moving letters.
    streams = [] if container.format.name == "tty" else container.streams.video
    streams = [stream for stream in streams if not _is_cover(stream)]
    if not streams:
        raise SidewalkError(f"{name}: holds no video stream; give a video file")
    stream = max(streams, key=lambda stream: stream.width * stream.height)
    stream.thread_type = "AUTO"
    return stream


def _open_file(path: Path) -> InputContainer:
    import av

    if not path.exists():
        raise SidewalkError(f"{path}: no such file; check the path")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise SidewalkError(f"{path}: the file is empty (0 bytes); copy or record it again")
        return av.open(str(path.absolute()))  # in a relative one, what precedes a colon would be a protocol
    except PermissionError as error:
        raise SidewalkError(f"{path}: may not be read; check its permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            remedy = f"cannot be opened beside the others ({os.strerror(error.errno)}); give fewer recordings at once"
        elif _lacks_index(path):
            remedy = "the recording was cut off before its index (moov) was written; record it again or repair it"
        else:
            remedy = "not a video file that FFmpeg can read; check that it is one and that it is whole"
        raise SidewalkError(f"{path}: {remedy}") from error


def _lacks_index(path: Path) -> bool:
    """Whether an MP4 or MOV file has no `moov` box: what a recorder leaves that lost its power."""
    kinds: list[bytes] = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        while len(header := file.read(8)) == 8 and len(kinds) < 64:
            size, kind = int.from_bytes(header[:4]), header[4:]
            kinds.append(kind)
            if size == 1:
                size = int.from_bytes(file.read(8)) - 8
            if size < 8:
                break
            file.seek(size - 8, 1)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _is_cover(stream: VideoStream) -> bool:
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)
