"""A live sink on its own: a queue that drops the oldest, a thread, and another try after a failure."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.sinks.base import Sink
from pipeline.types import Frame, FrameResult, SidewalkError, TrackSummary

log = logging.getLogger("sidewalk.sink")

TRACKS_DEPTH = 10_000
"""Ended tracks that may wait for a sink that hangs or fails: some ten megabytes."""
OUTAGE = (OSError, SidewalkError)
"""What a sink raises because of where it writes, and not of what it was given."""
NO_PICTURE = np.zeros((0, 0, 3), np.uint8)

Item = tuple[Frame, FrameResult] | TrackSummary


class GuardedSink:
    """Runs a sink in a thread, so that neither its slowness nor its failure reaches the pipeline.

    make: makes the sink; called again after a failure. depth: frames that may wait (policy: drop_oldest; what is known
    of a track comes only once, so frames never push it out). pictures: whether the sink looks at pictures, and
    waiting frames must keep theirs. retry_seconds, retry_longest: pause after a first failure, and the most it doubles
    to while failures go on; frames whose turn comes in a pause are dropped and counted; a track waits for its
    end, and what comes after it too.
    counts: written frames, tracks, dropped, errors, outages (errors in a row are one), recoveries.
    """

    def __init__(
        self,
        camera: str,
        name: str,
        make: Callable[[], Sink],
        counts: Counter[str],
        *,
        depth: int = 32,
        pictures: bool = True,
        retry_seconds: float = 2.0,
        retry_longest: float = 30.0,
    ) -> None:
        self.camera = camera
        self.name = name
        self._make = make
        self._counts = counts
        self._depth = depth
        self._pictures = pictures
        self._retry_seconds = retry_seconds
        self._retry_longest = retry_longest
        self._failures = 0
        self._failed_at: type | None = None
        self._retry_at = 0.0
        self._waiting: deque[Item] = deque()
        self._held = Counter[type]()
        self._changed = threading.Condition()
        self._closing = False
        self._completed = True
        self._sink: Sink | None = None
        self._reported: tuple[type, int | str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink {camera}/{name}", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._put((frame if self._pictures else replace(frame, image=NO_PICTURE), result), self._depth)

    def end_track(self, summary: TrackSummary) -> None:
        self._put(summary, TRACKS_DEPTH)

    def close(self, completed: bool = True) -> None:
        """Let it finish what waits, for at most a moment."""
        self.end(completed)
        self.join(2.0)

    def end(self, completed: bool = True) -> None:
        """Say that nothing more comes, without waiting."""
        with self._changed:
            self._closing = True
            self._completed = completed
            self._retry_at = 0.0  # what waits gets one more try
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Wait for the last data to be written; False where the sink is abandoned instead."""
        self._thread.join(max(seconds, 0.0))
        if self._thread.is_alive():
            log.warning(
                "did not close in time and is abandoned",
                extra={"camera": self.camera, "event": "sink_abandoned", "reason": self.name},
            )
        return not self._thread.is_alive()

    def _put(self, item: Item, depth: int) -> None:
        with self._changed:
            if self._closing:
                return
            kind = type(item)
            self._held[kind] += 1
            if self._held[kind] > depth:
                self._held[kind] -= 1
                del self._waiting[next(index for index, old in enumerate(self._waiting) if type(old) is kind)]
                self._counts["dropped"] += 1
            self._waiting.append(item)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    break
                pause = self._retry_at - time.monotonic() if self._failures else 0.0
                if pause > 0 and isinstance(self._waiting[0], TrackSummary) and not self._closing:
                    self._changed.wait(pause)
                    continue
                item = self._waiting.popleft()
                self._held[type(item)] -= 1
            if pause > 0:
                self._counts["dropped"] += 1
            else:
                self._attempt(item)
        self._close_sink(self._completed)

    def _attempt(self, item: Item) -> None:
        try:
            if self._sink is None:
                self._sink = self._make()
            if isinstance(item, TrackSummary):
                self._sink.end_track(item)
            else:
                self._sink.write(*item)
        except Exception as error:
            if not self._keep(item, error):
                self._counts["dropped"] += 1
            self._failed_at = type(item)
            self._fail(error)
        else:
            self._counts["tracks" if isinstance(item, TrackSummary) else "written"] += 1
            # Many a sink does nothing with frames, or with tracks: that it did not fail says nothing.
            if self._failures and type(item) is self._failed_at:
                self._failures = 0
                self._reported = None
                self._counts["recoveries"] += 1
                log.info(
                    f"{self.name} works again",
                    extra={"camera": self.camera, "event": "sink_recovered", "reason": self.name},
                )

    def _keep(self, item: Item, error: Exception) -> bool:
        """Put a track that could not be written back in front; not where the track itself may be at fault."""
        with self._changed:
            if self._closing or not isinstance(item, TrackSummary) or not isinstance(error, OUTAGE):
                return False
            self._waiting.appendleft(item)
            self._held[type(item)] += 1
            return True

    def _fail(self, error: Exception) -> None:
        from pipeline.sources.url import redact

        self._counts["errors"] += 1
        self._counts["outages"] += not self._failures
        pause = min(self._retry_seconds * 2 ** min(self._failures, 20), self._retry_longest)
        self._failures += 1
        # What waits at the end is tried all the same, unless the disk or the server is away.
        if not self._closing or isinstance(error, OUTAGE):
            self._retry_at = time.monotonic() + pause
        text = redact(f"{self.name} failed: {type(error).__name__}: {error}")
        # The same failure over and over is news once, whatever the file is called each time.
        kind = type(error), getattr(error.__cause__ or error, "errno", None) or text
        log.log(
            logging.DEBUG if kind == self._reported else logging.WARNING,
            f"{text}; its frames are dropped until it works again, and ended tracks wait",
            extra={"camera": self.camera, "event": "sink_failed", "reason": self.name},
        )
        self._reported = kind
        self._close_sink(completed=False)

    def _close_sink(self, completed: bool) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close(completed)
        except Exception as error:
            # What broke the sink also breaks its closing; the first message said why.
            log.debug(f"closing {self.name}: {type(error).__name__}", extra={"camera": self.camera})
