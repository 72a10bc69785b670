"""Things carried and ridden: backpacks, shoulder bags, hand bags and bicycles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from par_model.synthesis.bodies import JOINT_INDEX, SKIN_VERTICES, Body, BodyBank
from par_model.synthesis.cycling import CRANK, CRANK_LENGTH, GRIP, SADDLE
from par_model.synthesis.garments import ARM_JOINTS
from par_model.synthesis.mesh import RIGID, Layer, pack, rigid, strap, superellipsoid, tube, unpack

NECK_JOINTS = [JOINT_INDEX["neck"], JOINT_INDEX["head"]]
REFERENCE_HEIGHT = 1.72  # metres: the rider that the bicycle's numbers fit
WHEEL_RADIUS, FRONT_AXLE, REAR_AXLE = 0.33, -0.55, 0.5


class Surface:
    """Where a clothed torso's outside lies, for straps to rest on."""

    def __init__(self, body: Body, bank: BodyBank, cloth: list[Layer], gap: float) -> None:
        """cloth: the layers worn on the torso; gap: metres that straps keep from them."""
        torso = bank.weights[:SKIN_VERTICES][:, ARM_JOINTS].sum(1) < 0.25
        points, weights = [body.vertices[:SKIN_VERTICES][torso]], [bank.weights[:SKIN_VERTICES][torso]]
        for layer in cloth:
            near = layer.arm < 0.05
            points.append(layer.positions[near])
            weights.append(unpack(layer.skin, bank.weights.shape[1])[near])
        self.points, self.weights = np.concatenate(points), np.concatenate(weights)
        self.gap = gap
        self.scale = bank.scale(body)

    def touch(self, x: float, z: float, front: bool) -> tuple[np.ndarray, np.ndarray]:
        """The surface point at canonical x, z in front or behind, pushed out by the gap, and its skin weights."""
        x, z = x * self.scale, z * self.scale
        off = np.abs(self.points[:, 0] - x) + np.abs(self.points[:, 2] - z)
        near = np.argpartition(off, 50)[:50]
        best = near[np.argmin(self.points[near, 1]) if front else np.argmax(self.points[near, 1])]
        point = np.array([x, self.points[best, 1] + (-self.gap if front else self.gap), z])
        return point, self.weights[best]

    def shoulder(self, x: float) -> tuple[np.ndarray, np.ndarray]:
        """The top of the shoulder at canonical x."""
        beside = np.abs(self.points[:, 0] - x * self.scale) < 0.012 * self.scale
        column = np.flatnonzero(beside & (self.weights[:, NECK_JOINTS].sum(1) < 0.3))
        best = column[np.argmax(self.points[column, 2])]
        return self.points[best] + [0, 0, self.gap], self.weights[best]


def between(stops: Sequence[tuple[np.ndarray, ...]], count: int) -> list[np.ndarray]:
    """Each column of `stops`, such as points and their skin weights, at `count` places evenly along them."""
    at, grid = np.linspace(0, len(stops) - 1, count), np.arange(len(stops))
    return [np.stack([np.interp(at, grid, values) for values in np.array(column).T], 1) for column in zip(*stops)]


def _ribbon(stops: list[tuple[np.ndarray, np.ndarray, np.ndarray]], width: float, material: int, scale: float) -> Layer:
    """A strap through (point, outward normal, skin weights) stops, smoothed, stiffened to the torso."""
    points, outward, weights = between(stops, 4 * len(stops))
    ribbon, faces = strap(points, outward, width)
    return Layer.built(ribbon, pack(np.repeat(weights, 2, axis=0)), faces, material, scale)


FRONT, BACK, UP = np.array([0.0, -1, 0]), np.array([0.0, 1, 0]), np.array([0.0, 0, 1])


