"""Scores of a checkpoint on labelled tracklets, and how far its probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from par_model.datasets import DatasetError, Problems, TrackletSet
from par_model.metrics import argmax_scores, class_of, instance_scores, pooled_scores
from par_model.recognizer import Recognizer
from par_model.schema import Group, Schema

Protocol = Literal["pooled", "argmax", "instance"]

COLUMNS: dict[Protocol, tuple[str, ...]] = {
    "pooled": ("accuracy", "precision", "recall", "f1"),
    "argmax": ("accuracy", "macro_f1", "micro_f1"),
    "instance": ("mean_accuracy", "accuracy", "precision", "recall", "f1"),
}
"""What each protocol reports of a group; averages are over groups."""


SHOWN = 64, 128
"""Width and height of the pictures kept to show."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """probabilities: (N, A), those of a one-of group summing to 1; labels: (N, A) of 0, 1 and 2 (unknown).

    columns: (N, A), each attribute's probability by itself, as the public code cuts it.
    crops: for each row one small BGR picture, to show; schema: without priors where the probabilities hold without
    them.
    """

    schema: Schema
    keys: list[str]
    probabilities: np.ndarray
    labels: np.ndarray
    crops: list[np.ndarray]
    columns: np.ndarray


def predict(
    recognizer: Recognizer,
    tracklets: TrackletSet,
    *,
    batch: int = 32,
    priors: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """Read every tracklet through the recogniser that serves, by evenly spread pictures in time order.

    priors: expect attributes to be as common as where the model serves, or as among the people it was fitted on.
    A picture that cannot be decoded is left out and counted as a problem; a tracklet without any is left out.
    """
    import cv2

    schema = recognizer.schema if priors else recognizer.schema.without_priors()
    kept: list[int] = []
    parts: list[np.ndarray] = []
    crops: list[np.ndarray] = []
    for start in range(0, len(tracklets), batch):
        windows: list[list[np.ndarray]] = []
        for place, tracklet in enumerate(tracklets.tracklets[start : start + batch], start):
            window = _decode(tracklet.key, tracklet.window(recognizer.frames), tracklets.problems)
            if window:
                windows.append(window)
                kept.append(place)
                crops.append(cv2.resize(window[len(window) // 2], SHOWN, interpolation=cv2.INTER_AREA))
        features = iter(recognizer.encode([crop for window in windows for crop in window]))
        parts.append(schema.probabilities(recognizer.logits([[next(features) for _ in window] for window in windows])))
        progress(min(start + batch, len(tracklets)))
    if not kept:
        raise DatasetError(f"no tracklet can be read ({tracklets.problems.told() or 'the data set is empty'})")
    probabilities = np.concatenate(parts).astype(np.float64)
    shares = np.concatenate(
        [schema.shares(probabilities, group)[:, -len(group.attributes) :] for group in schema.groups], axis=1
    )
    labels = tracklets.labels[kept][:, tracklets.schema.columns(schema)]
    keys = [tracklets.tracklets[place].key for place in kept]
    return Predictions(schema, keys, shares, labels, crops, probabilities)


def _decode(key: str, pictures: Sequence[Any], problems: Problems) -> list[np.ndarray]:
    window: list[np.ndarray] = []
    for picture in pictures:
        try:
            window.append(picture.decode())
        except (DatasetError, OSError) as error:
            problems.add("unreadable picture", f"{key}: {error}")
    return window


def decisions(predictions: Predictions) -> np.ndarray:
    """(N, A) of 0 and 1 by the checkpoint's own thresholds: binary groups at their middle, one-of groups their best."""
    schema, p = predictions.schema, predictions.probabilities
    result = np.zeros(p.shape, dtype=np.int8)
    for group in schema.groups:
        columns = schema.slices[group.name]
        if group.kind == "binary":
            result[:, columns] = p[:, columns] >= group.middle
        else:
            result[np.arange(len(p)), columns.start + p[:, columns].argmax(axis=1)] = 1
    return result


def check_threshold(protocol: Protocol, fixed_threshold: float | None) -> None:
    """Raise ValueError for a threshold that `evaluate` could not use."""
    if fixed_threshold is not None and (protocol == "argmax" or not 0.0 <= fixed_threshold <= 1.0):
        raise ValueError("a fixed threshold is a share in 0 .. 1, of the protocols pooled and instance")


