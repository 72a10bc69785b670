"""What somebody looks like as a unit vector: colours without a network, and the mean of many looks."""

from __future__ import annotations

import numpy as np

SIZE = (24, 64)
"""Width and height to which a crop is brought before its colours are counted."""

STRIPES = ((0.12, 0.5), (0.5, 0.95))
"""Upper and lower half of the body as fractions of the box height, without head and feet."""

HUES, SATURATIONS, GREYS = 12, 2, 8


def colour_appearance(crop: np.ndarray) -> np.ndarray:
    """Colours of the upper and the lower body of a crop (H, W, 3) BGR uint8, as a unit vector (64,) float32.

    Each half is a histogram of hue by saturation, with the colourless pixels sorted by brightness instead.
    Square roots are stored, so the cosine of two vectors is the Bhattacharyya coefficient of their halves.
    Needs no detector and no network, and works for people some 40 pixels tall and more.
    """
    import cv2

    small = cv2.resize(crop, SIZE, interpolation=cv2.INTER_AREA)
    # The outer quarters of a box are mostly background.
    body = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)[:, SIZE[0] // 4 : -SIZE[0] // 4].astype(int)
    halves = [_colours(body[int(top * SIZE[1]) : int(bottom * SIZE[1])].reshape(-1, 3)) for top, bottom in STRIPES]
    return np.sqrt(np.concatenate(halves) / len(STRIPES)).astype(np.float32)


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Shares (32,) of the colours among HSV pixels (P, 3), hue 0..179, smoothed towards the neighbouring hue."""
    hue, saturation, value = pixels.T
    coloured = (saturation > 50) & (value > 40)
    bins = hue[coloured] * HUES // 180 * SATURATIONS + (saturation[coloured] > 120)
    colours = np.bincount(bins, minlength=HUES * SATURATIONS).reshape(HUES, SATURATIONS).astype(float)
    colours = 0.5 * colours + 0.25 * (np.roll(colours, 1, axis=0) + np.roll(colours, -1, axis=0))
    # Most coats are dark: the square root gives black, leather and grey bins of their own.
    shades = (np.sqrt(value[~coloured] / 256) * GREYS).astype(int)
    greys = np.bincount(shades, minlength=GREYS).astype(float)
    blurred = np.convolve(np.pad(greys, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    shares = np.concatenate([colours.ravel(), blurred])
    normed: np.ndarray = shares / shares.sum()
    return normed


class MeanAppearance:
    """The running mean of somebody's looks, the newest counting for at least `newest`."""

    def __init__(self, newest: float = 0.05) -> None:
        self.newest = newest
        self.looks = 0
        self._sum = np.zeros(0, dtype=np.float32)

    def add(self, look: np.ndarray) -> None:
        """Take in one more unit vector (D,)."""
        self.looks += 1
        share = max(1.0 / self.looks, self.newest)
        self._sum = look if self.looks == 1 else self._sum + share * (look - self._sum)

    @property
    def vector(self) -> np.ndarray | None:
        """The mean as a unit vector (D,) float32, None before the first look."""
        if not self.looks:
            return None
        vector: np.ndarray = (self._sum / max(float(np.linalg.norm(self._sum)), 1e-9)).astype(np.float32)
        return vector
