"""Colours: what cloth of each MARS colour word looks like, and the patterns that make it "complex"."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

TOP_COLOURS = ("black", "purple", "green", "blue", "gray", "white", "yellow", "red", "complex")
BOTTOM_COLOURS = ("white", "purple", "black", "green", "gray", "pink", "yellow", "blue", "brown", "complex")

# Per word: (share, hue degrees, saturation, value), each a range, in sRGB HSV.
_Range = tuple[float, float]
_SHADES: dict[str, tuple[tuple[float, _Range, _Range, _Range], ...]] = {
    # Whatever its tint, cloth so dark is called black, and washed out or of leather a little above. Between it and the
    # darkest gray, navy or violet lies a gap where people do not agree.
    "black": (
        (1.0, (0, 360), (0.0, 0.36), (0.02, 0.15)),
        (0.35, (205, 245), (0.2, 0.6), (0.04, 0.15)),
        (0.25, (-10, 40), (0.15, 0.45), (0.06, 0.18)),
        (0.3, (0, 360), (0.0, 0.14), (0.13, 0.22)),
    ),
    "gray": (
        (1.0, (0, 360), (0.0, 0.06), (0.33, 0.68)),
        (0.4, (200, 230), (0.05, 0.14), (0.34, 0.62)),
        (0.3, (0, 360), (0.0, 0.06), (0.66, 0.76)),
    ),
    "white": ((1.0, (0, 360), (0.0, 0.05), (0.85, 0.98)), (0.3, (35, 50), (0.04, 0.12), (0.85, 0.97))),
    "red": (
        (1.0, (-10, 8), (0.65, 0.95), (0.35, 0.85)),
        (0.3, (-20, 0), (0.5, 0.75), (0.55, 0.9)),
        (0.4, (-12, 8), (0.48, 0.7), (0.24, 0.5)),
    ),
    "yellow": (
        (1.0, (42, 58), (0.5, 0.95), (0.7, 0.95)),
        (0.25, (36, 46), (0.3, 0.5), (0.75, 0.9)),
        (0.2, (42, 54), (0.4, 0.6), (0.5, 0.72)),
        (0.3, (34, 42), (0.6, 0.9), (0.65, 0.85)),
    ),
    "green": (
        (1.0, (90, 165), (0.35, 0.9), (0.24, 0.75)),
        (0.5, (64, 90), (0.35, 0.65), (0.25, 0.55)),
        (0.4, (75, 165), (0.22, 0.38), (0.26, 0.52)),
    ),
    "blue": (
        (1.0, (205, 238), (0.5, 0.95), (0.3, 0.85)),
        (0.6, (212, 235), (0.5, 0.85), (0.3, 0.45)),
        (0.4, (200, 225), (0.28, 0.5), (0.6, 0.9)),
        (0.5, (208, 236), (0.32, 0.52), (0.32, 0.58)),
    ),
    "purple": (
        (1.0, (264, 305), (0.35, 0.8), (0.28, 0.74)),
        (0.2, (270, 300), (0.25, 0.4), (0.6, 0.8)),
        (0.25, (268, 315), (0.24, 0.42), (0.28, 0.52)),
    ),
    "pink": ((1.0, (325, 352), (0.28, 0.6), (0.72, 0.95)),),
    "brown": ((1.0, (14, 32), (0.4, 0.75), (0.23, 0.5)), (0.5, (28, 40), (0.28, 0.48), (0.45, 0.68))),
}

# Pattern numbers as the shader knows them.
PLAIN, HOOPS, PINSTRIPES, PLAID, BLOTCHES, YOKE, CAMOUFLAGE, PRINT = range(8)
DENIM, KNIT, OPEN_FRONT, RAGLAN, SIDE_STRIPE, ZIP, PANEL = range(8, 15)


@dataclass(frozen=True)
class Material:
    """One row of the shader's table: two linear RGB albedos, a pattern and how it catches light.

    scale: metres a repeat; share: of stripes, how much is of the second colour, of YOKE, how far up the first reaches,
    of PANEL, how far up it lies; wrinkle 0..1; gloss 0..1; sleeve: where sleeves end (arm coordinate); hem: lowest
    canonical height shown; top: highest; slope: how much the top sinks a metre towards the back; face: hair is kept
    off the face.
    """

    first: tuple[float, float, float]
    second: tuple[float, float, float] = (0.5, 0.5, 0.5)
    pattern: int = PLAIN
    scale: float = 0.1
    gloss: float = 0.05
    wrinkle: float = 0.6
    sleeve: float = 9.0
    hem: float = -9.0
    share: float = 0.5
    top: float = 9.0
    slope: float = 0.0
    face: bool = False


def linear(rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    """sRGB to linear light."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return r, g, b


