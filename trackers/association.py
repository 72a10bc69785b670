"""How alike boxes are, and who is paired with whom."""

from __future__ import annotations

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of `a` (N, 4) and `b` (M, 4) as x1 y1 x2 y2. Returns (N, M) in [0, 1]."""
    # Contiguous coordinates: boxes come in rows, and strides of four would halve the speed.
    a, b = np.ascontiguousarray(a.T)[:, :, None], np.ascontiguousarray(b.T)[:, None]
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0.0)
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    overlap: np.ndarray = inter / np.maximum(union, 1e-9)
    return overlap


def buffered_iou(a: np.ndarray, b: np.ndarray, buffer: float = 0.3) -> np.ndarray:
    """IoU of boxes grown by a fraction of their size (C-BIoU, Yang et al., WACV 2023).

    a: (N, 4), b: (M, 4) as x1 y1 x2 y2 in pixels; buffer: growth per side as a fraction of width and height.
    Returns (N, M) in [0, 1].
    """
    return iou(grown(a, buffer), grown(b, buffer))


def grown(boxes: np.ndarray, buffer: float) -> np.ndarray:
    """Boxes (N, 4) with each side moved out by `buffer` times the width or height."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * buffer
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def height_likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smaller over the larger of heights (N,) and (M,), all above 0. Returns (N, M) in (0, 1].

    People on one floor have heights that tell how far away they stand, also where their boxes overlap.
    """
    ratio: np.ndarray = np.minimum(a[:, None], b) / np.maximum(a[:, None], b)
    return ratio


def direction_likeness(velocity: np.ndarray, step: np.ndarray) -> np.ndarray:
    """How well steps (N, M, 2) agree with where people were going, velocities (N, 2). Returns (N, M) in [-1, 1].

    The cosine of the angle between them, as in OC-SORT's momentum; 0 for somebody who stands still.
    """
    along = (step * velocity[:, None]).sum(axis=2)
    length = np.linalg.norm(velocity, axis=1)[:, None] * np.linalg.norm(step, axis=2)
    cosine: np.ndarray = along / np.maximum(length, 1e-9)
    return cosine


def assign(similarity: np.ndarray, minimum: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows with columns for the largest summed similarity; pairs at or below `minimum` are gated out.

    similarity: (N, M), not negative. Returns two index arrays of equal length: rows and their columns.
    The optimal solver runs only where gating leaves somebody a choice.
    """
    allowed = similarity > minimum
    rows, columns = allowed.nonzero()
    if not _crowded(rows, similarity.shape[0]) and not _crowded(columns, similarity.shape[1]):
        return rows, columns
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(allowed, similarity, 0.0), maximize=True)
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


def _crowded(indices: np.ndarray, size: int) -> bool:
    """Whether an index below `size` occurs twice."""
    return len(indices) > size or (len(indices) > 1 and int(np.bincount(indices).max()) > 1)
