"""The learning rate of the public training recipe."""

from __future__ import annotations

import math


def learning_rate(epoch: int, epochs: int = 30, base: float = 1e-3, warmup: int = 5) -> float:
    """Rate of an epoch, counted from 1: linear warm-up from 1 % of `base`, then a cosine down to 0.2 %.

    The cosine is not shifted by the warm-up, so the rate jumps where one meets the other, as in the public code.
    """
    start, floor = 0.01 * base, 0.002 * base
    if epoch < warmup:
        return start + epoch * (base - start) / warmup
    if epoch >= epochs:
        return floor
    return floor + 0.5 * (base - floor) * (1.0 + math.cos(math.pi * epoch / epochs))
