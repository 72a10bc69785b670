"""Who is who: multi-object trackers over arrays, in seconds, one instance a camera."""

from trackers.base import Tracker, create_tracker

__all__ = ["Tracker", "create_tracker"]
