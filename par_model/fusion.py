"""Where words meet pictures: the fusion transformer and the head that reads one token an attribute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from par_model.transformer import Block, init_linears


class FusionTransformer(nn.Module):
    """Attribute words and visual tokens attend to each other; words come first in the sequence."""

    def __init__(
        self,
        *,
        text_width: int,
        width: int,
        heads: int,
        depth: int = 1,
        mlp_ratio: float = 4.0,
        eps: float = 1e-6,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.word_embed = nn.Linear(text_width, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=mlp_ratio, eps=eps, drop_path=drop_path) for _ in range(depth)
        )
        init_linears(self.blocks)
        self.norm = nn.LayerNorm(width, eps=eps)

    def sequence(self, text: Tensor, visual: Tensor) -> Tensor:
        """text: (A, text width); visual: (B, 1 + N, D). Returns (B, A + 1 + N, D)."""
        words = self.word_embed(text).to(visual.dtype).expand(visual.shape[0], -1, -1)
        return torch.cat([words, visual], dim=1)

    def forward(self, text: Tensor, visual: Tensor, columns: Tensor | None = None) -> Tensor:
        """text: (A, text width); visual: (B, 1 + N, D); columns: (K,) attributes wanted, None for all A.

        Returns (B, K or A, D). The last block computes only the rows that are read.
        """
        x = self.sequence(text, visual)
        for block in self.blocks[:-1]:
            x = block(x)
        rows = torch.arange(text.shape[0], device=x.device) if columns is None else columns
        return self.norm(self.blocks[-1](x, rows))  # type: ignore[no-any-return]


class AttributeHead(nn.Module):
    """One linear an attribute, each on its own token, then batch normalisation of the logits."""

    def __init__(self, attributes: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(attributes, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(attributes).uniform_(-bound, bound))
        self.norm = nn.BatchNorm1d(attributes)

    def scores(self, tokens: Tensor) -> Tensor:
        """tokens: (B, A, D) -> (B, A), before batch normalisation."""
        return row_products(tokens, self.weight) + self.bias

    def forward(self, tokens: Tensor, columns: Tensor | None = None) -> Tensor:
        """tokens: (B, A or K, D); columns: (K,) the attributes they stand for (inference only). Returns logits."""
        if columns is None:
            return self.norm(self.scores(tokens))  # type: ignore[no-any-return]
        scores = row_products(tokens, self.weight[columns]) + self.bias[columns]
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, var = norm.running_mean[columns], norm.running_var[columns]
        return F.batch_norm(scores, mean, var, norm.weight[columns], norm.bias[columns], eps=norm.eps)


def row_products(tokens: Tensor, weight: Tensor) -> Tensor:
    """Inner product of each token with its own row. tokens: (B, A, D); weight: (A, D). Returns (B, A).

    A matrix product, because OpenVINO 2026 folds a constant factor into the norm before it, wrongly for batches.
    """
    return torch.matmul(tokens.to(weight.dtype)[:, :, None], weight[:, :, None])[..., 0, 0]
