"""VTFPAR: a frozen visual tower, two side networks, a fusion transformer and the attribute head."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from par_model.backbone import ConvStem, PatchStem, VisionTower
from par_model.config import ModelConfig
from par_model.errors import CheckpointError
from par_model.fusion import AttributeHead, FusionTransformer
from par_model.schema import Schema
from par_model.side_networks import SpatialSideNetwork, TemporalSideNetwork


class CropTokens(NamedTuple):
    """All that depends on one crop alone.

    tokens: (B, 1 + N, D) of the spatial side network; first, later: (B, L, N, D), the crop's part in the temporal
    side network as the first frame of a window and as any other.
    """

    tokens: Tensor
    first: Tensor
    later: Tensor


class VTFPAR(nn.Module):
    """Video pedestrian attributes from T crops of one person (VTFPAR++, Wang et al., arXiv 2404.17929).

    text_features: (A, text width), constants computed once from the schema's words.
    metadata: JSON values about the weights that travel with them; fingerprint: checksum of the file they came from.
    leftovers: tensors of a public checkpoint that have no part in the model, kept so that it can be written back.
    """

    text_features: Tensor
    appearance_center: Tensor
    appearance_scale: Tensor

    def __init__(
        self,
        backbone: VisionTower,
        spatial: SpatialSideNetwork,
        temporal: TemporalSideNetwork,
        fusion: FusionTransformer,
        head: AttributeHead,
        *,
        config: ModelConfig,
        schema: Schema,
        text_features: Tensor,
    ) -> None:
        super().__init__()
        expected = (config.attributes, config.text_width)
        if tuple(text_features.shape) != expected:
            raise CheckpointError(f"text features are {tuple(text_features.shape)}; this model needs {expected}")
        if len(schema.words) != config.attributes:
            raise CheckpointError(
                f"schema {schema.name!r} has {len(schema.words)} attributes but the model has {config.attributes}"
            )
        self.config = config
        self.schema = schema
        self.backbone = backbone
        self.spatial = spatial
        self.temporal = temporal
        self.fusion = fusion
        self.head = head
        self.metadata: dict[str, object] = {}
        self.fingerprint = ""
        self.leftovers: dict[str, Tensor] = {}
        stripes = 2 * len(config.taps) * config.side_width
        self.register_buffer("text_features", text_features.detach().float())
        self.register_buffer("appearance_center", torch.zeros(stripes))
        self.register_buffer("appearance_scale", torch.ones(stripes))

    def encode(self, images: Tensor) -> CropTokens:
        """images: (B, 3, H, W) normalised. The part of a reading that each crop needs only once."""
        taps = self.backbone(images)
        return CropTokens(
            self.spatial(images, taps), self.temporal.project_first(taps), self.temporal.project_later(taps)
        )

    def decide(
        self,
        tokens: Tensor,
        first: Tensor,
        later: Tensor,
        lengths: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> Tensor:
        """Logits of windows of encoded crops.

        tokens: (B, T, 1 + N, D); first: (B, L, N, D) of frame 0; later: (B, T - 1, L, N, D) of the others;
        lengths: (B,) int64 frames that count, None for all T; columns: (K,) int64 attributes, None for all A.
        Returns (B, A or K).
        """
        if lengths is None:
            spatial = tokens.mean(dim=1)
        else:
            frame = torch.arange(tokens.shape[1], device=tokens.device)
            counts = (frame < lengths[:, None])[..., None, None]
            spatial = (tokens * counts).sum(dim=1) / lengths[:, None, None].to(tokens.dtype)
        visual = spatial + self.temporal(first, later, lengths).mean(dim=1)
        return self.head(self.fusion(self.text_features, visual, columns), columns)  # type: ignore[no-any-return]

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, T, 3, H, W) normalised, T from 1 to the temporal side network's depth -> logits (B, A)."""
        if frames.ndim != 5 or tuple(frames.shape[2:]) != (3, *self.config.image_size):
            raise ValueError(f"frames are {tuple(frames.shape)}; expected (B, T, 3, *{self.config.image_size})")
        images = frames.flatten(0, 1)
        return self.from_taps(images, self.backbone(images), frames.shape[:2])

    def from_taps(self, images: Tensor, taps: list[Tensor], window: torch.Size) -> Tensor:
        """The same from what the backbone made of the frames.

        images: (B * T, 3, H, W); taps: (B * T, N, D) each; window: B and T. Returns (B, A).
        """
        tokens = self.spatial(images, taps).unflatten(0, window)
        taps = [tap.view(*window, *tap.shape[1:]) for tap in taps]
        first = self.temporal.project_first([tap[:, 0] for tap in taps])
        later = self.temporal.project_later([tap[:, 1:] for tap in taps])
        return self.decide(tokens, first, later)

    def stripes(self, later: Tensor) -> Tensor:
        """Mean of each tap's tokens over the upper and the lower half. later: (B, L, N, D) -> (B, L * 2 * D)"""
        rows, columns = self.config.grid
        middle = max(1, rows // 2) * columns
        upper, lower = later[:, :, :middle], later[:, :, min(middle, (rows - 1) * columns) :]
        return torch.stack([upper.mean(dim=2), lower.mean(dim=2)], dim=2).flatten(1).float()

    def appearance(self, later: Tensor) -> Tensor:
        """What a crop looks like, for comparing people: standardised stripes of unit length. (B, L, N, D) -> (B, K)"""
        return F.normalize((self.stripes(later) - self.appearance_center) * self.appearance_scale, dim=-1)

    @torch.no_grad()
    def fit_appearance(self, stripes: Tensor) -> None:
        """Set centre and scale of `appearance` from the `stripes` (B, K) of a varied set of crops."""
        self.appearance_center.copy_(stripes.mean(dim=0))
        self.appearance_scale.copy_(1.0 / stripes.std(dim=0).clamp_min(1e-3))

    def trainable(self) -> int:
        """Number of parameters that learn."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def build_backbone(config: ModelConfig) -> VisionTower:
    """The visual tower alone, unfrozen, for instance to train it on single crops."""
    stem = (
        ConvStem(config.width, config.patch)
        if config.stem == "conv"
        else PatchStem(config.width, config.patch, bias=config.patch_bias)
    )
    return VisionTower(
        grid=config.grid,
        stem=stem,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        taps=config.taps,
        mlp_ratio=config.mlp_ratio,
        activation=config.activation,
        eps=config.eps,
        class_token=config.class_token,
        pre_norm=config.pre_norm,
    )


def build(config: ModelConfig, schema: Schema, text_features: Tensor, *, frozen: bool = True) -> VTFPAR:
    """A model of these sizes with fresh weights; the tower is frozen unless told otherwise."""
    tokens = config.grid[0] * config.grid[1]
    backbone = build_backbone(config).freeze(frozen)
    spatial = SpatialSideNetwork(
        tokens=tokens,
        patch=config.patch,
        tap_width=config.width,
        targets=config.targets,
        width=config.side_width,
        heads=config.side_heads,
        depth=config.spatial_depth,
        mlp_ratio=config.side_mlp_ratio,
        eps=config.side_eps,
    )
    temporal = TemporalSideNetwork(
        tokens=tokens,
        tap_width=config.width,
        taps=len(config.taps),
        width=config.side_width,
        heads=config.side_heads,
        depth=config.temporal_depth,
        mlp_ratio=config.side_mlp_ratio,
        eps=config.side_eps,
        inject_eps=config.inject_eps,
    )
    fusion = FusionTransformer(
        text_width=config.text_width,
        width=config.side_width,
        heads=config.side_heads,
        depth=config.fusion_depth,
        mlp_ratio=config.side_mlp_ratio,
        eps=config.side_eps,
        drop_path=config.drop_path,
    )
    head = AttributeHead(config.attributes, config.side_width)
    return VTFPAR(backbone, spatial, temporal, fusion, head, config=config, schema=schema, text_features=text_features)
