"""On head and neck: hats grown from the skull and a fedora, hoods, headphones, collars and scarves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from par_model.synthesis.assets import load_piece
from par_model.synthesis.bodies import JOINT_INDEX, Body, BodyBank
from par_model.synthesis.hair import HeadPiece
from par_model.synthesis.mesh import Layer, grid_faces, normals, off_arms, pack, rigid, simplify, superellipsoid, tube

HATS = ("cap", "beanie", "fedora", "bucket", "beret")
# Canonical height of the lower rim of a hat at the forehead and at the nape.
_RIM = {
    "cap": (1.738, 1.70), "beanie": (1.728, 1.665), "fedora": (1.735, 1.70), "bucket": (1.73, 1.68),
    "beret": (1.745, 1.69),
}  # fmt: skip


@dataclass(frozen=True)
class HatShape:
    """How a hat is built, in metres of the average adult.

    front, nape: height of its lower rim there. The crown stands `lift` off the skull, `puff` more at its top, `bulge`
    more half way up and `fold` more along the rim, as where a knitted hat is turned up; `slouch`: how far the top hangs
    back. brim: its width, 0 for none; fall: how much lower its edge is; peak: it is in front only, or behind
    (`backwards`).
    """

    kind: str
    front: float
    nape: float
    lift: float = 0.012
    puff: float = 0.01
    bulge: float = 0.0
    fold: float = 0.0
    slouch: float = 0.0
    brim: float = 0.0
    fall: float = 0.0
    peak: bool = False
    backwards: bool = False


def sample_hat(rng: np.random.Generator, kind: str) -> HatShape:
    """One of the hats of a kind, as they differ in fit, height and brim; there is one fedora."""
    front, nape = _RIM[kind]
    if kind == "fedora":
        return HatShape(kind, front, nape)
    down = float(rng.uniform(-0.008, 0.01))
    shape = HatShape(kind, front - down, nape - down)
    if kind == "cap":
        return replace(
            shape,
            puff=float(rng.uniform(0.004, 0.028)),
            brim=float(rng.uniform(0.055, 0.085)),
            fall=float(rng.uniform(0.005, 0.03)),
            peak=True,
            backwards=bool(rng.uniform() < 0.1),
        )
    if kind == "beanie":
        loose = float(rng.uniform(0.0, 0.05))
        return replace(
            shape,
            lift=float(rng.uniform(0.01, 0.022)),
            puff=loose,
            bulge=float(rng.choice([0.0, rng.uniform(0.0, 0.025)])),
            fold=float(rng.choice([0.0, rng.uniform(0.006, 0.014)])),
            slouch=float(rng.choice([0.0, rng.uniform(0.0, loose)])),
        )
    if kind == "beret":
        return replace(
            shape,
            bulge=float(rng.uniform(0.025, 0.05)),
            puff=float(rng.uniform(0.0, 0.012)),
            slouch=float(rng.uniform(0.0, 0.015)),
        )
    wide = rng.uniform() < 0.25
    return replace(
        shape,
        puff=float(rng.uniform(0.008, 0.05)),
        brim=float(rng.uniform(0.08, 0.13) if wide else rng.uniform(0.035, 0.08)),
        fall=float(rng.uniform(0.0, 0.05)),
    )


class Hatter:
    """Hats and raised hoods built on a bank's average head, and a fedora of the assets."""

    def __init__(self, assets: Path, bank: BodyBank) -> None:
        self.bank = bank
        self._fedora = HeadPiece(load_piece(assets, "clothes", "fedora01"), bank)
        self._skin = pack(bank.weights)
        y, z = bank.mean[:, 1], bank.mean[:, 2]
        self._skull = simplify(bank.mean, bank.faces[(z[bank.faces] > 1.6).all(1)], 0.015)
        self._head = simplify(bank.mean, bank.faces[(z[bank.faces] > 1.5).all(1)], 0.02)
        # A hood's rim runs from above the forehead down the cheeks to the collar.
        behind = y > np.interp(z, [1.5, 1.62, 1.76, 1.82], [-0.06, -0.075, -0.10, -0.2])
        self._hood = self._head[behind[self._head].all(1)]

    def wear(self, shape: HatShape, body: Body, material: int, brim_material: int) -> list[Layer]:
        """The layers of a hat: a crown over the skull and perhaps a brim."""
        if shape.kind == "fedora":
            return [self._fedora.put_on(body, material)]
        mean = self.bank.mean
        z = mean[:, 2]
        rim = np.interp(mean[:, 1], [-0.14, 0.06], [shape.front, shape.nape])
        faces = self._skull[(z[self._skull] > rim[self._skull]).all(1)]
        above = z - rim
        height = np.clip(above / 0.08, 0, 1)
        stands = shape.lift + shape.puff * height + shape.bulge * np.sin(np.pi * height)
        stands += shape.fold * (above < 0.04)
        scale = self.bank.scale(body)
        hangs = shape.slouch * (height**2)[:, None] * [0, 1, -0.2]
        positions = body.vertices + scale * (normals(body.vertices, self._skull) * stands[:, None] + hangs)
        crown = Layer(positions, mean, off_arms(len(z)), self._skin, faces, material)
        if not shape.brim:
            return [crown]
        used = np.unique(faces)
        return [crown, self._brim(positions[used[above[used] < 0.02]], scale, shape, brim_material)]

    def raise_hood(self, body: Body, material: int) -> Layer:
        """A hood over the head, open around the face."""
        mean = self.bank.mean
        lift = np.interp(mean[:, 2], [1.5, 1.6, 1.8], [0.045, 0.035, 0.022])
        positions = body.vertices + normals(body.vertices, self._head) * lift[:, None]
        return Layer(positions, mean, off_arms(len(mean)), self._skin, self._hood, material)

    def _brim(self, rim: np.ndarray, scale: float, shape: HatShape, material: int) -> Layer:
        """A sheet around the lowest points of a crown, `rim`, or a peak on one side of them."""
        middle = (rim.min(0) + rim.max(0)) / 2
        inner_x, inner_y = np.ptp(rim[:, :2], axis=0) / 2 * 0.97
        fore, aft = np.quantile(rim[:, 1], [0.2, 0.8])
        heights = rim[rim[:, 1] <= fore, 2].min() + 0.01, rim[rim[:, 1] >= aft, 2].min() + 0.01
        span = np.linspace(-1.15, 1.15, 13) if shape.peak else np.linspace(-np.pi, np.pi, 25)
        turn = span + (np.pi / 2 if shape.backwards else -np.pi / 2)
        across, along = np.cos(turn), np.sin(turn)
        height = np.interp(along, [-1, 1], heights)
        outline = np.sqrt(np.clip(1 - (span / 1.2) ** 2, 0, 1)) if shape.peak else 1.0
        rows = []
        for reach in np.linspace(0, 1, 4):
            width = shape.brim * reach * scale * outline
            fall = shape.fall * (reach**2 if shape.peak else reach)
            x, y = middle[0] + across * (inner_x + width), middle[1] + along * (inner_y + width)
            rows.append(np.column_stack([x, y, height - fall * scale]))
        points = np.concatenate(rows)
        sheet = grid_faces(4, len(span), closed=False)
        return Layer.built(points, rigid(len(points), JOINT_INDEX["head"]), sheet, material, scale)


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
