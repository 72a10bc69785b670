"""The seam between boxes and identities: the protocol every tracker keeps, and the builder that knows them by name."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import supervision as sv

ALGORITHMS = {
    "sidewalk": "trackers.sidewalk:Sidewalk",
    "bytetrack": "trackers.bytetrack:ByteTrack",
    "botsort": "trackers.botsort:BotSort",
    "ocsort": "trackers.ocsort:OcSort",
    "cbiou": "trackers.cbiou:CBIoU",
}
ULTRALYTICS = "ultralytics:"


class Tracker(Protocol):
    """Gives detections an identity that lasts; one instance a camera, no state outside it."""

    lost_seconds: float
    """How long an unseen track is kept before it ends."""

    ended: list[int]
    """Ids that the last `update` ended; they never come back."""

    merged: dict[int, int]
    """Those of `ended` whose people go on under another id, and that id; to be taken in order."""

    def update(self, detections: sv.Detections, timestamp: float, frame: np.ndarray | None = None) -> sv.Detections:
        """Advance to `timestamp` (seconds) and return the confirmed, visible people.

        detections: xyxy (N, 4) float32 pixels and confidence (N,). Returns a subset of its rows with
        tracker_id (M,) int set, in the order of the input; ids start at 1 and are never used twice. Their xyxy
        may be the motion filter's.
        frame: BGR uint8 (H, W, 3), only for trackers that compensate camera motion.
        """
        ...

    def reset(self) -> None:
        """Forget every track; ids go on from where they were."""
        ...


def create_tracker(name: str = "sidewalk", **options: Any) -> Tracker:
    """The tracker called `name`, with its defaults changed by `options`.

    name: one of ALGORITHMS, or `ultralytics:` and the name of a tracker that Ultralytics ships.
    Raises ValueError where the name or an option is unknown, or a value is out of range.
    """
    if name.startswith(ULTRALYTICS):
        from trackers.ultralytics import UltralyticsTracker

        return UltralyticsTracker(name.removeprefix(ULTRALYTICS), **options)
    if name not in ALGORITHMS:
        raise ValueError(
            f"tracker '{name}' is unknown{suggest(name, ALGORITHMS)}; "
            f"choose one of {', '.join(ALGORITHMS)}, or {ULTRALYTICS}botsort and its like"
        )
    module, _, class_name = ALGORITHMS[name].partition(":")
    algorithm = getattr(import_module(module), class_name)
    known = option_names(algorithm)
    for option in options:
        if option not in known:
            raise ValueError(
                f"tracker '{name}' has no option '{option}'{suggest(option, known)}; it has {', '.join(known)}"
            )
    tracker: Tracker = algorithm(**options)
    return tracker


def option_names(algorithm: type) -> list[str]:
    """The options of an algorithm; one that passes `**options` on has those of its base too."""
    parameters = inspect.signature(algorithm).parameters.values()
    names = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
    inherited = option_names(algorithm.__base__) if len(names) < len(parameters) and algorithm.__base__ else []
    return names + inherited


def suggest(word: str, known: Any) -> str:
    """A did-you-mean for an error message, empty where nothing known is close to `word`."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
