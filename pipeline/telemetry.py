"""What a live run measures: delay histograms, counters of what was dropped and why, and their Prometheus form."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.memory import resident_bytes

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from pipeline.sources.supervisor import Health

SHORTEST, LONGEST, GROWTH = 0.00001, 120.0, 1.06
"""Seconds of the first and last bucket, and how much wider each is than the one before: quantiles within 3 %."""
EXPORTED_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0)
"""Seconds of the buckets that Prometheus is shown."""


class Histogram:
    """Durations in logarithmic buckets: constant memory however long the run."""

    def __init__(self) -> None:
        buckets = math.ceil(math.log(LONGEST / SHORTEST) / math.log(GROWTH)) + 1
        self._counts = [0] * buckets
        self.count = 0
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[self._bucket(seconds)] += 1
        self.count += 1
        self.sum += seconds

    def quantile(self, share: float) -> float:
        """The duration, in seconds, that `share` of the samples do not exceed; 0 without samples."""
        rank = share * self.count
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return float(SHORTEST * GROWTH ** (bucket - 0.5)) if bucket else SHORTEST / 2
        return 0.0

    def cumulative(self, bounds: Sequence[float]) -> list[int]:
        """Samples not longer than each bound, in seconds."""
        totals, seen, bucket = [], 0, 0
        for bound in bounds:
            last = self._bucket(bound / math.sqrt(GROWTH))  # whose end is nearest to the bound
            while bucket <= last:
                seen += self._counts[bucket]
                bucket += 1
            totals.append(seen)
        return totals

    def summary(self) -> dict[str, float]:
        """Count, and p50, p95, p99 in milliseconds, to three digits."""
        return {
            "count": self.count,
            **{f"p{share}_ms": float(f"{1000 * self.quantile(share / 100):.3g}") for share in (50, 95, 99)},
        }

    def _bucket(self, seconds: float) -> int:
        if seconds <= SHORTEST:
            return 0
        position = math.ceil(math.log(seconds / SHORTEST) / math.log(GROWTH))
        return min(position, len(self._counts) - 1)


class Recent:
    """The samples of the last few seconds, for decisions and for the table in the terminal.

    One thread adds; any may ask.
    """

    def __init__(self, seconds: float = 5.0, at_most: int = 2000) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque(maxlen=at_most)

    def add(self, value: float) -> None:
        now = time.monotonic()
        self._samples.append((now, value))
        while self._samples[0][0] < now - self._seconds:
            self._samples.popleft()

    def _values(self) -> list[float]:
        oldest = time.monotonic() - self._seconds
        # The copy is made in one go; iterating over the deque itself would fail when it changes.
        return [value for moment, value in tuple(self._samples) if moment >= oldest]

    def quantile(self, share: float) -> float | None:
        """None where there was nothing lately."""
        values = sorted(self._values())
        return values[min(int(share * len(values)), len(values) - 1)] if values else None

    @property
    def rate(self) -> float:
        """Samples a second."""
        return len(self._values()) / self._seconds

    @property
    def total_rate(self) -> float:
        """Sum of the samples a second."""
        return sum(self._values()) / self._seconds


class StageTimes:
    """How long each stage takes; any thread may add and ask."""

    def __init__(self) -> None:
        self._stages: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body of a `with` block as one sample of `stage`."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Record one sample of `stage`."""
        with self._lock:
            self._stages.setdefault(stage, Histogram()).add(seconds)

    def histograms(self) -> dict[str, Histogram]:
        """By stage, as they are now."""
        with self._lock:
            return dict(self._stages)

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage: how often it ran, and percentiles of its milliseconds."""
        return {stage: histogram.summary() for stage, histogram in self.histograms().items()}


class CameraMeter:
    """One camera's share of the run. delay: seconds from capture to result; dropped: by reason, after the reader."""

    def __init__(self) -> None:
        self.delay = Histogram()
        self.recent = Recent()
        self.processed = 0
        self.people = 0
        self.tracks = 0
        self.readings = 0
        self.dropped: Counter[str] = Counter()


class Telemetry:
    """All that is measured in one run. Nothing here is global: two runs in one process do not mix.

    Stages and cameras are written by the engine's thread; sinks by theirs. Readers may be anywhere.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.cameras: dict[str, CameraMeter] = {}
        self.stages = StageTimes()
        self.sinks: dict[tuple[str, str], Counter[str]] = {}
        self.recognition_fails = False
        self.load_level = 0
        self.level_changes: Counter[int] = Counter()
        self.last_tick = time.monotonic()
        self._lock = threading.Lock()

    def camera(self, name: str) -> CameraMeter:
        with self._lock:
            return self.cameras.setdefault(name, CameraMeter())

    def sink(self, camera: str, name: str) -> Counter[str]:
        """Counts of one sink: written, tracks, dropped, errors, outages, recoveries."""
        with self._lock:
            return self.sinks.setdefault((camera, name), Counter())

    def tick(self) -> None:
        """The engine's loop came round."""
        self.last_tick = time.monotonic()