def backpack(
    rng: np.random.Generator, body: Body, bank: BodyBank, materials: tuple[int, int], cloth: list[Layer]
) -> list[Layer]:
    """A pack on the back with a pocket and two straps over the shoulders; materials: (pack, straps)."""
    surface = Surface(body, bank, cloth, 0.014)
    scale = surface.scale
    half = np.array([rng.uniform(0.12, 0.17), rng.uniform(0.06, 0.11), rng.uniform(0.17, 0.26)])
    middle = 1.44 - half[2] + rng.uniform(-0.04, 0.02)
    back, _ = surface.touch(0.0, middle, front=False)
    shape, faces = superellipsoid(tuple(half), float(rng.uniform(3, 6)), 11, 18)
    points = shape * scale + back + np.array([0, half[1] * 0.85, 0]) * scale
    chest = JOINT_INDEX["chest"]
    layers = [Layer.built(points, rigid(len(points), chest), faces, materials[0], scale)]
    if rng.uniform() < 0.7:
        pocket, pocket_faces = superellipsoid((half[0] * 0.75, 0.035, half[2] * 0.42), 4.0, 7, 14)
        place = back + np.array([0, half[1] * 1.85, -half[2] * 0.4]) * scale
        layers.append(
            Layer.built(
                pocket * scale + place, rigid(len(pocket), chest), pocket_faces, materials[rng.integers(2)], scale
            )
        )
    width = float(rng.uniform(0.045, 0.075)) * scale
    sides = (-1, 1) if rng.uniform() < 0.92 else (int(rng.choice([-1, 1])),)
    for side in sides:
        rise = np.linspace(0, 1, 7)
        front = [surface.touch(side * (0.135 - 0.04 * t), 1.14 + 0.29 * t, True) for t in rise]
        top, behind = surface.shoulder(side * 0.095), surface.touch(side * 0.09, 1.4, False)
        armpit = (front[0][0] + np.array([side * 0.025, 0.12 * scale, 0]), np.array([side, 0.0, 0]), front[0][1])
        stops = [armpit, *((p, FRONT, w) for p, w in front), (top[0], UP, top[1]), (behind[0], BACK, behind[1])]
        layers.append(_ribbon(stops, width, materials[1], scale))
    return layers


def shoulder_bag(
    rng: np.random.Generator, body: Body, bank: BodyBank, materials: tuple[int, int], cloth: list[Layer], bulk: float
) -> list[Layer]:
    """A bag at the hip on a strap over the same or the other shoulder; materials: (bag, strap)."""
    surface = Surface(body, bank, cloth, 0.015)
    scale = surface.scale
    side = int(rng.choice([-1, 1]))
    crossed = bool(rng.uniform() < 0.5)
    tucked = not crossed and bool(rng.uniform() < 0.5)  # under the arm, a little behind it
    half = np.array([rng.uniform(0.035, 0.065), rng.uniform(0.10, 0.19), rng.uniform(0.08, 0.15)])
    height = rng.uniform(0.88, 1.05) if crossed else rng.uniform(1.02, 1.22) if tucked else rng.uniform(0.9, 1.08)
    behind = rng.uniform(0.04, 0.14) if tucked else rng.uniform(-0.06, 0.1)
    hip = ((0.14 if tucked else 0.185) + bulk + half[0]) * side
    place = np.array([hip, behind, height]) * scale
    shape, faces = superellipsoid(tuple(half), float(rng.uniform(3, 7)), 9, 16)
    hung = np.zeros(bank.weights.shape[1], np.float32)
    upper, lower = ("chest", "spine") if tucked else ("spine", "pelvis")
    hung[JOINT_INDEX[upper]], hung[JOINT_INDEX[lower]] = 0.4, 0.6
    layers = [Layer.built(shape * scale + place, pack(np.tile(hung, (len(shape), 1))), faces, materials[0], scale)]
    if rng.uniform() < 0.5:  # a flap in the strap's colour
        flap, flap_faces = superellipsoid((half[0] * 1.06, half[1] * 1.02, half[2] * 0.4), 6.0, 7, 14)
        lifted = flap * scale + place + np.array([0, 0, half[2] * 0.62]) * scale
        layers.append(Layer.built(lifted, pack(np.tile(hung, (len(flap), 1))), flap_faces, materials[1], scale))
    width = float(rng.uniform(0.02, 0.05)) * scale
    over = -side if crossed else side
    rim = place + np.array([0, 0, half[2] * 0.7]) * scale
    places = (
        (over * 0.09, 1.38),
        (over * (0.02 if crossed else 0.13), 1.25),
        (side * (0.10 if crossed else 0.15), 1.1),
    )
    above = [(x, z) for x, z in places if z > height + half[2]]
    front, back = ([surface.touch(x, z, ahead) for x, z in above] for ahead in (True, False))
    top = surface.shoulder(over * (0.1 if crossed else 0.14))
    outward = np.array([float(side), 0, 0])
    stops = [(rim + np.array([0, -half[1] * 0.8, 0]) * scale, outward, hung)]
    stops += [(p, FRONT, w) for p, w in reversed(front)] + [(top[0], UP, top[1])] + [(p, BACK, w) for p, w in back]
    stops += [(rim + np.array([0, half[1] * 0.8, 0]) * scale, outward, hung)]
    layers.append(_ribbon(stops, width, materials[1], scale))
    return layers


