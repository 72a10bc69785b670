"""Losses over attribute logits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_weights(targets: Tensor, ratio: Tensor) -> Tensor:
    """How much each label counts, from how rare it is (DeepMAR, Li et al. 2015).

    targets: (B, A) of 0 and 1, above 1 for unknown; ratio: (A,) share of positives in the training set.
    Returns (B, A): exp(1 - r) for positives, exp(r) for negatives, 0 for unknown.
    """
    ratio = ratio.to(targets.dtype)
    weights = torch.where(targets == 1, torch.exp(1.0 - ratio), torch.exp(ratio))
    return torch.where(targets > 1, torch.zeros_like(weights), weights)


def weighted_bce(logits: Tensor, targets: Tensor, ratio: Tensor) -> Tensor:
    """The public training loss: weighted binary cross-entropy, summed over attributes, mean over the batch.

    logits, targets: (B, A); ratio: (A,). Returns a scalar.
    """
    known = targets.clamp(max=1)
    losses = F.binary_cross_entropy_with_logits(logits, known, reduction="none")
    return (losses * sample_weights(targets, ratio)).sum(dim=1).mean()


def group_cross_entropy(logits: Tensor, targets: Tensor, edges: Sequence[int]) -> Tensor:
    """Softmax cross-entropy within each wide group, binary elsewhere: labels of a group exclude each other.

    logits, targets: (B, A), targets of 0 and 1; edges: where groups begin, and A. A group of a row without any
    positive (wide) or with a target above 1 is unknown and does not count. Each group's loss is divided by its number
    of classes, as in the benchmark of Chen et al. (arXiv 1901.05742). Returns the sum over groups, mean over the batch.
    """
    total = logits.new_zeros(())
    for start, stop in pairwise(edges):
        scores, wanted = logits[:, start:stop], targets[:, start:stop]
        if stop - start == 1:
            known = (wanted <= 1).to(scores.dtype)
            losses = F.binary_cross_entropy_with_logits(scores, wanted.clamp(max=1), reduction="none")
            total = total + (losses * known).sum() / 2
        else:
            known = ((wanted == 1).sum(dim=1) == 1).to(scores.dtype)
            losses = F.cross_entropy(scores, (wanted == 1).float().argmax(dim=1), reduction="none")
            total = total + (losses * known).sum() / (stop - start)
    return total / max(1, len(logits))
