"""How alike boxes are, and who is paired with whom."""

from __future__ import annotations

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of `a` (N, 4) and `b` (M, 4) as x1 y1 x2 y2. Returns (N, M) in [0, 1]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    side = np.maximum(high - low, 0.0)
    inter = side[..., 0] * side[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - inter
    return inter / np.maximum(union, 1e-9)


def assign(similarity: np.ndarray, minimum: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows with columns so that the summed similarity is largest; pairs at or below `minimum` are gated out.

    similarity: (N, M). Returns two index arrays of equal length: rows and their columns.
    The optimal solver runs only where gating leaves somebody a choice.
    """
    allowed = similarity > minimum
    if not allowed.any():
        nobody = np.zeros(0, dtype=np.intp)
        return nobody, nobody
    if allowed.sum(axis=0).max() <= 1 and allowed.sum(axis=1).max() <= 1:
        rows, columns = allowed.nonzero()
        return rows, columns
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(allowed, similarity, 0.0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]
