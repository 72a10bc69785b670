"""What training minimises, and the head that teaches the visual tower on single pictures."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from par_model.backbone import VisionTower
from par_model.datasets import DatasetError
from par_model.datasets.parts import PART_NAMES, UNKNOWN_PART
from par_model.losses import weighted_bce
from par_model.schema import Schema
from par_model.training.config import Loss

CELLS = 4
"""Cells of a part map along each side of a patch."""


class Objective:
    """The weighted sum of the losses a stage asks for. ratio: (A,) share of positives in the training set."""

    def __init__(self, settings: Loss, schema: Schema, ratio: Tensor) -> None:
        self.settings = settings
        self.schema = schema
        self.ratio = ratio
        for name in settings.group_weights:
            _ = schema[name]

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: (B, A); targets: (B, A) of 0, 1 and 2 for unknown. Returns a scalar.

        Where `consistency` is asked for, the second half are other views of the first.
        """
        logits = logits.float()
        total = logits.new_zeros(())
        if self.settings.weighted_bce:
            total = total + self.settings.weighted_bce * weighted_bce(logits, targets, self.ratio)
        if self.settings.cross_entropy:
            total = total + self.settings.cross_entropy * self._cross_entropy(logits, targets)
        if self.settings.consistency:
            total = total + self.consistency(logits)
        return total

    def parts(self, scores: Tensor, maps: Tensor, weights: Tensor) -> Tensor:
        """How badly parts are told. scores: (B, P, h, w); maps: (B, h, w) uint8; weights: (P,). Returns a scalar."""
        if not (maps != UNKNOWN_PART).any():
            return scores.new_zeros(())
        return self.settings.parts * F.cross_entropy(scores.float(), maps.long(), weights, ignore_index=UNKNOWN_PART)

    def consistency(self, logits: Tensor) -> Tensor:
        """How far two views of the same tracklets are answered apart. logits: (2 B, A), first views before second ones.

        Over groups the sum, over tracklets the mean of the Jensen-Shannon divergence in nats. Returns a scalar.
        """
        total = logits.new_zeros((), dtype=torch.float32)
        for group in self.schema.groups:
            scores = logits[:, self.schema.slices[group.name]].float()
            if group.kind == "binary":
                scores = F.pad(scores, (1, 0))
            one, other = scores.softmax(dim=1).chunk(2)
            apart = _entropy((one + other) / 2) - (_entropy(one) + _entropy(other)) / 2
            total = total + apart.mean()
        return self.settings.consistency * total

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Over groups the sum, over the rows where a group is known the mean, in nats a question."""
        total = logits.new_zeros(())
        smoothing = self.settings.smoothing
        for group in self.schema.groups:
            columns = self.schema.slices[group.name]
            scores, wanted = logits[:, columns], targets[:, columns]
            known = (wanted <= 1).all(dim=1)
            if group.kind == "binary":
                soft = wanted.clamp(max=1) * (1.0 - smoothing) + 0.5 * smoothing
                losses = F.binary_cross_entropy_with_logits(scores, soft, reduction="none")[:, 0]
            else:
                classes = wanted.eq(1).float().argmax(dim=1)
                losses = F.cross_entropy(scores, classes, reduction="none", label_smoothing=smoothing)
            weight = self.settings.group_weights.get(group.name, 1.0)
            total = total + weight * (losses * known).sum() / known.sum().clamp(min=1)
        return total


def _entropy(shares: Tensor) -> Tensor:
    """shares: (B, C). (B,) in nats."""
    return -(shares * shares.clamp(min=1e-7).log()).sum(dim=1)


class FrameClassifier(nn.Module):
    """The visual tower with one attention-pooled linear head an attribute, to learn from single pictures.

    Each attribute has its own query over the last tap's tokens, so that a hat is looked for where heads are. Each
    token also says what of the person its `CELLS` x `CELLS` cells show, which teaches a tower where things are long
    before words alone do.
    """

    def __init__(self, backbone: VisionTower, width: int, attributes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(attributes, width) * 0.02)
        self.weight = nn.Parameter(torch.randn(attributes, width) * 0.02)
        self.bias = nn.Parameter(torch.zeros(attributes))
        self.parts = nn.Linear(width, CELLS * CELLS * len(PART_NAMES))

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, 1, 3, H, W) normalised -> logits (B, A)"""
        return self._attributes(self.norm(self.backbone(frames[:, 0])[-1]))

    def with_parts(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """frames: (B, 1, 3, H, W) normalised -> logits (B, A) and part scores (B, P, h, w), CELLS to a patch's side."""
        tokens = self.norm(self.backbone(frames[:, 0])[-1])
        down, across = self.backbone.grid
        cells = self.parts(tokens).view(len(tokens), down, across, -1, CELLS, CELLS)
        scores = cells.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, down * CELLS, across * CELLS)
        return self._attributes(tokens), scores

    def _attributes(self, tokens: Tensor) -> Tensor:
        attention = (tokens @ self.queries.T).softmax(dim=1)
        pooled = attention.transpose(1, 2) @ tokens
        logits: Tensor = (pooled * self.weight).sum(-1) + self.bias
        return logits


def part_weights(maps: np.ndarray) -> Tensor:
    """(P,) how much a cell of each part counts: the root of how rare it is, with 1 for the average cell.

    maps: (..., h, w) uint8. Raises DatasetError where no cell is known.
    """
    # One tracklet at a time: counting widens each cell to eight bytes.
    cells = sum(np.bincount(some.ravel(), minlength=UNKNOWN_PART + 1) for some in maps)
    counts = np.asarray(cells, dtype=np.float64)[: len(PART_NAMES)]
    if not counts.any():
        raise DatasetError("a stage's loss has parts, but no training tracklet has part maps; only generated shards do")
    share = np.maximum(counts / counts.sum(), 1e-4)
    weights = share**-0.5
    return torch.from_numpy(weights / (weights * share)[counts > 0].sum()).float()


def log_odds(ratio: Tensor) -> Tensor:
    """(A,) share of positives -> (A,) logit, kept within +-4."""
    return torch.logit(ratio.clamp(0.018, 0.982)).float()
