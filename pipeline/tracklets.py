"""What people looked like lately: a short ring of good, well-spaced crops for every track."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.sources.clock import CLOCK_TICK
from pipeline.types import Box, Frame, Image

if TYPE_CHECKING:
    import supervision as sv

REFERENCE_HEIGHT = 96.0
"""Pixels above which a taller person is not a better picture for the attribute model."""
REFERENCE_SHARPNESS = 400.0
"""Variance of the Laplacian of a crop in focus at model size; measured on surveillance clips."""
MARGIN = 0.02
"""Growth of a box on each side, as a fraction of its size. YOLOv8n's are as tall as generated people to 0.7 per cent;
grown so, they fit as the boxes that the attribute model learned from."""
SHIFTS = ((0.0, 0.0), (0.05, 0.05), (-0.05, -0.05), (0.05, -0.05), (-0.05, 0.05))
"""Where a person's crops are cut in turn, right and down, as fractions of the box: what an answer owes to the place of
the box alone differs from crop to crop and averages out."""


@dataclass(slots=True)
class Crop:
    """One look at a person. image: BGR uint8; quality in [0, 1]; feature: filled by the recogniser, once."""

    time: float
    image: Image
    box: Box
    quality: float
    feature: Any = None


@dataclass(slots=True)
class Tracklet:
    """The crops of one track, oldest first, and what has become of them."""

    track: int
    crops: deque[Crop]
    fresh: int = 0
    """Crops that no reading has seen yet."""
    cut: int = 0
    """Crops cut so far, but for those that replaced another."""
    best_box: Box | None = None
    best_time: float | None = None
    best_quality: float = field(default=-1.0)

    def window(self, length: int) -> list[Crop]:
        """`length` crops evenly spaced over the ring, in time order.

        A tracklet with fewer crops repeats its crops in order (2 crops and length 6: a a a b b b), so that
        the temporal side network always takes as many steps as it was trained for.
        """
        return [self.crops[i] for i in even_indices(len(self.crops), length)]

    @property
    def quality(self) -> float:
        """Mean quality of the crops in the ring."""
        return sum(crop.quality for crop in self.crops) / len(self.crops) if self.crops else 0.0


def even_indices(available: int, length: int) -> list[int]:
    """`length` indices into `available` items, evenly spread from the first to the last; repeats where items are few.

    The newest crop is always among them. `par_model.datasets.even_indices` takes the middles of equal stretches.
    """
    if available < 1:
        return []
    if available >= length:
        return [int(i) for i in np.round(np.linspace(0, available - 1, length))]
    return [i * available // length for i in range(length)]


class TrackletBuffer:
    """Crops of all tracks of one camera, chosen by quality and spacing in time.

    capacity: crops kept a track; spacing: seconds between two kept crops; min_height: pixels;
    min_quality: least quality in [0, 1] of a kept crop.
    """

    def __init__(
        self, capacity: int = 12, spacing: float = 0.4, min_height: int = 24, min_quality: float = 0.15
    ) -> None:
        self.capacity = capacity
        self.spacing = spacing
        self.min_height = min_height
        self.min_quality = min_quality
        self.tracklets: dict[int, Tracklet] = {}

    def add(self, frame: Frame, people: sv.Detections) -> dict[int, Crop]:
        """Look at every tracked person of a frame and keep the crops worth keeping, which are returned by track.

        people: xyxy (N, 4) pixels, confidence (N,), tracker_id (N,).
        """
        kept: dict[int, Crop] = {}
        if len(people) == 0:
            return kept
        height, width = frame.image.shape[:2]
        assert people.tracker_id is not None
        scores = people.confidence if people.confidence is not None else np.ones(len(people))
        qualities = box_quality(people.xyxy, scores, width, height)
        tall = people.xyxy[:, 3] - people.xyxy[:, 1] >= self.min_height
        for row, track in enumerate(people.tracker_id.tolist()):
            tracklet = self.tracklets.get(track)
            if tracklet is None:
                tracklet = self.tracklets[track] = Tracklet(track, deque(maxlen=self.capacity))
            quality = float(qualities[row])
            if tall[row] and quality >= self.min_quality and self._has_place(tracklet, frame.time, quality):
                crop = self._keep(tracklet, frame, people.xyxy[row], quality)
                if crop is not None:
                    kept[track] = crop
        return kept

    def _has_place(self, tracklet: Tracklet, time: float, quality: float) -> bool:
        if not tracklet.crops:
            return True
        last = tracklet.crops[-1]
        if self._next_slot(tracklet, time):
            return True
        # A better look in the same slot replaces the last one, unless the model has paid for that already.
        return last.feature is None and quality > 1.1 * last.quality

    def _next_slot(self, tracklet: Tracklet, time: float) -> bool:
        return time - tracklet.crops[-1].time >= self.spacing - CLOCK_TICK

    def _keep(self, tracklet: Tracklet, frame: Frame, xyxy: np.ndarray, quality: float) -> Crop | None:
        replaces = bool(tracklet.crops) and not self._next_slot(tracklet, frame.time)
        image = crop_person(frame.image, xyxy, tracklet.cut - replaces)
        quality *= sharpness(image)
        box = (float(xyxy[0]), float(xyxy[1]), float(xyxy[2]), float(xyxy[3]))
        crop = Crop(frame.time, image, box, quality)
        if replaces:
            if quality <= tracklet.crops[-1].quality:
                return None
            tracklet.crops[-1] = crop
        else:
            tracklet.crops.append(crop)
            tracklet.fresh += 1
            tracklet.cut += 1
        if quality > tracklet.best_quality:
            tracklet.best_quality, tracklet.best_box, tracklet.best_time = quality, box, frame.time
        return crop

    def join(self, track: int, into: int) -> None:
        """`track` goes on under the id `into`: with the crops of whichever was seen last, and the better best look."""
        both = [one for one in (self.tracklets.get(into), self.tracklets.pop(track, None)) if one is not None]
        if not both:
            return
        best = max(both, key=lambda one: one.best_quality)
        last = max(both, key=lambda one: one.crops[-1].time if one.crops else -math.inf)
        last.track = into
        last.best_quality, last.best_box, last.best_time = best.best_quality, best.best_box, best.best_time
        self.tracklets[into] = last

    def pop(self, track: int) -> Tracklet | None:
        """Forget a track that ended and return what was kept of it."""
        return self.tracklets.pop(track, None)


def box_quality(xyxy: np.ndarray, scores: np.ndarray, width: int, height: int) -> np.ndarray:
    """How good a look each box offers, from the boxes alone.

    xyxy: (N, 4) pixels; scores: (N,) detector confidence; width, height of the picture in pixels.
    Product of size, detector score, what the picture's edge leaves and what people in front leave; (N,) in [0, 1].
    """
    size = np.clip((xyxy[:, 3] - xyxy[:, 1]) / REFERENCE_HEIGHT, 0.0, 1.0) ** 0.5
    cut = (xyxy[:, 0] <= 1) | (xyxy[:, 1] <= 1) | (xyxy[:, 2] >= width - 1) | (xyxy[:, 3] >= height - 1)
    covered = np.clip(hidden_share(xyxy), 0.0, 1.0)
    product: np.ndarray = size * np.clip(scores, 0.0, 1.0) ** 0.5 * np.where(cut, 0.4, 1.0) * (1.0 - covered)
    return product


def hidden_share(xyxy: np.ndarray) -> np.ndarray:
    """Largest share of each box that one person in front covers; (N, 4) boxes in pixels, returns (N,) in [0, 1].

    In front means standing lower in the picture: on a ground plane a lower foot point is nearer to the camera.
    Where two stand equally low to a pixel, as those do whom the picture's lower edge cuts, either may be in front.
    """
    top_left = np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    bottom_right = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0.0, None), axis=2)
    area = np.maximum(np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1), 1e-6)
    in_front = xyxy[None, :, 3] > xyxy[:, None, 3] - 1.0
    np.fill_diagonal(in_front, False)
    share: np.ndarray = np.where(in_front, overlap, 0.0).max(axis=1, initial=0.0) / area
    return share


def crop_person(image: Image, xyxy: Sequence[float] | np.ndarray, number: int = 0) -> Image:
    """A copy of the picture under a box grown by MARGIN, clipped to the picture; BGR uint8 (h, w, 3).

    number: which of the person's crops it is; all but the first of every five are cut a little aside, see SHIFTS.
    """
    first, last = np.asarray(xyxy, dtype=np.float64).reshape(2, 2)
    size, shift = last - first, np.array(SHIFTS[number % len(SHIFTS)])
    left, top = np.maximum(first + (shift - MARGIN) * size, 0.0).astype(int)
    right, bottom = np.minimum(np.ceil(last + (shift + MARGIN) * size), image.shape[1::-1]).astype(int)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)].copy()


def sharpness(image: Image) -> float:
    """How well in focus a crop is, in [0.3, 1]: variance of the Laplacian at 32 x 64, against a sharp crop."""
    import cv2

    grey = cv2.cvtColor(cv2.resize(image, (32, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return 0.3 + 0.7 * min(variance / REFERENCE_SHARPNESS, 1.0)
