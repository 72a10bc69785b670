"""Hair, beards and hats: MakeHuman hair pieces, caps and beanies grown from the skull."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from par_model.synthesis.assets import Piece, load_piece
from par_model.synthesis.bodies import JOINT_INDEX, SKIN_VERTICES, Body, BodyBank
from par_model.synthesis.colours import linear
from par_model.synthesis.mesh import Layer, Skinning, grid_faces, normals, pack, rigid, simplify, superellipsoid, tube

SHORT_HAIR = ("short01", "short02", "short03", "short04", "afro01")
BOBS = ("bob01", "bob02")
LONG_HAIR = ("long01", "ponytail01", "braid01")
HATS = ("cap", "beanie", "fedora", "bucket")
# Canonical height of the lower rim of a hat at the forehead and at the nape.
HAT_RIM = {"cap": (1.738, 1.70), "beanie": (1.728, 1.665), "fedora": (1.735, 1.70), "bucket": (1.73, 1.68)}
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

    drop: metres by which the ends are pulled down; bun: what would be long is pinned up into a knot.
    """

    piece: str | None
    hem: float
    long: bool
    drop: float = 0.0
    bun: bool = False

    @property
    def unclear(self) -> bool:
        """Whether people call such hair either: a chin-length bob, a bun."""
        return self.bun or (self.piece in BOBS and not self.long)


def sample_cut(rng: np.random.Generator, long: bool, age: str, gender: str) -> HairCut:
    """A style that reads as long (on or below the shoulders, or tied at the back), or as short or unclear."""
    if long:
        piece = str(rng.choice([*LONG_HAIR, "long01", "bob02", "bob01"], p=[0.3, 0.2, 0.1, 0.2, 0.1, 0.1]))
        if piece in BOBS:
            return HairCut(piece, -9.0, True, float(rng.uniform(0.08, 0.16)))
        return HairCut(piece, float(rng.uniform(1.12, 1.43)) if piece == "long01" else -9.0, True)
    if gender == "male" and rng.uniform() < {"adult": 0.2, "old": 0.45}.get(age, 0.12):
        return HairCut(None, -9.0, False)
    if gender == "male":
        return HairCut(str(rng.choice(SHORT_HAIR)), -9.0, False)
    bun = bool(rng.uniform() < 0.3)
    choices = SHORT_HAIR[:3] if bun else (*SHORT_HAIR[:3], *SHORT_HAIR[:2], *BOBS)
    return HairCut(str(rng.choice(choices)), -9.0, False, bun=bun)


