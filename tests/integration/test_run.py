"""`sidewalk run` on real pictures of real people: what it writes, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import pipeline.build
from pipeline.cli import main
from pipeline.config import Config
from pipeline.demo import photograph_clip
from pipeline.sinks import Sink
from pipeline.types import SidewalkError, SourceInfo

FILES = {"overlay.mp4", "frames.jsonl", "tracks.jsonl", "tracks.csv", "mot.txt", "run.json"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames of people in a street."""
    folder = tmp_path_factory.mktemp("clip")
    whole = photograph_clip(folder / "whole.mp4")
    path = folder / "street.mp4"
    with av.open(str(whole)) as reader, av.open(str(path), "w") as writer:
        stream = writer.add_stream("libx264", rate=Fraction(30000, 1001), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for count, frame in enumerate(reader.decode(video=0)):
            if count == 60:
                break
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="bgr24"), format="bgr24")))
        writer.mux(stream.encode())
    return path


def sidewalk(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["sidewalk", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        main()
    return int(exit.value.code or 0)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def results(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "results"
    with pytest.MonkeyPatch.context() as patch:
        assert sidewalk(patch, "run", clip, "--out", out) == 0
    return out


def test_a_run_writes_every_file_and_nothing_half_done(results: Path) -> None:
    assert {path.name for path in results.iterdir()} == FILES


def test_frames_and_tracks_hold_people_with_attributes(results: Path) -> None:
    frames = lines(results / "frames.jsonl")
    assert [frame["frame"] for frame in frames] == list(range(60))
    people = frames[-1]["people"]
    assert isinstance(people, list)
    assert len(people) >= 2
    assert set(people[0]) == {"track", "box", "score", "attributes"}
    tracks = lines(results / "tracks.jsonl")
    colours = [track["attributes"]["top color"]["value"] for track in tracks]  # type: ignore[index]
    assert any(colours)
    assert all(track["readings"] for track in tracks if track["frames"] > 40)  # type: ignore[operator]


def test_the_overlay_keeps_rate_and_frames_and_plays_in_a_browser(results: Path) -> None:
    path = results / "overlay.mp4"
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(30000, 1001)
        assert sum(1 for _ in video.decode(stream)) == 60
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_run_record_counts_and_times(results: Path) -> None:
    record = json.loads((results / "run.json").read_text(encoding="utf-8"))
    assert record["completed"] is True
    assert record["frames"] == {"read": 60, "processed": 60, "dropped": 0}
    assert record["stages"]["detect"]["count"] == 60
    assert record["configuration"]["detector"]["model"] == "auto"


def test_the_same_run_gives_the_same_bytes(results: Path, clip: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert sidewalk(monkeypatch, "run", clip, "--out", tmp_path / "again") == 0
    for name in ("frames.jsonl", "tracks.jsonl", "mot.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (results / name).read_bytes()


def test_an_earlier_run_is_not_overwritten_unless_told(
    results: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "frames.jsonl").write_bytes((results / "frames.jsonl").read_bytes())
    assert sidewalk(monkeypatch, "run", clip, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert sidewalk(monkeypatch, "run", clip, "--out", out, "--overwrite") == 0


def test_a_result_that_is_processed_again_is_not_overwritten(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "overlay.mp4"
    source.write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert sidewalk(monkeypatch, "run", "overlay.mp4", "--out", tmp_path, "--overwrite") == 2
    assert "overlay.mp4: --overwrite would remove it" in capsys.readouterr().err
    assert source.read_bytes() == clip.read_bytes()


def test_recordings_done_before_one_that_fails_keep_their_records(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    made = pipeline.build.file_sinks

    def fail_on_the_second(config: Config, info: SourceInfo, folder: Path) -> list[Sink]:
        if info.camera == "other":
            raise SidewalkError("the disk is full")
        return made(config, info, folder)

    monkeypatch.setattr("pipeline.build.file_sinks", fail_on_the_second)
    out = tmp_path / "out"
    quick = ("--duration", "0.5", "--set", "recognition.enabled=false", "--set", "overlay.enabled=false")
    assert sidewalk(monkeypatch, "run", clip, other, "--out", out, *quick) == 2
    records = {name: json.loads((out / name / "run.json").read_text()) for name in ("street", "other")}
    assert records["street"]["completed"]
    assert records["street"]["frames"]["processed"] > 10
    assert not records["other"]["completed"]


def test_earlier_results_stay_where_the_new_run_cannot_begin(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = tmp_path / "frames.jsonl"
    earlier.write_text("earlier")
    for wrong in ("detector.model=yolov8m8", "tracker.name=bytetrak", "tracker.options={colour: red}"):
        assert sidewalk(monkeypatch, "run", clip, "--out", tmp_path, "--overwrite", "--set", wrong) == 2
        assert earlier.read_text() == "earlier"
    assert sidewalk(monkeypatch, "demo", "--out", tmp_path) == 2
    assert earlier.read_text() == "earlier"


def test_the_settings_of_a_camera_hold_for_its_recording(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "camera.yaml"
    left = "[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]"
    file.write_text(f"cameras: [{{name: gate, url: {clip}, fps: 10, ignore: [{left}]}}]\n")
    out = tmp_path / "out"
    assert sidewalk(monkeypatch, "run", "--config", file, "--out", out, "--duration", "1") == 0
    frames = lines(out / "frames.jsonl")
    times = np.array([frame["time"] for frame in frames])
    assert len(frames) == 10
    assert np.diff(times).mean() == pytest.approx(0.1, rel=0.1)
    assert [frame["frame"] for frame in frames] == [round(time * 30000 / 1001) for time in times]
    boxes = np.array([person["box"] for frame in frames for person in frame["people"]])  # type: ignore[attr-defined]
    assert len(boxes)
    assert ((boxes[:, 0] + boxes[:, 2]) / 2 >= 320).all()


def test_the_demo_names_only_files_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("overlay.enabled=false", "output.tracks=false", "output.mot=false", "live.duration=1")
    changes = [part for setting in settings for part in ("--set", setting)]
    assert sidewalk(monkeypatch, "demo", "--out", tmp_path, *changes) == 0
    shown = capsys.readouterr().out
    assert "overlay.mp4" not in shown
    assert "person 1: " in shown


def test_several_sources_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gate", "hall"):
        (tmp_path / name).mkdir()
        for i in (1, 2, 10):
            picture = np.full((120, 160, 3), 10 * i, dtype=np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), picture)
    out = tmp_path / "out"
    assert sidewalk(monkeypatch, "run", tmp_path / "gate", tmp_path / "hall", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {"gate", "hall"}
    assert len(lines(out / "hall" / "frames.jsonl")) == 3


def make_text_video(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("this is no video\n" * 50)
    return path


def make_empty_file(folder: Path) -> Path:
    path = folder / "zero.mp4"
    path.touch()
    return path


def make_empty_folder(folder: Path) -> Path:
    path = folder / "pictures"
    path.mkdir()
    return path


def make_missing(folder: Path) -> Path:
    return folder / "nowhere.mp4"


@pytest.mark.parametrize("make", [make_text_video, make_empty_file, make_empty_folder, make_missing])
def test_a_source_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make
) -> None:  # type: ignore[no-untyped-def]
    source = make(tmp_path)
    assert sidewalk(monkeypatch, "run", source, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert source.name in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "detektor.model=x"), "did you mean 'detector'"),
        (("--set", "detector.confidence=much"), "detector.confidence"),
        (("--set", "detector.model=yolov8m8"), "yolov8m8"),
        (("--set", "tracker.name=bytetrak"), "bytetrack"),
        (("--set", "recognition.model=/none.safetensors"), "none.safetensors"),
        (("--set", "recognition.without=[gendr]"), "gender"),
        (("--set", "overlay.groups=[hats]"), "hat"),
        (("--set", "detector.device=cuda:63"), "cuda"),
        (("--publish", "rtsp://127.0.0.1/x"), "live.publish"),
        (("--config", "/none.yaml"), "/none.yaml"),
        (("--out", "/proc/sidewalk"), "/proc/sidewalk"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    out = () if "--out" in arguments else ("--out", tmp_path / "out")
    assert sidewalk(monkeypatch, "run", clip, *out, *arguments) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1
    left = list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else []
    assert left == []


def test_weights_with_a_wrong_hash_are_refused(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIDEWALK_CACHE", str(tmp_path / "cache"))
    from pipeline.zoo import find

    weights = find("yolov8n").path
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"not the published bytes")
    assert sidewalk(monkeypatch, "run", clip, "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "SHA-256" in message
    assert "sidewalk models pull yolov8n" in message


def test_a_truncated_recording_is_processed_as_far_as_it_goes(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.mp4"
    with av.open(str(clip)) as reader, av.open(str(short), "w", options={"movflags": "+faststart"}) as writer:
        video = reader.streams.video[0]
        copy = writer.add_stream_from_template(video)
        for packet in reader.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)
    content = short.read_bytes()
    short.write_bytes(content[: len(content) // 2])
    assert sidewalk(monkeypatch, "run", short, "--out", tmp_path / "out") == 0
    assert "warning" in capsys.readouterr().err
    processed = len(lines(tmp_path / "out" / "frames.jsonl"))
    assert 5 < processed < 60
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["warnings"]


def test_dry_run_prints_the_configuration_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sidewalk(monkeypatch, "run", "x.mp4", "--out", tmp_path / "out", "--dry-run", "--set", "detector.iou=0.5")
    assert code == 0
    assert "iou: 0.5" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens to Ctrl-C even where this one, in the background of a script, does not."""
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_leaves_files_that_can_be_read_and_exits_130(clip: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("".join(f"file '{clip}'\n" for _ in range(40)))
    video = tmp_path / "long.mp4"
    with av.open(str(long), format="concat", options={"safe": "0"}) as reader, av.open(str(video), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "run", str(video), "--out", str(out)]
    with running(command) as process:
        partial = out / "frames.jsonl.partial"
        deadline = time.monotonic() + 90
        while not (partial.exists() and partial.stat().st_size > 0) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.2)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert {path.name for path in out.iterdir()} == FILES
    processed = len(lines(out / "frames.jsonl"))
    with av.open(str(out / "overlay.mp4")) as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == processed
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["completed"] is False
