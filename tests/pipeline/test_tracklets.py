"""Which looks at a person are kept, and which of them the model sees."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from pipeline.tracklets import (
    SHIFTS,
    TrackletBuffer,
    box_quality,
    crop_person,
    even_indices,
    hidden_share,
    sharpness,
)
from pipeline.types import Frame


def frame(time: float, texture: int = 255) -> Frame:
    image = np.random.default_rng(7).integers(0, texture, (240, 320, 3), dtype=np.uint8)
    return Frame("gate", int(time * 10), time, image)


def person(box: tuple[float, float, float, float], track: int = 1, score: float = 0.9) -> sv.Detections:
    return sv.Detections(
        xyxy=np.array([box], dtype=np.float32),
        confidence=np.array([score], dtype=np.float32),
        class_id=np.array([0]),
        tracker_id=np.array([track]),
    )


def test_a_window_is_even_and_in_time_order() -> None:
    assert even_indices(11, 6) == [0, 2, 4, 6, 8, 10]
    assert even_indices(6, 6) == [0, 1, 2, 3, 4, 5]


def test_a_short_tracklet_repeats_its_crops_in_order() -> None:
    assert even_indices(2, 6) == [0, 0, 0, 1, 1, 1]
    assert even_indices(4, 6) == [0, 0, 1, 2, 2, 3]
    assert even_indices(1, 6) == [0] * 6
    assert even_indices(0, 6) == []


def test_crops_keep_their_distance_in_time() -> None:
    buffer = TrackletBuffer(spacing=0.4)
    for step in range(21):
        buffer.add(frame(step / 10), person((100, 50, 150, 200)))
    times = [crop.time for crop in buffer.tracklets[1].crops]
    assert times == sorted(times)
    assert min(np.diff(times)) > 0.39
    assert len(times) == 6


def test_spacing_is_in_seconds_whatever_the_frame_rate() -> None:
    counts = []
    for rate in (5, 25, 100):
        buffer = TrackletBuffer(spacing=0.4)
        for step in range(2 * rate):
            buffer.add(frame(step / rate), person((100, 50, 150, 200)))
        counts.append(len(buffer.tracklets[1].crops))
    assert max(counts) - min(counts) <= 1


def test_a_better_look_in_the_same_slot_replaces_a_worse_one_until_it_is_encoded() -> None:
    buffer = TrackletBuffer(spacing=1.0)
    buffer.add(frame(0.0), person((100, 50, 150, 200), score=0.3))
    buffer.add(frame(0.2), person((100, 50, 150, 200), score=0.95))
    [crop] = buffer.tracklets[1].crops
    assert crop.time == 0.2
    crop.feature = "encoded"
    buffer.add(frame(0.4), person((95, 40, 160, 230), score=1.0))
    assert [crop.time for crop in buffer.tracklets[1].crops] == [0.2]


def test_the_ring_is_bounded() -> None:
    buffer = TrackletBuffer(capacity=4, spacing=0.1)
    for step in range(100):
        buffer.add(frame(step), person((100, 50, 150, 200)))
    assert [crop.time for crop in buffer.tracklets[1].crops] == [96, 97, 98, 99]


def test_people_too_small_or_hidden_are_not_kept() -> None:
    buffer = TrackletBuffer(min_height=24, min_quality=0.2)
    buffer.add(frame(0), person((10, 10, 18, 30)))
    both = sv.Detections.merge([person((100, 50, 150, 180), track=2), person((98, 52, 152, 200), track=3)])
    buffer.add(frame(1), both)
    assert not buffer.tracklets[1].crops
    assert not buffer.tracklets[2].crops
    assert len(buffer.tracklets[3].crops) == 1


def test_quality_falls_with_each_flaw() -> None:
    boxes = np.array([[100, 20, 160, 200], [100, 20, 110, 50], [0, 20, 60, 200]], dtype=np.float32)
    whole, small, cut = (
        box_quality(boxes[:1], np.ones(1), 320, 240),
        *[box_quality(boxes[i : i + 1], np.ones(1), 320, 240) for i in (1, 2)],
    )
    weak = box_quality(boxes[:1], np.array([0.2]), 320, 240)
    assert whole[0] == 1.0
    assert small[0] < 0.7
    assert cut[0] < 0.5
    assert weak[0] < 0.5


def test_the_person_standing_lower_hides_the_other() -> None:
    behind, front = [0, 0, 10, 20], [5, 0, 15, 24]
    assert hidden_share(np.array([behind, front], dtype=float)).tolist() == [0.5, 0.0]
    assert hidden_share(np.array([behind], dtype=float)).tolist() == [0.0]


def test_of_two_cut_by_the_lower_edge_either_may_be_hidden() -> None:
    small, large = [20, 100, 40, 240], [30, 60, 70, 239.5]
    assert hidden_share(np.array([small, large])).tolist() == pytest.approx([0.498, 0.194], abs=1e-3)


def test_crops_stay_inside_the_picture() -> None:
    image = np.zeros((100, 80, 3), dtype=np.uint8)
    assert crop_person(image, (-10, -10, 200, 200)).shape == (100, 80, 3)
    assert crop_person(image, (79, 99, 80, 100)).size > 0


def test_a_persons_crops_are_cut_in_turn_a_little_aside() -> None:
    picture = np.broadcast_to(np.arange(320, dtype=np.uint8)[None, :, None], (240, 320, 3)).copy()
    lefts = [int(crop_person(picture, (100, 40, 200, 200), number)[0, 0, 0]) for number in range(6)]
    assert lefts == [98, 103, 93, 103, 93, 98]
    assert np.allclose(np.mean(SHIFTS, axis=0), 0.0)
    buffer = TrackletBuffer(spacing=1.0, min_quality=0.0)
    for time, score in ((0.0, 0.9), (1.0, 0.3), (1.5, 0.9), (2.5, 0.9)):  # the third replaces the second
        buffer.add(Frame("gate", int(10 * time), time, picture), person((100, 40, 200, 200), score=score))
    assert [crop.time for crop in buffer.tracklets[1].crops] == [0.0, 1.5, 2.5]
    assert [int(crop.image[0, 0, 0]) for crop in buffer.tracklets[1].crops] == [98, 103, 93]


def test_blur_lowers_sharpness() -> None:
    sharp = np.random.default_rng(0).integers(0, 255, (128, 64, 3), dtype=np.uint8)
    flat = np.full((128, 64, 3), 127, dtype=np.uint8)
    assert sharpness(sharp) == 1.0
    assert sharpness(flat) == 0.3


@pytest.mark.parametrize(("track", "into"), [(1, 2), (2, 1)])
def test_of_two_that_are_one_the_newer_crops_and_the_better_look_stay(track: int, into: int) -> None:
    buffer = TrackletBuffer(min_quality=0.0)
    buffer.add(frame(0.0), person((50, 20, 150, 230)))  # the larger, and so the better
    for step in range(3):
        buffer.add(frame(2.0 + step), person((100, 50, 150, 120), track=2))
    buffer.join(track, into)
    [tracklet] = buffer.tracklets.values()
    assert tracklet.track == into
    assert [crop.time for crop in tracklet.crops] == [2.0, 3.0, 4.0]
    assert tracklet.fresh == 3
    assert tracklet.best_time == 0.0
