"""Temperatures and thresholds, fitted on tracklets the model has not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from par_model.errors import SchemaError
from par_model.model import VTFPAR
from par_model.schema import Calibration as GroupNumbers
from par_model.schema import Group
from par_model.training.config import Calibration


def calibrate(model: VTFPAR, logits: np.ndarray, labels: np.ndarray, settings: Calibration) -> None:
    """Fit the model's schema and shift the logits of binary groups in place.

    logits: (N, A) of the validation tracklets; labels: (N, A) of 0, 1 and 2 (unknown).

    A binary group gets a slope and an offset (Platt 1999) under which its probability holds: the offset goes into the
    head, the slope is the temperature. Its threshold is where F1 is best, but not under `settings.least`. A one-of
    group gets a temperature. `settings.marginals` become the priors of the groups they name.
    """
    numbers: dict[str, GroupNumbers] = {}
    offsets = np.zeros(logits.shape[1], dtype=np.float32)
    for group in model.schema.groups:
        columns = model.schema.slices[group.name]
        known = (labels[:, columns] <= 1).all(axis=1)
        scores, wanted = logits[known, columns], labels[known, columns] == 1
        if not known.any() or not wanted.any() or (group.kind == "binary" and wanted.all()):
            continue
        prior = prior_shift(group, wanted.mean(axis=0), settings.marginals.get(group.name))
        if group.kind == "binary":
            temperature, offset = fit_platt(scores[:, 0], wanted[:, 0])
            offsets[columns.start] = offset
            probabilities = 1.0 / (1.0 + np.exp(-(scores[:, 0] + offset) / temperature))
            threshold = max(settings.least, best_threshold(probabilities, wanted[:, 0]))
            below, above = max(0.02, threshold - settings.band), min(0.98, threshold + settings.band)
            numbers[group.name] = GroupNumbers(temperature, round(below, 4), round(above, 4), prior)
        else:
            numbers[group.name] = GroupNumbers(fit_temperature(scores, wanted), 0.0, settings.one_of, prior)
    with torch.no_grad():
        model.head.norm.bias.add_(torch.from_numpy(offsets).to(model.head.norm.bias.device))
    model.schema = model.schema.calibrated(numbers)


def prior_shift(group: Group, shares: np.ndarray, expected: float | Mapping[str, float] | None) -> tuple[float, ...]:
    """The group's prior (see Group) from how common its attributes are here and where the model will run.

    shares: (K,) of the validation tracklets. expected: of a binary group the share that has the attribute, of a one-of
    group a share for each of its words; None leaves it without a prior. Raises SchemaError for other words.
    """
    if expected is None:
        return ()
    if group.kind == "binary":
        if not isinstance(expected, float):
            raise SchemaError(f"marginals of {group.name!r}: one share is expected")
        return (round(float(np.log(expected / (1 - expected)) - np.log(shares[0] / (1 - shares[0]))), 4),)
    words = [attribute.word for attribute in group.attributes]
    if not isinstance(expected, Mapping) or set(expected) != set(words):
        raise SchemaError(f"marginals of {group.name!r}: a share for each of {', '.join(words)} is expected")
    odds = np.log([expected[word] for word in words]) - np.log(np.maximum(shares, 1e-3))
    return tuple(round(float(value), 4) for value in odds - odds.mean())


def fit_platt(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Temperature t and offset o for which sigmoid((score + o) / t) fits best. scores, positive: (N,)."""
    x, y = (torch.tensor(np.asarray(values, dtype=np.float64)) for values in (scores, positive))
    numbers = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        slope = numbers[0].exp()
        fit = F.binary_cross_entropy_with_logits(slope * (x + numbers[1]), y)
        return fit + 1e-4 * numbers.square().sum()

    _minimise(numbers, loss)
    return _bounded(1.0 / float(numbers[0].detach().exp())), float(numbers[1].detach())


def fit_temperature(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Temperature of a softmax (Guo et al. 2017). scores: (N, C); wanted: (N, C) one-hot."""
    x, y = torch.tensor(scores.astype(np.float64)), torch.tensor(wanted.argmax(axis=1))
    number = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    _minimise(number, lambda: F.cross_entropy(x * number.exp(), y) + 1e-4 * number.square().sum())
    return _bounded(1.0 / float(number.detach().exp()))


def _bounded(temperature: float) -> float:
    return round(min(10.0, max(0.1, temperature)), 4)


def _minimise(numbers: Tensor, loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.LBFGS([numbers], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def best_threshold(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """Where F1 is highest, halfway between the two probabilities it lies between. Both (N,)."""
    order = np.argsort(-probabilities)
    hits = np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + positive.sum())
    best = int(np.argmax(f1))
    last = probabilities[order[best]]
    following = probabilities[order[best + 1]] if best + 1 < len(order) else 0.0
    return float((last + following) / 2.0)


def shares(model: VTFPAR, logits: np.ndarray) -> np.ndarray:
    """Calibrated probabilities of all columns, those of a one-of group summing to 1. logits: (N, A)."""
    schema = model.schema
    p: np.ndarray = 1.0 / (1.0 + np.exp(-logits.astype(np.float64) / schema.temperatures))
    result = np.empty_like(p)
    for group in schema.groups:
        result[:, schema.slices[group.name]] = schema.shares(p, group)[:, -len(group.attributes) :]
    return result
