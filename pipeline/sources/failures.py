"""Why a camera cannot be read, in words an operator can act on."""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.types import SidewalkError


@dataclass(frozen=True, slots=True)
class Failure:
    """reason: a short word for metrics and health; message: one line without secrets, with the remedy."""

    reason: str
    message: str


REMEDIES = {
    "auth": "the camera rejects the user or password; correct the URL (or the environment variable it comes from)",
    "refused": "nothing listens at that address and port; check both, and that the camera's RTSP service is on",
    "unknown_host": "the host name is not known; check the spelling and the DNS server, and write / # ? in a password "
    "as %2F %23 %3F",
    "unreachable": "no route to the camera; check the cable, the switch and the address",
    "not_found": "the camera has no stream of that name; check the path of the URL",
    "timeout": "the camera accepts the connection but does not answer in time; restart it if this goes on",
    "no_data": "the camera stopped sending pictures without closing the connection",
    "closed": "the camera closed the connection",
    "hung": "the decoder or the name look-up hung; its process was abandoned and is started anew",
    "crashed": "the reader process died; it is started anew",
    "undecodable": "the stream cannot be decoded; set the camera to H.264 or H.265",
    "protocol": "the URL's protocol is unknown here; use rtsp://, http:// or https://",
    "error": "the stream failed",
}
"""Every reason a camera can be down for, and what to do about it."""


def failure(reason: str, detail: str = "") -> Failure:
    """The failure called `reason`; detail: what the library said, free of addresses and passwords."""
    text = REMEDIES[reason]
    return Failure(reason, f"{text} ({detail})" if detail else text)


def explain(error: BaseException) -> Failure:
    """What an exception from name look-up, opening or reading means.

    Only the error's kind and code are used: FFmpeg's texts repeat the URL, with the password in it.
    """
    import av.error

    if isinstance(error, SidewalkError):
        return failure("error", str(error))
    if isinstance(error, socket.gaierror):
        return failure("unknown_host")
    kinds: list[tuple[type[BaseException], str]] = [
        (av.error.HTTPUnauthorizedError, "auth"),
        (av.error.HTTPForbiddenError, "auth"),
        (av.error.HTTPNotFoundError, "not_found"),
        (av.error.FileNotFoundError, "not_found"),
        (av.error.ExitError, "timeout"),
        (av.error.EOFError, "closed"),
        (av.error.ProtocolNotFoundError, "protocol"),
        (av.error.DecoderNotFoundError, "undecodable"),
        (av.error.DemuxerNotFoundError, "undecodable"),
        (av.error.InvalidDataError, "undecodable"),
        (ConnectionRefusedError, "refused"),
        (ConnectionError, "closed"),
        (TimeoutError, "timeout"),
        (PermissionError, "auth"),
    ]
    for kind, reason in kinds:
        if isinstance(error, kind):
            return failure(reason)
    code = getattr(error, "errno", None)
    if code in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        return failure("unreachable")
    name = errno.errorcode.get(code, "") if isinstance(code, int) else ""
    return failure("error", f"{type(error).__name__} {name}".strip())


def resolve(url: str) -> None:
    """Look the URL's host name up, so that an unknown one is told from a camera that fails.

    Raises socket.gaierror where it is unknown. May hang as long as the system's resolver does.
    """
    # Where a password holds a `/`, `#`, `?` or `[`, the parts are not what they seem; FFmpeg's own error is told then.
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname:
            socket.getaddrinfo(parts.hostname, parts.port or 554, type=socket.SOCK_STREAM)
