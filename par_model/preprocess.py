"""From crops of any size to one uint8 batch of the model's, in memory that is used again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from par_model.config import ModelConfig, Preprocessing


class CropBatch:
    """Resizes BGR crops into the rows of one buffer, which the next batch overwrites."""

    def __init__(self, image_size: tuple[int, int], preprocessing: Preprocessing, capacity: int) -> None:
        """image_size: (height, width) in pixels; capacity: crops a batch."""
        self.preprocessing = preprocessing
        self.buffer = np.zeros((capacity, *image_size, 3), dtype=np.uint8)

    def fill(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """crops: at most `capacity` of BGR uint8 (H, W, 3). Returns a view (N, height, width, 3) of the buffer.

        Raises ValueError for an image that is empty or not BGR uint8.
        """
        batch = self.buffer[: len(crops)]
        for i, (crop, row) in enumerate(zip(crops, batch)):
            if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8 or crop.size == 0:
                raise ValueError(f"crop {i} is {crop.dtype} {crop.shape}; expected uint8 (H, W, 3), not empty")
            self._place(crop, row)
        return batch

    def _place(self, crop: np.ndarray, row: np.ndarray) -> None:
        height, width = row.shape[:2]
        if self.preprocessing.fit == "letterbox":
            scale = min(height / crop.shape[0], width / crop.shape[1])
            inner_height = max(1, min(height, round(crop.shape[0] * scale)))
            inner_width = max(1, min(width, round(crop.shape[1] * scale)))
            top, left = (height - inner_height) // 2, (width - inner_width) // 2
            if (inner_height, inner_width) != (height, width):
                row.fill(0)
                row = row[top : top + inner_height, left : left + inner_width]
        if self.preprocessing.resample == "fast":
            _resize_fast(crop, row)
        else:
            _resize_antialias(crop, row)


def _resize_fast(crop: np.ndarray, out: np.ndarray) -> None:
    import cv2

    height, width = out.shape[:2]
    shrinks = crop.shape[0] > height and crop.shape[1] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    if out.flags.c_contiguous:
        cv2.resize(crop, (width, height), dst=out, interpolation=method)
    else:
        out[:] = cv2.resize(crop, (width, height), interpolation=method)


def _resize_antialias(crop: np.ndarray, out: np.ndarray) -> None:
    image = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]
    size = [out.shape[0], out.shape[1]]
    resized = F.interpolate(image, size=size, mode="bilinear", antialias=True, align_corners=False)
    out[:] = resized[0].permute(1, 2, 0).numpy()


class Normalise(nn.Module):
    """uint8 BGR (B, H, W, 3) -> float32 RGB (B, 3, H, W) with the checkpoint's statistics; part of exported graphs."""

    scale: Tensor
    shift: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        mean = torch.tensor(config.preprocessing.mean).view(3, 1, 1)
        std = torch.tensor(config.preprocessing.std).view(3, 1, 1)
        self.register_buffer("scale", 1.0 / (255.0 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        rgb = crops.permute(0, 3, 1, 2).flip(1)
        return rgb.float() * self.scale + self.shift
