"""frames.jsonl: one line a frame, with everybody in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.sinks.output import TextFile
from pipeline.types import Box, Frame, FrameResult, Label, Person, TrackSummary


class JsonlSink:
    """Writes each frame's people as a JSON object on a line of its own; whole lines reach the file at once."""

    def __init__(self, path: str | Path) -> None:
        self._file = TextFile(Path(path))

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._file.write(line(frame_record(result)))

    def end_track(self, summary: TrackSummary) -> None:
        """Tracks have a file of their own."""

    def close(self, completed: bool = True) -> None:
        self._file.close(completed)


def frame_record(result: FrameResult) -> dict[str, Any]:
    """A frame as it stands in frames.jsonl: boxes to a tenth of a pixel, times to a microsecond."""
    return {
        "camera": result.camera,
        "frame": result.index,
        "time": seconds(result.time),
        "people": [person_record(person) for person in result.people],
    }


def person_record(person: Person) -> dict[str, Any]:
    return {
        "track": person.track,
        "box": box(person.box),
        "score": round(float(person.score), 3),
        "attributes": attributes(person.attributes),
    }


def attributes(labels: Mapping[str, Label]) -> dict[str, Any]:
    """Attribute groups in the schema's order; value is None where the model abstains."""
    return {
        group: {"value": label.value, "probability": round(float(label.probability), 3)}
        for group, label in labels.items()
    }


def box(corners: Box) -> list[float]:
    return [round(float(side), 1) for side in corners]


def seconds(time: float) -> float:
    return round(float(time), 6)


def line(record: Mapping[str, Any]) -> str:
    """Compact JSON that is the same for the same values, with its line end."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
