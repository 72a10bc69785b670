"""The seam between pictures and people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.types import Image, SidewalkError

if TYPE_CHECKING:
    import supervision as sv


class Detector(Protocol):
    """Finds people; shared by all cameras, so pictures of one call may differ in size."""

    name: str
    device: str
    """Where it runs, for the run record: e.g. `openvino:CPU`, `torch:cuda:0`."""

    image_size: int
    """Long side of the network's input in pixels, where the model leaves it open; holds from the next call on."""

    def detect(self, images: Sequence[Image]) -> list[sv.Detections]:
        """People of each picture: xyxy float32 pixels, confidence, class_id 0; best first."""
        ...

    def close(self) -> None: ...


PEOPLE = ("person", "pedestrian", "people")
"""What models call them; of one with several such classes, those who sit or ride are another than those on foot."""


def person_classes(names: Mapping[int, str], model: str) -> list[int]:
    """The numbers of the classes that mean people; 0, as in COCO, for a model that names none.

    names: of the model's classes; model: for the error. Raises SidewalkError where none of them means people.
    """
    numbers = {str(name).lower(): int(number) for number, name in names.items()}
    if all(re.fullmatch(r"class\d+", name) for name in numbers):  # as Ultralytics calls them where it knows no better
        return [0]
    people = [number for name, number in numbers.items() if name in PEOPLE]
    if people:
        return people
    shown = ", ".join(list(numbers)[:5]) + (", ..." if len(numbers) > 5 else "")
    raise SidewalkError(f"{model}: knows no class 'person', only {shown}; use a detector of people")
