"""Recordings as people have them: every common codec, variable rate, turned phones, cut-off and broken files."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.build import open_recordings
from pipeline.config import CameraConfig, Config
from pipeline.sources import open_source
from pipeline.types import Frame, SidewalkError

WIDTH, HEIGHT, FRAMES = 160, 96, 24
SHADES = np.linspace(20, 235, FRAMES)


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Grey that tells the frame's number, with a red top left corner."""
    image = np.full((height, width, 3), round(SHADES[number % FRAMES]), np.uint8)
    image[: height // 3, : width // 3] = (0, 0, 255)
    return image


def record(
    path: Path,
    codec: str = "libx264",
    ticks: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 1000),
    rotation: int = 0,
    pixel: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of FRAMES pictures; ticks: their time stamps in time_base, None is 25 a second."""
    ticks = [40 * number for number in range(FRAMES)] if ticks is None else ticks
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.time_base = WIDTH, HEIGHT, time_base
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = time_base
        if codec.startswith("libx26"):
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        stream.codec_context.sample_aspect_ratio = pixel
        if rotation:
            stream.set_display_rotation(rotation)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24")
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path | str) -> tuple[list[Frame], list[str]]:
    source = open_source(str(path), "door")
    frames = list(source)
    source.close()
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(frame.camera == "door" for frame in frames)
    return frames, source.warnings


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", "mp4"),
        ("libx264", "mkv"),
        ("libx264", "ts"),
        ("libx265", "mp4"),
        ("libvpx-vp9", "webm"),
        ("mjpeg", "avi"),
        ("mpeg4", "avi"),
    ],
)
def test_every_frame_of_every_codec_comes_in_order(tmp_path: Path, codec: str, suffix: str) -> None:
    frames, warnings = read(record(tmp_path / f"clip.{suffix}", codec))
    assert len(frames) == FRAMES
    assert warnings == []
    shades = [frame.image[-10:, -10:].mean() for frame in frames]
    np.testing.assert_allclose(shades, SHADES, atol=8)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(FRAMES) / 25, atol=2e-3)


def test_the_source_describes_the_recording(tmp_path: Path) -> None:
    source = open_source(str(record(tmp_path / "clip.mp4")), "door")
    info = source.info
    assert (info.width, info.height, info.rate, info.frames) == (WIDTH, HEIGHT, 25, FRAMES)
    assert (info.codec, info.live, info.camera) == ("h264", False, "door")
    source.close()


def test_variable_frame_rate_keeps_its_time_stamps_exactly(tmp_path: Path) -> None:
    ticks = [int(number * 40 + 10 * (number % 3) + (500 if number > 9 else 0)) for number in range(FRAMES)]
    path = record(tmp_path / "clip.mp4", ticks=ticks)
    frames, _ = read(path)
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(tick, 1000) for tick in ticks]
    assert [frame.time for frame in frames] == [tick / 1000 for tick in ticks]
    assert open_source(str(path)).info.rate is None


def test_a_rate_of_thousand_and_one_stays_a_fraction(tmp_path: Path) -> None:
    base = Fraction(1001, 30000)
    path = record(tmp_path / "clip.mp4", ticks=range(FRAMES), time_base=base)
    frames, _ = read(path)
    assert open_source(str(path)).info.rate == 1 / base
    assert frames[-1].time == float((FRAMES - 1) * base)


def test_one_time_stamp_astray_backwards_costs_nothing_but_its_own_time(tmp_path: Path) -> None:
    source = open_source(str(record(tmp_path / "clip.mkv")))
    stamps = [5000, 5040, 0, 5120, 5160]
    repaired, last = [], None
    for stamp in stamps:
        last = source._repaired(stamp, last)  # type: ignore[attr-defined]
        repaired.append(last)
    assert repaired == [5000, 5040, 5080, 5120, 5160]
    assert source._restarts == 0  # type: ignore[attr-defined]


def test_recordings_strung_together_go_on_evenly(tmp_path: Path) -> None:
    part = record(tmp_path / "part.ts", ticks=[40 * number for number in range(50)])
    whole = tmp_path / "whole.ts"
    whole.write_bytes(part.read_bytes() * 3)
    frames, warnings = read(whole)
    assert len(frames) >= 3 * 50 - 6
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.04, abs=0.002)
    assert [warning for warning in warnings if "begin anew 2 times" in warning]


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    frames, _ = read(record(tmp_path / "clip.mkv", ticks=[7000 + 40 * number for number in range(FRAMES)]))
    assert frames[0].time == 0
    assert frames[1].time == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, "top left"), (90, "bottom left"), (180, "bottom right"), (-90, "top right")]
)
def test_a_phone_held_sideways_gives_upright_pictures(tmp_path: Path, rotation: int, corner: str) -> None:
    """The display matrix turns counter-clockwise: the red corner moves with it."""
    path = record(tmp_path / "clip.mp4", rotation=rotation)
    frames, _ = read(path)
    height, width = frames[0].image.shape[:2]
    assert (width, height) == ((HEIGHT, WIDTH) if rotation % 180 else (WIDTH, HEIGHT))
    info = open_source(str(path)).info
    assert (info.width, info.height) == (width, height)
    corners = {
        "top left": frames[0].image[4, 4],
        "top right": frames[0].image[4, -5],
        "bottom left": frames[0].image[-5, 4],
        "bottom right": frames[0].image[-5, -5],
    }
    red = {name for name, colour in corners.items() if colour[2] > 200 and colour[0] < 60}
    assert red == {corner}


def test_pictures_with_camera_data_of_their_own_are_read(tmp_path: Path) -> None:
    orientation = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 3, 1, 1) + bytes(4)
    exif = b"Exif\0\0" + orientation
    path = tmp_path / "clip.mjpeg"
    with path.open("wb") as file:
        for number in range(FRAMES):
            jpeg = cv2.imencode(".jpg", picture(number))[1].tobytes()
            file.write(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    frames, _ = read(path)
    assert len(frames) == FRAMES
    assert frames[0].image[4, 4][2] > 200


@pytest.mark.parametrize(
    ("matrix", "corner", "portrait"),
    [
        ((-1, 0, 0, 1), "top right", False),  # mirrored, as front cameras do
        ((1, 0, 0, -1), "bottom left", False),
        ((0, 1, 1, 0), "top left", True),
        ((0, 1, -1, 0), "top right", True),
    ],
)
def test_mirrored_recordings_are_set_right(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: str, portrait: bool
) -> None:
    path = record(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    place = data.index(struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), data.index(b"tkhd"))
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    image = read(path)[0][0].image
    height, width = image.shape[:2]
    assert (height > width) == portrait
    spots = {"top left": (4, 4), "top right": (4, -5), "bottom left": (-5, 4), "bottom right": (-5, -5)}
    assert {name for name, spot in spots.items() if image[spot][2] > 200 and image[spot][0] < 60} == {corner}


@pytest.mark.parametrize(
    ("pixel", "size"),
    [(Fraction(2), (320, 96)), (Fraction(1, 2), (160, 192)), (Fraction(101, 100), (160, 96)), (Fraction(9), (160, 96))],
)
def test_pixels_become_square(tmp_path: Path, pixel: Fraction, size: tuple[int, int]) -> None:
    path = record(tmp_path / "clip.mp4", pixel=pixel)
    frames, _ = read(path)
    info = open_source(str(path)).info
    assert (info.width, info.height) == size == frames[0].image.shape[1::-1]


def test_a_raw_stream_without_time_stamps_gets_regular_ones(tmp_path: Path) -> None:
    frames, _ = read(record(tmp_path / "clip.h264"))
    assert len(frames) == FRAMES
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.04, atol=1e-3)


def test_a_truncated_recording_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mp4", options={"movflags": "+faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    frames, warnings = read(cut)
    assert 1 <= len(frames) < FRAMES
    np.testing.assert_allclose([frame.image[-10:, -10:].mean() for frame in frames], SHADES[: len(frames)], atol=8)
    assert any(f"ends after {len(frames)} of {FRAMES} frames" in warning for warning in warnings)


def test_damaged_packets_cost_frames_not_the_run(tmp_path: Path) -> None:
    path = record(tmp_path / "clip.ts")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    frames, _ = read(path)
    assert FRAMES // 2 < len(frames) <= FRAMES
    assert (np.diff([frame.time for frame in frames]) > 0).all()


def test_a_recording_without_its_index_is_an_error(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.5)])
    with pytest.raises(SidewalkError, match=r"cut\.mp4: .*before its index \(moov\)"):
        open_source(str(cut))


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 8000)


def test_a_recorder_may_put_the_time_of_day_into_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "10:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    frames, warnings = read("10:30:00.mp4")
    assert (len(frames), warnings) == (FRAMES, [])


def test_recordings_that_wait_for_their_turn_are_not_held_open(tmp_path: Path) -> None:
    clips = [record(tmp_path / f"{number}.mp4") for number in range(4)]
    clips.append(tmp_path / "short.mp4")
    whole = record(tmp_path / "whole.mp4", options={"movflags": "+faststart"}).read_bytes()
    clips[-1].write_bytes(whole[: int(0.7 * len(whole))])
    before = len(os.listdir("/proc/self/fd"))
    sources = open_recordings(Config(), [CameraConfig(url=str(clip)) for clip in clips])
    assert len(os.listdir("/proc/self/fd")) == before
    for source in sources[:-1]:
        assert [frame.index for frame in source] == list(range(FRAMES))
        assert source.warnings == []
        source.close()
    assert 0 < len(list(sources[-1])) < FRAMES
    assert "truncated" in sources[-1].warnings[0]
    sources[-1].close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_video_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("This is a text file, whatever its name says.\n" * 50)
    (tmp_path / "text.txt").write_text("And this one does not even pretend.\n" * 50)
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "empty").mkdir()
    sound(tmp_path / "sound.wav")
    for name, message in {
        "missing.mp4": "no such file",
        "text.mp4": "not a video file",
        "text.txt": "no video stream|not a video file",
        "zero.mp4": "the file is empty",
        "empty": "no pictures there",
        "sound.wav": "no video stream",
        "*.jpg": "no pictures there",
    }.items():
        with pytest.raises(SidewalkError, match=message) as caught:
            open_source(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_real_clips_are_read_whole(shared: Path) -> None:
    frames, warnings = read(shared / "data" / "videos" / "vtest_pets09-s2l1_480x360.mp4")
    assert (len(frames), warnings) == (795, [])
    assert frames[-1].time == pytest.approx(79.4)
