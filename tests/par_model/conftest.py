"""A small model with fresh weights, for tests that do not depend on what a model has learnt."""

from __future__ import annotations

import pytest
import torch

from par_model import VTFPAR, ModelConfig, build, load_schema
from par_model.text import hashed_text_features


@pytest.fixture(scope="session")
def small_config() -> ModelConfig:
    return ModelConfig.compact(
        image_size=(64, 32),
        width=64,
        depth=3,
        heads=2,
        taps=(0, 2, 3),
        targets=(0, 1, 2),
        side_width=32,
        side_heads=4,
        spatial_depth=2,
        temporal_depth=6,
        text_width=24,
    )


@pytest.fixture
def small_model(small_config: ModelConfig) -> VTFPAR:
    """In evaluation mode, with statistics and logits that are not all alike."""
    torch.manual_seed(7)
    schema = load_schema("mars")
    model = build(small_config, schema, hashed_text_features(schema.prompts, small_config.text_width))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "positions" not in name:
                parameter.mul_(2.0)
        model.head.weight.mul_(4.0)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()
