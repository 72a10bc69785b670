"""How long each stage takes, kept for the run record."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

KEPT = 200_000
"""Samples kept a stage; later ones overwrite the oldest, so that a long run stays small."""


class StageTimes:
    """Milliseconds by stage. A stage is timed by one thread at a time."""

    def __init__(self) -> None:
        self._samples: dict[str, array[float]] = {}
        self._counts: dict[str, int] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body of a `with` block as one sample of `stage`."""
        start = time.perf_counter()
        yield
        self.add(stage, 1000 * (time.perf_counter() - start))

    def add(self, stage: str, milliseconds: float) -> None:
        """Record one sample of `stage`."""
        samples = self._samples.setdefault(stage, array("f"))
        count = self._counts.get(stage, 0)
        if len(samples) < KEPT:
            samples.append(milliseconds)
        else:
            samples[count % KEPT] = milliseconds
        self._counts[stage] = count + 1

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage: how often it ran, and the 50th and 95th percentile of its milliseconds."""
        table = {}
        for stage, samples in self._samples.items():
            p50, p95 = np.percentile(np.frombuffer(samples, dtype=np.float32), (50, 95))
            table[stage] = {
                "count": self._counts[stage],
                "p50_ms": round(float(p50), 2),
                "p95_ms": round(float(p95), 2),
            }
        return table
