"""Which tracklets deserve a reading, and reading them in batches across tracks and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.tracklets import Crop


class SequenceModel(Protocol):
    """What the pipeline asks of the attribute model; `par_model.Recognizer` is one."""

    frames: int
    schema: Any

    def encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        """One cached feature for each BGR uint8 crop."""
        ...

    def recognize(self, sequences: Sequence[Sequence[Any]]) -> np.ndarray:
        """Probabilities (N, A) of N feature sequences."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One tracklet whose turn it is. priority: higher first; fresh: share of its crops not read before."""

    camera: str
    track: int
    crops: list[Crop]
    time: float
    quality: float
    fresh: float
    priority: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says of one window of one track.

    probabilities: (A,) by schema column; quality, fresh: in [0, 1], see Request;
    appearance: (D,) float32 of length one, what the person looks like, for recognising them again.
    """

    camera: str
    track: int
    time: float
    probabilities: np.ndarray
    quality: float
    fresh: float
    appearance: np.ndarray | None


NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


def read(model: SequenceModel, requests: Sequence[Request]) -> list[Reading]:
    """Encode the crops that no reading has needed before, all in one batch, then read every tracklet.

    A crop is encoded at most once in its life: its feature stays with it, its pixels go.
    """
    if not requests:
        return []
    new = list({id(crop): crop for request in requests for crop in request.crops if crop.feature is None}.values())
    for crop, feature in zip(new, model.encode([crop.image for crop in new])):
        crop.feature, crop.image = feature, NO_PIXELS
    probabilities = model.recognize([[crop.feature for crop in request.crops] for request in requests])
    return [
        Reading(
            request.camera,
            request.track,
            request.time,
            probabilities[row],
            request.quality,
            request.fresh,
            mean_appearance(request.crops),
        )
        for row, request in enumerate(requests)
    ]


def mean_appearance(crops: Sequence[Crop]) -> np.ndarray | None:
    """Mean of the appearance vectors of distinct crops, weighted by quality, of length one; None without any."""
    distinct = {id(crop): crop for crop in crops}.values()
    weighted = [
        crop.feature.appearance * max(crop.quality, 1e-3)
        for crop in distinct
        if getattr(crop.feature, "appearance", None) is not None
    ]
    if not weighted:
        return None
    total: np.ndarray = np.asarray(sum(weighted), dtype=np.float32)
    norm = float(np.linalg.norm(total))
    return total / norm if norm > 0 else total


def affordable(requests: Sequence[Request], count: int) -> list[Request]:
    """The `count` most valuable requests; ties go to the older track, so that the choice is repeatable."""
    return sorted(requests, key=lambda request: (-request.priority, request.track))[:count]
