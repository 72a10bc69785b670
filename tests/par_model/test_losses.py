"""Losses equal the public code's; groups of a softmax exclude each other; unknown labels do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from par_model import load_schema
from par_model.losses import group_cross_entropy, sample_weights, weighted_bce


@pytest.mark.parametrize("name", ["mars", "duke"])
def test_weighted_loss_equals_the_public_code(shared: Path, name: str) -> None:
    stored = np.load(shared / "golden" / "misc.npz")
    logits, labels, ratio = (torch.from_numpy(stored[f"loss_{part}_{name}"]) for part in ("logits", "labels", "ratio"))
    weights = sample_weights(labels, ratio)
    np.testing.assert_allclose(weights, stored[f"loss_weights_{name}"], rtol=1e-6)
    assert float(weighted_bce(logits, labels, ratio)) == pytest.approx(float(stored[f"loss_value_{name}"]), abs=1e-4)


def test_unknown_labels_do_not_count() -> None:
    logits, labels, ratio = torch.randn(3, 4), torch.ones(3, 4), torch.full((4,), 0.2)
    labels[1, 2] = 2.0
    without = weighted_bce(logits, labels, ratio)
    logits[1, 2] += 100.0
    assert torch.equal(without, weighted_bce(logits, labels, ratio))


def test_group_loss_is_cross_entropy_over_its_width() -> None:
    edges = load_schema("mars").edges
    logits, labels = torch.zeros(2, 43), torch.zeros(2, 43)
    labels[:, list(edges[:-1])] = 1.0
    expected = 9 * np.log(2) / 2 + sum(np.log(width) / width for width in (6, 5, 9, 10, 4))
    assert float(group_cross_entropy(logits, labels, edges)) == pytest.approx(expected, rel=1e-5)
    labels[1, 9:15] = 0.0  # a pose nobody noted
    assert float(group_cross_entropy(logits, labels, edges)) == pytest.approx(expected - np.log(6) / 12, rel=1e-5)
