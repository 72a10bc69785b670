"""The seam between results and the world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pipeline.types import Frame, FrameResult, TrackSummary


class TakesTracks(Protocol):
    """What is told of people once they have left."""

    def end_track(self, summary: TrackSummary) -> None: ...


class Sink(TakesTracks, Protocol):
    """Takes the results of one camera, in order, and writes them somewhere.

    A file sink writes to a temporary name and takes its final name on `close`, so that nothing half-written
    looks complete; `close(completed=False)` (an error, not Ctrl-C) leaves the partial file under `*.partial`.
    """

    def write(self, frame: Frame, result: FrameResult) -> None: ...

    def close(self, completed: bool = True) -> None: ...


def hand_out(summaries: Sequence[TrackSummary], sinks: Iterable[TakesTracks]) -> int:
    """Give tracks that ended to the sinks; how many they were."""
    for summary in summaries:
        for sink in sinks:
            sink.end_track(summary)
    return len(summaries)
