"""Promises that every tracker here keeps, whatever it is fed."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from trackers import create_tracker
from trackers.base import ALGORITHMS

OURS = sorted(ALGORITHMS)


def people(boxes: list | np.ndarray, scores: list | np.ndarray | None = None) -> sv.Detections:
    xyxy = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    confidence = np.full(len(xyxy), 0.9) if scores is None else np.asarray(scores)
    return sv.Detections(xyxy=xyxy, confidence=confidence.astype(np.float32), class_id=np.zeros(len(xyxy), dtype=int))


def standing(corner: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of people 100 pixels tall by their upper left corners (N, 2)."""
    return np.hstack([corner, corner + np.array([40, 100])])


@st.composite
def clips(draw: st.DrawFn) -> list[sv.Detections]:
    """A few walkers on a small floor, with gaps, jitter, low scores and clutter."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 8))
    place, velocity = random.uniform(0, 500, (count, 2)), random.normal(0, 60, (count, 2))
    frames = []
    for frame in range(draw(st.integers(1, 40))):
        corner = place + velocity * frame / 10 + random.normal(0, 2, (count, 2))
        boxes = standing(corner)[random.random(count) < 0.8]
        clutter = random.uniform(0, 500, (random.integers(0, 3), 4))
        boxes = np.concatenate([boxes, clutter])
        frames.append(people(boxes, random.uniform(0.05, 1, len(boxes))))
    return frames


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=25, deadline=None)
@given(clip=clips())
def test_ids_are_unique_in_a_frame_and_never_come_back_after_their_end(name: str, clip: list[sv.Detections]) -> None:
    tracker = create_tracker(name, lost_seconds=0.5)
    over: set[int] = set()
    for frame, detections in enumerate(clip):
        seen = tracker.update(detections, frame / 10).tracker_id.tolist()
        assert len(seen) == len(set(seen))
        assert min(seen, default=1) >= 1
        assert not over & set(seen)
        over |= set(tracker.ended)


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=25, deadline=None)
@given(clip=clips(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_detections_changes_nothing_but_the_order(name: str, clip: list[sv.Detections], seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = create_tracker(name), create_tracker(name)
    for frame, detections in enumerate(clip):
        order = random.permutation(len(detections))
        a, b = one.update(detections, frame / 10), other.update(detections[order], frame / 10)
        assert rows_of(a) == rows_of(b)
        assert one.ended == other.ended


def rows_of(seen: sv.Detections) -> list[tuple[float, ...]]:
    return sorted((int(i), *box) for i, box in zip(seen.tracker_id, seen.xyxy.tolist()))


@pytest.mark.parametrize("name", OURS)
def test_what_comes_back_is_a_subset_of_the_detections_in_their_order(name: str) -> None:
    tracker = create_tracker(name, **({"boxes": "measured"} if name != "cbiou" else {}))
    detections = people([[300, 0, 340, 100], [0, 0, 40, 100], [150, 0, 190, 100]])
    detections.data["letter"] = np.array(["a", "b", "c"])
    for frame in range(3):
        seen = tracker.update(detections, frame / 10)
    np.testing.assert_array_equal(seen.xyxy, detections.xyxy)
    assert seen.data["letter"].tolist() == ["a", "b", "c"]
    assert detections.tracker_id is None


def test_filtered_boxes_shake_less_than_measured_ones() -> None:
    random = np.random.default_rng(0)
    shown = {"measured": [], "filtered": []}
    trackers = {kind: create_tracker("sidewalk", boxes=kind) for kind in shown}
    for frame in range(100):
        box = np.array([100, 100, 140, 200]) + 2 * frame * np.array([1, 0, 1, 0]) + random.normal(0, 3, 4)
        for kind, tracker in trackers.items():
            shown[kind].append(tracker.update(people([box]), frame / 25).xyxy[0])
    shake = {kind: np.abs(np.diff(boxes[20:], n=2, axis=0)).mean() for kind, boxes in shown.items()}
    assert shake["filtered"] < 0.5 * shake["measured"]


@pytest.mark.parametrize("name", OURS)
def test_an_empty_frame_is_an_empty_answer(name: str) -> None:
    tracker = create_tracker(name)
    for frame in range(3):
        seen = tracker.update(sv.Detections.empty(), frame / 10)
        assert len(seen) == 0
        assert seen.tracker_id.shape == (0,)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_boxes_that_are_no_boxes_are_left_out(name: str) -> None:
    tracker = create_tracker(name)
    good = [10, 10, 50, 110]
    broken = [[np.nan] * 4, [50, 110, 10, 10], [5, 5, 5, 5], [0, 0, np.inf, 9], [-np.inf, 0, np.inf, 9]]
    detections = people([good] * (len(broken) + 1))
    # supervision refuses these when it is asked to build them, not when they are written later.
    detections.xyxy[1:] = broken
    for frame in range(3):
        assert len(tracker.update(detections, frame / 10)) == 1
    assert len(tracker.update(people([good], [np.nan]), 0.3)) == 0


def test_scores_on_another_scale_do_not_loosen_the_gates() -> None:
    sane, wild = create_tracker("sidewalk"), create_tracker("sidewalk")
    random = np.random.default_rng(0)
    for frame in range(20):
        boxes = standing(np.array([[0.0, 0.0], [300.0, 0.0]]) + random.normal(0, 30, (2, 2)))
        assert rows_of(sane.update(people(boxes, [1, 1]), frame / 10)) == rows_of(
            wild.update(people(boxes, [80, 120]), frame / 10)
        )


@pytest.mark.parametrize("name", OURS)
def test_five_hundred_people_keep_their_ids(name: str) -> None:
    tracker = create_tracker(name)
    x, y = np.meshgrid(np.arange(25) * 60.0, np.arange(20) * 120.0)
    corner = np.stack([x.ravel(), y.ravel()], axis=1)
    first = tracker.update(people(standing(corner)), 0.0).tracker_id.tolist()
    assert set(first) == set(range(1, 501))
    for frame in range(1, 5):
        assert tracker.update(people(standing(corner + frame)), frame / 25).tracker_id.tolist() == first


@pytest.mark.parametrize("name", OURS)
def test_a_jump_of_an_hour_ends_every_track(name: str) -> None:
    tracker = create_tracker(name)
    box = [[10, 10, 50, 110]]
    first = tracker.update(people(box), 0.0).tracker_id.tolist()
    again = tracker.update(people(box), 3600.0).tracker_id.tolist()
    assert tracker.ended == first
    assert not set(first) & set(again)


@pytest.mark.parametrize("name", OURS)
def test_a_small_step_back_in_time_counts_as_none_and_a_large_one_starts_anew(name: str) -> None:
    tracker = create_tracker(name)
    box = [[10, 10, 50, 110]]
    for time in (100.0, 100.1, 100.05, 100.2):
        seen = tracker.update(people(box), time)
        assert seen.tracker_id.tolist() == [1]
    tracker.update(people(box), 3.0)
    assert tracker.ended == [1]


@pytest.mark.parametrize("name", OURS)
def test_a_recording_that_starts_over_is_followed_as_it_was_the_first_time(name: str) -> None:
    """A clock that has run for long rounds otherwise than one that starts."""
    random = np.random.default_rng(4)
    place, velocity = random.uniform(0, 400, (12, 2)), random.normal(0, 40, (12, 2))
    first, again = create_tracker(name), create_tracker(name)
    for frame in range(100):
        again.update(people([]), 1000.3 + frame / 25)
    for frame in range(250):
        corner = place + velocity * frame / 25 + random.normal(0, 4, (12, 2))
        seen = random.random(12) < 0.85
        clip = people(standing(corner)[seen], random.uniform(0.05, 0.9, 12)[seen])
        one, other = (tracker.update(clip, frame / 25) for tracker in (first, again))
        np.testing.assert_array_equal(one.tracker_id, other.tracker_id)
        np.testing.assert_allclose(one.xyxy, other.xyxy, atol=1e-2)


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_no_time_is_an_error(time: float) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        create_tracker("sidewalk").update(sv.Detections.empty(), time)


@pytest.mark.parametrize("name", OURS)
def test_reset_forgets_people_but_not_the_ids_they_had(name: str) -> None:
    tracker = create_tracker(name)
    box = [[10, 10, 50, 110]]
    tracker.update(people(box), 0.0)
    tracker.reset()
    assert tracker.ended == [1]
    assert tracker.update(people(box), 0.1).tracker_id.tolist() == [2]


@pytest.mark.parametrize("name", ["sidewalk", "ultralytics:bytetrack", "ultralytics:botsort"])
def test_two_cameras_share_neither_ids_nor_state(name: str) -> None:
    if name.startswith("ultralytics:"):
        pytest.importorskip("lap")
    one, other = create_tracker(name), create_tracker(name)
    box = [[10, 10, 50, 110]]
    for frame in range(5):
        assert one.update(people(box), frame / 10).tracker_id.tolist() == [1]
    assert other.update(people(box), 0.5).tracker_id.tolist() == [1]


@pytest.mark.parametrize("rate", [5, 12.5, 30])
def test_lost_people_are_kept_in_seconds_at_any_frame_rate(rate: float) -> None:
    tracker = create_tracker("sidewalk", lost_seconds=1.0)
    box = [[10, 10, 50, 110]]
    for frame in range(3):
        tracker.update(people(box), frame / rate)
    last = 2 / rate
    gone, time = None, last
    while gone is None:
        time += 1 / rate
        tracker.update(people([]), time)
        gone = time if tracker.ended else None
    assert last + 1.0 < gone <= last + 1.0 + 1.5 / rate


def test_dropped_frames_do_not_cost_a_walker_their_id() -> None:
    tracker = create_tracker("sidewalk")
    random = np.random.default_rng(3)
    seen = set()
    for frame in range(200):
        if frame > 10 and random.random() < 0.5:
            continue
        x = 100 + 3.0 * frame
        seen |= set(tracker.update(people([[x, 100, x + 40, 200]]), frame / 25).tracker_id.tolist())
    assert seen == {1}


def test_a_shaking_camera_costs_nobody_their_id() -> None:
    corner = np.stack(np.meshgrid(np.arange(4) * 300.0, np.arange(3) * 250.0), axis=2).reshape(-1, 2)
    ids = {}
    for camera_motion in (False, True):
        tracker = create_tracker("sidewalk", camera_motion=camera_motion)
        ids[camera_motion] = set()
        for frame in range(100):
            swing = np.array([60.0, 20.0]) * np.sin(2 * np.pi * np.array([2.0, 3.0]) * frame / 25)
            moved = corner + swing
            seen = tracker.update(people(standing(moved)), frame / 25)
            ids[camera_motion] |= set(seen.tracker_id.tolist())
    assert len(ids[True]) < len(ids[False])
    assert len(ids[True]) == 12


def test_memory_stays_flat_while_people_come_and_go() -> None:
    tracker = create_tracker("sidewalk", lost_seconds=0.5)
    random = np.random.default_rng(0)
    for frame in range(600):
        if frame % 10 == 0:
            corner = random.uniform(0, 5000, (5, 2))
        tracker.update(people(standing(corner)), frame / 25)
    assert len(tracker._tracks) < 50


def test_an_unknown_tracker_or_option_is_named_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'bytetrack'"):
        create_tracker("bytetrak")
    with pytest.raises(ValueError, match="did you mean 'lost_seconds'"):
        create_tracker("sidewalk", lost_second=3)
    with pytest.raises(ValueError, match="did you mean 'botsort'"):
        create_tracker("ultralytics:botsrt")
    with pytest.raises(ValueError, match="lost_seconds is 0"):
        create_tracker("sidewalk", lost_seconds=0)


@pytest.mark.parametrize("name", ["ultralytics:bytetrack", "ultralytics:botsort"])
def test_trackers_of_ultralytics_keep_the_protocol(name: str) -> None:
    pytest.importorskip("lap")
    tracker = create_tracker(name, track_buffer=5, rate=10)
    for frame in range(4):
        seen = tracker.update(people([[200, 0, 240, 100], [10, 0, 50, 100]]), frame / 10)
    assert sorted(seen.tracker_id.tolist()) == [1, 2]
    np.testing.assert_allclose(seen.xyxy[:, 0], [200, 10], atol=1)
    ended = []
    for frame in range(4, 14):
        assert len(tracker.update(sv.Detections.empty(), frame / 10)) == 0
        ended += tracker.ended
    assert sorted(ended) == [1, 2]
    tracker.reset()
    for frame in range(3):
        seen = tracker.update(people([[10, 0, 50, 100]]), frame / 10)
    assert seen.tracker_id.tolist() == [3]


@pytest.mark.parametrize("name", OURS)
def test_one_box_in_an_empty_scene_is_nobody_until_it_is_seen_again(name: str) -> None:
    tracker = create_tracker(name)
    box = people(standing(np.array([[100, 100]])))
    assert tracker.update(box, 0.0).tracker_id.tolist() == [1]  # who is there from the start needs no second sight
    for frame in range(1, 60):
        tracker.update(people([]), frame / 10)
    assert not len(tracker.update(box, 6.0))
    assert not len(tracker.update(people([]), 6.1))
    assert not len(tracker.update(box, 6.2))
    assert tracker.update(box, 6.3).tracker_id.tolist() == [2]
    # Pictures so far apart that nobody is carried over are first pictures all of them.
    assert tracker.update(box, 20.0).tracker_id.tolist() == [3]


@pytest.mark.parametrize("name", ["sidewalk", "bytetrack", "botsort"])
def test_whoever_takes_the_place_of_one_who_was_lost_is_one_track(name: str) -> None:
    tracker = create_tracker(name, lost_seconds=5.0)
    place = np.array([[200.0, 100, 260, 250]])
    for frame in range(40):
        tracker.update(people(place), frame / 10)
    seen = []
    for step in range(60):
        box = place + np.array([max(420 - 200 - 6 * step, 0), 0, max(420 - 200 - 6 * step, 0), 0])
        ids = tracker.update(people(box), 4 + step / 10).tracker_id.tolist()
        assert set(ids).isdisjoint(tracker.ended)
        seen += ids
    assert set(seen) == {1, 2}
    assert len(seen) == 59  # all but the first sight


@pytest.mark.parametrize("name", ["sidewalk", "bytetrack", "botsort"])
def test_whoever_was_lost_takes_the_place_of_one_person_only(name: str) -> None:
    tracker = create_tracker(name, lost_seconds=10.0)
    place = np.array([200.0, 100, 300, 350])
    for frame in range(120):
        tracker.update(people(place), frame / 10)
    # Two who are hardly told apart come to where the first one is still expected.
    ends = []
    for step in range(60):
        aside = max(500 - 10 * step, 0)
        both = np.stack([place + np.array([aside, up, aside, up]) for up in (-8, 8)])
        ids = tracker.update(people(both), 12 + step / 10).tracker_id.tolist()
        ends += tracker.ended
        assert len(ids) == len(set(ids))
        assert set(ids).isdisjoint(tracker.ended)
    assert ends  # so it came to it


@pytest.mark.parametrize("name", ["sidewalk", "bytetrack", "botsort"])
def test_whoever_walks_past_somebody_hidden_keeps_their_own_number(name: str) -> None:
    tracker = create_tracker(name)
    shown: dict[str, set[int]] = {"stands": set(), "passes": set()}
    for frame in range(150):
        x = 60.0 + 4 * (frame - 60)
        passing, stands = [[x, 104, x + 80, 344]], [[300, 100, 380, 340]]
        hidden = abs(x - 300) < 35
        found = tracker.update(people((passing if frame >= 60 else []) + ([] if hidden else stands)), frame / 25)
        for box, track in zip(found.xyxy, found.tracker_id.tolist()):
            shown["stands" if abs(box[0] - 300) < 8 and not hidden else "passes"].add(track)
        assert not tracker.merged
    assert shown == {"stands": {1}, "passes": {2}}


@pytest.mark.parametrize("name", ["sidewalk", "bytetrack", "botsort"])
def test_whose_track_goes_on_under_an_older_number_is_told(name: str) -> None:
    tracker = create_tracker(name, lost_seconds=5.0)
    merged: dict[int, int] = {}
    for frame in range(75):
        tracker.update(people([[200, 100, 280, 340]]), frame / 25)
    for frame in range(75, 220):
        x = 200 + max(300 - 6 * (frame - 80), 0)
        found = tracker.update(people([[x, 100, x + 80, 340]] if frame >= 80 else []), frame / 25)
        assert tracker.merged.keys() <= set(tracker.ended)
        assert set(tracker.merged.values()) <= set(found.tracker_id.tolist())
        merged |= tracker.merged
    assert merged == {2: 1}
