"""Scores of predicted attributes against labels, by the three protocols in use. Never mix their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

EPS = 1e-20


def pooled_scores(
    targets: np.ndarray, probabilities: np.ndarray, edges: Sequence[int], threshold: float = 0.45
) -> np.ndarray:
    """VTFPAR++'s protocol: one threshold for every column, counts pooled over a group's columns and rows.

    targets, probabilities: (N, A); edges: where groups begin, and A. Returns (G, 4): accuracy, precision, recall, F1.
    Accuracy counts the true negatives of one-hot columns, so it is high for wide groups. The reported average is the
    mean over groups.
    """
    predicted, wanted = probabilities > threshold, targets == 1
    rows = []
    for start, stop in pairwise(edges):
        p, t = predicted[:, start:stop], wanted[:, start:stop]
        hits, false_alarms, misses = (p & t).sum(), (p & ~t).sum(), (~p & t).sum()
        accuracy = (p == t).sum() / (p.size + EPS)
        precision, recall = hits / (hits + false_alarms + EPS), hits / (hits + misses + EPS)
        rows.append((accuracy, precision, recall, _harmonic(precision, recall)))
    return np.array(rows, dtype=np.float64)


def argmax_scores(targets: np.ndarray, probabilities: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """The benchmark's protocol (Chen et al., arXiv 1901.05742): one class a group, the likeliest.

    targets, probabilities: (N, A); a group of one column is a yes above 0.5. Returns (G, 3): accuracy, macro F1,
    micro F1. Macro F1 averages over the classes that occur among labels or predictions.
    """
    rows = []
    for start, stop in pairwise(edges):
        wanted, predicted = class_of(targets, start, stop), class_of(probabilities, start, stop)
        classes = np.union1d(wanted, predicted)
        f1 = []
        for c in classes:
            hits = ((wanted == c) & (predicted == c)).sum()
            f1.append(2 * hits / max(1, (wanted == c).sum() + (predicted == c).sum()))
        accuracy = float((wanted == predicted).mean())
        rows.append((accuracy, float(np.mean(f1)), accuracy))
    return np.array(rows, dtype=np.float64)


def class_of(values: np.ndarray, start: int, stop: int) -> np.ndarray:
    """(N, A) -> (N,) class index within the columns start .. stop; of a single column 0 or 1."""
    part = values[:, start:stop]
    result: np.ndarray = (part[:, 0] > 0.5).astype(np.int64) if stop - start == 1 else part.argmax(axis=1)
    return result


def instance_scores(
    targets: np.ndarray, probabilities: np.ndarray, edges: Sequence[int], threshold: float = 0.45
) -> np.ndarray:
    """The older VTF protocol: pooled scores of binary groups, means of per-row set scores of wide ones.

    targets, probabilities: (N, A). Returns (G, 5): mean accuracy, accuracy, precision, recall, F1.
    """
    predicted, wanted = probabilities > threshold, targets == 1
    pooled = pooled_scores(targets, probabilities, edges, threshold)
    rows = []
    for (start, stop), group in zip(pairwise(edges), pooled):
        p, t = predicted[:, start:stop], wanted[:, start:stop]
        true_rate = (p & t).sum(axis=0) / (t.sum(axis=0) + EPS)
        false_rate = (~p & ~t).sum(axis=0) / ((~t).sum(axis=0) + EPS)
        mean_accuracy = ((true_rate + false_rate) / 2).mean()
        if stop - start == 1:
            rows.append((mean_accuracy, mean_accuracy, *group[1:]))
            continue
        both = (p & t).sum(axis=1)
        accuracy = both / ((p | t).sum(axis=1) + EPS)
        precision, recall = both / (p.sum(axis=1) + EPS), both / (t.sum(axis=1) + EPS)
        f1 = _harmonic(precision, recall)
        rows.append((mean_accuracy, accuracy.mean(), precision.mean(), recall.mean(), f1.mean()))
    return np.array(rows, dtype=np.float64)


def _harmonic(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    f1: np.ndarray = 2 * precision * recall / (precision + recall + EPS)
    return f1
