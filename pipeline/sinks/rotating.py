"""Live outputs as a row of files, each complete and readable by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipeline.sinks.base import Sink
from pipeline.sinks.output import STAMP, partial
from pipeline.types import Frame, FrameResult, TrackSummary


class RotatingSink:
    """Starts a new file of another sink at every full period of the clock, and whenever the picture changes form.

    make: makes the sink that writes one file, given its path; path: the file of a period, `STAMP` standing for its
    first moment in UTC; seconds: length of a period. Periods lie on the clock (every ten minutes: 10:00, 10:10),
    so that the files of several cameras belong together.
    """

    def __init__(self, make: Callable[[Path], Sink], path: Path, seconds: float) -> None:
        self._make = make
        self._path = self._current = path
        self._seconds = seconds
        self._sink: Sink | None = None
        self._period: tuple[int, int] | None = None
        self._segment = 0

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._turn_to(frame.time, frame.segment).write(frame, result)

    def end_track(self, summary: TrackSummary) -> None:
        # The track of a camera that is away ends later than its last frame: into the file that is open.
        sink = self._sink or self._turn_to(summary.last_time, self._segment)
        sink.end_track(summary)

    def close(self, completed: bool = True) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close(completed)
        finally:
            # A full disk still takes names: each try would leave one.
            left = partial(self._current)
            if not completed and left.is_file() and left.stat().st_size == 0:
                left.unlink()

    def _turn_to(self, moment: float, segment: int) -> Sink:
        period = (int(moment // self._seconds), segment)
        if self._sink is None or period != self._period:
            self.close()
            self._period, self._segment = period, segment
            self._current = self._free_path(moment)
            self._sink = self._make(self._current)
        return self._sink

    def _free_path(self, moment: float) -> Path:
        """The period's file; with a number where an earlier run or form of picture has left one."""
        stamp = time.strftime(STAMP, time.gmtime(moment))
        first = self._path.with_name(self._path.name.replace("STAMP", stamp))
        first.parent.mkdir(parents=True, exist_ok=True)
        path, number = first, 2
        while path.exists() or partial(path).exists():
            path = first.with_name(f"{first.stem}-{number}{first.suffix}")
            number += 1
        return path
