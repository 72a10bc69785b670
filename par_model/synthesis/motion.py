"""Motion: joint transforms of a walking, running, standing or cycling skeleton at any moment.

A body frame has z up, faces -y and has the person's left at +x. Angles are radians, positive = flexion (limb forward).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from par_model.synthesis.bodies import JOINT_INDEX, JOINT_PARENT, JOINTS, Body

MOTIONS = ("walking", "running", "riding", "staying")
TAU = 2 * np.pi
SIDES = (("L", 1.0, 0.0), ("R", -1.0, 0.5))


@dataclass(frozen=True)
class Style:
    """How somebody moves.

    cadence: gait cycles a second; stride: metres a cycle; hands: per side what the arm does ("swing", "hang",
    "carry", "pocket", "phone", "strap", "push", "hips"); phase 0..1.
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
    """A gait that suits the body: small people take short quick steps, old ones stoop and shuffle."""
    size = body.height / 1.72
    old = body.age == "old"
    if motion == "walking":
        stride = rng.normal(1.36, 0.13) * size * (0.8 if old else 1.0)
        cadence, lean = rng.normal(0.93, 0.08) / np.sqrt(size), rng.normal(0.03, 0.03)
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
        stoop=float(abs(rng.normal(0.2 if old else 0.05, 0.08))),
        spread=float(rng.uniform(0.06, 0.16) + bulk),
        hands=hands,
        sway=float(rng.uniform(0.3, 1.2)),
        glance=float(rng.normal(0, 0.35)),
        wander=rng.uniform(0, TAU, 4),
    )


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


def pose_at(style: Style, body: Body, seconds: float) -> Pose:
    """The skeleton `seconds` after the start, standing on z = 0 (a rider sits at bicycle height)."""
    phase = style.phase + style.cadence * seconds
    local = [np.eye(3) for _ in JOINTS]
    if style.motion == "riding":
        return _ride(style, body, phase)
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


def _arm_aims(style: Style, side: int, sign: float, phase: float, seconds_sway: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of upper arm and forearm in the chest's frame."""
    hold = style.hands[side]
    swing = -np.cos(TAU * phase) * style.arm_swing
    spread = style.spread
    inward = 0.0
    if style.motion == "running" and hold in ("swing", "hang"):
        swing, bend, inward = -np.cos(TAU * phase) * 0.7 - 0.15, 1.5, 0.35
        upper, fore = swing, swing + bend
    elif hold == "swing":
        upper, fore = swing, swing + 0.22 + max(0.0, swing) * 0.5
    elif hold == "hang":
        upper, fore = 0.3 * swing, 0.3 * swing + 0.15
    elif hold == "carry":
        upper, fore = 0.35 * swing, 0.35 * swing + 0.05
        spread += 0.03
    elif hold == "elbow":
        upper, fore, inward = 0.1 + 0.1 * swing, 1.75, 0.35
    elif hold == "phone":
        upper, fore, inward = 0.5, 2.1, 0.5
    elif hold == "strap":
        upper, fore, inward = 0.35, 2.45, 0.25
    elif hold == "push":
        upper, fore = 0.55, 1.1
    elif hold == "pocket":
        upper, fore, inward = -0.25, 0.35, 0.3
        spread += 0.12
    else:  # hips
        upper, fore, inward = -0.15, 0.5, 0.75
        spread += 0.5
    first = np.array([sign * np.sin(spread), -np.cos(spread) * np.sin(upper), -np.cos(spread) * np.cos(upper)])
    second = np.array([sign * np.sin(spread * 0.4 - inward), -np.sin(fore), -np.cos(fore)])
    second[1:] *= np.cos(spread * 0.4 - inward)
    return first, second / np.linalg.norm(second)


def _chain(body: Body, local: list[np.ndarray], style: Style, phase: float) -> Pose:
    """Forward kinematics; the arms are aimed after the chest is known."""
    rest = body.joints
    rotations = np.zeros((len(JOINTS), 3, 3))
    centres = np.zeros((len(JOINTS), 3))
    aims = {
        side: _arm_aims(style, index, sign, (phase + offset) % 1.0, 0.0)
        for index, (side, sign, offset) in enumerate(SIDES)
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


# Bicycle geometry in metres for a 1.72 m rider; the rider's frame has its origin under the saddle.
SADDLE = np.array([0.0, 0.18, 0.93])
CRANK = np.array([0.0, -0.02, 0.29])
CRANK_LENGTH = 0.17
GRIP = np.array([0.0, -0.46, 1.02])


def _ride(style: Style, body: Body, phase: float) -> Pose:
    """Pedalling: hips on the saddle, ankles on the pedals, hands on the grips, by two-link inverse kinematics."""
    size = body.height / 1.72
    rest = body.joints
    rotations = np.tile(np.eye(3), (len(JOINTS), 1, 1))
    centres = np.zeros((len(JOINTS), 3))
    for j, (name, _, _) in enumerate(JOINTS):
        parent = JOINT_PARENT[j]
        if parent < 0:
            rotations[j] = rotation(0, 0.35 * style.lean)
            centres[j] = SADDLE * size + [0, 0, 0.06 * size]
            continue
        centres[j] = centres[parent] + rotations[parent] @ (rest[j] - rest[parent])
        base, side = name[:-2], name[-1]
        sign = 1.0 if side == "L" else -1.0
        if base in ("thigh", "shin"):
            angle = -TAU * (phase + (0.0 if side == "L" else 0.5))
            pedal = (CRANK + CRANK_LENGTH * np.array([0, -np.cos(angle), np.sin(angle)])) * size
            ankle = pedal + np.array([sign * 0.12, 0.09, 0.09]) * size
            if base == "thigh":
                joint = _bend(centres[j], ankle, rest, f"thigh.{side}", np.array([sign * 0.05, -1.0, 0.25]))
                target = joint - centres[j]
            else:
                target = ankle - centres[j]
        elif base in ("arm", "forearm"):
            grip = (GRIP + np.array([sign * 0.27, 0.06, 0.05])) * size
            if base == "arm":
                joint = _bend(centres[j], grip, rest, f"arm.{side}", np.array([sign * 0.7, 0.5, -0.6]))
                target = joint - centres[j]
            else:
                target = grip - centres[j]
        else:
            turn = {
                "spine": rotation(0, style.lean * 0.7),
                "chest": rotation(0, style.lean * 0.3),
                "neck": rotation(0, -style.lean * 0.6),
                "head": rotation(0, -style.lean * 0.5),
            }.get(name, np.eye(3))
            rotations[j] = rotations[parent] @ turn
            if base == "foot":
                rotations[j] = rotation(0, 0.2 + 0.2 * np.sin(TAU * phase))
            continue
        following = j + 1
        direction = rotations[parent] @ (rest[following] - rest[j])
        direction /= np.linalg.norm(direction)
        rotations[j] = aim(direction, target / max(float(np.linalg.norm(target)), 1e-6)) @ rotations[parent]
    return Pose(rotations, centres)


def _bend(root: np.ndarray, target: np.ndarray, rest: np.ndarray, first: str, pole: np.ndarray) -> np.ndarray:
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