class Barber:
    """Hair pieces of an asset folder and hats built on a bank's average skull."""

    def __init__(self, assets: Path, bank: BodyBank) -> None:
        self.bank = bank
        self.pieces: dict[str, Piece] = {
            name: load_piece(assets, "hair", name) for name in (*SHORT_HAIR, *BOBS, *LONG_HAIR)
        }
        self.fedora = load_piece(assets, "clothes", "fedora01")
        self._canon: dict[str, tuple[np.ndarray, Skinning, np.ndarray]] = {}
        z = bank.mean[:, 2]
        self._skin = pack(bank.weights)
        self._skull = simplify(bank.mean, bank.faces[(z[bank.faces] > 1.6).all(1)], 0.015)

    def dress(self, cut: HairCut, body: Body, material: int) -> Layer | None:
        """The hair of a cut on a body, or None for a bare or painted scalp."""
        if cut.piece is None:
            return None
        return self._fit(self.pieces[cut.piece], body, material, cut.drop)

    def _fit(self, piece: Piece, body: Body, material: int, drop: float = 0.0) -> Layer:
        if piece.name not in self._canon:
            canon = piece.fit(self.bank.mean)
            skin = pack(piece.weigh(self.bank.weights))
            self._canon[piece.name] = canon, skin, simplify(canon, piece.faces, 0.012)
        canon, skin, faces = self._canon[piece.name]
        positions = piece.fit(body.vertices)
        if drop:
            fall = np.clip((1.66 - canon[:, 2]) / 0.1, 0, 1) * drop
            positions = positions - fall[:, None] * [0, 0, 1]
            canon = canon - fall[:, None] * [0, 0, 1]
        bare = np.full(len(canon), -0.3, np.float32)
        return Layer(positions, canon, bare, skin, faces, material)

    def hat(self, kind: str, body: Body, material: int, brim_material: int) -> list[Layer]:
        """The layers of a hat: a crown over the skull and, for caps and bucket hats, a brim."""
        if kind == "fedora":
            return [self._fit(self.fedora, body, material)]
        front, nape = HAT_RIM[kind]
        y, z = self.bank.mean[:, 1], self.bank.mean[:, 2]
        rim = np.interp(y, [-0.14, 0.06], [front, nape])
        faces = self._skull[(z[self._skull] > rim[self._skull]).all(1)]
        out = normals(body.vertices, self._skull)
        lift = 0.016 if kind == "beanie" else 0.012
        height = np.clip((z - rim) / 0.08, 0, 1)
        puff = (0.02 if kind == "beanie" else 0.01) * height
        positions = body.vertices + out * (lift + puff)[:, None]
        crown = Layer(positions, self.bank.mean, np.full(len(z), -0.3, np.float32), self._skin, faces, material)
        if kind == "beanie":
            return [crown]
        return [crown, self._brim(body, positions, faces, kind, brim_material)]

    def _brim(self, body: Body, shell: np.ndarray, faces: np.ndarray, kind: str, material: int) -> Layer:
        """A sheet around the rim: in front only for a cap, all around for a bucket hat."""
        used = np.unique(faces)
        low = shell[used]
        centre = low.mean(0)
        span = (np.linspace(-1.15, 1.15, 13) if kind == "cap" else np.linspace(-np.pi, np.pi, 25)) - np.pi / 2
        inner_x, inner_y = np.ptp(low[:, 0]) / 2 * 0.97, np.ptp(low[:, 1]) / 2 * 0.97
        front, nape = HAT_RIM[kind]
        scale = self.bank.scale(body)
        rows = []
        for reach in np.linspace(0, 1, 4):
            width = (0.075 if kind == "cap" else 0.055) * reach * scale
            if kind == "cap":
                width = width * np.sqrt(np.clip(1 - ((span + np.pi / 2) / 1.2) ** 2, 0, 1))
            ring = np.stack([np.cos(span) * (inner_x + width), np.sin(span) * (inner_y + width)], 1)
            height = np.interp(np.sin(span), [-1, 1], [front, nape]) * scale + 0.012
            fall = 0.02 * reach**2 if kind == "cap" else 0.03 * reach
            rows.append(np.column_stack([ring + centre[:2], height - fall * scale]))
        points = np.concatenate(rows)
        sheet = grid_faces(4, len(span), closed=False)
        return Layer.built(points, rigid(len(points), JOINT_INDEX["head"]), sheet, material, scale)


def raised_hood(body: Body, bank: BodyBank, material: int) -> Layer:
    """A hood over the head, open around the face."""
    y, z = bank.mean[:, 1], bank.mean[:, 2]
    faces = simplify(bank.mean, bank.faces[(z[bank.faces] > 1.5).all(1)], 0.02)
    # The rim runs from above the forehead down the cheeks to the collar.
    behind = y > np.interp(z, [1.5, 1.62, 1.76, 1.82], [-0.06, -0.075, -0.10, -0.2])
    out = normals(body.vertices, faces)
    lift = np.interp(z, [1.5, 1.6, 1.8], [0.045, 0.035, 0.022])
    positions = body.vertices + out * lift[:, None]
    arm = np.full(len(z), -0.3, np.float32)
    return Layer(positions, bank.mean, arm, pack(bank.weights), faces[behind[faces].all(1)], material)


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


