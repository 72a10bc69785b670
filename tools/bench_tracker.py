"""Milliseconds per tracker update, ours beside Ultralytics', on walking crowds of a given size."""

from __future__ import annotations

import importlib.util
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from trackers import create_tracker

if TYPE_CHECKING:
    import supervision as sv

RATE = 30.0


def tracker(
    people: Annotated[list[int], typer.Option(help="crowd sizes")] = [10, 30, 60],  # noqa: B006
    name: Annotated[list[str], typer.Option(help="trackers, as in the configuration")] = [  # noqa: B006
        "sidewalk",
        "bytetrack",
        "ultralytics:bytetrack",
        "ultralytics:botsort",
    ],
    frames: Annotated[int, typer.Option(help="updates measured for each")] = 300,
) -> None:
    """Median and 95th percentile of one update; all trackers see the same boxes, in turns of a second."""
    names = [n for n in name if not n.startswith("ultralytics:") or importlib.util.find_spec("ultralytics")]
    grid = Table("tracker", *(f"{count} people: median / p95 ms" for count in people))
    columns = [measure(names, crowd(count, frames)) for count in people]
    for row in names:
        grid.add_row(row, *(f"{column[row][0]:.2f} / {column[row][1]:.2f}" for column in columns))
    Console(width=120).print(grid)


def measure(names: list[str], clip: list[sv.Detections]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of milliseconds per update by tracker, after a second to warm up."""
    running = {name: create_tracker(name) for name in names}
    spent: dict[str, list[float]] = {name: [] for name in names}
    # In turns of a second: a busy machine slows all alike, and nobody finds the caches full of another's data.
    for start in range(0, len(clip), int(RATE)):
        for name, one in running.items():
            for frame in range(start, min(start + int(RATE), len(clip))):
                began = perf_counter()
                one.update(clip[frame], frame / RATE)
                spent[name].append(1e3 * (perf_counter() - began))
    warm = {name: times[int(RATE) :] for name, times in spent.items()}
    return {name: (statistics.median(t), float(np.quantile(t, 0.95))) for name, t in warm.items()}


def crowd(count: int, frames: int) -> list[sv.Detections]:
    """Detections of `count` people who cross a 1080p picture, some hidden, some with a low score, for `frames`."""
    import supervision as sv

    random = np.random.default_rng(0)
    height = random.uniform(100, 300, count)
    place = random.uniform(0, 1, (count, 2)) * (1920, 700)
    velocity = random.normal(0, 0.5, (count, 2)) * height[:, None]
    clip = []
    for frame in range(frames):
        centre = (place + velocity * frame / RATE) % (1920, 1080)
        size = np.stack([0.4 * height, height], axis=1) * random.normal(1, 0.03, (count, 2))
        jitter = random.normal(0, 0.02, (count, 2)) * height[:, None]
        corner = centre + jitter - size / 2
        seen = random.random(count) > 0.05
        score = np.where(random.random(count) < 0.15, 0.3, 0.9).astype(np.float32)
        boxes = np.hstack([corner, corner + size]).astype(np.float32)
        clip.append(sv.Detections(xyxy=boxes[seen], confidence=score[seen], class_id=np.zeros(int(seen.sum()), int)))
    return clip


if __name__ == "__main__":
    typer.run(tracker)
