"""Letterboxing: a picture scaled into a network's input with grey borders, and boxes brought back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.types import Image

GREY = 114
"""The border YOLO models are trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture of one size lies in an input of another. Sizes are (height, width) in pixels.

    offset: x, y of the picture's top left corner in the input.
    """

    picture: tuple[int, int]
    scaled: tuple[int, int]
    input: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def fit(cls, picture: tuple[int, int], size: tuple[int, int], centred: bool = True) -> Letterbox:
        """The picture as large as it goes into `size`, in the middle or in the top left corner."""
        scale = min(size[0] / picture[0], size[1] / picture[1])
        height, width = (max(round(side * scale), 1) for side in picture)
        # Half a pixel goes to the right and the bottom, as in the models' training.
        x, y = (round((size[1] - width) / 2 - 0.1), round((size[0] - height) / 2 - 0.1)) if centred else (0, 0)
        return cls(picture, (height, width), size, (x, y))

    @classmethod
    def rectangle(cls, picture: tuple[int, int], long_side: int, stride: int = 32) -> Letterbox:
        """The smallest input of whole strides whose long side is `long_side`: 480x360 -> 640x480."""
        scale = long_side / max(picture)
        height, width = (-(-max(round(side * scale), 1) // stride) * stride for side in picture)
        return cls.fit(picture, (height, width))

    def tensor(self, image: Image, rgb: bool, scale: float) -> np.ndarray:
        """The picture as the network takes it: float32 (1, 3, H, W), values 0..255 times `scale`."""
        import cv2

        height, width = self.scaled
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.scaled != self.input:
            x, y = self.offset
            bottom, right = self.input[0] - height - y, self.input[1] - width - x
            image = cv2.copyMakeBorder(image, y, bottom, x, right, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
        blob: np.ndarray = cv2.dnn.blobFromImage(image, scalefactor=scale, swapRB=rgb)
        return blob

    def to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4), x1 y1 x2 y2, from input pixels to picture pixels, clipped to the picture."""
        (height, width), (x, y) = self.picture, self.offset
        factor = np.array([width / self.scaled[1], height / self.scaled[0]] * 2, dtype=np.float32)
        boxes = (boxes - np.array([x, y, x, y], dtype=np.float32)) * factor
        return boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))
