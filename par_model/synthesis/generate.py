"""Generation: fills a folder with tracklet shards, in as many processes as asked, skipping what is already there."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from par_model.synthesis.bodies import load_bodies
from par_model.synthesis.shards import SHARD_SIZE, shard_path, write_shard
from par_model.synthesis.tracklets import Tracklet, TrackletGenerator

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What one process needs to make shards."""

    out: Path
    seed: int
    assets: Path
    backgrounds: Path | None
    size: tuple[int, int]
    frames: int
    shard_size: int


def generate_tracklets(
    out: Path,
    count: int,
    seed: int,
    assets: Path,
    processes: int = 1,
    backgrounds: Path | None = None,
    size: tuple[int, int] = (96, 192),
    frames: int = 6,
    progress: Progress | None = None,
    shard_size: int = SHARD_SIZE,
) -> list[Path]:
    """Write `count` tracklets (rounded up to whole shards) of `seed` to `out` and return the paths of all shards.

    Complete shards are kept and skipped; a killed run goes on where it stopped. assets: folder of MakeHuman clothes
    and hair; backgrounds: folder of photographs that replace some of the streets; progress: called with tracklets
    done and wanted. Raises ValueError naming what is missing: packages, OpenGL, assets.
    """
    load_bodies()  # bakes the bodies once, before processes would race for it
    shards = -(-count // shard_size)
    missing = [number for number in range(shards) if not shard_path(out, seed, number).exists()]
    out.mkdir(parents=True, exist_ok=True)
    job = Job(out, seed, assets, backgrounds, size, frames, shard_size)
    done = (shards - len(missing)) * shard_size
    report = progress or (lambda *_: None)
    report(done, shards * shard_size)
    if processes <= 1 and missing:
        generator = _generator(job)
        for number in missing:
            _shard(job, generator, number, lambda made, base=done: report(base + made, shards * shard_size))  # type: ignore[misc]
            done += shard_size
    elif missing:
        # Each worker opens its own OpenGL context, which does not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent) as pool:
            for _ in pool.map(partial(_work, job), missing):
                done += shard_size
                report(done, shards * shard_size)
    return [shard_path(out, seed, number) for number in range(shards)]


def _generator(job: Job) -> TrackletGenerator:
    return TrackletGenerator(job.assets, job.seed, size=job.size, frames=job.frames, backgrounds=job.backgrounds)


def _shard(job: Job, generator: TrackletGenerator, number: int, report: Callable[[int], None]) -> None:
    def tracklets() -> Iterator[Tracklet]:
        for made in range(job.shard_size):
            yield generator.make(number * job.shard_size + made)
            report(made + 1)

    write_shard(shard_path(job.out, job.seed, number), tracklets())


def end_with_parent() -> None:
    """Let this worker process end at once when the one that started it is gone, however that came.

    An executor's workers would otherwise finish what is queued and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


_kept_generator = cache(_generator)
"""A worker's, opened with its first shard: what fails in a pool's initializer is not told to whoever waits."""


def _work(job: Job, number: int) -> int:
    _shard(job, _kept_generator(job), number, lambda made: None)
    return number
