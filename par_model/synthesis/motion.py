"""Motion: joint transforms of a walking, running, standing or cycling skeleton at any moment.

A body frame has z up, faces -y and has the person's left at +x. Angles are radians, positive = flexion (limb forward).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from par_model.synthesis.bodies import JOINT_INDEX, JOINT_PARENT, JOINTS, Body
from par_model.synthesis.cycling import pedal_pose
from par_model.synthesis.kinematics import Pose, aim, rotation

TAU = 2 * np.pi
SIDES = (("L", 1.0, 0.0), ("R", -1.0, 0.5))


@dataclass(frozen=True)
class Style:
    """How somebody moves.

    cadence: gait cycles a second; stride: metres a cycle; hands: per side what the arm does, a key of _HOLDS;
    phase 0..1.
    """

    motion: str
    cadence: float
    stride: float
    phase: float
    arm_swing: float
    lean: float
    stoop: float
    spread: float
    hands: tuple[str, str]
    sway: float
    glance: float
    wander: np.ndarray = field(default_factory=lambda: np.zeros(4))

    @property
    def speed(self) -> float:
        """Metres a second."""
        return self.cadence * self.stride


def sample_style(rng: np.random.Generator, motion: str, body: Body, hands: tuple[str, str], bulk: float = 0.0) -> Style:
    """A gait that suits the body: small people take short quick steps, old ones stoop and shuffle.

    bulk: metres that clothes add to the torso, which the arms, half a metre long, keep clear of.
    """
    size = body.height / 1.72
    old = body.age == "old"
    if motion == "walking":
        stride = rng.normal(1.36, 0.13) * size * (0.75 if old else 1.0)
        cadence, lean = rng.normal(0.85 if old else 0.93, 0.08) / np.sqrt(size), rng.normal(0.03, 0.03)
    elif motion == "running":
        stride, cadence = rng.normal(2.3, 0.35) * size, rng.normal(1.38, 0.1) / np.sqrt(size)
        lean = rng.normal(0.14, 0.05)
    elif motion == "riding":
        stride, cadence, lean = rng.normal(4.0, 0.8), rng.normal(1.0, 0.2), rng.normal(0.35, 0.15)
    else:
        stride, cadence, lean = 0.0, rng.uniform(0.1, 0.3), rng.normal(0.0, 0.03)
    return Style(
        motion=motion,
        cadence=float(cadence),
        stride=float(stride),
        phase=float(rng.uniform()),
        arm_swing=float(np.clip(rng.normal(0.4, 0.14), 0.08, 0.8)),
        lean=float(lean),
        stoop=float(abs(rng.normal(0.27 if old else 0.05, 0.08))),
        spread=float(rng.uniform(0.03, 0.14) + 2.0 * bulk),
        hands=hands,
        sway=float(rng.uniform(0.3, 1.2)),
        glance=float(rng.normal(0, 0.35)),
        wander=rng.uniform(0, TAU, 4),
    )


def pose_at(style: Style, body: Body, seconds: float) -> Pose:
    """The skeleton `seconds` after the start, standing on z = 0 (a rider sits at bicycle height)."""
    phase = style.phase + style.cadence * seconds
    local = [np.eye(3) for _ in JOINTS]
    if style.motion == "riding":
        return pedal_pose(body, style.lean, phase)
    for side, sign, offset in SIDES:
        hip, knee, ankle = _leg_angles(style, (phase + offset) % 1.0)
        local[JOINT_INDEX[f"thigh.{side}"]] = rotation(0, -hip) @ rotation(1, sign * 0.05)
        local[JOINT_INDEX[f"shin.{side}"]] = rotation(0, knee)
        local[JOINT_INDEX[f"foot.{side}"]] = rotation(0, -ankle) @ rotation(2, sign * 0.1)
    twist = {"walking": 0.09, "running": 0.16}.get(style.motion, 0.0) * np.cos(TAU * phase)
    idle = np.sin(TAU * style.cadence * seconds + style.wander[0]) * style.sway
    local[0] = rotation(0, style.lean * 0.4) @ rotation(2, -twist)
    if style.motion == "staying":
        local[0] = rotation(1, 0.02 * idle)
    local[JOINT_INDEX["spine"]] = rotation(0, style.lean * 0.6 + style.stoop * 0.5) @ rotation(2, 1.0 * twist)
    local[JOINT_INDEX["chest"]] = rotation(0, style.stoop * 0.6) @ rotation(2, 1.1 * twist)
    local[JOINT_INDEX["neck"]] = rotation(0, -style.stoop * 0.35)
    gaze = style.glance * np.sin(1.3 * seconds + style.wander[1])
    nod = 0.35 if "phone" in style.hands else 0.06 * np.sin(0.9 * seconds + style.wander[2])
    local[JOINT_INDEX["head"]] = rotation(2, gaze - twist) @ rotation(0, nod - style.stoop * 0.5)
    pose = _chain(body, local, style, phase)
    lowest = _sole(pose, body)
    if style.motion == "running":
        lowest -= 0.05 * abs(np.sin(TAU * phase)) * body.height / 1.72
    return Pose(pose.rotations, pose.centres - [0, 0, lowest])


def _bump(phase: float, centre: float, width: float) -> float:
    distance = (phase - centre + 0.5) % 1.0 - 0.5
    return float(np.exp(-0.5 * (distance / width) ** 2))


def _leg_angles(style: Style, phase: float) -> tuple[float, float, float]:
    """Hip, knee and ankle of one leg, heel strike at phase 0 (Winter's walking curves in a few bumps)."""
    if style.motion == "walking":
        reach = np.clip(style.stride / 1.36, 0.55, 1.2)
        hip = 0.14 + 0.40 * reach * np.cos(TAU * phase)
        knee = 0.08 + 0.26 * _bump(phase, 0.14, 0.08) + 0.98 * _bump(phase, 0.73, 0.11) * (0.6 + 0.4 * reach)
        return hip, knee, 0.05 - 0.3 * _bump(phase, 0.63, 0.07) + 0.12 * _bump(phase, 0.42, 0.12)
    if style.motion == "running":
        hip = 0.3 + 0.68 * np.cos(TAU * phase)
        knee = 0.3 + 0.3 * _bump(phase, 0.1, 0.08) + 1.55 * _bump(phase, 0.66, 0.14)
        return hip, knee, 0.1 - 0.5 * _bump(phase, 0.45, 0.1)
    relaxed = 0.06 if (style.wander[3] > np.pi) == (phase % 1.0 > 0.5) else 0.0
    return relaxed * 0.8, relaxed * 2.0 + 0.03, relaxed


# What an arm does: upper arm forward, its share of the gait's swing, elbow flexion, forearm inward, extra spread.
_HOLDS = {
    "swing": (0.0, 1.0, 0.22, 0.0, 0.0),
    "hang": (0.0, 0.3, 0.15, 0.0, 0.0),
    "carry": (0.0, 0.35, 0.05, 0.0, 0.03),
    "elbow": (0.1, 0.1, 1.65, 0.35, 0.0),
    "phone": (0.5, 0.0, 1.6, 0.5, 0.0),
    "strap": (0.35, 0.0, 2.1, 0.25, 0.0),
    "pocket": (-0.25, 0.0, 0.6, 0.3, 0.12),
    "jog": (-0.15, 1.0, 1.5, 0.35, 0.0),
}


def _arm_aims(style: Style, side: int, sign: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of upper arm and forearm in the chest's frame."""
    hold, swing = style.hands[side], -np.cos(TAU * phase) * style.arm_swing
    if style.motion == "running" and hold in ("swing", "hang"):
        hold, swing = "jog", -np.cos(TAU * phase) * 0.7
    elif style.motion == "staying":
        swing *= 0.15
    forward, share, flexion, inward, extra = _HOLDS[hold]
    upper = forward + share * swing
    fore = upper + flexion + (0.5 * max(0.0, swing) if hold == "swing" else 0.0)
    spread = style.spread + extra
    across = spread * 0.4 - inward
    first = np.array([sign * np.sin(spread), -np.cos(spread) * np.sin(upper), -np.cos(spread) * np.cos(upper)])
    second = np.array([sign * np.sin(across), -np.cos(across) * np.sin(fore), -np.cos(across) * np.cos(fore)])
    return first, second


def _chain(body: Body, local: list[np.ndarray], style: Style, phase: float) -> Pose:
    """Forward kinematics; the arms are aimed after the chest is known."""
    rest = body.joints
    rotations = np.zeros((len(JOINTS), 3, 3))
    centres = np.zeros((len(JOINTS), 3))
    aims = {
        side: _arm_aims(style, index, sign, (phase + offset) % 1.0) for index, (side, sign, offset) in enumerate(SIDES)
    }
    for j, (name, _, _) in enumerate(JOINTS):
        parent = JOINT_PARENT[j]
        if parent < 0:
            rotations[j], centres[j] = local[j], rest[j]
            continue
        centres[j] = centres[parent] + rotations[parent] @ (rest[j] - rest[parent])
        if name.startswith(("arm", "forearm")):
            chest = rotations[JOINT_INDEX["chest"]]
            following = j + 1
            direction = rest[following] - rest[j]
            direction = rotations[parent] @ (direction / np.linalg.norm(direction))
            target = chest @ aims[name[-1]][0 if name.startswith("arm") else 1]
            rotations[j] = aim(direction, target) @ rotations[parent]
        else:
            rotations[j] = rotations[parent] @ local[j]
    return Pose(rotations, centres)


def _sole(pose: Pose, body: Body) -> float:
    """Height of the lowest point of both feet: heel and ball under each ankle."""
    lowest = np.inf
    for side in "LR":
        j = JOINT_INDEX[f"foot.{side}"]
        drop = body.joints[j, 2]
        for forward in (0.05, -0.15):
            point = pose.centres[j] + pose.rotations[j] @ np.array([0, forward * body.height / 1.72, -drop])
            lowest = min(lowest, float(point[2]))
    return lowest
