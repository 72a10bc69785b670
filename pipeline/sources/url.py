"""Addresses of cameras, and how they are shown: without passwords."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s'\"<>]+)")
_KEY = r"(?:[\w-]*(?:pas|pwd|token|secret|auth|key|sig)[\w-]*|user\w*|usr|login\w*)="
# In a query a secret ends where the next key begins. Recorders also write the whole query as a path
# (/user=admin_password=secret_channel=1.sdp), where `_` may stand before a key.
_SECRET = re.compile(
    rf"(?P<key>[?&;]{_KEY}|(?P<path>[/_]{_KEY}))(?(path)(?:(?!_[a-z]+=)[^&;#])*|[^&;#]*)", re.IGNORECASE
)
MASK = "***"


def redact(text: str) -> str:
    """The text with user names, passwords and tokens of every address in it masked.

    Cameras' passwords often hold, unescaped, the signs that divide an address (`@`, `/`, `#`, `:`); so
    everything before the last `@` goes, even where it might have been a path.
    """
    return _ADDRESS.sub(lambda match: match["scheme"] + _redact_rest(match["rest"]), text)


def redact_address(address: str) -> str:
    """One whole address, masked likewise; a file's name stays as it is.

    Unlike in a text, quotes and brackets in a password end nothing here.
    """
    scheme, divider, rest = address.partition("://")
    return scheme + divider + _redact_rest(rest) if divider else address


def is_address(source: str) -> bool:
    """Whether a source is a network address rather than a file."""
    return source.lower().startswith(("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "udp://"))


def is_rtsp(source: str) -> bool:
    """Whether a source is a camera that speaks RTSP."""
    return source.lower().startswith(("rtsp://", "rtsps://"))


def _redact_rest(rest: str) -> str:
    """Masks what may be secret of everything after `scheme://`."""
    head, at, tail = rest.rpartition("@")
    if at:
        # The sign may stand in a secret of the path or the query, which then goes on behind it.
        torn = next((match for match in _SECRET.finditer(head) if match.end() == len(head)), None)
        rest = f"{MASK}@" + (_SECRET.sub(MASK, torn["key"] + tail, count=1) if torn else tail)
    return _SECRET.sub(lambda match: match["key"] + MASK, rest)
