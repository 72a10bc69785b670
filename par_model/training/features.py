"""The frozen tower's taps kept on disk, so that a large CLIP runs once over the data and not once an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from par_model.model import VTFPAR
from par_model.training.augment import plain
from par_model.training.batches import Batch, in_order, load
from par_model.training.cache import cached_array
from par_model.training.pictures import PictureStore


class FeatureStore:
    """(N, T, taps, tokens, width) float16 on disk: the taps of a tracklet's evenly spread pictures, unchanged ones."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    @classmethod
    @torch.no_grad()
    def open(
        cls,
        model: VTFPAR,
        store: PictureStore,
        folder: Path,
        normalise: Callable[[Tensor], Tensor],
        progress: Callable[[int], None] = lambda done: None,
    ) -> FeatureStore:
        """Find the taps of exactly this tower and these pictures in `folder`, or compute them."""
        config, device = model.config, model.text_features.device
        shape = (len(store), config.frames, len(config.taps), config.grid[0] * config.grid[1], config.width)
        # What neither the weights nor their shapes show.
        way = (
            config.taps,
            config.patch,
            config.stem,
            config.class_token,
            config.heads,
            config.activation,
            config.eps,
            config.pre_norm,
        )
        name = hashlib.blake2b(f"{way} {shape} {store.digest}".encode(), digest_size=16)
        for tensor in model.backbone.state_dict().values():
            name.update(tensor.detach().cpu().contiguous().numpy().tobytes())

        def compute(table: np.ndarray) -> None:
            model.eval()
            for batch in in_order(np.zeros((len(store), 0)), store.pictures, batch=16, frames=config.frames):
                images = normalise(plain(load(store, batch, device), config.image_size))
                taps = torch.stack(model.backbone(images.flatten(0, 1)), dim=1)
                table[batch.rows] = taps.view(-1, *shape[1:]).half().cpu().numpy()
                progress(int(batch.rows[-1]) + 1)

        return cls(cached_array(folder / f"taps-{name.hexdigest()}.npy", np.float16, shape, compute))

    def load(self, batch: Batch, device: torch.device) -> list[Tensor]:
        """One (B * T, tokens, width) float32 a tap."""
        taps = torch.from_numpy(np.ascontiguousarray(self.table[batch.rows])).to(device).float()
        return [tap.flatten(0, 1) for tap in taps.unbind(2)]
