"""Streaming equals whole, masks equal shorter windows, and only what should learn learns."""

from __future__ import annotations

import pytest
import torch

from par_model import VTFPAR, CheckpointError, ModelConfig, build, load_schema
from par_model.losses import weighted_bce
from par_model.text import hashed_text_features


def clip(model: VTFPAR, batch: int, frames: int) -> torch.Tensor:
    torch.manual_seed(frames)
    return torch.randn(batch, frames, 3, *model.config.image_size)


@torch.no_grad()
def test_crop_by_crop_equals_the_whole_window(small_model: VTFPAR) -> None:
    frames = clip(small_model, 1, 12)
    encoded = [small_model.encode(frames[:, t]) for t in range(12)]
    windows = [(0, t) for t in range(1, 7)] + [(t, t + 6) for t in range(1, 7)]
    for start, stop in windows:  # a track that grows, then a window that slides
        part = encoded[start:stop]
        tokens = torch.stack([e.tokens for e in part], dim=1)
        later = torch.stack([e.later for e in part], dim=1)[:, 1:]
        streamed = small_model.decide(tokens, part[0].first, later)
        assert float((streamed - small_model(frames[:, start:stop])).abs().max()) < 1e-5


@torch.no_grad()
def test_padded_windows_of_all_lengths_share_a_batch(small_model: VTFPAR) -> None:
    frames = clip(small_model, 6, 6)
    encoded = [part.unflatten(0, (6, 6)) for part in small_model.encode(frames.flatten(0, 1))]
    tokens, first, later = encoded
    lengths = torch.arange(1, 7)
    masked = small_model.decide(tokens, first[:, 0], later[:, 1:], lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = small_model(frames[row : row + 1, :length])
        assert float((masked[row] - alone[0]).abs().max()) < 1e-5


@torch.no_grad()
def test_switching_columns_off_changes_no_other_column(small_model: VTFPAR) -> None:
    frames = clip(small_model, 2, 3)
    kept = torch.from_numpy(small_model.schema.columns(small_model.schema.without(["gender", "age"])))
    encoded = [part.unflatten(0, (2, 3)) for part in small_model.encode(frames.flatten(0, 1))]
    fewer = small_model.decide(encoded[0], encoded[1][:, 0], encoded[2][:, 1:], columns=kept)
    assert fewer.shape == (2, 43 - 5)
    assert float((fewer - small_model(frames)[:, kept]).abs().max()) < 1e-5


def test_windows_of_any_size_but_the_right_shape(small_model: VTFPAR) -> None:
    with pytest.raises(ValueError, match="expected"):
        small_model(torch.zeros(2, 3, 64, 32))
    with pytest.raises(ValueError, match="expected"):
        small_model(torch.zeros(2, 6, 3, 32, 64))
    with pytest.raises(ValueError, match="7 frames"):
        small_model(torch.zeros(1, 7, 3, 64, 32))


def test_nothing_of_the_frozen_tower_is_kept_for_backward(small_model: VTFPAR) -> None:
    small_model.train()
    frames = clip(small_model, 4, 3)
    kept_by_tower = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept_by_tower.append(t.shape) or t, lambda t: t):
        small_model.backbone(frames.flatten(0, 1))
    assert kept_by_tower == []
    loss = weighted_bce(small_model(frames), torch.ones(4, 43), torch.full((43,), 0.5))
    loss.backward()
    assert all(p.grad is None for p in small_model.backbone.parameters())
    assert small_model.spatial.patch_embed.weight.grad is not None
    assert small_model.temporal.blocks[2].mlp.fc1.weight.grad is not None
    assert small_model.temporal.blocks[3].mlp.fc1.weight.grad is None  # no frame reached it


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"image_size": (100, 64)}, "multiple of the patch"),
        ({"taps": (0, 5), "targets": (0, 1)}, "beyond the tower"),
        ({"targets": (0, 1)}, "one block"),
        ({"frames": 9}, "temporal blocks"),
        ({"heads": 5}, "multiple of its number of heads"),
        ({"width": 10**9}, "between"),
    ],
)
def test_sizes_that_make_no_model_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        ModelConfig.compact(**changes)


def test_text_features_and_schema_must_fit(small_config: ModelConfig) -> None:
    mars, duke = load_schema("mars"), load_schema("duke")
    with pytest.raises(CheckpointError, match="text features"):
        build(small_config, mars, torch.zeros(43, 99))
    with pytest.raises(CheckpointError, match="36 attributes"):
        build(small_config, duke, hashed_text_features(mars.prompts, small_config.text_width))


@torch.no_grad()
def test_appearance_tells_people_apart_once_fitted(small_model: VTFPAR) -> None:
    people = torch.rand(8, 3, 1, 1) * 2 - 1
    crops = people[:, None] + 0.05 * torch.randn(8, 4, 3, *small_model.config.image_size)
    later = small_model.encode(crops.flatten(0, 1)).later
    small_model.fit_appearance(small_model.stripes(later))
    vectors = small_model.appearance(later)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(32), atol=1e-5)
    similar = (vectors @ vectors.T).view(8, 4, 8, 4)
    same = torch.stack([similar[i, :, i] for i in range(8)])
    different = torch.stack([similar[i, :, j] for i in range(8) for j in range(8) if i != j])
    assert float(same.min()) > float(different.mean()) + 0.3