def hand_bag(
    rng: np.random.Generator, body: Body, kind: str, side: str, materials: tuple[int, int], elbow: bool
) -> list[Layer]:
    """A bag that hangs from one hand or elbow; it follows RIGID["bag.side"]. materials: (bag, handles)."""
    scale = body.height / REFERENCE_HEIGHT
    half, power = {
        "tote": ((rng.uniform(0.03, 0.06), rng.uniform(0.14, 0.21), rng.uniform(0.15, 0.21)), 5.0),
        "plastic": ((rng.uniform(0.05, 0.1), rng.uniform(0.1, 0.17), rng.uniform(0.12, 0.2)), 2.4),
        "briefcase": ((rng.uniform(0.035, 0.06), rng.uniform(0.18, 0.23), rng.uniform(0.12, 0.16)), 9.0),
        "handbag": ((rng.uniform(0.045, 0.075), rng.uniform(0.11, 0.17), rng.uniform(0.07, 0.12)), 3.5),
    }[kind]
    drop = 0.04 if kind == "briefcase" else rng.uniform(0.07, 0.2)
    hold = hold_point(body, side, elbow)
    shape, faces = superellipsoid(half, power, 9, 16)
    shape = shape.copy()
    if kind == "plastic":  # gathered towards the handles
        shape[:, :2] *= np.interp(shape[:, 2], [-half[2], half[2]], [1.1, 0.45])[:, None]
    bone = RIGID[f"bag.{side}"]
    middle = hold - np.array([0, 0, drop + half[2]]) * scale
    layers = [Layer.built(shape * scale + middle, rigid(len(shape), bone), faces, materials[0], scale)]
    for x in (-0.6, 0.6):
        grip = half[1] * (0.4 if kind != "plastic" else 0.25)
        rim = middle + np.array([half[0] * x, 0, half[2] * 0.9]) * scale
        spread, clasp = np.array([0, grip * scale, 0]), np.array([0, 0.03, 0])
        path = np.stack([rim - spread, hold - clasp, hold + clasp, rim + spread])
        points, tube_faces = tube(path, 0.009 if kind != "briefcase" else 0.012, 5)
        layers.append(Layer.built(points, rigid(len(points), bone), tube_faces, materials[1], scale))
    return layers


def held_object(rng: np.random.Generator, body: Body, side: str, material: int) -> list[Layer]:
    """Something in the hand that is no bag: a bottle, a book or a closed umbrella."""
    scale = body.height / REFERENCE_HEIGHT
    half, power, drop = (
        ((0.035, 0.035, 0.11), 3.0, 0.0),
        ((0.015, 0.075, 0.105), 8.0, 0.04),
        ((0.022, 0.022, 0.36), 2.2, 0.28),
    )[rng.integers(3)]
    shape, faces = superellipsoid(half, power, 7, 12)
    points = (shape * rng.uniform(0.85, 1.15) - np.array([0, 0, drop])) * scale + hold_point(body, side, elbow=False)
    return [Layer.built(points, rigid(len(points), RIGID[f"bag.{side}"]), faces, material, scale)]


