"""The trackers that Ultralytics ships, behind our protocol: for comparison, and for those who are used to them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from trackers.lifecycle import labelled, usable

if TYPE_CHECKING:
    import supervision as sv


class UltralyticsTracker:
    """One of Ultralytics' trackers with its shipped settings, changed by `options`.

    They count frames: `rate` (frames per second) turns their `track_buffer` into `lost_seconds`, and irregular
    timestamps are not seen. The boxes returned are their filter's.
    Camera-motion compensation is off unless a `gmc_method` is given; it then needs the pictures.
    """

    def __init__(self, name: str, rate: float = 30.0, **options: Any) -> None:
        for package in ("ultralytics", "lap"):
            # Without this Ultralytics would try to install what it lacks.
            if find_spec(package) is None:
                raise ValueError(f"tracker 'ultralytics:{name}' needs the package {package}: pip install {package}")
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import ROOT, YAML, IterableSimpleNamespace

        from trackers.base import suggest

        if name not in TRACKER_MAP:
            raise ValueError(
                f"Ultralytics has no tracker '{name}'{suggest(name, TRACKER_MAP)}; "
                f"choose one of {', '.join(TRACKER_MAP)}"
            )
        settings: dict[str, Any] = YAML.load(  # type: ignore[no-untyped-call]
            ROOT / "cfg" / "trackers" / f"{name}.yaml"
        )
        for option in options:
            if option not in settings:
                raise ValueError(
                    f"tracker 'ultralytics:{name}' has no option '{option}'{suggest(option, settings)}; "
                    f"it has rate, {', '.join(settings)}"
                )
        if "gmc_method" in settings:
            settings["gmc_method"] = "none"
        settings |= options
        self._tracker: Any = TRACKER_MAP[name](IterableSimpleNamespace(**settings))
        self._first = 0
        self._last = 0
        self._open: set[int] = set()
        self.lost_seconds = settings["track_buffer"] / rate
        self.ended: list[int] = []
        self.merged: dict[int, int] = {}  # it has no such thing

    def update(self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None) -> sv.Detections:
        """See `Tracker.update`; the timestamp is not used."""
        from ultralytics.engine.results import Boxes

        rows, boxes, scores = usable(detections)
        table = np.column_stack([boxes, scores, np.zeros(len(boxes))]).astype(np.float32)
        found = self._tracker.update(Boxes(table, frame.shape[:2] if frame is not None else (1, 1)), frame)
        ids = np.zeros(len(boxes), dtype=int)
        if len(found):
            at = found[:, -1].astype(int)
            ids[at] = found[:, 4].astype(int) + self._first
            boxes[at] = found[:, :4]
        self._last = max(self._last, int(ids.max(initial=0)))
        alive = {
            track.track_id + self._first for track in (*self._tracker.tracked_stracks, *self._tracker.lost_stracks)
        }
        self.ended = sorted(self._open - alive)
        self._open = (self._open & alive) | set(ids[ids > 0].tolist())
        return labelled(detections, rows, ids, boxes)

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        self.ended = sorted(self._open)
        self._open = set()
        self._tracker.reset()
        self._first = self._last
