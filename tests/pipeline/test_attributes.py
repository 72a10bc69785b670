"""How readings become labels: evidence fades, labels hold on, doubt is said."""

from __future__ import annotations

import numpy as np
import pytest

from par_model.schema import Schema, load_schema
from par_model.training.calibrate import ABSTAINS
from pipeline.attributes import AttributeState
from pipeline.config import RecognitionConfig
from pipeline.recognition import Reading
from pipeline.shedding import LEVELS


@pytest.fixture(scope="module")
def schema() -> Schema:
    return load_schema("mars")


def reading(schema: Schema, time: float, quality: float = 1.0, track: int = 1, **sure: float) -> Reading:
    """A reading that is undecided but for the named words (underscores for spaces)."""
    probabilities = np.full(len(schema.words), 0.5)
    for group in schema.groups:
        if group.kind == "one-of":
            probabilities[schema.slices[group.name]] = 1 / len(group.attributes)
        else:
            probabilities[schema.slices[group.name]] = (group.below + group.above) / 2
    for word, probability in sure.items():
        probabilities[schema.words.index(word.replace("_", " "))] = probability
    return Reading("gate", track, time, probabilities.astype(np.float32), quality, 1.0, None)


def test_nothing_is_claimed_before_a_reading(schema: Schema) -> None:
    state = AttributeState(schema)
    assert {label.value for label in state.labels(7).values()} == {None}
    assert not state.settled(7)


def test_a_sure_reading_is_shown_and_the_rest_stays_unknown(schema: Schema) -> None:
    state = AttributeState(schema)
    state.update(1, reading(schema, 0.0, hat=0.99, top_red=0.98))
    shown = {name: label.value for name, label in state.labels(1).items() if label.value is not None}
    assert shown == {"hat": schema["hat"].labels[1], "top color": "red"}


def test_what_the_model_never_answers_keeps_nobody_from_being_settled(schema: Schema) -> None:
    static = [group.name for group in schema.groups if group.dynamics == "static"]
    untaught = schema.calibrated(dict.fromkeys(static[1:], ABSTAINS))
    state = AttributeState(untaught)
    for time in range(3):
        state.update(
            1, reading(untaught, float(time), **{untaught[static[0]].attributes[0].word.replace(" ", "_"): 0.99})
        )
    assert state.settled(1)
    assert {name for name in static if state.labels(1)[name].value is not None} == {static[0]}


def test_a_poor_look_does_not_make_a_label(schema: Schema) -> None:
    state = AttributeState(schema)
    state.update(1, reading(schema, 0.0, quality=0.02, hat=0.95))
    assert state.labels(1)["hat"].value is None


def test_readings_add_up(schema: Schema) -> None:
    state = AttributeState(schema)
    probabilities = []
    for time in range(6):
        state.update(1, reading(schema, float(time), quality=0.1, hat=0.9))
        probabilities.append(state.labels(1)["hat"].probability)
    assert probabilities == sorted(probabilities)
    assert state.labels(1)["hat"].value is not None


def test_one_odd_reading_does_not_flip_a_label(schema: Schema) -> None:
    state = AttributeState(schema)
    for time in range(5):
        state.update(1, reading(schema, float(time), top_blue=0.95))
    state.update(1, reading(schema, 5.0, top_black=0.95))
    assert state.labels(1)["top color"].value == "blue"
    for time in range(6, 30):
        state.update(1, reading(schema, float(time), top_black=0.95))
    assert state.labels(1)["top color"].value == "black"


def test_what_somebody_does_changes_sooner_than_what_they_wear(schema: Schema) -> None:
    state = AttributeState(schema)
    for time in range(10):
        state.update(1, reading(schema, float(time), walking=0.9, top_blue=0.9))
    for time in (11.0, 12.0, 13.0):
        state.update(1, reading(schema, time, running=0.9, top_black=0.9))
    labels = state.labels(1)
    assert labels["motion"].value == "running"
    assert labels["top color"].value == "blue"


def test_what_somebody_does_is_unknown_once_nobody_has_looked(schema: Schema) -> None:
    state = AttributeState(schema)
    state.update(1, reading(schema, 0.0, walking=0.95, top_blue=0.95))
    later = state.labels(1, 5 * schema["motion"].half_life + 1)
    assert later["motion"].value is None
    assert later["top color"].value == "blue"


def test_what_somebody_does_is_known_until_the_next_reading_also_under_load(schema: Schema) -> None:
    state = AttributeState(schema)
    state.update(1, reading(schema, 0.0, walking=0.95))
    rarest = RecognitionConfig().settled_interval * max(load.cadence for load in LEVELS)
    assert state.labels(1, 1.5 * rarest)["motion"].value == "walking"  # with the round it waits for


def test_doubt_takes_a_label_away(schema: Schema) -> None:
    state = AttributeState(schema, margin=0.05)
    state.update(1, reading(schema, 0.0, backpack=0.97))
    assert state.labels(1)["backpack"].value is not None
    for time in range(1, 60):
        state.update(1, reading(schema, float(time)))
    assert state.labels(1)["backpack"].value is None


def test_a_label_near_its_threshold_does_not_flicker(schema: Schema) -> None:
    state = AttributeState(schema)
    above = schema["hat"].above
    state.update(1, reading(schema, 0.0, hat=0.97))
    changes = set()
    for step in range(40):
        state.update(1, reading(schema, step * 10.0, hat=above + (0.04 if step % 2 else -0.04)))
        changes.add(state.labels(1)["hat"].value)
    assert len(changes) == 1


def test_a_returning_person_keeps_what_was_known(schema: Schema) -> None:
    state = AttributeState(schema)
    for time in range(5):
        state.update(1, reading(schema, float(time), top_blue=0.95))
    state.update(2, reading(schema, 9.0, backpack=0.97))
    state.merge(2, into=1)
    labels = state.labels(1)
    assert labels["top color"].value == "blue"
    assert labels["backpack"].value is not None
    assert {label.value for label in state.labels(2).values()} == {None}


def test_of_two_that_are_one_it_does_not_matter_which_goes_on(schema: Schema) -> None:
    found = []
    for track, into in ((2, 1), (1, 2)):
        state = AttributeState(schema)
        for time, word in ((0.0, "walking"), (0.5, "walking"), (6.0, "running")):
            state.update(2 if time > 1 else 1, reading(schema, time, **{word: 0.95}))
        state.merge(track, into)
        found.append(state.labels(into))
    assert found[0]["motion"].value == "running"
    for name, label in found[0].items():
        assert label.value == found[1][name].value
        assert label.probability == pytest.approx(found[1][name].probability)


def test_switched_off_groups_are_not_there(schema: Schema) -> None:
    state = AttributeState(schema.without(["gender", "age"]))
    assert not {"gender", "age"} & set(state.labels(1))


def test_probabilities_are_probabilities(schema: Schema) -> None:
    state = AttributeState(schema)
    rng = np.random.default_rng(3)
    for step in range(200):
        odd = Reading("gate", 1, step * 0.3, rng.random(len(schema.words)), float(rng.random()), 1.0, None)
        state.update(1, odd)
        for label in state.labels(1).values():
            assert 0.0 <= label.probability <= 1.0
