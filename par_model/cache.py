"""Where what is computed or fetched once is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The user's cache: $SIDEWALK_CACHE, or $XDG_CACHE_HOME/sidewalk, or ~/.cache/sidewalk. Perhaps not there yet."""
    own = os.environ.get("SIDEWALK_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "sidewalk"
