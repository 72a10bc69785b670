"""The frozen visual tower: a CLIP-style vision transformer that hands out chosen layers ("taps")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from par_model.errors import CheckpointError
from par_model.transformer import Block, init_linears, resize_positions


class PatchStem(nn.Module):
    """One convolution of the size of a patch."""

    def __init__(self, width: int, patch: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """images: (B, 3, H, W) -> (B, N, D)"""
        return self.proj(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class ResidualConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2 with residual blocks between, down to one token a patch.

    Early convolutions give a transformer the local bias it would need much data to learn (Xiao et al. 2021).
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        halvings = patch.bit_length() - 1
        channels = [3, *(max(16, width >> (halvings - 1 - i)) for i in range(halvings))]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(channels)):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            if i > 0:
                layers.append(ResidualConv(after))
        layers.append(nn.Conv2d(channels[-1], width, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """images: (B, 3, H, W) -> (B, N, D)"""
        return self.layers(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class VisionTower(nn.Module):
    """Vision transformer whose patch tokens are read at `taps`; nothing after the last tap is computed.

    taps: 0 is the sequence that enters the first block, k the residual stream after block k.
    """

    def __init__(
        self,
        *,
        grid: tuple[int, int],
        stem: nn.Module,
        width: int,
        depth: int,
        heads: int,
        taps: Sequence[int],
        mlp_ratio: float = 4.0,
        activation: str = "quick_gelu",
        eps: float = 1e-5,
        class_token: bool = True,
        pre_norm: bool = True,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.taps = tuple(taps)
        self.frozen = False
        self.stem = stem
        self.class_token = nn.Parameter(torch.empty(width)) if class_token else None
        self.positions = nn.Parameter(torch.empty(grid[0] * grid[1] + class_token, width))
        self.norm_pre = nn.LayerNorm(width, eps=eps) if pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=mlp_ratio, activation=activation, eps=eps) for _ in range(depth)
        )
        init_linears(self.blocks)
        nn.init.normal_(self.positions, std=0.02)
        if self.class_token is not None:
            nn.init.normal_(self.class_token, std=0.02)

    def stages(self, images: Tensor) -> Iterator[Tensor]:
        """images: (B, 3, H, W). Yields the sequence (B, N or 1 + N, D) at layer 0, 1, ... in turn."""
        x = self.stem(images)
        if self.class_token is not None:
            x = torch.cat([self.class_token.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)
        x = self.norm_pre(x + self.positions.to(x.dtype))
        yield x
        for block in self.blocks:
            x = block(x)
            yield x

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) normalised. Returns one (B, N, D) of patch tokens a tap."""
        skip = 0 if self.class_token is None else 1
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return [x[:, skip:] for k, x in zip(range(self.taps[-1] + 1), self.stages(images)) if k in self.taps]

    def freeze(self, frozen: bool = True) -> VisionTower:
        """Stop (or resume) learning: no gradients, no activations kept, batch statistics fixed."""
        self.frozen = frozen
        self.requires_grad_(not frozen)
        return self.train(self.training)

    def train(self, mode: bool = True) -> VisionTower:
        return super().train(mode and not self.frozen)


OPENAI_BLOCK = {
    "ln_1": "norm1",
    "ln_2": "norm2",
    "attn.in_proj_": "attn.qkv.",
    "attn.out_proj": "attn.proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
"""Names inside a block of OpenAI's CLIP, and ours."""

TIMM_STEM = {"patch_embed.proj": "stem.proj", "pos_embed": "positions", "cls_token": "class_token"}


def openai_visual_name(name: str) -> str | None:
    """Our name of a tensor of CLIP's visual tower (names without the `visual.` prefix); None if it has no part here."""
    name = name.removeprefix("transformer.")
    plain = {
        "class_embedding": "class_token",
        "positional_embedding": "positions",
        "conv1.weight": "stem.proj.weight",
        "ln_pre.weight": "norm_pre.weight",
        "ln_pre.bias": "norm_pre.bias",
    }
    if name in plain:
        return plain[name]
    if not name.startswith("resblocks."):
        return None
    _, index, rest = name.split(".", 2)
    for theirs, ours in OPENAI_BLOCK.items():
        if rest.startswith(theirs):
            return f"blocks.{index}.{ours}{rest[len(theirs) :]}"
    return None


def clip_visual_state(weights: Mapping[str, Tensor], *, grid: tuple[int, int], depth: int) -> dict[str, Tensor]:
    """State of a VisionTower of `depth` blocks from an open_clip checkpoint's visual tower.

    weights: OpenAI names (`visual.conv1.weight`, ...) or a timm trunk's (`visual.trunk.blocks.0.norm1.weight`, ...),
    with or without the `visual.` prefix. Positions are interpolated from their square grid to `grid`.
    """
    visual = {k.removeprefix("visual."): v for k, v in weights.items() if k.startswith("visual.")} or dict(weights)
    state: dict[str, Tensor] = {}
    for name, tensor in visual.items():
        if name.startswith("trunk."):
            ours: str | None = name.removeprefix("trunk.")
            for theirs, mine in TIMM_STEM.items():
                if name.startswith("trunk." + theirs):
                    ours = mine + name[len("trunk." + theirs) :]
            if ours is not None and not ours.startswith(("blocks.", "stem.", "positions", "class_token")):
                ours = None
        else:
            ours = openai_visual_name(name)
        if ours is None or (ours.startswith("blocks.") and int(ours.split(".")[1]) >= depth):
            continue
        state[ours] = tensor.float()
    if "positions" not in state:
        raise CheckpointError("the CLIP weights hold no vision transformer (positional embedding missing)")
    if "class_token" in state:
        state["class_token"] = state["class_token"].flatten()
    positions = state["positions"].flatten(0, -2)
    lead = 1 if "class_token" in state else 0
    side = round((len(positions) - lead) ** 0.5)
    if side * side + lead != len(positions):
        raise CheckpointError(f"the CLIP weights have {len(positions)} positions, which is not a square grid")
    grown = resize_positions(positions[lead:], (side, side), grid, antialias=True)
    state["positions"] = torch.cat([positions[:lead], grown])
    return state