def hold_point(body: Body, side: str, elbow: bool) -> np.ndarray:
    """Where, at rest, a bag hangs: the closed fist or the crook of the arm."""
    scale = body.height / REFERENCE_HEIGHT
    if elbow:
        forearm, hand = body.joints[JOINT_INDEX[f"forearm.{side}"]], body.joints[JOINT_INDEX[f"hand.{side}"]]
        point: np.ndarray = forearm + 0.25 * (hand - forearm)
        return point
    hand, forearm = body.joints[JOINT_INDEX[f"hand.{side}"]], body.joints[JOINT_INDEX[f"forearm.{side}"]]
    along = (hand - forearm) / np.linalg.norm(hand - forearm)
    fist: np.ndarray = hand + along * 0.085 * scale
    return fist


def bicycle(rng: np.random.Generator, body: Body, materials: tuple[int, int, int]) -> list[Layer]:
    """A bicycle under its rider, at rest with the rider's frame; materials: (frame, tyres, metal)."""
    scale = body.height / REFERENCE_HEIGHT
    front, rear = np.array([0, FRONT_AXLE, WHEEL_RADIUS]), np.array([0, REAR_AXLE, WHEEL_RADIUS])
    head, seat = np.array([0, -0.36, 0.85]), SADDLE + np.array([0, -0.01, -0.04])
    low = np.array([0, -0.41, 0.68])
    dip = float(rng.choice([0.0, 0.25]))  # a low step-through frame
    stem = head + np.array([0, 0.03, 0.12])
    bars = [
        (CRANK, seat, 0.018), (seat - [0, 0, 0.12 + dip], head - [0, 0.0, dip * 0.3], 0.018), (CRANK, low, 0.021),
        (CRANK, rear, 0.013), (seat - [0, 0, 0.12], rear, 0.012), (stem, low, 0.019), (low, front, 0.016),
    ]  # fmt: skip
    layers = []

    def add(points: np.ndarray, faces: np.ndarray, bone: str, material: int) -> None:
        layers.append(Layer.built(points * scale, rigid(len(points), RIGID[bone]), faces, material, scale))

    for a, b, radius in bars:
        add(*tube(np.stack([a, (a + b) / 2, b]), radius, 6), "frame", materials[0])
    grip = np.array([[-0.28, 0.06, 0.0], [-0.2, -0.02, 0.02], [0, -0.05, 0.0], [0.2, -0.02, 0.02], [0.28, 0.06, 0.0]])
    add(*tube(GRIP + grip, 0.013, 6), "frame", materials[2])
    saddle, saddle_faces = superellipsoid((0.075, 0.14, 0.035), 2.3, 7, 12)
    add(saddle + SADDLE + [0, 0.02, -0.01], saddle_faces, "frame", materials[1])
    if rng.uniform() < 0.35:
        basket, basket_faces = superellipsoid((0.17, 0.13, 0.11), 7.0, 7, 14)
        add(basket + GRIP + [0, -0.2, -0.12], basket_faces, "frame", materials[2])
    turn = np.linspace(0, 2 * np.pi, 25)
    for axle, bone in ((front, "wheel.F"), (rear, "wheel.R")):
        rim = axle + WHEEL_RADIUS * np.stack([np.zeros(25), np.cos(turn), np.sin(turn)], 1)
        add(*tube(rim, 0.019, 6), bone, materials[1])
        for spoke in turn[:-1:3]:
            end = axle + WHEEL_RADIUS * np.array([0, np.cos(spoke), np.sin(spoke)])
            add(*tube(np.stack([axle, (axle + end) / 2, end]), 0.003, 3), bone, materials[2])
    for sign, phase in ((1, 0.0), (-1, np.pi)):
        pedal = CRANK + np.array([sign * 0.07, -CRANK_LENGTH * np.cos(phase), CRANK_LENGTH * np.sin(phase)])
        axle = CRANK + np.array([sign * 0.05, 0, 0])
        add(*tube(np.stack([axle, (axle + pedal) / 2, pedal]), 0.012, 5), "crank", materials[2])
        plate, plate_faces = superellipsoid((0.05, 0.04, 0.012), 6.0, 5, 8)
        add(plate + pedal + [sign * 0.05, 0, 0], plate_faces, "crank", materials[1])
    return layers
