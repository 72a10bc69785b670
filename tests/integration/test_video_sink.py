"""The overlay as a browser sees it: H.264 4:2:0, index first, the source's times, nothing lost when things fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.sinks import VideoSink
from pipeline.sinks.segments import SegmentSink
from pipeline.types import Frame, FrameResult, Image, SidewalkError, SourceInfo


class Plain:
    """Draws nothing."""

    def draw(self, image: Image, result: FrameResult) -> Image:
        return image


class Failing:
    """Fails at the third frame."""

    def draw(self, image: Image, result: FrameResult) -> Image:
        if result.index == 2:
            raise RuntimeError("the annotator broke")
        return image


def frames(stamps: Sequence[int], base: Fraction, size: tuple[int, int] = (96, 160), colour: int = 128) -> list[Frame]:
    return [
        Frame("door", index, float((pts - stamps[0]) * base), np.full((*size, 3), colour, np.uint8), pts, base)
        for index, pts in enumerate(stamps)
    ]


def info(rate: Fraction | None = None, live: bool = False) -> SourceInfo:
    return SourceInfo("door", "door.mp4", 160, 96, live, rate)


def write(path: Path, pictures: Sequence[Frame], about: SourceInfo) -> Path:
    sink = VideoSink(path, about, Plain())
    for frame in pictures:
        sink.write(frame, FrameResult("door", frame.index, frame.time, ()))
    sink.close()
    return path


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def test_a_browser_can_play_it_from_the_first_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "overlay.mp4", frames(range(30), Fraction(1, 25)), info(Fraction(25)))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (160, 96)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [entry.name for entry in tmp_path.iterdir()] == ["overlay.mp4"]


@pytest.mark.parametrize(
    "rate", [Fraction(30000, 1001), Fraction(25), Fraction(25, 2), Fraction(10)], ids=["29.97", "25", "12.5", "10"]
)
def test_the_rate_is_the_sources_exactly(tmp_path: Path, rate: Fraction) -> None:
    path = write(tmp_path / "a.mp4", frames(range(50), 1 / rate), info(rate))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        assert stream.frames == 50
    assert times(path) == [number / rate for number in range(50)]


def test_a_variable_rate_stays_as_it_was(tmp_path: Path) -> None:
    stamps = [5000, 5040, 5041, 5300, 6000, 9000, 9033]
    path = write(tmp_path / "a.mp4", frames(stamps, Fraction(1, 1000)), info())
    assert times(path) == [Fraction(stamp - 5000, 1000) for stamp in stamps]


def test_a_live_camera_is_placed_by_its_capture_times(tmp_path: Path) -> None:
    pictures = [
        Frame("door", number, 1.7e9 + when, np.zeros((96, 160, 3), np.uint8), 77, Fraction(1, 90000))
        for number, when in enumerate([0, 0.1, 0.25, 0.9])
    ]
    path = write(tmp_path / "a.mp4", pictures, info(live=True))
    assert [float(when) for when in times(path)] == pytest.approx([0, 0.1, 0.25, 0.9], abs=1e-4)


def test_time_stamps_that_repeat_do_not_stop_the_encoder(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", frames([0, 1, 1, 0, 5], Fraction(1, 25)), info(Fraction(25)))
    assert len(times(path)) == 5


def test_odd_sides_are_padded_and_other_sizes_fitted(tmp_path: Path) -> None:
    pictures = frames(range(3), Fraction(1, 25), size=(95, 161), colour=200)
    pictures[2] = Frame("door", 2, 0.08, np.full((300, 200, 3), 200, np.uint8), 2, Fraction(1, 25))
    path = write(tmp_path / "a.mp4", pictures, info())
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert images[0].shape == (96, 162, 3)
    assert abs(images[0].astype(int) - 200).max() < 6
    assert images[2][:, :60].mean() > 190
    assert images[2][:, 70:].mean() < 10


@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 255, 0), (255, 0, 0), (90, 160, 210)])
def test_colours_survive_the_encoding(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    pictures = [
        Frame("door", number, number / 25, np.full((96, 160, 3), colour, np.uint8), number, Fraction(1, 25))
        for number in range(3)
    ]
    recorded = write(tmp_path / "a.mp4", pictures, info())
    live = tmp_path / "live.mp4"
    sink = SegmentSink(live, lambda frame, result: frame.image, 25.0)
    for picture in pictures:
        sink.write(picture, FrameResult("door", picture.index, picture.time, ()))
    sink.close()
    for path in (recorded, live):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert frame.colorspace == 1
            image = frame.to_ndarray(format="bgr24")
        np.testing.assert_allclose(image[48, 80], colour, atol=10)


def test_a_failing_overlay_ends_the_run_with_its_own_error(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", info(), Failing())

    def run() -> None:
        for frame in frames(range(200), Fraction(1, 25)):
            sink.write(frame, FrameResult("door", frame.index, frame.time, ()))

    with pytest.raises(RuntimeError, match="the annotator broke"):
        run()
    with pytest.raises(RuntimeError, match="the annotator broke"):
        sink.close(completed=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4.partial"]
    assert not any(thread.name == "video-door" for thread in threading.enumerate())


def test_an_interrupted_run_that_counts_as_complete_plays(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", info(), Plain())
    for frame in frames(range(7), Fraction(1, 25)):
        sink.write(frame, FrameResult("door", frame.index, frame.time, ()))
    sink.close()
    sink.close()
    assert len(times(tmp_path / "a.mp4")) == 7


def test_a_failed_run_leaves_a_partial_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "a.mp4", info(), Plain())
    sink.write(frames([0], Fraction(1, 25))[0], FrameResult("door", 0, 0.0, ()))
    sink.close(completed=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4.partial"]


def test_a_place_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SidewalkError, match=r"a\.mp4: cannot be written"):
        VideoSink(tmp_path / "missing" / "a.mp4", info(), Plain())
