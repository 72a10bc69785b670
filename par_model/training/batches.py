"""Batches that depend on the seed and their number alone, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from par_model.datasets import even_indices
from par_model.training.pictures import PictureStore


@dataclass(frozen=True, slots=True)
class Batch:
    """Which tracklets and pictures.

    rows: (B,) int64 places in the data set; frames: (B, T) int64 pictures taken;
    targets: (B, A) of 0, 1 and 2 (unknown).
    """

    rows: np.ndarray
    frames: np.ndarray
    targets: Tensor

    def twice(self) -> Batch:
        """Every tracklet once more, after all others."""
        return Batch(np.tile(self.rows, 2), np.tile(self.frames, (2, 1)), self.targets.repeat(2, 1))


class Batches:
    """Shuffled batches of `frames` ordered, evenly spread pictures a tracklet; a last batch of one is left out.

    jitter: draw each picture from its own stretch of the tracklet instead of the stretch's middle. short:
    share of batches with fewer frames than `frames`, so that a person seen for a moment is judged well too.
    """

    def __init__(
        self,
        labels: np.ndarray,
        pictures: int,
        *,
        batch: int,
        frames: int,
        seed: int,
        jitter: bool = True,
        short: float = 0.0,
    ) -> None:
        self.labels = torch.from_numpy(labels.astype(np.float32))
        self.pictures = pictures
        self.batch = batch
        self.frames = frames
        self.seed = seed
        self.jitter = jitter
        self.short = short

    def __len__(self) -> int:
        whole, rest = divmod(len(self.labels), self.batch)
        return whole + (rest > 1)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from batch `first` on."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.labels))
        for index in range(first, len(self)):
            generator = np.random.default_rng([self.seed, number, index])
            rows = order[index * self.batch : (index + 1) * self.batch]
            frames = self.frames
            if self.short and generator.random() < self.short:
                frames = int(generator.integers(1, self.frames + 1))
            drawn = generator if self.jitter else None
            taken = np.stack([even_indices(self.pictures, frames, drawn) for _ in rows])
            yield Batch(rows, taken, self.labels[torch.from_numpy(rows)])


def in_order(labels: np.ndarray, pictures: int, *, batch: int, frames: int) -> Iterator[Batch]:
    """Every tracklet once, in the data set's order, by its evenly spread pictures."""
    taken = even_indices(pictures, frames)
    for start in range(0, len(labels), batch):
        rows = np.arange(start, min(start + batch, len(labels)))
        targets = torch.from_numpy(labels[rows].astype(np.float32))
        yield Batch(rows, np.tile(taken, (len(rows), 1)), targets)


def load(store: PictureStore, batch: Batch, device: torch.device) -> Tensor:
    """(B, T, 3, H, W) RGB uint8 on `device`."""
    if store.resident is not None:
        rows, frames = (torch.from_numpy(index).to(device) for index in (batch.rows[:, None], batch.frames))
        return store.resident[rows, frames]
    return torch.from_numpy(store[batch.rows[:, None], batch.frames]).to(device)


def load_maps(store: PictureStore, batch: Batch, device: torch.device) -> Tensor:
    """(B, T, *MAP_SIZE) uint8 part maps of a batch's pictures, of a store that read them."""
    assert store.maps is not None
    return torch.from_numpy(store.maps[batch.rows[:, None], batch.frames]).to(device)
