"""Scores equal the public code's by each of the three protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from par_model import load_schema
from par_model.metrics import argmax_scores, instance_scores, pooled_scores

NAMES = ["mars", "duke"]


def fixture(shared: Path, name: str) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], dict[str, np.ndarray]]:
    stored = np.load(shared / "golden" / "misc.npz")
    kept = {part: stored[f"metric_{part}_{name}"] for part in ("groups", "avg", "old_groups", "argmax")}
    return stored[f"metric_gt_{name}"], stored[f"metric_probs_{name}"], load_schema(name).edges, kept


@pytest.mark.parametrize("name", NAMES)
def test_pooled_scores(shared: Path, name: str) -> None:
    labels, probabilities, edges, stored = fixture(shared, name)
    scores = pooled_scores(labels, probabilities, edges)
    np.testing.assert_allclose(scores, stored["groups"], rtol=1e-12)
    np.testing.assert_allclose(scores.mean(axis=0), stored["avg"], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_argmax_scores(shared: Path, name: str) -> None:
    labels, probabilities, edges, stored = fixture(shared, name)
    np.testing.assert_allclose(argmax_scores(labels, probabilities, edges), stored["argmax"], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_instance_scores(shared: Path, name: str) -> None:
    labels, probabilities, edges, stored = fixture(shared, name)
    np.testing.assert_allclose(instance_scores(labels, probabilities, edges), stored["old_groups"], rtol=1e-12)


def test_no_predictions_and_no_positives_are_no_division_by_zero() -> None:
    nothing = np.zeros((5, 3))
    for protocol in (pooled_scores, argmax_scores, instance_scores):
        assert np.isfinite(protocol(nothing, nothing, (0, 1, 3))).all()
