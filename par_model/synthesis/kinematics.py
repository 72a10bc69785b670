"""Kinematics: rotations, posed skeletons, and the capsules that stand for limbs in soft shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from par_model.synthesis.bodies import JOINT_INDEX

CAPSULES = 10


def rotation(axis: int, angle: float) -> np.ndarray:
    """(3, 3) right-handed rotation about a coordinate axis."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def aim(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) the smallest rotation that turns unit vector `source` into unit vector `target`."""
    v, c = np.cross(source, target), float(source @ target)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    turned: np.ndarray = np.eye(3) + k + k @ k / max(1 + c, 1e-3)
    return turned


@dataclass(frozen=True)
class Pose:
    """Where the joints are in the body frame: `rotations` (J, 3, 3) and `centres` (J, 3) of the rotated joints."""

    rotations: np.ndarray
    centres: np.ndarray

    def matrices(self, rest: np.ndarray, position: np.ndarray, heading: float) -> np.ndarray:
        """(J, 4, 4) from rest-pose points to the world: feet at `position`, facing `heading` (0 = -y, left-handed
        turns positive)."""
        turn = rotation(2, heading)
        out = np.zeros((len(rest), 4, 4))
        out[:, :3, :3] = turn @ self.rotations
        moved = self.centres - np.einsum("jab,jb->ja", self.rotations, rest)
        out[:, :3, 3] = moved @ turn.T + position
        out[:, 3, 3] = 1
        return out


def capsules(rest: np.ndarray, bones: np.ndarray, bulk: float = 1.0) -> np.ndarray:
    """(10, 2, 4) limbs as capsules in the world for soft shadows: ends, radius in the first one's last column.

    rest: (19, 3) joint centres; bones: (BONES, 4, 4).
    """
    size = rest[JOINT_INDEX["head"], 2] / 1.6
    world = {name: bones[j, :3, :3] @ rest[j] + bones[j, :3, 3] for name, j in JOINT_INDEX.items()}
    crown = bones[JOINT_INDEX["head"]] @ np.array([0, -0.05 * size, rest[JOINT_INDEX["head"], 2] + 0.1 * size, 1])
    pairs = [
        (world["pelvis"], world["neck"], 0.15 * bulk), (crown[:3], crown[:3], 0.105),
        (world["thigh.L"], world["shin.L"], 0.075), (world["thigh.R"], world["shin.R"], 0.075),
        (world["shin.L"], world["foot.L"], 0.055), (world["shin.R"], world["foot.R"], 0.055),
        (world["arm.L"], world["forearm.L"], 0.045), (world["arm.R"], world["forearm.R"], 0.045),
        (world["forearm.L"], world["hand.L"], 0.038), (world["forearm.R"], world["hand.R"], 0.038),
    ]  # fmt: skip
    out = np.zeros((CAPSULES, 2, 4), "f4")
    for i, (a, b, radius) in enumerate(pairs):
        out[i, 0, :3], out[i, 1, :3], out[i, 0, 3] = a, b, radius * size
    return out
