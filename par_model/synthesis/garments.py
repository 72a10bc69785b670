"""Garments: MakeHuman outfits taken apart into tops, trousers and shoes, and lofted skirts, dresses and coats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from par_model.synthesis.assets import Piece, load_piece
from par_model.synthesis.bodies import JOINT_INDEX, SKIN_VERTICES, Body, BodyBank
from par_model.synthesis.mesh import Layer, Skinning, girth, grid_faces, normals, off_arms, pack, simplify

ARM_JOINTS = [JOINT_INDEX[f"{part}.{side}"] for part in ("arm", "forearm", "hand") for side in "LR"]
# Outfit, component numbers of its top and of its trousers.
LONG_TOPS = {
    "male_casualsuit02": (0,), "male_casualsuit03": (0,), "male_casualsuit05": (0, 2, 3),
    "female_elegantsuit01": (0,), "male_elegantsuit01": (0,),
}  # fmt: skip
SHORT_TOPS = {
    "female_casualsuit01": (0,), "female_casualsuit02": (1,), "male_casualsuit04": (1,), "male_casualsuit06": (0,),
}  # fmt: skip
TROUSERS = {"female_casualsuit01": (1,), "male_casualsuit04": (0,), "male_elegantsuit01": (1,)}
SHOES = tuple(f"shoes0{i}" for i in range(1, 7))
WAIST = 1.0  # canonical height where tops and trousers meet, metres on the average adult
SLEEVE_OVERLAP = 0.12


@dataclass(frozen=True)
class Landmarks:
    """Canonical coordinates of every body vertex: (V, 3) average position and (V,) place along the arm."""

    canon: np.ndarray
    arm: np.ndarray


def arm_coordinate(canon: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N,) 0 at the shoulder, 1 at the elbow, 2 at the wrist; -0.3 on the torso."""
    out = off_arms(len(canon))
    for side in "LR":
        chain = joints[[JOINT_INDEX[f"{part}.{side}"] for part in ("arm", "forearm", "hand")]]
        share = weights[:, [JOINT_INDEX[f"{part}.{side}"] for part in ("arm", "forearm", "hand")]].sum(1)
        member = share > 0.3
        upper, fore = chain[1] - chain[0], chain[2] - chain[1]
        first = (canon - chain[0]) @ upper / (upper @ upper)
        second = (canon - chain[1]) @ fore / (fore @ fore)
        along = np.where(first < 1, first, np.maximum(1 + second, 1.0))
        out = np.where(member, np.maximum(along, -0.3), out).astype(np.float32)
    return out


