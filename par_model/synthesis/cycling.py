"""Cycling: the bicycle's geometry and a rider whose hands and feet stay on it."""

from __future__ import annotations

import numpy as np

from par_model.synthesis.bodies import JOINT_INDEX, JOINT_PARENT, JOINTS, Body
from par_model.synthesis.kinematics import Pose, aim, rotation

# Bicycle geometry in metres for a 1.72 m rider; the rider's frame has its origin under the saddle.
SADDLE = np.array([0.0, 0.18, 0.93])
CRANK = np.array([0.0, -0.02, 0.29])
CRANK_LENGTH = 0.17
GRIP = np.array([0.0, -0.46, 1.02])


def pedal_pose(body: Body, lean: float, phase: float) -> Pose:
    """Pedalling: hips on the saddle, ankles on the pedals, hands on the grips, by two-link inverse kinematics."""
    size = body.height / 1.72
    rest = body.joints
    rotations = np.tile(np.eye(3), (len(JOINTS), 1, 1))
    centres = np.zeros((len(JOINTS), 3))
    for j, (name, _, _) in enumerate(JOINTS):
        parent = JOINT_PARENT[j]
        if parent < 0:
            rotations[j] = rotation(0, 0.35 * lean)
            centres[j] = SADDLE * size + [0, 0, 0.06 * size]
            continue
        centres[j] = centres[parent] + rotations[parent] @ (rest[j] - rest[parent])
        base, side = name[:-2], name[-1]
        sign = 1.0 if side == "L" else -1.0
        if base in ("thigh", "shin"):
            angle = -2 * np.pi * (phase + (0.0 if side == "L" else 0.5))
            pedal = (CRANK + CRANK_LENGTH * np.array([0, -np.cos(angle), np.sin(angle)])) * size
            ankle = pedal + np.array([sign * 0.12, 0.09, 0.09]) * size
            if base == "thigh":
                joint = _middle_joint(centres[j], ankle, rest, f"thigh.{side}", np.array([sign * 0.05, -1.0, 0.25]))
                target = joint - centres[j]
            else:
                target = ankle - centres[j]
        elif base in ("arm", "forearm"):
            grip = (GRIP + np.array([sign * 0.27, 0.06, 0.05])) * size
            if base == "arm":
                joint = _middle_joint(centres[j], grip, rest, f"arm.{side}", np.array([sign * 0.7, 0.5, -0.6]))
                target = joint - centres[j]
            else:
                target = grip - centres[j]
        else:
            turn = {
                "spine": rotation(0, lean * 0.7),
                "chest": rotation(0, lean * 0.3),
                "neck": rotation(0, -lean * 0.6),
                "head": rotation(0, -lean * 0.5),
            }.get(name, np.eye(3))
            rotations[j] = rotations[parent] @ turn
            if base == "foot":
                rotations[j] = rotation(0, 0.2 + 0.2 * np.sin(2 * np.pi * phase))
            continue
        following = j + 1
        direction = rotations[parent] @ (rest[following] - rest[j])
        direction /= np.linalg.norm(direction)
        rotations[j] = aim(direction, target / max(float(np.linalg.norm(target)), 1e-6)) @ rotations[parent]
    return Pose(rotations, centres)


def _middle_joint(root: np.ndarray, target: np.ndarray, rest: np.ndarray, first: str, pole: np.ndarray) -> np.ndarray:
    """The middle joint of a two-link limb that reaches from `root` to `target`, bending towards `pole`."""
    j = JOINT_INDEX[first]
    upper = float(np.linalg.norm(rest[j + 1] - rest[j]))
    lower = float(np.linalg.norm(rest[j + 2] - rest[j + 1]))
    span = target - root
    distance = float(np.clip(np.linalg.norm(span), abs(upper - lower) + 1e-3, upper + lower - 1e-3))
    along = span / max(float(np.linalg.norm(span)), 1e-6)
    share = (upper**2 - lower**2 + distance**2) / (2 * distance)
    off = pole - (pole @ along) * along
    off /= max(float(np.linalg.norm(off)), 1e-6)
    middle: np.ndarray = root + along * share + off * np.sqrt(max(upper**2 - share**2, 0.0))
    return middle
