"""A recording as its camera's settings want it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from pipeline.sources.adjusted import AdjustedSource
from pipeline.types import Frame, SourceInfo


class Clip:
    """Three seconds at ten frames a second, 40 by 30 pixels with a bright top left corner."""

    def __init__(self) -> None:
        self.info = SourceInfo("gate", "memory", 40, 30, False, Fraction(10), 30)
        self.warnings: list[str] = []
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(30):
            image = np.zeros((30, 40, 3), np.uint8)
            image[:5, :5] = 255
            yield Frame("gate", index, index / 10, image)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("rotate", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_it_is_turned_clockwise(rotate: int, corner: tuple[int, int]) -> None:
    source = AdjustedSource(Clip(), rotate=rotate)
    image = next(iter(source)).image
    assert image.shape == (source.info.height, source.info.width, 3)
    assert (image[corner] == 255).all()
    assert image.any(axis=2).sum() == 25
    assert image.flags.c_contiguous


@pytest.mark.parametrize(("fps", "count"), [(None, 30), (5.0, 15), (3.0, 9), (30.0, 30)])
def test_it_is_thinned_out_evenly_and_keeps_numbers_and_times(fps: float | None, count: int) -> None:
    frames = list(AdjustedSource(Clip(), fps=fps))
    assert len(frames) == count
    assert [frame.time for frame in frames] == [frame.index / 10 for frame in frames]
    assert np.ptp(np.diff([frame.index for frame in frames])) <= 1


def test_it_ends_after_its_duration() -> None:
    clip = Clip()
    source = AdjustedSource(clip, duration=1.0)
    assert [frame.index for frame in source] == list(range(10))
    source.close()
    assert clip.closed