class Wardrobe:
    """Every garment of an asset folder, ready to be fitted to bodies of a bank."""

    def __init__(self, assets: Path, bank: BodyBank) -> None:
        self.bank = bank
        self.assets = assets
        outfits = {name: load_piece(assets, "clothes", name) for name in {**LONG_TOPS, **SHORT_TOPS, **TROUSERS}}
        self.long_tops = [self._part(outfits[name], parts, top=True) for name, parts in LONG_TOPS.items()]
        self.short_tops = [self._part(outfits[name], parts, top=True) for name, parts in SHORT_TOPS.items()]
        self.trousers = [self._part(outfits[name], parts, top=False) for name, parts in TROUSERS.items()]
        self.shoes = [self._shoe(load_piece(assets, "clothes", name)) for name in SHOES]
        self._canon: dict[str, tuple[np.ndarray, np.ndarray, Skinning, np.ndarray]] = {}

    @cached_property
    def landmarks(self) -> Landmarks:
        """Where body vertices lie on the average adult."""
        arm = arm_coordinate(self.bank.mean, self.bank.weights, self.bank.mean_joints)
        return Landmarks(self.bank.mean, arm)

    def _part(self, outfit: Piece, parts: tuple[int, ...], top: bool) -> Piece:
        weights = self.bank.weights[outfit.hides]
        arms = weights[:, ARM_JOINTS].sum(1) > 0.5
        height = self.bank.mean[outfit.hides, 2]
        mine = arms | (height > WAIST) if top else ~arms & (height <= WAIST + 0.02)
        return outfit.part(f"{outfit.name}:{parts}", np.isin(outfit.components, parts), outfit.hides[mine])

    def _shoe(self, piece: Piece) -> tuple[Piece, Piece]:
        """A pair of shoes taken apart: the shoes, and the socks in them."""
        height = piece.fit(self.bank.mean)[:, 2]
        tallest = np.zeros(int(piece.components.max()) + 1)
        np.maximum.at(tallest, piece.components, height)
        sock = tallest[piece.components] > 0.18
        ankle = piece.hides[self.bank.mean[piece.hides, 2] < 0.1]
        return piece.part(f"{piece.name}:shoe", ~sock, ankle), piece.part(f"{piece.name}:sock", sock, ankle[:0])

    def canonical(self, piece: Piece) -> tuple[np.ndarray, np.ndarray, Skinning, np.ndarray]:
        """Canonical positions (N, 3), arm coordinates (N,), skinning and simplified faces of a piece; remembered."""
        if piece.name not in self._canon:
            canon = piece.fit(self.bank.mean)
            weights = piece.weigh(self.bank.weights)
            arm = arm_coordinate(canon, weights, self.bank.mean_joints)
            self._canon[piece.name] = canon, arm, pack(weights), simplify(canon, piece.faces, 0.016)
        return self._canon[piece.name]

    def lowest(self, piece: Piece) -> float:
        """The canonical height of a top's hem."""
        canon, arm, _, _ = self.canonical(piece)
        return float(canon[arm < 0, 2].min())

    def wear(self, piece: Piece, body: Body, material: int, ease: float = 0.0, loose: float = 0.0) -> Layer:
        """A piece on a body, pushed out by `ease` metres; `loose` adds more towards the hem."""
        canon, arm, skin, faces = self.canonical(piece)
        positions = piece.fit(body.vertices)
        if ease or loose:
            out = normals(positions, faces)
            amount = ease + loose * np.clip((WAIST + 0.25 - canon[:, 2]) / 0.3, 0, 1)
            positions = positions + out * amount[:, None]
        return Layer(positions, canon, arm, skin, faces, material, closed=True)

    def hidden(self, piece: Piece, sleeve: float = 9.0, hem: float = -9.0) -> np.ndarray:
        """(V,) boolean: body vertices under the part of a piece that its cuts leave."""
        mask = np.zeros(len(self.bank.mean), bool)
        kept = piece.hides[
            (self.landmarks.arm[piece.hides] < sleeve - SLEEVE_OVERLAP)
            & (self.landmarks.canon[piece.hides, 2] > hem + 0.04)
        ]
        mask[kept] = True
        return mask

    @cached_property
    def _torso_cloud(self) -> np.ndarray:
        weights = self.bank.weights[:SKIN_VERTICES]
        return np.flatnonzero(weights[:, ARM_JOINTS].sum(1) < 0.02)

    def loft(
        self,
        body: Body,
        material: int,
        top: float,
        bottom: float,
        ease: float,
        flare: float,
        gap: float = 0.0,
        gather: float = 0.0,
    ) -> Layer:
        """A skirt, coat tail or straight jacket: rings around hips and legs from canonical height `top` to `bottom`.

        ease: metres off the body; flare: extra metres of radius at the hem; gap: radians left open in front;
        gather: depth of folds in metres.
        """
        scale = body.joints[JOINT_INDEX["thigh.L"], 2] / self.bank.mean_joints[JOINT_INDEX["thigh.L"], 2]
        rows, columns = 10, 28
        heights = np.linspace(top, bottom, rows)
        cloud = body.vertices[self._torso_cloud]
        # The legs stand apart at rest; below the crotch the outline is carried straight down instead.
        rings = girth(cloud, np.maximum(heights * scale, 0.80 * scale), columns)
        rings[:, :, 2] = (heights * scale)[:, None]
        centre = rings[:, :, :2].mean(1, keepdims=True)
        outward = rings[:, :, :2] - centre
        radius = np.linalg.norm(outward, axis=2, keepdims=True)
        depth = np.linspace(0, 1, rows)[:, None, None]
        angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
        folds = gather * np.cos(angle * 7)[None, :, None] * depth
        rings[:, :, :2] = centre + outward / radius * (radius + ease + flare * depth + folds)
        positions = rings.reshape(-1, 3).astype(np.float32)
        faces = grid_faces(rows, columns)
        if gap:
            middle = np.arctan2(positions[:, 0], -positions[:, 1])
            faces = faces[(np.abs(middle[faces]) > gap / 2).any(1)]
        canon = positions / np.float32(scale)
        return Layer(
            positions,
            canon,
            off_arms(len(positions)),
            self._skirt_weights(canon),
            faces,
            material,
        )

    def _skirt_weights(self, canon: np.ndarray) -> Skinning:
        """Cloth around the legs: the pelvis above, each side following its thigh, then its shin, more and more."""
        joints = self.bank.mean_joints
        hip, knee = joints[JOINT_INDEX["thigh.L"], 2], joints[JOINT_INDEX["shin.L"], 2]
        height = canon[:, 2]
        waist = np.clip((height - hip) / (1.2 - hip), 0, 1) * 0.7
        leg = np.clip((hip + 0.04 - height) / (hip - knee), 0, 1) * 0.9
        shin = np.clip((knee + 0.05 - height) / 0.3, 0, 1) * 0.75
        left = np.clip(0.5 + canon[:, 0] / 0.22, 0, 1)
        weights = np.zeros((len(canon), self.bank.weights.shape[1]), np.float32)
        weights[:, JOINT_INDEX["pelvis"]] = (1 - leg) * (1 - waist)
        weights[:, JOINT_INDEX["spine"]] = (1 - leg) * waist
        for side, share in (("L", left), ("R", 1 - left)):
            weights[:, JOINT_INDEX[f"thigh.{side}"]] = leg * (1 - shin) * share
            weights[:, JOINT_INDEX[f"shin.{side}"]] = leg * shin * share
        return pack(weights)
