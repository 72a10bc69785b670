"""mot.txt: tracks in the text format of MOTChallenge, for its evaluators."""

from __future__ import annotations

from pathlib import Path

from pipeline.sinks.output import TextFile
from pipeline.types import Frame, FrameResult, TrackSummary


class MotSink:
    """Writes `frame,id,left,top,width,height,score,-1,-1,-1`; frames and pixels are counted from 1."""

    def __init__(self, path: str | Path) -> None:
        self._file = TextFile(Path(path))

    def write(self, frame: Frame, result: FrameResult) -> None:
        lines = []
        for person in result.people:
            x1, y1, x2, y2 = person.box
            place = f"{x1 + 1:.1f},{y1 + 1:.1f},{x2 - x1:.1f},{y2 - y1:.1f}"
            lines.append(f"{result.index + 1},{person.track},{place},{person.score:.3f},-1,-1,-1\n")
        self._file.write(*lines)

    def end_track(self, summary: TrackSummary) -> None:
        """The format knows no attributes."""

    def close(self, completed: bool = True) -> None:
        self._file.close(completed)
