"""The seam between results and the world."""

from __future__ import annotations

from typing import Protocol

from pipeline.types import Frame, FrameResult, TrackSummary


class Sink(Protocol):
    """Takes the results of one camera, in order, and writes them somewhere.

    A file sink writes to a temporary name and takes its final name on `close`, so that nothing half-written
    looks complete; `close(completed=False)` (an error, not Ctrl-C) leaves the partial file under `*.partial`.
    """

    def write(self, frame: Frame, result: FrameResult) -> None: ...

    def end_track(self, summary: TrackSummary) -> None: ...

    def close(self, completed: bool = True) -> None: ...
