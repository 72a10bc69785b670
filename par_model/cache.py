"""Where what is computed or fetched once is kept between runs, and what its files are told apart by."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def user_cache() -> Path:
    """The user's cache: $SIDEWALK_CACHE, or $XDG_CACHE_HOME/sidewalk, or ~/.cache/sidewalk. Perhaps not there yet."""
    own = os.environ.get("SIDEWALK_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "sidewalk"


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
