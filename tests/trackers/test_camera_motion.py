"""Promises of the estimates of how the camera moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import supervision as sv

from trackers import create_tracker
from trackers.camera_motion import PictureMotion, crowd_shift

NOBODY = np.zeros((0, 4))


def texture(width: int = 1400, height: int = 900) -> np.ndarray:
    """A smooth random picture (H, W, 3) with corners to follow."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 12, width // 12, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def view(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """What a camera of 960 x 540 sees whose upper left corner points at (x, y) of `picture`."""
    return np.ascontiguousarray(picture[y : y + 540, x : x + 960])


def test_a_picture_that_moved_tells_by_how_much() -> None:
    picture, camera = texture(), PictureMotion()
    np.testing.assert_array_equal(camera.update(view(picture, 100, 100), NOBODY), np.eye(2, 3))
    warp = camera.update(view(picture, 112, 94), NOBODY)
    np.testing.assert_allclose(warp[:, :2], np.eye(2), atol=0.005)
    np.testing.assert_allclose(warp[:, 2], [-12, 6], atol=1.0)


def test_people_who_walk_are_not_taken_for_the_camera() -> None:
    background, person = texture(), cv2.flip(texture(), 0)[:400, :300]
    camera = PictureMotion()
    for step in range(2):
        frame = view(background, 100, 100)
        x = 300 + 15 * step
        frame[100:500, x : x + 300] = person
        warp = camera.update(frame, np.array([[x, 100.0, x + 300, 500]]))
    np.testing.assert_allclose(warp[:, 2], [0, 0], atol=0.5)


def test_a_picture_of_another_size_or_without_corners_is_no_motion() -> None:
    picture, camera = texture(), PictureMotion()
    camera.update(view(picture, 100, 100), NOBODY)
    for frame in (picture[:300, :300], np.zeros((540, 960, 3), np.uint8), view(picture, 100, 100)):
        np.testing.assert_array_equal(camera.update(frame, NOBODY), np.eye(2, 3))


@pytest.mark.parametrize(("camera_motion", "people"), [(True, 1), (False, 2)])
def test_botsort_keeps_somebody_through_a_jolt_of_the_camera(camera_motion: bool, people: int) -> None:
    picture, tracker = texture(), create_tracker("botsort", camera_motion=camera_motion)
    ids = set()
    for frame in range(12):
        # The camera jumps by more than the width of the person.
        jolt = 48 if frame >= 6 else 0
        box = np.array([[400 - jolt, 200, 440 - jolt, 300]], dtype=np.float32)
        detections = sv.Detections(xyxy=box, confidence=np.array([0.9], dtype=np.float32))
        ids |= set(tracker.update(detections, frame / 25, view(picture, 100 + jolt, 100)).tracker_id.tolist())
    assert len(ids) == people


def test_a_crowd_that_moves_as_one_is_the_camera_and_a_single_walker_is_not() -> None:
    predicted = np.array([[100.0, 300, 500, 700, 900], [200.0, 250, 200, 250, 200], [40.0] * 5, [100.0] * 5])
    moved = predicted.copy()
    moved[:2] += [[12], [-6]]
    np.testing.assert_allclose(crowd_shift(predicted, moved), [12, -6])
    walker = predicted.copy()
    walker[0, 0] += 20
    np.testing.assert_array_equal(crowd_shift(predicted, walker), [0, 0])
    np.testing.assert_array_equal(crowd_shift(predicted[:, :3], moved[:, :3]), [0, 0])
