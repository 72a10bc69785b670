"""The visual tower gives the layers of open_clip's and timm's towers from their own weights."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import nn

from par_model import CheckpointError, ModelConfig
from par_model.backbone import VisionTower, clip_visual_state
from par_model.clip_weights import clip_activation, read_clip, tower_sizes
from par_model.model import build_backbone
from par_model.transformer import resize_positions


def tower_from(weights: dict[str, torch.Tensor], activation: str, **changes: object) -> VisionTower:
    sizes = tower_sizes(weights, activation=activation) | changes
    config = ModelConfig(**sizes)
    tower = build_backbone(config)
    tower.load_state_dict(clip_visual_state(weights, grid=config.grid, depth=config.depth))
    return tower.eval()


@pytest.mark.parametrize(
    ("patch", "layers", "activation"), [(16, 12, "quick_gelu"), (32, 12, "gelu"), (14, 24, "gelu")]
)
@torch.no_grad()
def test_taps_equal_open_clip(patch: int, layers: int, activation: str) -> None:
    torch.manual_seed(0)
    theirs = VisionTransformer(
        image_size=patch * 3,
        patch_size=patch,
        width=128,
        layers=layers,
        heads=2,
        mlp_ratio=4.0,
        act_layer=QuickGELU if activation == "quick_gelu" else nn.GELU,
    ).eval()
    weights = {f"visual.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours = tower_from(weights, activation)
    assert ours.taps == tuple(round(tap * layers / 12) for tap in (0, 3, 6, 9, 11))
    images = torch.randn(2, 3, patch * 3, patch * 3)
    wanted = theirs.forward_intermediates(
        images, indices=[tap - 1 for tap in ours.taps[1:]], output_fmt="NLC", intermediates_only=True
    )["image_intermediates"]
    for tokens, expected in zip(ours(images)[1:], wanted):
        assert float((tokens - expected).abs().max()) < 1e-5


@torch.no_grad()
def test_towers_without_a_class_token_work_too() -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.models.vision_transformer.VisionTransformer(
        img_size=48,
        patch_size=16,
        embed_dim=128,
        depth=12,
        num_heads=2,
        class_token=False,
        global_pool="map",
        act_layer="gelu_tanh",
    ).eval()
    weights = {f"visual.trunk.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours = tower_from(weights, "gelu_tanh")
    assert ours.class_token is None
    images = torch.randn(2, 3, 48, 48)
    wanted = theirs.forward_intermediates(
        images, indices=[tap - 1 for tap in ours.taps[1:]], output_fmt="NLC", intermediates_only=True
    )
    for tokens, expected in zip(ours(images)[1:], wanted):
        assert float((tokens - expected).abs().max()) < 1e-5


def test_the_published_sizes_follow_from_open_clips_own_description() -> None:
    clip = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None, device="meta")
    sizes = tower_sizes(clip.state_dict(), activation="quick_gelu")
    assert ModelConfig(**sizes) == ModelConfig()


@torch.no_grad()
def test_a_tall_input_gets_interpolated_positions() -> None:
    torch.manual_seed(0)
    theirs = VisionTransformer(image_size=64, patch_size=16, width=64, layers=2, heads=1, mlp_ratio=2.0)
    weights = {f"visual.{name}": tensor for name, tensor in theirs.state_dict().items()}
    ours = tower_from(weights, "gelu", image_size=(96, 48), taps=(0, 2), targets=(0, 1), depth=2)
    assert ours.grid == (6, 3)
    assert [tuple(tap.shape) for tap in ours(torch.randn(2, 3, 96, 48))] == [(2, 18, 64)] * 2
    kept = theirs.positional_embedding[:1]
    assert torch.equal(ours.positions[:1], kept)


def test_interpolated_positions_keep_their_corners() -> None:
    ramp = torch.arange(16.0).view(4, 4)[..., None].flatten(0, 1)
    grown = resize_positions(ramp, (4, 4), (8, 4)).view(8, 4)
    assert torch.all(grown[1:] > grown[:-1])
    assert torch.equal(resize_positions(ramp, (4, 4), (4, 4)), ramp)


def test_a_frozen_tower_neither_learns_nor_moves_its_batch_statistics() -> None:
    tower = build_backbone(ModelConfig.compact()).freeze()
    before = {name: buffer.clone() for name, buffer in tower.named_buffers()}
    taps = tower.train()(torch.randn(2, 3, 128, 64))
    assert not any(tap.requires_grad for tap in taps)
    assert all(torch.equal(before[name], buffer) for name, buffer in tower.named_buffers())
    tower.freeze(False).train()
    assert all(tap.requires_grad for tap in tower(torch.randn(2, 3, 128, 64)))
    assert not torch.equal(before["stem.layers.1.running_mean"], tower.get_buffer("stem.layers.1.running_mean"))


def test_weights_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "clip.pt"
    path.write_bytes(b"no weights")
    for source in (path, tmp_path / "absent.safetensors", "ViT-Z:openai"):
        with pytest.raises(CheckpointError) as caught:
            read_clip(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "pretrained", "activation"),
    [
        ("ViT-B-16-quickgelu", "openai", "quick_gelu"),
        ("ViT-B/16", "openai", "quick_gelu"),
        ("ViT-B-16", "laion2b_s34b_b88k", "gelu"),
        ("ViT-B-16", "/some/file.pt", "gelu"),
        ("ViT-B-16-SigLIP", "webli", None),
        ("ViT-Z", "x", None),
    ],
)
def test_the_activation_is_the_one_open_clip_builds(architecture: str, pretrained: str, activation: str | None) -> None:
    assert clip_activation(architecture, pretrained) == activation
