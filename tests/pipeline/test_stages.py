"""Stages in threads: bounded, in order, and honest about failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.stages import Ahead
from pipeline.telemetry import StageTimes


def test_items_come_in_order() -> None:
    with Ahead(range(1000), 4, "numbers") as numbers:
        assert list(numbers) == list(range(1000))


def test_the_producer_runs_only_so_far_ahead() -> None:
    made = []

    def make() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    with Ahead(make(), 3, "numbers") as numbers:
        time.sleep(0.2)
        assert len(made) <= 5
        assert next(iter(numbers)) == 0


def test_an_error_reaches_the_consumer_after_what_came_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with Ahead(make(), 3, "numbers") as numbers:
        items = iter(numbers)
        assert next(items) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(items)


def test_closing_ends_the_thread_of_a_stage_nobody_listens_to() -> None:
    before = threading.active_count()
    endless = Ahead(iter(int, 1), 2, "endless")
    endless.close()
    assert threading.active_count() == before


def test_stage_times_have_percentiles() -> None:
    times = StageTimes()
    for milliseconds in range(1, 101):
        times.add("detect", milliseconds / 1000)
    summary = times.summary()["detect"]
    assert summary["count"] == 100
    assert summary["p50_ms"] == pytest.approx(50.5, rel=0.04)
    assert summary["p95_ms"] == pytest.approx(95.05, rel=0.04)
