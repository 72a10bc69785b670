"""What the overlay promises: readable words on every size of picture, colours that stay, nobody's face where asked."""

from __future__ import annotations

import time
from typing import Literal

import cv2
import numpy as np
import pytest

from pipeline.overlay import Overlay, around, blur, overlaps
from pipeline.types import FrameResult, Label, Person
from pipeline.wording import ascii_only, describe

WOMAN = {
    "gender": Label("female", 0.9),
    "age": Label(None, 0.4),
    "top color": Label("red", 0.8),
    "bottom color": Label("blue", 0.7),
    "bottom type": Label("skirt", 0.9),
    "hat": Label("no hat", 0.9),
    "backpack": Label("backpack", 0.8),
    "motion": Label("walking", 0.9),
    "pose": Label("front", 0.9),
}


def result(*people: Person) -> FrameResult:
    return FrameResult("door", 0, 0.0, people)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_words_are_those_a_person_wants_to_read() -> None:
    person = Person(1, (0, 0, 1, 1), 0.9, WOMAN)
    assert describe(person.attributes) == ["female", "red top, blue skirt", "walking, backpack"]
    assert describe(person.attributes, ["motion", "top color", "age"]) == ["red top", "walking"]
    assert describe({}) == []
    assert describe({"shirt": Label("striped", 0.8)}) == ["striped"]


def test_letters_the_font_lacks_are_replaced() -> None:
    assert ascii_only("rosé – 上衣") == "rose ? ??"


def test_the_picture_given_is_not_changed() -> None:
    image = noise(360, 480)
    before = image.copy()
    drawn = Overlay(blur="person", trace=True).draw(image, result(Person(1, (50, 50, 100, 200), 0.9, WOMAN)))
    np.testing.assert_array_equal(image, before)
    assert drawn.shape == image.shape
    assert (drawn != image).any()


@pytest.mark.parametrize(
    ("box", "face"),
    [((300, 20, 380, 220), 0.2), ((60, 150, 300, 480), 0.4), ((-40, 150, 100, 480), 0.25), ((560, -30, 640, 60), 0.5)],
)
def test_a_face_is_hidden_also_where_the_legs_are_not_in_the_picture(
    box: tuple[float, float, float, float], face: float
) -> None:
    drawn = blur(noise(480, 640), np.array([box], np.float32), True)
    x1, y1, x2, _ = (int(max(side, 0)) for side in box)
    head = drawn[y1 + 1 : int(box[1] + face * (box[3] - box[1])), x1:x2].astype(float)
    assert head.std() < 0.15 * noise(480, 640).std()


def test_an_empty_picture_stays_as_it_is() -> None:
    image = noise(100, 100)
    overlay = Overlay(blur="face", trace=True)
    for _ in range(2):
        np.testing.assert_array_equal(overlay.draw(image, result()), image)


