"""Text features: CLIP's tokens exactly, and an embedding that needs no weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from par_model import CheckpointError, load_schema
from par_model.text import hashed_text_features, text_tower, tokenize


@pytest.mark.parametrize("name", ["mars", "duke"])
def test_tokens_equal_the_public_code(shared: Path, name: str) -> None:
    stored = np.load(shared / "golden" / "misc.npz")
    tokens = tokenize(load_schema(name).words)
    assert np.array_equal(tokens.numpy(), stored[f"tokens_{name}"])


def test_prompts_are_sentences_and_words_are_bare() -> None:
    schema = load_schema("duke")
    assert schema.words[5] == "heaed hat"
    assert schema.prompts[5] == "a photo of a pedestrian wearing a hat"


def test_hashed_features_share_what_sentences_share() -> None:
    red_top, red_bottom, blue_top, hat = hashed_text_features(["top red", "bottom red", "top blue", "hat"], 256)
    unit = torch.nn.functional.normalize
    similar = float(unit(red_top, dim=0) @ unit(red_bottom, dim=0))
    assert 0.3 < similar < 0.7
    assert abs(float(unit(red_bottom, dim=0) @ unit(blue_top, dim=0))) < 0.25
    assert abs(float(unit(red_top, dim=0) @ unit(hat, dim=0))) < 0.25


def test_hashed_features_are_the_same_on_every_machine() -> None:
    feature = hashed_text_features(["wearing a red top"], 8)[0]
    expected = [0.1962269, 0.13605, -0.5298883, 1.1490055, -0.3685553, -1.6276348, -0.3926014, 1.8446751]
    np.testing.assert_allclose(feature.numpy(), expected, atol=1e-6)


def test_hashed_features_tell_phrases_of_any_script_apart() -> None:
    for red, blue in (("человек в красной куртке", "человек в синей куртке"), ("穿红色上衣", "穿蓝色上衣"),
                      ("लाल कमीज़", "लीला कमीज़"), ("Jacke grün", "Jacke grau")):  # fmt: skip
        features = hashed_text_features([red, blue], 64)
        assert torch.allclose(features.norm(dim=1), torch.tensor(8.0)), red
        assert not torch.allclose(features[0], features[1]), red


def test_weights_without_a_text_tower_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no text tower"):
        text_tower({"visual.proj": torch.zeros(2, 2)})