def shade(rng: np.random.Generator, word: str) -> tuple[float, float, float]:
    """A linear RGB albedo that people would call `word`."""
    choices = _SHADES[word]
    shares = np.array([choice[0] for choice in choices])
    _, hue, saturation, value = choices[rng.choice(len(choices), p=shares / shares.sum())]
    return linear(
        colorsys.hsv_to_rgb(
            (rng.uniform(*hue) / 360.0) % 1.0, float(rng.uniform(*saturation)), float(rng.uniform(*value))
        )
    )


def contrasting(rng: np.random.Generator, word: str, words: tuple[str, ...]) -> str:
    """Another colour word that nobody would confuse with `word`."""
    close = {
        "black": {"brown", "blue", "gray", "purple"}, "gray": {"black", "white"}, "white": {"gray", "yellow"},
        "blue": {"purple", "black"}, "purple": {"blue", "pink", "black"}, "pink": {"purple", "red", "white"},
        "brown": {"black", "red", "yellow"}, "red": {"pink", "brown"}, "yellow": {"white", "brown"},
        "green": set(),
    }  # fmt: skip
    others = [w for w in words if w not in ("complex", word) and w not in close[word]]
    return str(rng.choice(others))


def cloth(rng: np.random.Generator, word: str, words: tuple[str, ...], trousers: bool = False) -> Material:
    """Cloth whose MARS label is `word`: plain, with small departures that do not change the name, or patterned."""
    wrinkle, gloss = float(rng.uniform(0.3, 1.0)), float(rng.choice([0.02, 0.05, 0.15, 0.35], p=[0.4, 0.35, 0.15, 0.1]))
    if word == "complex":
        plain = [w for w in words if w != "complex"]
        base = str(rng.choice(plain))
        companion = contrasting(rng, base, words)
        pattern = int(rng.choice(
            [HOOPS, PINSTRIPES, PLAID, BLOTCHES, CAMOUFLAGE, YOKE, YOKE] if not trousers
            else [PINSTRIPES, PLAID, BLOTCHES, CAMOUFLAGE, HOOPS]
        ))  # fmt: skip
        scale = {HOOPS: (0.06, 0.2), PINSTRIPES: (0.05, 0.14), PLAID: (0.06, 0.2), BLOTCHES: (0.05, 0.16),
                 CAMOUFLAGE: (0.1, 0.25), YOKE: (1.0, 1.0)}[pattern]  # fmt: skip
        return Material(
            shade(rng, base), shade(rng, companion), pattern, float(rng.uniform(*scale)), gloss, wrinkle,
            share=float(rng.uniform(0.38, 0.62)),
        )  # fmt: skip
    first = shade(rng, word)
    other = shade(rng, contrasting(rng, word, words))
    roll = rng.uniform()
    if trousers and word in ("blue", "black", "gray") and roll < 0.5:
        return Material(first, first, DENIM, 0.02, 0.02, wrinkle)
    if trousers and roll < 0.1:
        return Material(first, other, SIDE_STRIPE, 0.03, gloss, wrinkle)
    if not trousers and roll < 0.16:  # a logo or print on the chest or back
        return Material(first, other, PRINT, float(rng.uniform(0.06, 0.13)), gloss, wrinkle)
    if roll < 0.3:
        return Material(first, dim(first, 0.84), KNIT, float(rng.uniform(0.008, 0.03)), 0.02, wrinkle)
    if roll < 0.4:  # fine lines within one colour
        lines = int(rng.choice([HOOPS, PINSTRIPES]))
        return Material(
            first, dim(first, rng.uniform(0.65, 0.85)), lines, float(rng.uniform(0.015, 0.04)), gloss, wrinkle
        )
    if not trousers and roll < 0.47:  # shoulders of another colour
        return Material(first, other, YOKE, 1.0, gloss, wrinkle, share=float(rng.uniform(0.97, 1.05)))
    if not trousers and roll < 0.54:  # sleeves of a darker tone
        return Material(first, dim(first, rng.uniform(0.65, 0.85)), RAGLAN, 1.0, gloss, wrinkle)
    if not trousers and roll < 0.62:  # a back, or all above the chest, of another tone: no backpack
        pattern = int(rng.choice([PANEL, YOKE]))
        return Material(first, shade(rng, word), pattern, 1.0, gloss, wrinkle, share=float(rng.uniform(0.4, 0.95)))
    return Material(first, first, PLAIN, 0.1, gloss, wrinkle)


def dim(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    """A colour at `factor` of its brightness."""
    r, g, b = colour
    return r * factor, g * factor, b * factor
