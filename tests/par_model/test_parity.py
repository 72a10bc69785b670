"""What graphs are compared on, without any graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from par_model import ModelConfig, build, load_schema
from par_model.parity import _normalised_windows, proof_crops
from par_model.text import hashed_text_features


@pytest.mark.parametrize(("frames", "crops", "windows"), [(6, 24, 4), (25, 50, 2)])
def test_whole_windows_are_compared_however_long_they_are(
    small_config: ModelConfig, frames: int, crops: int, windows: int
) -> None:
    config = replace(small_config, frames=frames, temporal_depth=frames)
    schema = load_schema("mars")
    model = build(config, schema, hashed_text_features(schema.prompts, config.text_width)).eval()
    samples = proof_crops((), 24, frames)
    assert len(samples) == crops
    assert _normalised_windows(model, samples).shape == (windows, frames, 3, *config.image_size)
