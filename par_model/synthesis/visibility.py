"""Visibility: which of a person's things the pictures show, which they do not, and which they leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from par_model.datasets.parts import MAP_SIZE
from par_model.synthesis.people import LABELLED

# Part of the person's pixels that a thing must cover to be called visible.
VISIBLE = {
    "backpack": 0.02,
    "shoulder bag": 0.03,
    "hand bag": 0.03,
    "hat": 0.012,
    "hair": 0.002,
    "top": 0.06,
    "bottom": 0.05,
    "legs": 0.12,
}
# Things small enough to be lost in a small picture, and the part of a person's pixels that they usually cover.
THINGS = {"backpack": 0.12, "shoulder bag": 0.06, "hand bag": 0.06, "hat": 0.04}
HIDDEN = 0.004  # of the person's pixels: a thing that covers less does not show at all
LEGIBLE = 30  # camera pixels without which a thing is neither there nor not
DISTINCT = 12.0  # CIE 1976 colour difference from its surroundings below which a thing cannot be made out
CLOTHES = ("top", "bottom")
# Of full scale: cloth with no channel above the first is black and with none below the second white to any viewer,
# and has lost its colour where that much of it has become so.
BLACK, WHITE, LOST = 0.1, 0.95, 0.6


@dataclass(frozen=True)
class Sight:
    """What one picture shows of a person.

    pixels: of the camera, that the person covers; shares: of them, what each key of VISIBLE covers; contrasts: for each
    of THINGS how far its colours lie from those around it (CIE 1976), 0 where it does not show; clipped: for each of
    CLOTHES the shares of it that are black and white.
    """

    pixels: float
    shares: Mapping[str, float]
    contrasts: Mapping[str, float]
    clipped: Mapping[str, tuple[float, float]]


def look(picture: np.ndarray, owners: np.ndarray, number: int, area: float) -> Sight:
    """What a crop shows of person `number`.

    picture: (h, w, 3) uint8 BGR, as a viewer gets it; owners: (H, W, 2) uint8 of the same crop, person and material of
    each pixel; area: pixels of the camera that the crop covers.
    """
    import cv2

    materials = owners[..., 1][owners[..., 0] == number]
    counts = np.bincount(materials, minlength=256) / max(len(materials), 1)
    shares = {part: float(counts[list(numbers)].sum()) for part, numbers in LABELLED.items()}
    small = cv2.resize(picture, MAP_SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colours = cv2.cvtColor(small, cv2.COLOR_BGR2LAB)
    person, material = np.moveaxis(cells(owners), -1, 0)

    def shows(part: str) -> np.ndarray:
        mask: np.ndarray = (person == number) & np.isin(material, LABELLED[part])
        return mask

    contrasts = {thing: contrast(colours, shows(thing)) if shares[thing] >= HIDDEN else 0.0 for thing in THINGS}
    clipped = {part: extremes(small[shows(part)]) for part in CLOTHES}
    return Sight(len(materials) / owners[..., 0].size * area, shares, contrasts, clipped)


def cells(owners: np.ndarray) -> np.ndarray:
    """(*MAP_SIZE, 2): what lies in the middle of each cell of a crop's owners (H, W, 2)."""
    down, across = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(MAP_SIZE, owners.shape))
    sampled: np.ndarray = owners[np.ix_(down, across)]
    return sampled


def extremes(colours: np.ndarray) -> tuple[float, float]:
    """Which shares of (N, 3) colours of 0..1 are black and white; none of no colours."""
    if not len(colours):
        return 0.0, 0.0
    return float((colours.max(1) < BLACK).mean()), float((colours.min(1) > WHITE).mean())


def contrast(colours: np.ndarray, mask: np.ndarray) -> float:
    """How far a thing's colours lie from those two cells around it, the person's own or not, averaged along its edge.

    colours: (H, W, 3) float32 CIE L*a*b*; mask: (H, W) bool, the thing's cells.
    """
    import cv2

    def average(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = cv2.blur(weight, (5, 5), borderType=cv2.BORDER_CONSTANT)
        summed = cv2.blur(colours * weight[..., None], (5, 5), borderType=cv2.BORDER_CONSTANT)
        return summed / np.maximum(share, 1e-6)[..., None], share

    thing, _ = average(mask.astype(np.float32))
    around, share = average((~mask).astype(np.float32))
    edge = mask & (share > 1e-3)
    return float(np.linalg.norm(thing - around, axis=2)[edge].mean()) if edge.any() else 0.0


def shown(seen: Sequence[Sight], frames: float) -> dict[str, bool | None]:
    """For each key of VISIBLE whether the pictures show it.

    frames: in how many of them a thing must show. A small thing is not there where it reaches its share in none and
    HIDDEN in fewer than that, though there was room for it; None where it, or what it would be, is too small to tell,
    looks like what lies around it, peeps out or shows too briefly.
    """
    answers: dict[str, bool | None] = {}
    for part, share in VISIBLE.items():
        sights = [sight for sight in seen if sight.shares[part] >= share]
        answers[part] = len(sights) >= frames
        if part not in THINGS:
            continue
        if answers[part]:
            clear = sum(s.shares[part] * s.pixels >= LEGIBLE and s.contrasts[part] >= DISTINCT for s in sights)
            answers[part] = True if clear >= frames else None
        else:
            peeps = sights or sum(sight.shares[part] >= HIDDEN for sight in seen) >= frames
            room = sum(THINGS[part] * sight.pixels >= LEGIBLE for sight in seen)
            answers[part] = None if peeps or room < frames else False
    return answers


def tones(seen: Sequence[Sight]) -> dict[str, str | None]:
    """For each of CLOTHES the one colour word that its pictures still allow, `black` or `white`; None where any."""
    answers: dict[str, str | None] = {}
    for part in CLOTHES:
        black, white = np.reshape([sight.clipped[part] for sight in seen], (-1, 2)).sum(axis=0) / max(1, len(seen))
        answers[part] = "black" if black > LOST else "white" if white > LOST else None
    return answers
