"""Recognition beside tracking: one round at a time in a thread, as large as the budget allows."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from pipeline.recognition import Reading, Request, SequenceModel, read

log = logging.getLogger("sidewalk.recognition")

FAILURE_PAUSE = 5.0
HUNG_SECONDS = 60.0
"""A round that takes longer has hung: even the largest is a matter of seconds."""
SMOOTHING = 0.3


class RecognitionWorker:
    """Reads requests in rounds; the readings are collected when they are there.

    budget: seconds a round may take; on_ready: called from the thread when readings can be collected;
    measure: told the seconds of every round. failures: rounds in a row that raised; the next is tried after a pause.
    """

    def __init__(
        self,
        model: SequenceModel,
        budget: float,
        on_ready: Callable[[], None],
        measure: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.failures = 0
        self.rest = 0.0
        """Pause after a round, as a multiple of the round."""
        self._model = model
        self._budget = budget
        self._on_ready = on_ready
        self._measure = measure
        self._cost: float | None = None
        self._free_at = self._submitted = 0.0
        self._busy = threading.Event()
        self._rounds: queue.Queue[Sequence[Request] | None] = queue.Queue(maxsize=1)
        self._readings: queue.SimpleQueue[list[Reading]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether a round may be submitted now."""
        return not self._busy.is_set() and time.monotonic() >= self._free_at

    @property
    def failing(self) -> bool:
        """Whether the last round raised, or the one under way never ends."""
        return self.failures > 0 or (self._busy.is_set() and time.monotonic() - self._submitted > HUNG_SECONDS)

    @property
    def affordable(self) -> int:
        """Tracklets that fit into the budget, by what the last rounds cost; at least one."""
        return max(1, int(self._budget / self._cost)) if self._cost else 1

    def submit(self, requests: Sequence[Request]) -> None:
        """Begin a round; only while `idle`."""
        self._submitted = time.monotonic()
        self._busy.set()
        self._rounds.put(requests)

    def collect(self) -> list[Reading]:
        """Readings that are done since the last call."""
        done: list[Reading] = []
        while not self._readings.empty():
            done.extend(self._readings.get())
        return done

    def close(self, seconds: float) -> None:
        """End after the round under way; one that takes longer than `seconds` is abandoned."""
        try:
            self._rounds.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _run(self) -> None:
        while (requests := self._rounds.get()) is not None:
            began = time.monotonic()
            try:
                readings = read(self._model, requests)
            except Exception as error:
                self._free_at = time.monotonic() + FAILURE_PAUSE
                log.log(
                    logging.DEBUG if self.failures else logging.ERROR,
                    "a recognition round failed; no attributes are read until one works again",
                    exc_info=True,
                    extra={"event": "recognition_failed", "reason": type(error).__name__},
                )
                self.failures += 1
            else:
                if self.failures:
                    log.info("recognition works again", extra={"event": "recognition_recovered"})
                self.failures = 0
                spent = time.monotonic() - began
                self._measure(spent)
                each = spent / len(requests)
                self._cost = each if self._cost is None else (1 - SMOOTHING) * self._cost + SMOOTHING * each
                self._free_at = time.monotonic() + self.rest * spent
                self._readings.put(readings)
            self._busy.clear()
            self._on_ready()
