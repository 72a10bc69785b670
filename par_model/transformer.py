"""Pre-norm transformer blocks, shared by the visual tower, the side networks and the fusion."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation OpenAI's CLIP was trained with: x * sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)


def gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "quick_gelu": quick_gelu,
    "gelu_tanh": gelu_tanh,
}


class Attention(nn.Module):
    """Multi-head self-attention; rows of `qkv` are q, k, v, each head-major."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """x: (B, N, D); rows: (K,) tokens that ask, None for all. Returns (B, N or K, D)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if rows is not None:
            q = q.index_select(1, rows)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    drop_path: probability that a sample skips a branch while training (Huang et al. 2016).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        activation: str = "gelu",
        eps: float = 1e-6,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, round(width * mlp_ratio), activation)
        self.drop_path = drop_path

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """x: (B, N, D) -> (B, N, D), or (B, K, D) where only `rows` (K,) of the result are wanted."""
        kept = x if rows is None else x.index_select(1, rows)
        x = kept + self._drop(self.attn(self.norm1(x), rows))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        return branch * branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep).div_(keep)


def init_linears(module: nn.Module) -> None:
    """Truncated normal of 0.02, zero bias: how a vision transformer's linears start."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02, a=-2.0, b=2.0)
            nn.init.zeros_(part.bias)


def resize_positions(
    positions: Tensor, source: tuple[int, int], target: tuple[int, int], *, antialias: bool = False
) -> Tensor:
    """Bicubic interpolation of grid positions. positions: (source rows * columns, D) -> (target rows * columns, D)."""
    if source == target:
        return positions
    grid = positions.float().view(*source, -1).permute(2, 0, 1)[None]
    grid = F.interpolate(grid, size=target, mode="bicubic", align_corners=False, antialias=antialias)
    return grid[0].flatten(1).T.contiguous()