def total_drops(health: Health, meter: CameraMeter) -> dict[str, int]:
    """Frames of one camera that never became a result, by reason."""
    drops = Counter(health.dropped)
    drops.update(dict(meter.dropped))  # a copy: it may grow meanwhile
    return dict(drops)


def create_registry(telemetry: Telemetry, healths: Callable[[], Mapping[str, Health]]) -> CollectorRegistry:
    """A Prometheus registry that reads the run's numbers whenever it is scraped."""
    from prometheus_client import CollectorRegistry

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return _metrics(telemetry, healths())

    registry = CollectorRegistry()
    registry.register(Collector())
    return registry


def _metrics(telemetry: Telemetry, healths: Mapping[str, Health]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    from pipeline.sources.supervisor import CameraState

    camera_label = ["camera"]
    state = GaugeMetricFamily("sidewalk_camera_state", "1 for the state a camera is in", labels=["camera", "state"])
    received = CounterMetricFamily("sidewalk_frames_received", "Frames the camera sent", labels=camera_label)
    processed = CounterMetricFamily("sidewalk_frames_processed", "Frames that became results", labels=camera_label)
    dropped = CounterMetricFamily(
        "sidewalk_frames_dropped", "Frames that did not, by reason", labels=["camera", "reason"]
    )
    reconnects = CounterMetricFamily("sidewalk_camera_reconnects", "Connections after the first", labels=camera_label)
    repairs = CounterMetricFamily("sidewalk_clock_repairs", "Jumps of a camera's clock absorbed", labels=camera_label)
    tracks = CounterMetricFamily("sidewalk_tracks", "People whose track ended", labels=camera_label)
    readings = CounterMetricFamily("sidewalk_readings", "Attribute readings", labels=camera_label)
    people = GaugeMetricFamily("sidewalk_people", "People in view", labels=camera_label)
    delay = HistogramMetricFamily("sidewalk_delay_seconds", "From capture to result", labels=camera_label)
    for name, health in healths.items():
        meter = telemetry.camera(name)
        for possible in CameraState:
            state.add_metric([name, str(possible)], float(possible is health.state))
        received.add_metric([name], health.received)
        processed.add_metric([name], meter.processed)
        for reason, count in total_drops(health, meter).items():
            dropped.add_metric([name, reason], count)
        reconnects.add_metric([name], health.reconnects)
        repairs.add_metric([name], health.repairs)
        tracks.add_metric([name], meter.tracks)
        readings.add_metric([name], meter.readings)
        people.add_metric([name], meter.people if health.state is CameraState.LIVE else 0)
        delay.add_metric([name], _buckets(meter.delay), meter.delay.sum)
    yield from (state, received, processed, dropped, reconnects, repairs, tracks, readings, people, delay)

    stage = HistogramMetricFamily("sidewalk_stage_seconds", "Time spent in a stage", labels=["stage"])
    for name, histogram in telemetry.stages.histograms().items():
        stage.add_metric([name], _buckets(histogram), histogram.sum)
    failing = GaugeMetricFamily("sidewalk_sink_failing", "Whether a sink fails now", labels=["camera", "sink"])
    sinks = CounterMetricFamily(
        "sidewalk_sink_events",
        "Results a sink wrote or dropped, its errors and recoveries",
        labels=["camera", "sink", "event"],
    )
    for (camera, sink), counts in list(telemetry.sinks.items()):
        for event, count in list(counts.items()):
            sinks.add_metric([camera, sink, event], count)
        failing.add_metric([camera, sink], float(fails(counts)))
    yield from (stage, sinks, failing)
    yield GaugeMetricFamily(
        "sidewalk_recognition_failing", "Whether no attributes are read now", value=float(telemetry.recognition_fails)
    )
    yield GaugeMetricFamily("sidewalk_load_level", "0 is none; see docs/live.md", value=telemetry.load_level)
    yield GaugeMetricFamily("sidewalk_resident_bytes", "Memory of the main process", value=resident_bytes())


def fails(counts: Mapping[str, int]) -> bool:
    """Whether a sink with these counts is failing now."""
    return counts.get("outages", 0) > counts.get("recoveries", 0)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    counts = histogram.cumulative(EXPORTED_BOUNDS)
    pairs = [(str(bound), float(count)) for bound, count in zip(EXPORTED_BOUNDS, counts)]
    return [*pairs, ("+Inf", float(histogram.count))]
