"""Addresses of cameras, and how they are shown: without passwords."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s'\"<>]+)")
_SECRET = re.compile(
    r"(?P<key>[?&;](?:[\w-]*(?:pass|pwd|token|secret|auth|key|sig)[\w-]*|user|username|login)=)[^&;#]*",
    re.IGNORECASE,
)
MASK = "***"


def redact(text: str) -> str:
    """The text with user names, passwords and tokens of every address in it masked.

    Cameras' passwords often hold, unescaped, the signs that divide an address (`@`, `/`, `#`, `:`); so
    everything before the last `@` goes, even where it might have been a path.
    """
    return _ADDRESS.sub(lambda match: match["scheme"] + _redact_rest(match["rest"]), text)


def is_address(source: str) -> bool:
    """Whether a source is a network address rather than a file."""
    return source.lower().startswith(("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://"))


def _redact_rest(rest: str) -> str:
    """Masks what may be secret of everything after `scheme://`."""
    _, at, tail = rest.rpartition("@")
    rest = f"{MASK}@{tail}" if at else rest
    return _SECRET.sub(lambda match: match["key"] + MASK, rest)
