"""The values that travel between the stages, from a camera's frame to a labelled person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import supervision as sv

Image = np.ndarray
"""BGR uint8 (H, W, 3)."""

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 in pixels."""


class SidewalkError(Exception):
    """Something the user can mend: one line that names the thing and the remedy. Exit code 2."""


@contextmanager
def user_errors(section: str = "") -> Iterator[None]:
    """Errors of the model packages about what the user named become one-line errors of the command.

    section: of the configuration, to be named.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise SidewalkError(f"{section}: {error}" if section else str(error)) from error


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source once it is open.

    rate: nominal frames per second as the container states it, None for variable or unknown.
    frames: number of frames, None where only decoding would tell.
    """

    camera: str
    uri: str
    width: int
    height: int
    live: bool
    rate: Fraction | None = None
    frames: int | None = None
    codec: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture with its capture time.

    time: seconds; presentation time from the start of a recording, wall clock (epoch) of a live camera.
    pts, time_base: the source's own time stamp, exact, where it has one.
    segment: grows when a live camera comes back with another size, codec or rate.
    late: seconds that a live camera's picture was under way for longer than its promptest ones.
    """

    camera: str
    index: int
    time: float
    image: Image
    pts: int | None = None
    time_base: Fraction | None = None
    segment: int = 0
    late: float = 0.0


class Label(NamedTuple):
    """What is believed of one attribute group; value is None where the model abstains."""

    value: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Person:
    """One tracked person in one frame. box: inside the picture; score: the detector's."""

    track: int
    box: Box
    score: float
    attributes: dict[str, Label] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything known about one frame once it has passed all stages.

    others, missed: wherever else somebody may be, to be made unrecognisable: whatever the detector took for a person,
    followed or not; and what holds those, wherever they went since, who are followed and were not found in this frame.
    """

    camera: str
    index: int
    time: float
    people: tuple[Person, ...]
    others: tuple[Box, ...] = ()
    missed: tuple[Box, ...] = ()

    def detections(self) -> sv.Detections:
        """The people as `supervision.Detections` with tracker_id, for annotators and zones."""
        import supervision as sv

        if not self.people:
            empty = sv.Detections.empty()
            empty.tracker_id = np.zeros(0, dtype=int)
            return empty
        return sv.Detections(
            xyxy=np.array([person.box for person in self.people], dtype=np.float32),
            confidence=np.array([person.score for person in self.people], dtype=np.float32),
            class_id=np.zeros(len(self.people), dtype=int),
            tracker_id=np.array([person.track for person in self.people], dtype=int),
        )


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """A track at its end: one line of tracks.jsonl.

    best_box, best_time: the best look at the person, None where no crop was good enough to keep.
    also: other numbers the person bore until they were recognised, mostly for a moment.
    """

    camera: str
    track: int
    first_time: float
    last_time: float
    frames: int
    attributes: dict[str, Label]
    readings: int
    best_box: Box | None
    best_time: float | None
    also: tuple[int, ...] = ()
