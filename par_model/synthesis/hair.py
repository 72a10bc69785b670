"""Hair: MakeHuman hair pieces, cut, lengthened, fluffed up or pinned up into a bun."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from par_model.synthesis.accessories import Surface, between
from par_model.synthesis.assets import Piece, load_piece
from par_model.synthesis.bodies import JOINT_INDEX, SKIN_VERTICES, Body, BodyBank
from par_model.synthesis.colours import linear
from par_model.synthesis.mesh import Layer, Skinning, off_arms, pack, rigid, simplify, superellipsoid, tube

SHORT_HAIR = ("short01", "short02", "short03", "short04", "afro01")
BOBS = ("bob01", "bob02")
LONG_HAIR = ("long01", "ponytail01", "braid01")
TIED_HAIR = ("ponytail01", "braid01")
# Canonical: height down to which hair is plainly short, and the middle of the skull.
NAPE = 1.62
SKULL = (0.0, -0.075, 1.677)
_HAIR_SHADES = (
    (0.46, (0.06, 0.05, 0.045)), (0.26, (0.16, 0.1, 0.07)), (0.1, (0.33, 0.2, 0.11)), (0.08, (0.62, 0.48, 0.28)),
    (0.04, (0.4, 0.17, 0.08)), (0.06, (0.55, 0.54, 0.53)),
)  # fmt: skip
_GREY = ((0.5, (0.6, 0.59, 0.58)), (0.3, (0.8, 0.79, 0.77)), (0.2, (0.28, 0.26, 0.25)))


def sample_hair_colour(rng: np.random.Generator, age: str) -> tuple[float, float, float]:
    """Linear RGB; old people are mostly grey."""
    shades = _GREY if age == "old" and rng.uniform() < 0.9 else _HAIR_SHADES
    shares = np.array([share for share, _ in shades])
    base = shades[rng.choice(len(shades), p=shares / shares.sum())][1]
    tint = rng.uniform(0.75, 1.25) * (1 + np.array([0.06, 0.0, -0.06]) * rng.uniform(-1, 1))
    r, g, b = np.clip(np.array(base) * tint, 0.02, 0.95)
    return linear((float(r), float(g), float(b)))


@dataclass(frozen=True)
class HairCut:
    """A hair style: the piece worn (None: only a painted scalp), its lowest canonical height, and whether it is long.

    drop: metres by which the ends are pulled down; bun: what would be long is pinned up into a knot; volume: metres
    by which it stands off the head further than its piece; front: sides (-1, 1) on which some of it falls before
    the shoulder.
    """

    piece: str | None
    hem: float
    long: bool
    drop: float = 0.0
    bun: bool = False
    volume: float = 0.0
    front: tuple[int, ...] = ()

    @property
    def tied(self) -> bool:
        """Whether it hangs down the back in one strand, which nobody sees from the front."""
        return self.piece in TIED_HAIR

    @property
    def unclear(self) -> bool:
        """Whether people call such hair either: a chin-length bob, a bun."""
        return self.bun or (self.piece in BOBS and not self.long and self.hem < NAPE)


def sample_cut(rng: np.random.Generator, long: bool, age: str, gender: str) -> HairCut:
    """A style that reads as long (on or below the shoulders, or tied at the back), or as short or unclear."""
    if long:
        piece = str(rng.choice([*LONG_HAIR, "long01", "bob02", "bob01"], p=[0.3, 0.2, 0.1, 0.2, 0.1, 0.1]))
        if piece in TIED_HAIR:
            return HairCut(piece, -9.0, True)
        front = ((), (-1, 1), (-1,), (1,))[rng.choice(4, p=[0.4, 0.36, 0.12, 0.12])]
        if piece in BOBS:
            return HairCut(piece, -9.0, True, float(rng.uniform(0.08, 0.16)), front=front)
        return HairCut(piece, float(rng.uniform(1.12, 1.43)), True, front=front)
    if gender == "male" and rng.uniform() < {"adult": 0.2, "old": 0.45}.get(age, 0.12):
        return HairCut(None, -9.0, False)
    volume = float(rng.choice([0.0, rng.uniform(0.005, 0.03)]))
    if rng.uniform() < 0.25:  # over the ears and down to the nape
        return HairCut(str(rng.choice(BOBS)), float(rng.uniform(NAPE, 1.68)), False, volume=0.5 * volume)
    if gender == "male":
        return HairCut(str(rng.choice(SHORT_HAIR)), -9.0, False, volume=volume)
    bun = bool(rng.uniform() < 0.3)
    choices = SHORT_HAIR[:3] if bun else (*SHORT_HAIR, *SHORT_HAIR[:2], *BOBS)
    return HairCut(str(rng.choice(choices)), -9.0, False, bun=bun, volume=volume)


class HeadPiece:
    """Hair or a hat of the assets, to be put on bodies of a bank."""

    def __init__(self, piece: Piece, bank: BodyBank) -> None:
        self._piece = piece
        self._bank = bank

    @cached_property
    def _canonical(self) -> tuple[np.ndarray, Skinning, np.ndarray]:
        canon = self._piece.fit(self._bank.mean)
        return canon, pack(self._piece.weigh(self._bank.weights)), simplify(canon, self._piece.faces, 0.012)

    def put_on(self, body: Body, material: int, drop: float = 0.0, volume: float = 0.0) -> Layer:
        """drop: metres by which what hangs is longer; volume: by which all stands off further from the skull."""
        canon, skin, faces = self._canonical
        positions = self._piece.fit(body.vertices)
        if drop:
            fall = np.clip((1.66 - canon[:, 2]) / 0.1, 0, 1) * drop
            positions = positions - fall[:, None] * [0, 0, 1]
            canon = canon - fall[:, None] * [0, 0, 1]
        if volume:
            away = canon - SKULL
            away /= np.linalg.norm(away, axis=1, keepdims=True)
            away[:, 2] = np.maximum(away[:, 2], 0.0)  # no longer for it
            positions = positions + volume * away
        return Layer(positions, canon, off_arms(len(canon)), skin, faces, material)


class Barber:
    """The hair pieces of an asset folder."""

    def __init__(self, assets: Path, bank: BodyBank) -> None:
        self._pieces = {
            name: HeadPiece(load_piece(assets, "hair", name), bank) for name in (*SHORT_HAIR, *BOBS, *LONG_HAIR)
        }

    def dress(self, cut: HairCut, body: Body, material: int) -> Layer | None:
        """The hair of a cut on a body, or None for a bare or painted scalp."""
        return self._pieces[cut.piece].put_on(body, material, cut.drop, cut.volume) if cut.piece else None


def locks(
    rng: np.random.Generator, cut: HairCut, body: Body, bank: BodyBank, cloth: list[Layer], material: int
) -> list[Layer]:
    """Hair that falls from the temples before the shoulders; cloth: the layers worn on the torso."""
    scale, head = bank.scale(body), JOINT_INDEX["head"]
    temples = body.vertices[:SKIN_VERTICES][np.abs(bank.mean[:SKIN_VERTICES, 2] - 1.69) < 0.02, 0].max()
    on_head = np.zeros(bank.weights.shape[1], np.float32)
    on_head[head] = 1.0
    layers = []
    for side in cut.front:
        thick = rng.uniform(0.024, 0.046) * scale
        surface = Surface(body, bank, cloth, 0.5 * thick)
        out, end = rng.uniform(0.075, 0.11), max(cut.hem, rng.uniform(1.18, 1.42))
        stops = []
        for away, y, z in ((0.0, -0.085, 1.72), (0.007, -0.08, 1.63), (0.01, -0.085, 1.55)):
            point = (np.array([0, y, z]) - bank.mean_joints[head]) * scale + body.joints[head]
            point[0] = side * (temples + away * scale)
            stops.append((point, on_head))
        stops += [surface.touch(side * out, height, front=True) for height in np.linspace(1.46, end, 4)]
        path, weights = between(stops, 16)
        points, faces = tube(path, thick * np.interp(np.linspace(0, 1, 16), [0, 0.3, 0.7, 1], [0.5, 1, 1, 0.35]), 6)
        layers.append(Layer.built(points, pack(np.repeat(weights, 6, axis=0)), faces, material, scale))
    return layers


def bun(rng: np.random.Generator, body: Body, bank: BodyBank, material: int) -> Layer:
    """A knot of hair, between the nape and the crown."""
    scale = bank.scale(body)
    size, height = rng.uniform(0.03, 0.048), rng.uniform(1.63, 1.78)
    shape, faces = superellipsoid((1.15 * size, 0.8 * size, size), 2.0, 8, 12)
    nearby = (np.abs(bank.mean[:, 2] - height) < 0.02) & (np.abs(bank.mean[:, 0]) < 0.04)
    nearby[SKIN_VERTICES:] = False
    skull = body.vertices[nearby]
    points = shape * scale + skull[skull[:, 1].argmax()] * [0, 1, 1] + np.array([0, 0.6 * size + 0.012, 0]) * scale
    return Layer.built(points, rigid(len(points), JOINT_INDEX["head"]), faces, material, scale)
