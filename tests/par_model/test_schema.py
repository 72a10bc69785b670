"""Schemas say what the model was asked, in the public code's words, and decide without contradiction."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from par_model import Schema, SchemaError, load_schema
from par_model.schema import Calibration, schema_names


@pytest.fixture(scope="module")
def mars() -> Schema:
    return load_schema("mars")


def logits_for(schema: Schema, **chosen: float) -> np.ndarray:
    """One row of probabilities, 0.01 but for the words given (spaces as underscores)."""
    row = np.full((1, len(schema.words)), 0.01, dtype=np.float32)
    for word, probability in chosen.items():
        row[0, schema.words.index(word.replace("_", " "))] = probability
    return row


def test_words_are_those_of_the_public_code(shared: Path) -> None:
    stored = np.load(shared / "golden" / "misc.npz")
    for name in ("mars", "duke"):
        assert load_schema(name).words == tuple(stored[f"words_{name}"])


def test_columns_and_groups_have_the_published_sizes(mars: Schema) -> None:
    assert mars.edges == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 20, 29, 39, 43)
    assert load_schema("duke").edges == (0, 1, 2, 3, 4, 5, 6, 7, 8, 14, 19, 28, 36)
    assert mars.slices["motion"] == slice(15, 20)
    assert {g.name for g in mars.groups if g.dynamics == "dynamic"} == {"pose", "motion"}
    assert schema_names() == ("duke", "mars")


def test_every_column_has_a_sentence_of_its_own(mars: Schema) -> None:
    assert len(set(mars.prompts)) == 43
    assert mars.prompts[0] == "a photo of a pedestrian wearing a short-sleeved top"


def test_binary_groups_have_a_name_for_both_sides_and_abstain_between(mars: Schema) -> None:
    group = mars["hat"]
    assert group.labels == ("no hat", "hat")
    for probability, value in ((0.9, "hat"), (0.5, None), (0.1, "no hat")):
        decision = mars.labels(logits_for(mars, hat=probability))[0]["hat"]
        assert decision.value == value
        assert decision.probability == pytest.approx(max(probability, 1 - probability), abs=1e-6)


def test_one_of_groups_never_contradict_themselves(mars: Schema) -> None:
    # Two colours that a sigmoid would both let through share one group's probability.
    decision = mars.labels(logits_for(mars, top_red=0.9, top_blue=0.8))[0]["top color"]
    shares = mars.shares(logits_for(mars, top_red=0.9, top_blue=0.8), mars["top color"])
    assert decision.value == "red"
    assert shares.sum() == pytest.approx(1.0)
    assert 0.5 < decision.probability < 0.9
    undecided = mars.labels(logits_for(mars, top_red=0.01))[0]["top color"]
    assert undecided.value is None


def test_saturated_probabilities_still_decide(mars: Schema) -> None:
    row = np.zeros((1, 43), dtype=np.float32)
    row[0, mars.words.index("running")] = 1.0
    assert mars.labels(row)[0]["motion"].value == "running"
    assert mars.labels(np.ones((1, 43), dtype=np.float32))[0]["motion"].value is None


def test_sensitive_groups_can_be_left_out(mars: Schema) -> None:
    assert mars.sensitive == ("gender", "age")
    kept = mars.without(["sensitive"])
    assert "gender" not in kept.group_names
    assert "age" not in kept.group_names
    assert [mars.words[i] for i in mars.columns(kept)] == list(kept.words)


def test_calibration_replaces_numbers_and_survives_a_round_trip(mars: Schema) -> None:
    fitted = mars.calibrated({"hat": Calibration(1.7, 0.2, 0.8, (-1.5,))})
    assert fitted["hat"].temperature == 1.7
    assert fitted.priors[fitted.words.index("hat")] == -1.5
    assert not fitted.without_priors().priors.any()
    assert fitted.temperatures[fitted.words.index("hat")] == pytest.approx(1.7)
    assert Schema.from_dict(fitted.as_dict()) == fitted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("groups: 3", "list of groups"),
        (
            "name: x\ngroups: [{name: a, dynamics: static, absent: n, prior: [1.0, 2.0],"
            " present: {word: w, label: l, phrase: p}}]",
            "a prior is one finite number an attribute",
        ),
        ("name: x\ngroups: [{name: a, kind: one-off, dynamics: static, attributes: []}]", "kind"),
        ("name: x\ngroups: [{name: a, dynamics: static, present: {word: w, label: l, phrase: p}}]", "absence"),
        ("name: x\ngroups: [{name: a, dynamic: static}]", "dynamic"),
        ("name: [", "x.yaml"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError) as caught:
        load_schema(path)
    assert complaint in str(caught.value)
    assert "x.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_come_with_a_suggestion(mars: Schema) -> None:
    with pytest.raises(SchemaError, match="did you mean 'gender'"):
        mars.without(["gendre"])
    with pytest.raises(SchemaError, match="duke, mars"):
        load_schema("market")


def test_schemas_are_read_without_waiting_for_pytorch() -> None:
    code = "import sys, par_model; par_model.load_schema('mars'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
