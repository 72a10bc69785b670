"""Part maps: coarse pictures that say for every cell what of a person, or of their things, it shows."""

from __future__ import annotations

import numpy as np

from par_model.datasets.tracklets import DatasetError, Picture, decode_image

PART_NAMES = (
    "surroundings", "skin", "top", "bottom", "shoes", "hair", "hat", "brim", "scarf", "backpack", "backpack strap",
    "shoulder bag", "shoulder strap", "hand bag", "handle", "bicycle frame", "tyre", "metal", "socks", "tights", "hood",
    "somebody else",
)  # fmt: skip
MAP_SIZE = (48, 24)
"""Cells (down, across) of the map of one crop."""
UNKNOWN_PART = 255
"""Cell that shows what is no part, or of a picture that has no map; above every part, and left out of the loss."""


def encode_maps(maps: np.ndarray) -> bytes:
    """A tracklet's maps, one above the other, as PNG. maps: (T, *MAP_SIZE) uint8."""
    import cv2

    _, stored = cv2.imencode(".png", maps.reshape(-1, MAP_SIZE[1]))
    return bytes(stored)


def decode_maps(picture: Picture, frames: int) -> np.ndarray:
    """The inverse: (frames, *MAP_SIZE) uint8. Raises DatasetError where the bytes are no such maps."""
    import cv2

    tall = decode_image(picture.read(), cv2.IMREAD_GRAYSCALE)
    if tall is None or tall.shape != (frames * MAP_SIZE[0], MAP_SIZE[1]):
        raise DatasetError(f"{picture.path} (byte {picture.offset}) does not hold part maps of {frames} pictures")
    if ((tall >= len(PART_NAMES)) & (tall != UNKNOWN_PART)).any():
        raise DatasetError(f"{picture.path} (byte {picture.offset}): part maps with cells of no known part")
    return tall.reshape(frames, *MAP_SIZE)
