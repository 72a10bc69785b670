"""Scores of predicted attributes against labels, by the three protocols in use. Never mix their numbers."""

from __future__ import annotations

from collections.abc import Sequence

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
    for start, stop in zip(edges[:-1], edges[1:]):
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
    for start, stop in zip(edges[:-1], edges[1:]):
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
    """The older VTF protocol: mean accuracy of binary groups, per-row set scores of wide ones.

    targets, probabilities: (N, A). Returns (G, 5): mean accuracy, accuracy, precision, recall, F1.
    """
    predicted, wanted = probabilities > threshold, targets == 1
    rows = []
    for start, stop in zip(edges[:-1], edges[1:]):
        p, t = predicted[:, start:stop], wanted[:, start:stop]
        positive, negative = t.sum(axis=0), (~t).sum(axis=0)
        true_rate = (p & t).sum(axis=0) / (positive + EPS)
        false_rate = (~p & ~t).sum(axis=0) / (negative + EPS)
        mean_accuracy = ((true_rate + false_rate) / 2).mean()
        both, either = (p & t).sum(axis=1), (p | t).sum(axis=1)
        accuracy = (both / (either + EPS)).mean()
        precision = (both / (p.sum(axis=1) + EPS)).mean()
        recall = (both / (t.sum(axis=1) + EPS)).mean()
        rows.append((mean_accuracy, accuracy, precision, recall, _harmonic(precision, recall)))
    return np.array(rows, dtype=np.float64)


def _harmonic(precision: float, recall: float) -> float:
    return float(2 * precision * recall / (precision + recall + EPS))