def evaluate(
    predictions: Predictions, protocol: Protocol = "pooled", fixed_threshold: float | None = None
) -> dict[str, Any]:
    """Every number of the report, as plain values.

    protocol: `pooled` and `instance` judge the checkpoint's decisions, or with `fixed_threshold` every
    column against that number (0.45 is the public code's); `argmax` the likeliest class. Rows in which a
    group is unknown do not count for it. Raises DatasetError where all are in every row.
    """
    check_threshold(protocol, fixed_threshold)
    schema = predictions.schema
    chosen = decisions(predictions).astype(np.float64)
    values = predictions.columns if fixed_threshold is not None else chosen
    cut = 0.5 if fixed_threshold is None else fixed_threshold
    groups: dict[str, dict[str, Any]] = {}
    attributes: dict[str, dict[str, float]] = {}
    for group in schema.groups:
        columns = schema.slices[group.name]
        known = (predictions.labels[:, columns] <= 1).all(axis=1)
        if not known.any():
            continue
        labels, edges = predictions.labels[known, columns], (0, columns.stop - columns.start)
        if protocol == "pooled":
            row = pooled_scores(labels, values[known, columns], edges, cut)[0]
        elif protocol == "instance":
            row = instance_scores(labels, values[known, columns], edges, cut)[0]
        else:
            row = argmax_scores(labels, _for_argmax(predictions, group)[known], edges)[0]
        shares = _class_shares(group, predictions.probabilities[known, columns])
        wanted = class_of(labels, 0, edges[1])
        table = confusion(wanted, _choices(group, shares), len(group.labels))
        groups[group.name] = {
            "rows": int(known.sum()),
            **{name: round(float(value), 5) for name, value in zip(COLUMNS[protocol], row, strict=True)},
            "answered": round(float(_answered(group, shares).mean()), 5),
            "right_when_answered": round(_right_when_answered(group, shares, wanted), 5),
            "calibration_error": round(calibration_error(shares.max(axis=1), shares.argmax(axis=1) == wanted), 5),
            "confusion": table.tolist(),
        }
        if group.ordinal:
            groups[group.name]["within_one_step"] = round(within_one_step(table, group.ordinal), 5)
        for offset, attribute in enumerate(group.attributes):
            attributes[attribute.word] = _attribute_scores(
                labels[:, offset] == 1, chosen[known, columns.start + offset] == 1
            )
    if not groups:
        raise DatasetError(f"of {len(predictions.keys)} tracklets no label is known to judge by; fill in their labels")
    names = [*COLUMNS[protocol], "answered", "right_when_answered", "calibration_error"]
    means = {name: round(float(np.mean([row[name] for row in groups.values()])), 5) for name in names}
    return {
        "protocol": protocol,
        "threshold": "checkpoint" if fixed_threshold is None else fixed_threshold,
        "priors": bool(schema.priors.any()),
        "tracklets": len(predictions.keys),
        "mean": means,
        "groups": groups,
        "attributes": attributes,
    }


def _for_argmax(predictions: Predictions, group: Group) -> np.ndarray:
    """A binary group's probability moved so that its threshold comes to lie at 0.5."""
    p = predictions.probabilities[:, predictions.schema.slices[group.name]]
    return p - group.middle + 0.5 if group.kind == "binary" else p


def _class_shares(group: Group, probabilities: np.ndarray) -> np.ndarray:
    """(N, columns) -> (N, len(group.labels))"""
    return np.concatenate([1.0 - probabilities, probabilities], axis=1) if group.kind == "binary" else probabilities


def _choices(group: Group, shares: np.ndarray) -> np.ndarray:
    """(N,) index into `group.labels`."""
    choices: np.ndarray = (
        (shares[:, 1] >= group.middle).astype(np.int64) if group.kind == "binary" else shares.argmax(axis=1)
    )
    return choices


def _answered(group: Group, shares: np.ndarray) -> np.ndarray:
    """(N,) bool: where the model does not abstain."""
    answered: np.ndarray = group.clearance(shares).max(axis=1) >= 0
    return answered


def _right_when_answered(group: Group, shares: np.ndarray, wanted: np.ndarray) -> float:
    answered = _answered(group, shares)
    return float((_choices(group, shares) == wanted)[answered].mean()) if answered.any() else 0.0


def _attribute_scores(wanted: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    hits = int((wanted & predicted).sum())
    precision, recall = hits / max(1, int(predicted.sum())), hits / max(1, int(wanted.sum()))
    f1 = 2.0 * hits / max(1, int(predicted.sum() + wanted.sum()))
    numbers = {"positives": float(wanted.sum()), "precision": precision, "recall": recall, "f1": f1}
    return {name: round(value, 5) for name, value in numbers.items()}


def confusion(wanted: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 counts: row what it is, column what the model says. wanted, predicted: (N,) class indices."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (wanted, predicted), 1)
    return table


def within_one_step(table: np.ndarray, ordinal: int) -> float:
    """One-off accuracy (Levi & Hassner 2015): the share of answers that are right or next to it on the scale.

    table: (C, C) int64 counts of `confusion`; ordinal: how many classes, the first, are on the scale. Returns 0..1,
    0 of an empty table.
    """
    scale = table[:ordinal, :ordinal]
    near = table.trace() + scale.trace(offset=1) + scale.trace(offset=-1)
    return float(near / max(1, table.sum()))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> np.ndarray:
    """How often the model is right at each level of confidence.

    confidence: (N,) in [0, 1]; right: (N,) bool. Returns (bins, 3): mean confidence, share right, rows (0
    rows: zeros).
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.maximum(count, 1)
    mean = np.bincount(place, weights=confidence, minlength=bins) / divisor
    share = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / divisor
    return np.stack([mean, share, count.astype(np.float64)], axis=1)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017): mean distance of confidence and share right. (N,), (N,) bool."""
    table = reliability(confidence, right, bins)
    return float((np.abs(table[:, 0] - table[:, 1]) * table[:, 2]).sum() / max(1.0, table[:, 2].sum()))
