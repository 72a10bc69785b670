"""The two side networks that learn beside the frozen tower: one over a frame, one over the frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from par_model.transformer import Block, init_linears


class TapProjection(nn.Module):
    """Layer norm and one linear: how a tap's tokens enter a side network."""

    def __init__(self, tap_width: int, width: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(tap_width, eps=eps)
        self.proj = nn.Linear(tap_width, width)
        bound = (3.0 / tap_width) ** 0.5
        nn.init.uniform_(self.proj.weight, -bound, bound)
        nn.init.zeros_(self.proj.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (..., tap width) -> (..., width)"""
        return self.proj(self.norm(tokens))  # type: ignore[no-any-return]


class SidePositions(nn.Module):
    """Class token and positions of a side network's sequence of 1 + N tokens."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.class_position = nn.Parameter(torch.empty(1, 1, width))
        self.grid_positions = nn.Parameter(torch.empty(1, tokens, width))
        nn.init.normal_(self.class_token, std=0.02)
        nn.init.normal_(self.class_position, std=0.02)
        nn.init.trunc_normal_(self.grid_positions, std=0.02, a=-2.0, b=2.0)

    @property
    def all(self) -> Tensor:
        """(1, 1 + N, D)"""
        return torch.cat([self.class_position, self.grid_positions], dim=1)

    def prepend(self, patches: Tensor) -> Tensor:
        """(B, N, D) -> (B, 1 + N, D): the class token in front, positions not yet added."""
        return torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)


def add_to_patches(x: Tensor, patches: Tensor) -> Tensor:
    """Add (B, N, D) to the patch tokens of (B, 1 + N, D), leaving the class token alone."""
    return torch.cat([x[:, :1], x[:, 1:] + patches], dim=1)


class SpatialSideNetwork(nn.Module):
    """A narrow vision transformer on the raw image, fed with the tower's taps.

    Tap i is added before block `targets[i]`; positions are added anew after every block but the last.
    """

    def __init__(
        self,
        *,
        tokens: int,
        patch: int,
        tap_width: int,
        targets: Sequence[int],
        width: int,
        heads: int,
        depth: int,
        mlp_ratio: float = 4.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.patch_embed = nn.Conv2d(3, width, patch, patch)
        self.positions = SidePositions(tokens, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio=mlp_ratio, eps=eps) for _ in range(depth))
        init_linears(self.blocks)
        self.injections = nn.ModuleList(TapProjection(tap_width, width, eps) for _ in targets)

    def forward(self, images: Tensor, taps: Sequence[Tensor]) -> Tensor:
        """images: (B, 3, H, W); taps: (B, N, tap width) each. Returns (B, 1 + N, D), not normalised."""
        positions = self.positions.all
        x = self.positions.prepend(self.patch_embed(images).flatten(2).transpose(1, 2)) + positions
        x = self._inject(0, x, taps)
        for i, block in enumerate(self.blocks, start=1):
            x = self._inject(i, block(x), taps)
            if i < len(self.blocks):
                x = x + positions
        return x

    def _inject(self, layer: int, x: Tensor, taps: Sequence[Tensor]) -> Tensor:
        if layer not in self.targets:
            return x
        index = self.targets.index(layer)
        return add_to_patches(x, self.injections[index](taps[index]))


class TemporalSideNetwork(nn.Module):
    """A narrow transformer that walks through time: block t belongs to frame t, for every tap alike.

    The first frame enters through its own linear; each later one is added to the patch tokens after its block.
    """

    def __init__(
        self,
        *,
        tokens: int,
        tap_width: int,
        taps: int,
        width: int,
        heads: int,
        depth: int,
        mlp_ratio: float = 4.0,
        eps: float = 1e-6,
        inject_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.positions = SidePositions(tokens, width)
        self.first = nn.Linear(tap_width, width)
        self.injections = nn.ModuleList(TapProjection(tap_width, width, inject_eps) for _ in range(taps))
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio=mlp_ratio, eps=eps) for _ in range(depth))
        init_linears(self.blocks)

    def project_first(self, taps: Sequence[Tensor]) -> Tensor:
        """What a frame gives when it opens a window. taps: L of (..., N, tap width) -> (..., L, N, D)"""
        return torch.stack([self.first(tap) for tap in taps], dim=-3)

    def project_later(self, taps: Sequence[Tensor]) -> Tensor:
        """What a frame gives at any other place. taps: L of (..., N, tap width) -> (..., L, N, D)"""
        return torch.stack([inject(tap) for inject, tap in zip(self.injections, taps)], dim=-3)

    def forward(self, first: Tensor, later: Tensor, lengths: Tensor | None = None) -> Tensor:
        """first: (B, L, N, D); later: (B, T - 1, L, N, D); lengths: (B,) frames that count, None for all T.

        Returns (B, L, 1 + N, D), not normalised.
        """
        batch, taps = first.shape[:2]
        if later.shape[1] >= len(self.blocks):
            raise ValueError(f"a window of {later.shape[1] + 1} frames exceeds the {len(self.blocks)} this model has")
        x = self.blocks[0](self.positions.prepend(first.flatten(0, 1)) + self.positions.all)
        for t in range(1, later.shape[1] + 1):
            after = add_to_patches(self.blocks[t](x), later[:, t - 1].flatten(0, 1))
            if lengths is None:
                x = after
            else:
                counts = (lengths > t)[:, None].expand(batch, taps).reshape(-1, 1, 1)
                x = torch.where(counts, after, x)
        result: Tensor = x.view(batch, taps, *x.shape[1:])
        return result
