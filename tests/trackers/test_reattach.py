"""Promises of re-attachment: who comes back keeps their id, who merely looks alike does not take it."""

from __future__ import annotations

import numpy as np
import pytest

from trackers.appearance import MeanAppearance, colour_appearance
from trackers.identities import Identities
from trackers.reattach import UNLIKELY, Gallery, agreement

HERE = np.array([100.0, 100.0, 140.0, 200.0])


def look(seed: int, noise: float = 0.0) -> np.ndarray:
    """Somebody's appearance, a unit vector (64,), seen with some noise."""
    vector = np.random.default_rng(seed).normal(size=64)
    vector /= np.linalg.norm(vector)
    vector = vector + noise * np.random.default_rng(seed + 1000).normal(size=64) / 8
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def gallery_with(*people: int) -> Gallery:
    gallery = Gallery()
    for person in people:
        gallery.lost(person, 10.0, HERE + 5 * person, look(person))
    return gallery


def test_somebody_who_comes_back_is_recognised_once() -> None:
    gallery = gallery_with(1, 2, 3)
    assert gallery.match(14.0, 14.5, HERE, look(2, noise=0.2)) == 2
    assert gallery.match(14.0, 14.5, HERE, look(2, noise=0.2)) is None


def test_a_stranger_stays_a_stranger() -> None:
    assert gallery_with(1, 2).match(14.0, 14.5, HERE, look(9)) is None


@pytest.mark.parametrize(
    ("first_time", "box"),
    [
        (9.0, HERE),  # was seen while the missing person still was
        (21.0, HERE),  # too long ago
        (11.0, HERE + np.array([900, 0, 900, 0])),  # nobody runs that fast
        (14.0, np.array([100, 0, 180, 200])),  # twice as tall
    ],
)
def test_time_place_and_height_rule_people_out(first_time: float, box: np.ndarray) -> None:
    assert gallery_with(1).match(first_time, first_time + 0.5, box, look(1)) is None


def test_somebody_who_walked_on_unseen_is_found_where_their_way_leads() -> None:
    gallery = Gallery(speed=0.1)
    gallery.lost(1, 10.0, HERE, look(1), velocity=np.array([80.0, 0.0]))
    there = HERE + np.array([400, 0, 400, 0])
    assert gallery.match(15.0, 15.5, there, look(1)) == 1


def test_two_candidates_who_look_alike_are_left_apart() -> None:
    gallery = Gallery()
    gallery.lost(1, 10.0, HERE, look(1))
    gallery.lost(2, 10.0, HERE, look(1, noise=0.2))
    assert gallery.match(12.0, 12.5, HERE, look(1, noise=0.1)) is None


def test_somebody_who_resembles_people_still_in_the_picture_is_left_apart() -> None:
    for others, expected in ((look(1, noise=0.2), None), (look(8), 1)):
        gallery = gallery_with(1)
        assert gallery.match(12.0, 12.5, HERE, look(1, noise=0.1), others=others[None]) == expected


def test_sure_attributes_that_differ_are_a_veto_and_unsure_ones_are_not() -> None:
    for backpack, expected in ((0.95, None), (0.6, 1)):
        gallery = Gallery()
        gallery.lost(1, 10.0, HERE, look(1), {"backpack": np.array([0.05]), "hat": np.array([0.5])})
        found = gallery.match(12.0, 12.5, HERE, look(1), {"backpack": np.array([backpack])})
        assert found == expected


def test_one_wrong_attribute_among_many_that_agree_is_no_veto() -> None:
    before = {"hat": np.array([0.1])} | {name: np.array([0.9]) for name in ("gender", "hair", "skirt", "short top")}
    after = {**before, "hat": np.array([0.9])}
    assert agreement({"hat": before["hat"]}, {"hat": after["hat"]}, {}) < UNLIKELY < 0 < agreement(before, after, {})
    gallery = Gallery()
    gallery.lost(1, 10.0, HERE, look(1), before)
    assert gallery.match(12.0, 12.5, HERE, look(1), after) == 1


def test_what_nobody_carries_does_not_make_two_people_one() -> None:
    bags = {name: np.array([0.03]) for name in ("backpack", "shoulder bag", "hand bag", "hat", "skirt", "boots")}
    before = bags | {"top": np.array([0.9, 0.05, 0.05]), "gender": np.array([0.95])}
    after = bags | {"top": np.array([0.05, 0.05, 0.9]), "gender": np.array([0.05])}
    gallery = Gallery()
    for person in range(2, 22):
        gallery.lost(person, 9.0, HERE + 5000, look(person), bags | {"gender": np.array([0.9 if person % 2 else 0.1])})
    gallery.lost(1, 10.0, HERE, look(1), before)
    assert gallery.match(12.0, 12.5, HERE, look(1), after) is None
    assert gallery.match(12.0, 12.5, HERE, look(1), before) == 1


def test_two_people_teach_the_gallery_once_how_alike_strangers_are() -> None:
    gallery = Gallery(least=0.7)
    identities = Identities(gallery, looks=1)
    for frame in range(600):
        boxes = np.stack([HERE, HERE + 300])
        identities.update(frame / 10, np.array([1, 2]), boxes, [], {1: look(1), 2: look(2)})
    assert gallery.threshold == gallery.likeness


def test_where_strangers_look_alike_more_likeness_is_asked() -> None:
    gallery = gallery_with(1)
    uniform = np.stack([look(1, noise=0.1 + 0.001 * i) for i in range(12)])
    before = gallery.threshold
    gallery.together((uniform @ uniform.T)[np.triu_indices(12, 1)])
    assert gallery.threshold > before
    assert gallery.match(14.0, 14.5, HERE, look(1, noise=0.3)) is None


