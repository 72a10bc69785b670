"""Props: the houses, trees, cars and street furniture that streets are put together from."""

from __future__ import annotations

import numpy as np

from par_model.synthesis.geometry import Builder, sample_tint
from par_model.synthesis.mesh import superellipsoid, tube
from par_model.synthesis.world import (
    FACADE,
    FOLIAGE,
    GLASS,
    GROUND,
    PAINT,
    POSTER,
    RAILING,
    WOOD,
    Camera,
    Light,
    World,
)


def add_car(b: Builder, rng: np.random.Generator, x: float, y: float, turn: float) -> None:
    tint = sample_tint(rng, 0.03, 0.7, 0.7)
    seed = float(rng.uniform(0, 50))
    van = rng.uniform() < 0.3
    length, width = (4.9, 1.95) if van else (4.3, 1.75)
    b.box((x, y), (length, width, 0.55 if not van else 1.0), turn, PAINT, tint, seed, 0.32)
    c, s = np.cos(turn), np.sin(turn)
    b.box(
        (x - 0.15 * c, y - 0.15 * s),
        (length * (0.85 if van else 0.55), width * 0.88, 0.55),
        turn,
        GLASS,
        tint,
        seed,
        1.32 if van else 0.87,
    )
    b.box(
        (x - 0.15 * c, y - 0.15 * s),
        (length * (0.85 if van else 0.5), width * 0.86, 0.08),
        turn,
        PAINT,
        tint,
        seed,
        1.87 if van else 1.42,
    )
    for along in (-0.3, 0.3):
        for side in (-0.46, 0.46):
            wheel, faces = superellipsoid((0.32, 0.12, 0.32), 3.0, 7, 12)
            turned = wheel @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
            dx, dy = along * length, side * width
            b.solid((turned, faces), (x + dx * c - dy * s, y + dx * s + dy * c, 0.32), PAINT, np.full(3, 0.02), seed)
    b.obstacles.append((x, y, 1.6))


def add_tree(b: Builder, rng: np.random.Generator, x: float, y: float) -> None:
    height = rng.uniform(2.2, 3.6)
    trunk = np.array([[x, y, 0], [x + rng.normal(0, 0.1), y, height * 0.5], [x + rng.normal(0, 0.15), y, height + 0.8]])
    b.add(
        *tube(trunk, np.array([0.16, 0.12, 0.08]) * rng.uniform(0.7, 1.5)),
        WOOD,
        sample_tint(rng, 0.06, 0.18, 0.25),
        1.0,
    )
    green = np.array([0.16, 0.3, 0.07]) * rng.uniform(0.5, 1.3) * (1 + 0.3 * rng.uniform(-1, 1, 3))
    for _ in range(rng.integers(3, 6)):
        blob, faces = superellipsoid(tuple(rng.uniform(0.9, 1.9, 3)), 2.0, 9, 14)
        b.solid(
            (blob, faces),
            (x + rng.normal(0, 0.7), y + rng.normal(0, 0.7), height + rng.uniform(0.4, 1.8)),
            FOLIAGE,
            green,
            float(rng.uniform(0, 99)),
        )
    b.obstacles.append((x, y, 0.3))


def add_post(b: Builder, rng: np.random.Generator, x: float, y: float) -> None:
    tall = rng.uniform(2.5, 7)
    radius = rng.uniform(0.04, 0.11)
    tint = sample_tint(rng, 0.05, 0.5, 0.2)
    b.add(*tube(np.array([[x, y, 0.0], [x, y, tall / 2], [x, y, tall]]), radius, 8), PAINT, tint, 0.0)
    if rng.uniform() < 0.4:
        b.box(
            (x, y),
            (0.6, 0.04, 0.6),
            rng.uniform(0, 3),
            POSTER,
            sample_tint(rng, 0.2, 0.8, 0.8),
            float(rng.uniform(0, 50)),
            min(tall - 0.7, 2.2),
        )
    b.obstacles.append((x, y, 0.15))