def headphones(body: Body, bank: BodyBank, material: int) -> list[Layer]:
    """A band over the head and two cups: not a hat."""
    scale = bank.scale(body)
    turn = np.linspace(0, np.pi, 15)
    middle = body.joints[JOINT_INDEX["head"]] + np.array([0, 0.0, 0.065]) * scale
    band = middle + np.stack([0.089 * np.cos(turn), np.zeros(15), 0.125 * np.sin(turn)], 1) * scale
    parts = [tube(band, 0.011 * scale, 6)]
    for side in (-1, 1):
        cup, faces = superellipsoid((0.022, 0.036, 0.042), 2.5, 7, 10)
        parts.append((cup * scale + middle + np.array([side * 0.085, 0, -0.005]) * scale, faces))
    head = JOINT_INDEX["head"]
    return [Layer.built(points, rigid(len(points), head), faces, material, scale) for points, faces in parts]


def collar(rng: np.random.Generator, body: Body, bank: BodyBank, material: int) -> Layer:
    """A standing or folded collar around the neck."""
    scale = bank.scale(body)
    neck = body.joints[JOINT_INDEX["neck"]] + np.array([0, -0.015, -0.03]) * scale
    turn = np.linspace(-np.pi, np.pi, 21) * float(rng.uniform(0.82, 0.97)) + np.pi / 2
    tall, flare = rng.uniform(0.035, 0.075), rng.uniform(-0.01, 0.03)
    across, along, up = np.cos(turn), np.sin(turn), 0.02 * np.sin(turn)
    rows = [
        neck + np.stack([(0.072 + flare * t) * across, (0.08 + flare * t) * along, tall * t + up], 1) * scale
        for t in (0.0, 0.5, 1.0)
    ]
    points = np.concatenate(rows)
    faces = grid_faces(3, len(turn), closed=False)
    return Layer.built(points, rigid(len(points), JOINT_INDEX["chest"]), faces, material, scale)


def hood(rng: np.random.Generator, body: Body, bank: BodyBank, material: int) -> Layer:
    """A hood folded down behind the neck, from a small roll to one that covers the shoulder blades."""
    scale = bank.scale(body)
    wide, thick, tall = rng.uniform(0.1, 0.15), rng.uniform(0.05, 0.075), rng.uniform(0.05, 0.12)
    shape, faces = superellipsoid((wide, thick, tall), 2.2, 9, 18)
    shape = shape.copy()
    shape[:, 1] -= 2.6 * shape[:, 0] ** 2  # wraps around the neck
    middle = np.array([0, 0.065, 0.04 - tall])
    points = shape * scale + body.joints[JOINT_INDEX["neck"]] + middle * scale
    return Layer.built(points, rigid(len(points), JOINT_INDEX["chest"]), faces, material, scale)


def scarf(rng: np.random.Generator, body: Body, bank: BodyBank, material: int) -> list[Layer]:
    """A ring around the neck, sometimes with an end hanging down in front."""
    scale = bank.scale(body)
    neck = body.joints[JOINT_INDEX["neck"]]
    u, v = np.meshgrid(
        np.linspace(0, 2 * np.pi, 18, endpoint=False), np.linspace(0, 2 * np.pi, 8, endpoint=False), indexing="ij"
    )
    thick = rng.uniform(0.028, 0.042)
    ring = np.stack(
        [(0.068 + thick * np.cos(v)) * np.cos(u), (0.075 + thick * np.cos(v)) * np.sin(u), 1.3 * thick * np.sin(v)], -1
    )
    ring[..., 2] += 0.015 * np.sin(u)
    points = ring.reshape(-1, 3) * scale + neck + np.array([0, -0.02, 0.005]) * scale
    faces = grid_faces(18, 8)
    closing = np.array([[17 * 8 + k, 17 * 8 + (k + 1) % 8, (k + 1) % 8, k] for k in range(8)], np.int32)
    skin = rigid(len(points), JOINT_INDEX["neck"])
    layers = [Layer.built(points, skin, np.concatenate([faces, closing]), material, scale)]
    if rng.uniform() < 0.5:
        shape, end_faces = superellipsoid((0.05, 0.016, rng.uniform(0.12, 0.22)), 5.0, 7, 10)
        end = shape * scale + neck + np.array([rng.uniform(-0.05, 0.05), -0.135, -0.22]) * scale
        layers.append(Layer.built(end, rigid(len(end), JOINT_INDEX["chest"]), end_faces, material, scale))
    return layers
