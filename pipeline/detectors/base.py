"""The seam between pictures and people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.types import Image

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
