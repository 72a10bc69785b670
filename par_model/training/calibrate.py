"""Temperatures, offsets, thresholds and priors, fitted on tracklets the model has not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from par_model.errors import SchemaError
from par_model.model import VTFPAR
from par_model.schema import Calibration as GroupNumbers
from par_model.schema import Group, Schema
from par_model.training.config import Calibration, Marginal

ABSTAINS = GroupNumbers(temperature=100.0, below=0.0, above=1.0)
"""Of a group that is never answered: probabilities too flat for rounding to bring one to 0 or 1."""


def calibrate(model: VTFPAR, logits: np.ndarray, labels: np.ndarray, settings: Calibration) -> None:
    """Fit the model's schema and shift its logits in place.

    logits: (N, A) of the validation tracklets; labels: (N, A) of 0, 1 and 2 (unknown).

    A binary group gets a slope and an offset (Platt 1999) under which its probability holds, a one-of group a
    temperature and an offset a class (Alexandari et al. 2020): offsets go into the head, the slope is the temperature.
    The threshold of a binary group is where F1 is best among these people, but not under `settings.least`.
    `settings.marginals` become the priors of the groups they name. A group to which the tracklets give one answer or
    none keeps its numbers.
    """
    numbers: dict[str, GroupNumbers] = {}
    offsets = np.zeros(logits.shape[1], dtype=np.float32)
    for group in model.schema.groups:
        columns = model.schema.slices[group.name]
        known = (labels[:, columns] <= 1).all(axis=1)
        scores, wanted = logits[known, columns], labels[known, columns] == 1
        if not answered_twice(wanted):
            continue
        prior = prior_shift(group, wanted, settings.marginals.get(group.name))
        if group.kind == "binary":
            temperature, offset = fit_platt(scores[:, 0], wanted[:, 0])
            offsets[columns.start] = offset
            probabilities = 1.0 / (1.0 + np.exp(-(scores[:, 0] + offset) / temperature))
            threshold = min(0.98, max(0.02, settings.least, best_threshold(probabilities, wanted[:, 0])))
            below, above = max(0.02, threshold - settings.band), min(0.98, threshold + settings.band)
            numbers[group.name] = GroupNumbers(temperature, round(below, 4), round(above, 4), prior)
        else:
            temperature, offsets[columns] = fit_softmax(scores, wanted)
            numbers[group.name] = GroupNumbers(temperature, 0.0, settings.one_of, prior)
    with torch.no_grad():
        model.head.norm.bias.add_(torch.from_numpy(offsets).to(model.head.norm.bias.device))
    model.schema = model.schema.calibrated(numbers)


def taught_now(schema: Schema, fresh: Schema, untaught: Sequence[str]) -> dict[str, GroupNumbers]:
    """The numbers in `fresh` of the groups that `schema` abstains from always and that are not `untaught` any more."""
    return {
        group.name: GroupNumbers(group.temperature, group.below, group.above, group.prior)
        for group in fresh.groups
        if group.name not in untaught and schema[group.name].temperature == ABSTAINS.temperature
    }


def answered_twice(wanted: np.ndarray) -> bool:
    """Whether rows (N, K) of known answers, bool, hold two different ones at least."""
    return bool((wanted != wanted[:1]).any())


def check_marginals(schema: Schema, marginals: Mapping[str, Marginal]) -> None:
    """Raise SchemaError, one line, for marginals that name no group or word of the schema or leave words out."""
    for name, expected in marginals.items():
        group = schema[name]
        words = {attribute.word for attribute in group.attributes}
        if group.kind == "binary":
            if not isinstance(expected, float):
                raise SchemaError(f"{name!r} is binary: one share is expected")
        elif not isinstance(expected, Mapping) or set(expected) != words:
            raise SchemaError(f"{name!r} is one-of: a share for each of {', '.join(sorted(words))} is expected")
        elif not 0.98 <= sum(expected.values()) <= 1.02:
            raise SchemaError(f"the shares of {name!r} sum to {sum(expected.values()):.2f}; they must sum to 1")


def prior_shift(group: Group, wanted: np.ndarray, expected: Marginal | None) -> tuple[float, ...]:
    """The group's prior (see Group) from how common its attributes are here and where the model will run.

    wanted: (N, K) bool, the validation tracklets' answers, counted with one more for each possible one. expected: see
    `check_marginals`; None leaves the group without a prior.
    """
    if expected is None:
        return ()
    counts = wanted.sum(axis=0) + 1.0
    if isinstance(expected, float):
        odds = np.log([expected / (1.0 - expected)]) - np.log(counts / (len(wanted) + 2.0 - counts))
    else:
        odds = np.log([expected[attribute.word] for attribute in group.attributes]) - np.log(counts)
        odds -= odds.mean()
    return tuple(round(float(value), 4) for value in odds)


def fit_platt(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Temperature t and offset o for which sigmoid((score + o) / t) fits best. scores, positive: (N,).

    Platt's own targets, a little inside 0 and 1, keep few answers from making it sure of itself.
    """
    count = int(positive.sum())
    targets = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    x, y = (torch.tensor(np.asarray(values, dtype=np.float64)) for values in (scores, targets))
    numbers = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        slope = _slope(numbers)
        fit = F.binary_cross_entropy_with_logits(slope * (x + numbers[1]), y)
        return fit + 1e-4 * numbers.square().sum()

    _minimise(numbers, loss)
    return _bounded(1.0 / float(_slope(numbers.detach()))), float(numbers[1].detach())


def fit_softmax(scores: np.ndarray, wanted: np.ndarray) -> tuple[float, np.ndarray]:
    """Temperature t and offsets o (C,), their sum 0, for which softmax((score + o) / t) fits best.

    scores: (N, C); wanted: (N, C) one-hot. A weak pull, that of a normal prior of deviation 3, holds the offsets of
    classes with few answers.
    """
    x, y = torch.tensor(scores.astype(np.float64)), torch.tensor(wanted.argmax(axis=1))
    numbers = torch.zeros(1 + scores.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        slope, offsets = _slope(numbers), numbers[1:] - numbers[1:].mean()
        return F.cross_entropy((x + offsets) * slope, y) + numbers.square().sum() / (18.0 * len(x))

    _minimise(numbers, loss)
    fitted = numbers.detach()
    return _bounded(1.0 / float(_slope(fitted))), (fitted[1:] - fitted[1:].mean()).numpy().astype(np.float32)


def _slope(numbers: Tensor) -> Tensor:
    """What the first number stands for, kept finite: logits that hardly differ would send it to infinity."""
    return numbers[0].clamp(-20.0, 20.0).exp()


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