def add_furniture(b: Builder, rng: np.random.Generator, x: float, y: float) -> None:
    """A pillar, kiosk, planter, bench, bin, bollard, hedge or railing at a place."""
    kind = str(rng.choice(["pillar", "kiosk", "planter", "bench", "bin", "bollard", "hedge", "railing", "board"]))
    turn, seed = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05)), float(rng.uniform(0, 99))
    if kind == "pillar":
        r = rng.uniform(0.15, 0.35)
        b.add(
            *tube(np.array([[x, y, 0], [x, y, 2.0], [x, y, 6.0]]), r, 14),
            PAINT,
            sample_tint(rng, 0.25, 0.8, 0.15),
            seed,
        )
    elif kind == "kiosk":
        b.box(
            (x, y),
            (rng.uniform(1.2, 2.4), rng.uniform(1, 1.8), rng.uniform(2.1, 2.7)),
            turn,
            POSTER,
            sample_tint(rng, 0.1, 0.7, 0.7),
            seed,
        )
    elif kind == "planter":
        w = rng.uniform(0.6, 1.6)
        b.box((x, y), (w, 0.6, 0.5), turn, PAINT, sample_tint(rng, 0.15, 0.6, 0.2), seed)
        b.solid(
            superellipsoid((w * 0.5, 0.45, rng.uniform(0.3, 0.7)), 2.2, 7, 12),
            (x, y, 0.7),
            FOLIAGE,
            np.array([0.15, 0.28, 0.07]),
            seed,
        )
    elif kind == "bench":
        tint = sample_tint(rng, 0.1, 0.35, 0.4)
        b.box((x, y), (1.6, 0.45, 0.08), turn, WOOD, tint, seed, 0.4)
        for end in (-0.65, 0.65):
            b.box(
                (x + end * np.cos(turn), y + end * np.sin(turn)), (0.08, 0.4, 0.4), turn, PAINT, np.full(3, 0.08), seed
            )
    elif kind == "bin":
        b.add(
            *tube(np.array([[x, y, 0], [x, y, 0.5], [x, y, 1.0]]), rng.uniform(0.2, 0.3), 10),
            PAINT,
            sample_tint(rng, 0.05, 0.5, 0.6),
            seed,
        )
    elif kind == "bollard":
        for i in range(int(rng.integers(1, 4))):
            p = np.array([x + i * 1.4 * np.cos(turn), y + i * 1.4 * np.sin(turn), 0])
            b.add(
                *tube(p + np.array([[0, 0, 0], [0, 0, 0.5], [0, 0, 0.95]]), 0.08, 8),
                PAINT,
                sample_tint(rng, 0.05, 0.7, 0.4),
                seed,
            )
            b.obstacles.append((float(p[0]), float(p[1]), 0.2))
    elif kind == "hedge":
        b.solid(
            superellipsoid((rng.uniform(1, 2.4), 0.45, rng.uniform(0.5, 0.9)), 5.0, 11, 30),
            (x, y, 0.5),
            FOLIAGE,
            np.array([0.12, 0.24, 0.06]),
            seed,
        )
        b.obstacles.append((x + 1.0, y, 1.0))
        b.obstacles.append((x - 1.0, y, 1.0))
    elif kind == "railing":
        b.box((x, y), (rng.uniform(2, 4), 0.03, 1.05), turn, RAILING, sample_tint(rng, 0.03, 0.4, 0.3), seed)
    else:
        b.box(
            (x, y),
            (rng.uniform(0.7, 1.3), 0.1, rng.uniform(1.6, 2.1)),
            turn,
            POSTER,
            sample_tint(rng, 0.2, 0.85, 0.7),
            seed,
        )
    b.obstacles.append((x, y, 0.9))