def test_where_strangers_look_unlike_less_likeness_will_do() -> None:
    gallery = Gallery(likeness=0.99, least=0.8)
    gallery.lost(1, 10.0, HERE, look(1))
    again = look(1, noise=0.3)
    assert gallery.least < look(1) @ again < gallery.likeness
    assert gallery.match(11.0, 12.0, HERE, again) is None
    gallery.together([0.1] * 20)
    assert gallery.threshold == gallery.least
    assert gallery.match(12.0, 13.0, HERE, again) == 1


def test_the_gallery_is_bounded_in_number_and_in_time() -> None:
    gallery = Gallery(seconds=5.0, size=10)
    for person in range(50):
        gallery.lost(person, float(person) / 10, HERE, look(person))
    assert len(gallery) == 10
    gallery.match(100.0, 100.5, HERE, look(1))
    assert len(gallery) == 0


def walk(identities: Identities, hidden: float, person_after: int = 1) -> tuple[dict[int, int], list[int]]:
    """Track 1 walks for 3 s, hides, and track 2 appears; returns what was joined and the ids shown."""
    joined, shown = {}, []
    for step in range(int((8 + hidden) * 10)):
        time = step / 10
        before, after = time < 3, time >= 3 + hidden
        track, person = (1, 1) if before else (2, person_after)
        tracks = np.array([track] if before or after else [], dtype=int)
        boxes = np.tile(HERE + np.array([time, 0, time, 0]) * 20, (len(tracks), 1))
        looks = {track: look(person, noise=0.2)} if len(tracks) else {}
        ended = [1] if abs(time - 5) < 0.01 else []
        joined |= identities.update(time, tracks, boxes, ended, looks)
        shown += [identities.display(t) for t in tracks.tolist()]
    return joined, shown


@pytest.mark.parametrize("hidden", [3.0, 5.0, 8.0, 9.8])
def test_a_person_who_hides_keeps_the_id_on_display(hidden: float) -> None:
    joined, shown = walk(Identities(Gallery()), hidden)
    assert joined == {2: 1}
    assert shown[-1] == 1


def test_another_person_does_not_take_the_id_over() -> None:
    joined, shown = walk(Identities(Gallery()), 4.0, person_after=5)
    assert joined == {}
    assert shown[-1] == 2


def test_what_somebody_looked_like_arrives_after_they_left_the_picture() -> None:
    identities = Identities(Gallery(), looks=1)
    for step in range(15):
        identities.update(step / 10, np.array([1]), HERE[None], [], {})
    nobody = np.array([], dtype=int)
    identities.update(2.0, nobody, np.zeros((0, 4)), [], {1: look(1)})
    identities.update(3.4, nobody, np.zeros((0, 4)), [1], {})
    assert identities.gallery is not None
    assert len(identities.gallery) == 1


def test_whoever_goes_on_under_another_track_is_not_missing() -> None:
    identities = Identities(Gallery(), looks=1)
    for step in range(15):
        identities.update(step / 10, np.array([1, 2]), np.stack([HERE, HERE]), [], {1: look(1), 2: look(1)})
    identities.update(1.5, np.array([1]), HERE[None], [2], {}, merged={2: 1})
    assert identities.gallery is not None
    assert not len(identities.gallery)
    assert set(identities._known) == {1}


def test_without_a_gallery_every_track_shows_its_own_id() -> None:
    joined, shown = walk(Identities(None), 4.0)
    assert joined == {}
    assert set(shown) == {1, 2}


def test_who_hides_twice_is_still_the_same_person() -> None:
    identities = Identities(Gallery())
    shown = []
    for step in range(300):
        time = step / 10
        track = 1 + int(time // 10)
        visible = time % 10 < 4
        tracks = np.array([track] if visible else [], dtype=int)
        ended = [track] if abs(time % 10 - 6) < 0.01 else []
        looks = {track: look(1, noise=0.1)} if visible else {}
        identities.update(time, tracks, np.tile(HERE, (len(tracks), 1)), ended, looks)
        shown += [identities.display(t) for t in tracks.tolist()]
    assert shown[-1] == 1
    assert len(identities._known) == 0


def test_cameras_do_not_share_a_gallery() -> None:
    one, other = Identities(Gallery()), Identities(Gallery())
    walk(one, 4.0)
    assert other.gallery is not None
    assert len(other.gallery) == 0


def person(top: tuple[int, int, int], bottom: tuple[int, int, int], light: float = 1.0) -> np.ndarray:
    crop = np.full((120, 48, 3), 128, dtype=float)
    crop[20:60, 10:38], crop[60:110, 12:36] = top, bottom
    crop += np.random.default_rng(0).normal(0, 6, crop.shape)
    return np.clip(crop * light, 0, 255).astype(np.uint8)


def test_colours_tell_clothes_apart_and_survive_size_and_light() -> None:
    red_blue = colour_appearance(person((30, 30, 200), (160, 60, 30)))
    assert np.linalg.norm(red_blue) == pytest.approx(1, abs=1e-5)
    assert red_blue.dtype == np.float32
    again = colour_appearance(person((30, 30, 200), (160, 60, 30), light=0.85)[::2, ::2])
    swapped = colour_appearance(person((160, 60, 30), (30, 30, 200)))
    green = colour_appearance(person((40, 170, 40), (160, 60, 30)))
    assert red_blue @ again > 0.9
    assert max(red_blue @ swapped, red_blue @ green) < 0.75


def test_the_mean_look_outlives_one_odd_crop() -> None:
    mean = MeanAppearance()
    assert mean.vector is None
    for _ in range(20):
        mean.add(look(1, noise=0.1))
    mean.add(look(2))
    assert mean.vector is not None
    assert mean.vector @ look(1) > 0.9