def label_area(drawn: np.ndarray, image: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height of what was drawn."""
    return cv2.boundingRect((drawn != image).any(axis=2).astype(np.uint8))


@pytest.mark.parametrize("height", [240, 360, 480, 1080, 2160])
def test_text_grows_with_the_picture_but_not_below_legibility(height: int) -> None:
    width = height * 16 // 9
    image = np.full((height, width, 3), 30, np.uint8)
    person = Person(1, (width * 0.4, height * 0.6, width * 0.45, height * 0.8), 0.9, WOMAN)
    drawn = Overlay().draw(image, result(person))
    above = drawn[: int(height * 0.59)]
    rows = (above != 30).any(axis=(1, 2)).sum()
    line = rows / 3
    assert line >= 11
    assert 0.015 < line / height < 0.06


@pytest.mark.parametrize("box", [(0, 0, 30, 90), (450, 0, 480, 60), (-5, 300, 40, 365), (440, 290, 485, 362)])
def test_labels_stay_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    candidates = around(np.array(box), (120, 45), (360, 480, 3))
    assert (candidates[:, :2] >= 0).all()
    assert (candidates[:, 2:] <= [480, 360]).all()


@pytest.mark.parametrize("size", [(640, 80), (64, 48)])
def test_labels_are_shortened_to_a_narrow_picture(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 30, np.uint8)
    style, line = Overlay()._style(height), "#1 female, adult, walking"
    short = style.fit(line, width)
    assert short.startswith("#1")
    assert line.startswith(short)
    assert style.size(short)[0] <= width
    assert style.fit(line, 640) == line
    drawn = Overlay().draw(image, result(Person(1, (width * 0.3, height * 0.5, width * 0.6, height), 0.9, WOMAN)))
    # Where no letter is cut off, the edge shows the picture and the label's colour, nothing between.
    assert len(np.unique(drawn[:, -2:].reshape(-1, 3), axis=0)) <= 2


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    people = [Person(n, (100 + 45 * n, 150, 140 + 45 * n, 260), 0.9, WOMAN) for n in range(4)]
    overlay = Overlay()
    overlay.draw(noise(480, 640), result(*people))
    boxes = np.array([person.box for person in people], np.float32)
    places = overlay._places(people, boxes, [(150, 50)] * 4, (480, 640, 3))
    shared = overlaps(places, places)
    assert shared.sum() == pytest.approx(np.trace(shared))


def test_colours_belong_to_the_track_not_to_its_place_in_the_list() -> None:
    image = np.full((360, 480, 3), 30, np.uint8)
    here, there = Person(5, (50, 100, 100, 300), 0.9), Person(6, (300, 100, 350, 300), 0.9)
    alone = Overlay().draw(image, result(here))
    together = Overlay().draw(image, result(there, here))
    np.testing.assert_array_equal(alone[100:300, 50:101], together[100:300, 50:101])
    assert not np.array_equal(together[200, 50], together[200, 300])


def test_whoever_has_no_number_is_made_unrecognisable_too() -> None:
    image = np.random.default_rng(0).integers(0, 255, (360, 480, 3), dtype=np.uint8)
    box = (150.0, 100.0, 250.0, 300.0)
    drawn = Overlay(blur="person").draw(image, FrameResult("door", 0, 0.0, (), others=(box,)))
    assert drawn[105:295, 155:245].std() < 0.2 * image.std()
    np.testing.assert_array_equal(drawn[:, 260:], image[:, 260:])
    np.testing.assert_array_equal(Overlay().draw(image, FrameResult("door", 0, 0.0, (), others=(box,))), image)


@pytest.mark.parametrize(("mode", "blurred"), [("face", 0.2), ("person", 1.0)])
def test_faces_and_people_are_made_unrecognisable(mode: str, blurred: float) -> None:
    image = noise(400, 400)
    drawn = Overlay(blur=mode).draw(image, result(Person(1, (150, 100, 250, 300), 0.9)))
    inside = drawn[102 : int(100 + 190 * blurred), 155:245]
    assert inside.std() < 0.25 * image.std()
    if mode == "face":
        np.testing.assert_array_equal(drawn[160:290, 160:240], image[160:290, 160:240])


def test_a_trace_shows_the_way_somebody_came() -> None:
    overlay = Overlay(trace=True)
    image = np.zeros((300, 400, 3), np.uint8)
    for step in range(20):
        x = 50 + 12 * step
        drawn = overlay.draw(image, result(Person(1, (x, 100, x + 40, 200), 0.9)))
    assert drawn[195:205, 100:250].any()


def test_a_crowd_gets_shorter_labels() -> None:
    people = [
        Person(n, (40 * n % 440, 60 * (n // 11), 40 * n % 440 + 20, 60 * (n // 11) + 50), 0.9, WOMAN) for n in range(40)
    ]
    overlay = Overlay()
    overlay.draw(noise(360, 480), result(*people))
    assert overlay._lines == 1
    overlay.draw(noise(360, 480), result(*people[:1]))
    assert overlay._lines == 3


def test_twenty_people_are_drawn_in_milliseconds() -> None:
    people = [Person(n, (90 * n, 300, 90 * n + 60, 500), 0.9, WOMAN) for n in range(20)]
    overlay, image = Overlay(), noise(1080, 1920)
    overlay.draw(image, result(*people))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        overlay.draw(image, result(*people))
        times.append(time.perf_counter() - started)
    assert min(times) < 0.03


@pytest.mark.parametrize("kind", ["face", "person"])
def test_whoever_was_missed_is_hidden_whole(kind: Literal["face", "person"]) -> None:
    image, box = noise(480, 640), (100.0, 60.0, 300.0, 460.0)
    drawn = Overlay(blur=kind).draw(image, FrameResult("door", 0, 0.0, (), missed=(box,)))
    assert drawn[70:450, 110:290].astype(float).std() < 0.15 * image.std()
    np.testing.assert_array_equal(drawn[:, 320:], image[:, 320:])