def add_ground(b: Builder, seed: float, far: float = 260.0) -> None:
    """The plane that everything stands on."""
    plane = np.array([[-far, -60, 0], [far, -60, 0], [far, far, 0], [-far, far, 0]])
    b.add(plane, np.array([[0, 1, 2, 3]]), GROUND, np.ones(3), seed)


def add_houses(b: Builder, rng: np.random.Generator, y: float) -> None:
    """A row of houses across the view, centred `y` metres away, with a gap here and there."""
    x = -70.0
    while x < 70:
        width = rng.uniform(6, 20)
        tint = sample_tint(rng, 0.12, 0.75, 0.3)
        size = (width, 12, rng.uniform(5, 22))
        b.box((x + width / 2, y + rng.uniform(-0.4, 0.6)), size, 0.0, FACADE, tint, float(rng.uniform(0, 99)))
        x += width + (rng.uniform(2, 9) if rng.uniform() < 0.25 else 0.0)


def build_world(rng: np.random.Generator, camera: Camera, light: Light, clear: float = 1.2) -> World:
    """A random place in front of a camera. clear: metres around the origin's walkway kept free of furniture."""
    b = Builder()
    seed = float(rng.uniform(0, 90))
    add_ground(b, seed)
    depth = rng.uniform(5, 26)
    if rng.uniform() < 0.85:
        add_houses(b, rng, depth + 6)
    if rng.uniform() < 0.5:  # a wall along one side
        side = rng.choice([-1, 1])
        b.box(
            (side * rng.uniform(6, 14), 12),
            (5, 60, rng.uniform(3, 14)),
            0.0,
            FACADE,
            sample_tint(rng, 0.12, 0.7, 0.3),
            float(rng.uniform(0, 99)),
        )
    for _ in range(rng.integers(0, 6)):
        add_tree(b, rng, rng.uniform(-22, 22), rng.uniform(3.5, depth + 2) * rng.choice([1, 1, 1.6]))
    for _ in range(rng.integers(0, 6)):
        x = rng.uniform(-20, 20)
        add_car(
            b,
            rng,
            x,
            rng.uniform(3.5, max(4.0, depth - 1)),
            float(rng.choice([0, np.pi / 2, np.pi])) + rng.normal(0, 0.1),
        )
    for _ in range(rng.integers(1, 7)):
        add_post(b, rng, rng.uniform(-14, 14), rng.uniform(1.5, depth) * rng.choice([1, -0.4]))
    for _ in range(rng.integers(2, 11)):
        y = rng.uniform(clear, depth) if rng.uniform() < 0.8 else rng.uniform(-5, -clear)
        add_furniture(b, rng, rng.uniform(-12, 12), y)
    road = rng.uniform() < 0.4
    kind = float(rng.choice([0, 1, 2]))
    pale = rng.uniform() < 0.4  # concrete and polished floors
    first = sample_tint(rng, 0.45, 0.85, 0.06) if pale else sample_tint(rng, 0.08, 0.55, 0.12)
    second = np.clip(first * rng.uniform(0.65, 1.25) * (1 + 0.1 * rng.uniform(-1, 1, 3)), 0.02, 0.9)
    if kind == 0 and rng.uniform() < 0.3:  # grass
        first = np.array([0.12, 0.2, 0.05]) * rng.uniform(0.6, 1.4)
        second = first * [1.5, 1.2, 1.1]
    zones = (
        float(rng.uniform(-9, 6)),
        float(rng.uniform(4, 8)) if road else 0.0,
        kind,
        float(rng.choice([0.25, 0.4, 0.6, 1.0, 1.5])),
    )
    return World(
        camera=camera,
        light=light,
        vertices=np.concatenate(b.parts),
        indices=np.concatenate(b.indices),
        zones=zones,
        ground=(first, second, np.full(3, rng.uniform(0.05, 0.2))),
        wet=float(rng.choice([0.0, 0.0, 0.1, 0.5])),
        seed=seed,
        obstacles=np.array(b.obstacles or [(0, 99, 0.1)]),
    )
