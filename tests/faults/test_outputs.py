"""An output that fails loses its own data, says so, and recovers; nothing else notices."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.sinks import JsonlSink
from pipeline.sinks.guarded import GuardedSink
from pipeline.sinks.publish import PublishSink
from pipeline.sinks.rotating import RotatingSink
from pipeline.sinks.segments import SegmentSink
from pipeline.telemetry import Telemetry
from pipeline.types import Frame, FrameResult, Image, SourceInfo

ENDLESS = 1e12
"""Seconds of a file's period, lest a test that runs across a full ten minutes has two."""


def plain(frame: Frame, result: FrameResult) -> Image:
    return frame.image


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_costs_that_output_alone_and_is_recovered_from(
    fake_camera: Any, live_run: Any, frames_in: Any, small_disk: Path, tmp_path: Path
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(900_000))

    def sinks(info: SourceInfo, telemetry: Telemetry) -> list[GuardedSink]:
        def rotating(name: str, path: Path, make: Any) -> GuardedSink:
            counts = telemetry.sink(info.camera, name)
            return GuardedSink(info.camera, name, lambda: RotatingSink(make, path, ENDLESS), counts, retry_seconds=0.5)

        return [
            rotating("overlay", small_disk / "overlay-STAMP.mp4", lambda path: SegmentSink(path, plain, 10.0)),
            rotating("frames", tmp_path / "frames-STAMP.jsonl", JsonlSink),
        ]

    camera = fake_camera("--bitrate", "2000")
    with live_run({"camera": camera.url()}, sinks=sinks) as run:
        overlay = run.telemetry.sink("camera", "overlay")
        run.wait(lambda: overlay["errors"] > 0, 20.0, "the disk is full")
        time.sleep(1.0)
        assert overlay["dropped"] > 0
        filler.unlink()
        run.wait(lambda: overlay["recoveries"] > 0, 10.0, "the output recovers")
        written = overlay["written"]
        run.wait(lambda: overlay["written"] > written + 10, 10.0, "it goes on")
        assert run.telemetry.sink("camera", "frames")["dropped"] == 0
        assert run.telemetry.sink("camera", "record")["dropped"] == 0
    [lines] = tmp_path.glob("frames-*.jsonl")
    assert lines.read_text().count("\n") == len(run.records["camera"].indices)
    whole = list(small_disk.glob("overlay-*.mp4"))
    assert whole
    assert all(frames_in(path) > 5 for path in whole)


def test_a_server_to_publish_to_may_come_and_go(
    fake_camera: Any, live_run: Any, captured_log: list[str], tmp_path: Path
) -> None:
    recording = tmp_path / "published.mkv"
    target = fake_camera("--record", str(recording), "--user", "viewer", "--password", "h0rse-battery")
    target.kill()

    def sinks(info: SourceInfo, telemetry: Telemetry) -> list[GuardedSink]:
        url = target.url("publish", user="viewer:h0rse-battery")
        counts = telemetry.sink(info.camera, "publish")
        return [
            GuardedSink(
                info.camera,
                "publish",
                lambda: PublishSink(url, plain, 10.0),
                counts,
                retry_seconds=0.5,
                retry_longest=1.0,
            )
        ]

    camera = fake_camera()
    with live_run({"camera": camera.url()}, sinks=sinks) as run:
        publish = run.telemetry.sink("camera", "publish")
        run.wait(lambda: publish["errors"] > 0, 15.0, "the server is away")
        target.start()
        run.wait(lambda: publish["written"] > 20, 20.0, "the overlay is published")
        run.wait(lambda: frames_of_recording(recording) > 5, 20.0, "the server has it")
        errors = publish["errors"]
        target.kill()
        run.wait(lambda: publish["errors"] > errors, 15.0, "the server goes away again")
        assert frames_of_recording(recording) > 5
        target.start()
        written = publish["written"]
        run.wait(lambda: publish["written"] > written + 10, 20.0, "and comes back")
        gaps = run.records["camera"].arrivals
    assert np.diff(gaps[5:]).max() < 1.0
    assert run.telemetry.sink("camera", "record")["dropped"] == 0
    assert not any("h0rse-battery" in line for line in captured_log)


def frames_of_recording(path: Path) -> int:
    """Pictures in a recording that was cut off."""
    count = 0
    try:
        with av.open(str(path)) as container:
            for _ in container.decode(video=0):
                count += 1
    except av.error.FFmpegError:
        pass
    return count


def test_files_rotate_and_each_plays_even_after_a_crash(frames_in: Any, tmp_path: Path) -> None:
    path = tmp_path / "overlay-STAMP.mp4"
    sink = RotatingSink(lambda path: SegmentSink(path, plain, 10.0), path, 5.0)
    start = 1_800_000_000.0
    rng = np.random.default_rng(0)
    for index in range(120):
        image = rng.integers(0, 255, (36, 64, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
        segment = int(index >= 110)
        frame = Frame("camera", index, start + index / 10, image[:, : 320 - 80 * segment], segment=segment)
        sink.write(frame, FrameResult("camera", index, frame.time, ()))
    # Nothing is closed: what a killed program leaves.
    names = sorted(os.listdir(tmp_path))
    assert names == [
        "overlay-20270115T080000Z.mp4",
        "overlay-20270115T080005Z.mp4",
        "overlay-20270115T080010Z.mp4",
        "overlay-20270115T080011Z.mp4.partial",
    ]
    assert [frames_in(tmp_path / name) for name in names[:3]] == [50, 50, 10]
    sink.close()
    assert frames_in(tmp_path / "overlay-20270115T080011Z.mp4") == 10
