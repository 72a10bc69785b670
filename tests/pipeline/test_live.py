"""Assembling a live run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pipeline.config import CameraConfig, Config
from pipeline.engine import CameraReport
from pipeline.live import _camera_report, publish_address, run_live
from pipeline.naming import camera_names, source_name
from pipeline.record import write_record
from pipeline.sinks import TrackLinesSink
from pipeline.sinks.output import partial
from pipeline.sinks.rotating import RotatingSink
from pipeline.sinks.segments import SegmentSink
from pipeline.sources.clock import EPOCH
from pipeline.sources.handover import ReaderOptions
from pipeline.sources.supervisor import CameraSupervisor, Retry
from pipeline.telemetry import CameraMeter, StageTimes
from pipeline.types import Frame, FrameResult, SidewalkError, SourceInfo, TrackSummary


@pytest.mark.parametrize(
    ("template", "several", "address"),
    [
        ("rtsp://server/live", False, "rtsp://server/live"),
        ("rtsp://server/live/", True, "rtsp://server/live/gate"),
        ("rtsp://server/{camera}/overlay", True, "rtsp://server/gate/overlay"),
        ("rtsp://server/{camera}", False, "rtsp://server/gate"),
    ],
)
def test_every_camera_publishes_to_an_address_of_its_own(template: str, several: bool, address: str) -> None:
    assert publish_address(template, "gate", several) == address


def test_no_part_of_a_password_becomes_a_camera_s_name() -> None:
    assert source_name("rtsp://user:p@ss/w#rd@192.0.2.1:554/stream1") == "192.0.2.1-stream1"
    assert source_name("rtsp://192.0.2.1/a/b") == "192.0.2.1-a-b"


def test_a_camera_that_was_given_a_name_keeps_it() -> None:
    cameras = [CameraConfig(url="rtsp://192.0.2.1/a"), CameraConfig(url="rtsp://192.0.2.2/b", name="192.0.2.1-a")]
    assert camera_names(cameras) == ["192.0.2.1-a-2", "192.0.2.1-a"]


def test_a_camera_that_was_given_up_says_why_it_never_came() -> None:
    options = ReaderOptions("rtsp://127.0.0.1:1/x", "tcp", "newest", 1.0, 1.0, 1.0, 0, None, EPOCH)
    camera = CameraSupervisor("gate", options, retry=Retry(limit=0))
    camera.start()
    camera._thread.join(20.0)
    camera.close()
    lane = SimpleNamespace(source=camera, meter=CameraMeter(), last_trouble="")
    [warning] = _camera_report(cast(Any, lane), options.url, False, StageTimes()).warnings
    assert "nothing listens at that address" in warning


def test_an_address_with_half_a_bracket_is_an_error_that_names_it() -> None:
    with pytest.raises(SidewalkError, match=r"rtsp://\*\*\*@\[fd00::1/s: not an address"):
        source_name("rtsp://user:s3cret@[fd00::1/s")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_costs_no_descriptors(tmp_path: Path) -> None:
    partial(tmp_path / "overlay.mp4").symlink_to("/dev/full")
    image = np.zeros((48, 64, 3), np.uint8)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        sink = SegmentSink(tmp_path / "overlay.mp4", lambda frame, result: frame.image, 10.0)
        with pytest.raises(OSError, match="No space"):
            sink.write(Frame("gate", 0, 0.0, image), FrameResult("gate", 0, 0.0, ()))
        with contextlib.suppress(OSError):
            sink.close(completed=False)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_recording_beside_a_live_camera_is_an_error_that_says_so(tmp_path: Path) -> None:
    cameras = [CameraConfig(url="rtsp://user:s3cret@127.0.0.1:1/x"), CameraConfig(url="people.mp4")]
    with pytest.raises(SidewalkError, match=r"people\.mp4.*by itself") as error:
        run_live(Config(), cameras, tmp_path)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("url", ["webcam:front", "webcam:", "webcam:/dev/video0", "webcam:²"])
def test_a_webcam_has_a_number(url: str, tmp_path: Path) -> None:
    with pytest.raises(SidewalkError, match="numbered from 0; write webcam:0"):
        run_live(Config(), [CameraConfig(url=url)], tmp_path)


def test_a_live_run_does_not_mix_with_a_recordings_results_and_keeps_earlier_records(tmp_path: Path) -> None:
    report = CameraReport(SourceInfo("gate", "rtsp://gate/x", 0, 0, live=True))
    models = cast(Any, SimpleNamespace(detector=SimpleNamespace(name="none", device="cpu"), recognizer=None))
    write_record(tmp_path, Config(), models, report, 0.0, {"received": 1})
    os.utime(tmp_path / "run.json", (1_800_000_000, 1_800_000_000))
    write_record(tmp_path, Config(), models, report, 0.0, {"received": 2})
    found = {path.name: json.loads(path.read_text())["live"]["received"] for path in tmp_path.iterdir()}
    assert found == {"run-20270115T080000Z.json": 1, "run.json": 2}
    (tmp_path / "overlay.mp4").touch()
    with pytest.raises(SidewalkError, match=r"holds the results of an earlier run \(overlay\.mp4\)"):
        run_live(Config(), [CameraConfig(url="rtsp://127.0.0.1:1/x")], tmp_path)


def test_a_track_that_ends_while_its_camera_is_away_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "tracks-STAMP.jsonl"
    sink = RotatingSink(TrackLinesSink, path, 600.0)
    for last in (1_800_000_000.0, 1_800_000_601.0):
        sink.end_track(TrackSummary("gate", 1, last - 5, last, 50, {}, 0, (0.0, 0.0, 1.0, 1.0), last))
    sink.close()
    # Both go into the file that was open: the period of a track is that of its end as it was reported.
    [file] = tmp_path.iterdir()
    assert file.name == "tracks-20270115T080000Z.jsonl"
    assert file.read_text().count("\n") == 2


def test_a_file_that_could_not_even_be_begun_is_not_left_behind(tmp_path: Path) -> None:
    class Full(TrackLinesSink):
        def end_track(self, summary: TrackSummary) -> None:
            raise OSError(28, "No space left on device")

    sink = RotatingSink(Full, tmp_path / "tracks-STAMP.jsonl", 600.0)
    with pytest.raises(OSError, match="No space"):
        sink.end_track(TrackSummary("gate", 1, 1.0, 2.0, 50, {}, 0, None, None))
    assert len(list(tmp_path.iterdir())) == 1
    sink.close(completed=False)
    assert list(tmp_path.iterdir()) == []
