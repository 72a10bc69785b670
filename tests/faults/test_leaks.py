"""Two hundred connections that come and go leave nothing behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import pytest

from pipeline.memory import resident_bytes
from pipeline.sources.clock import EPOCH
from pipeline.sources.handover import ReaderOptions
from pipeline.sources.supervisor import CameraState, CameraSupervisor, Retry

CAMERAS = 5
RECONNECTIONS = 35
REOPENINGS = 5


def options(url: str) -> ReaderOptions:
    return ReaderOptions(url, "tcp", "newest", 5.0, 5.0, 1.0, 0, None, EPOCH)


def children() -> list[int]:
    """Processes of ours that still exist, dead or alive."""
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def resident_of(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def picture(supervisor: CameraSupervisor, seconds: float = 20.0) -> None:
    """Wait for one frame."""
    supervisor.request()
    end = time.monotonic() + seconds
    while supervisor.take() is None:
        assert time.monotonic() < end, supervisor.health
        time.sleep(0.005)


def connected(url: str, name: str) -> CameraSupervisor:
    supervisor = CameraSupervisor(name, options(url), retry=Retry(0.02, 0.05))
    supervisor.start()
    return supervisor


@pytest.mark.slow
def test_two_hundred_connections_leave_threads_descriptors_and_memory_as_they_were(fake_camera: Any) -> None:
    camera = fake_camera("--cameras", str(CAMERAS), "--size", "320x240", "--gop", "2", "--no-stamp", "--fps", "20")
    urls = [camera.url(f"cam{index}") for index in range(CAMERAS)]
    warm = [connected(url, "warm") for url in urls[:1]]
    for supervisor in warm:
        picture(supervisor)
        supervisor.close()
    threads, files, processes = threading.active_count(), descriptors(), len(children())

    cameras = [connected(url, f"cam{index}") for index, url in enumerate(urls)]
    memory, reader_memory = 0, 0
    for cycle in range(RECONNECTIONS):
        for supervisor in cameras:
            picture(supervisor)
        if cycle == 5:
            memory = resident_bytes()
            reader_memory = sum(resident_of(pid) for pid in reader_pids(cameras))
        before = [supervisor.health.reconnects for supervisor in cameras]
        camera.command("kick all")
        for supervisor, count in zip(cameras, before):
            wait_for_reconnection(supervisor, count)
    reader_growth = sum(resident_of(pid) for pid in reader_pids(cameras)) - reader_memory
    for supervisor in cameras:
        supervisor.close()
        assert supervisor.health.state is CameraState.ENDED
    for _ in range(REOPENINGS):
        opened = [connected(url, f"again{index}") for index, url in enumerate(urls)]
        for supervisor in opened:
            picture(supervisor)
            supervisor.close()

    assert threading.active_count() == threads
    assert descriptors() == files
    assert len(children()) == processes
    assert resident_bytes() - memory < 8e6
    assert reader_growth < CAMERAS * 4e6


def reader_pids(cameras: list[CameraSupervisor]) -> list[int]:
    return [supervisor._reader.pid for supervisor in cameras if supervisor._reader is not None]


def wait_for_reconnection(supervisor: CameraSupervisor, count: int, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while supervisor.health.reconnects <= count:
        assert time.monotonic() < end, supervisor.health
        time.sleep(0.005)
