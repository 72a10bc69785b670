"""Streets: procedural places for people to walk, with a fixed camera, light, and things to walk behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from par_model.synthesis.mesh import normals, superellipsoid, tube

WORLD_VERTEX = np.dtype(
    [("position", "3f4"), ("normal", "3f4"), ("local", "3f4"), ("tint", "3f4"), ("material", "f4"), ("seed", "f4")]
)
GROUND, FACADE, PAINT, GLASS, FOLIAGE, RAILING, POSTER, WOOD = range(8)
SKY_DISTANCE = 400.0


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera above the ground.

    eye (3,) metres; axes (3, 3): right, up, forward in columns; tangent: half width and height of the frame at one
    metre; size: width and height of the full frame in pixels.
    """

    eye: np.ndarray
    axes: np.ndarray
    tangent: tuple[float, float]
    size: tuple[int, int]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) world points to (N, 2) pixels (y down) and (N,) distance along the optical axis."""
        seen = (points - self.eye) @ self.axes
        depth = np.maximum(seen[:, 2], 0.05)
        ndc = seen[:, :2] / depth[:, None] / self.tangent
        return (ndc * [0.5, -0.5] + 0.5) * self.size, seen[:, 2]

    def ground_at(self, pixel: tuple[float, float]) -> np.ndarray:
        """(3,) the ground point under a pixel; far away for pixels above the horizon."""
        ndc = (np.array(pixel) / self.size - 0.5) * [2, -2]
        ray = self.axes @ np.array([*(ndc * self.tangent), 1.0])
        reach = self.eye[2] / -ray[2] if ray[2] < -1e-3 else SKY_DISTANCE
        point: np.ndarray = self.eye + min(reach, SKY_DISTANCE) * ray
        return point

    def matrix(self, window: tuple[float, float, float, float] = (0, 0, 1, 1)) -> np.ndarray:
        """(4, 4) world to clip space of a window (x, y, width, height) of the frame in 0..1, y up from the bottom."""
        near, far = 0.3, 2 * SKY_DISTANCE
        x, y, w, h = window
        rotate = np.eye(4)
        rotate[:3, :3] = self.axes.T
        rotate[:3, 3] = -self.axes.T @ self.eye
        project = np.zeros((4, 4))
        project[0, 0], project[1, 1] = 1 / self.tangent[0], 1 / self.tangent[1]
        project[2, 2], project[2, 3] = (far + near) / (far - near), -2 * far * near / (far - near)
        project[3, 2] = 1
        crop = np.eye(4)
        crop[0, 0], crop[1, 1] = 1 / w, 1 / h
        crop[0, 3], crop[1, 3] = (1 - 2 * x) / w - 1, (1 - 2 * y) / h - 1
        clip: np.ndarray = crop @ project @ rotate
        return clip


@dataclass(frozen=True)
class Light:
    """Sun and sky: unit vector to the sun, linear RGB of sun, sky and ground bounce, blur of shadows, exposure."""

    to_sun: np.ndarray
    sun: np.ndarray
    sky: np.ndarray
    bounce: np.ndarray
    softness: float
    exposure: float


@dataclass(frozen=True)
class World:
    """A place: its camera, light, geometry (vertices of WORLD_VERTEX, triangle indices) and ground parameters."""

    camera: Camera
    light: Light
    vertices: np.ndarray
    indices: np.ndarray
    zones: tuple[float, float, float, float]
    ground: tuple[np.ndarray, np.ndarray, np.ndarray]
    wet: float
    seed: float
    obstacles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) right, up, forward in columns."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward], axis=1)


def sample_camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """A surveillance camera: 2 to 7 m up, tilted down, from wide to a moderate telephoto."""
    height = float(np.exp(rng.uniform(np.log(1.7), np.log(7.0))))
    distance = float(rng.uniform(7, 18) + height)
    eye = np.array([0.0, -distance, height])
    target = np.array([0.0, 0.0, rng.uniform(0.4, 1.4)])
    half = np.tan(np.radians(rng.uniform(14, 30)))
    return Camera(eye, look_at(eye, target), (half * size[0] / size[1], half), size)


def sample_light(rng: np.random.Generator) -> Light:
    """Clear, hazy, overcast, shade or dusk; the exposure follows, imperfectly, as a camera's would."""
    kind = str(
        rng.choice(["clear", "hazy", "overcast", "shade", "dusk", "indoor"], p=[0.28, 0.17, 0.22, 0.13, 0.08, 0.12])
    )
    elevation, azimuth = np.radians(rng.uniform(20, 70)), rng.uniform(0, 2 * np.pi)
    to_sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    warm = rng.uniform(0, 1)
    sun = np.array([1.0, 0.95 - 0.12 * warm, 0.88 - 0.28 * warm])
    blue = rng.uniform(0, 1)
    sky = np.array([0.9 - 0.25 * blue, 0.95 - 0.1 * blue, 1.0])
    strength, fill, softness = {
        "clear": (2.3, 0.65, 0.03), "hazy": (1.3, 0.8, 0.1), "overcast": (0.25, 1.0, 0.6), "shade": (0.12, 0.8, 0.5),
        "dusk": (0.5, 0.5, 0.2), "indoor": (0.4, 0.8, 0.35),
    }[kind]  # fmt: skip
    if kind == "indoor":
        to_sun = np.array([0.2 * np.cos(azimuth), 0.2 * np.sin(azimuth), 1.0])
        to_sun /= np.linalg.norm(to_sun)
        sky = np.array([1.0, 0.95 - 0.12 * warm, 0.9 - 0.3 * warm])
        sun = sky
    ground = np.array([0.3, 0.28, 0.26]) * rng.uniform(0.7, 1.4)
    middle = strength * 0.5 + fill
    exposure = float(rng.lognormal(0.0, 0.22) * 1.05 / middle)
    if kind == "dusk":
        exposure *= 0.6
    return Light(
        to_sun, sun * strength, sky * fill, ground * (0.6 * strength * to_sun[2] + fill) * 0.7, softness, exposure
    )


class _Builder:
    """Collects the geometry of a place."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.indices: list[np.ndarray] = []
        self.count = 0
        self.obstacles: list[tuple[float, float, float]] = []

    def add(
        self,
        points: np.ndarray,
        faces: np.ndarray,
        material: int,
        tint: np.ndarray,
        seed: float,
        local: np.ndarray | None = None,
        normal: np.ndarray | None = None,
    ) -> None:
        part = np.zeros(len(points), WORLD_VERTEX)
        part["position"] = points
        part["normal"] = normals(points, faces) if normal is None else normal
        part["local"] = points if local is None else local
        part["tint"], part["material"], part["seed"] = tint, material, seed
        self.parts.append(part)
        quads = faces.astype(np.uint32) + self.count
        self.indices.append(quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1))
        self.count += len(points)

    def box(
        self,
        centre: tuple[float, float],
        size: tuple[float, float, float],
        turn: float,
        material: int,
        tint: np.ndarray,
        seed: float,
        base: float = 0.0,
    ) -> None:
        """An upright box: size along its own x, y and z, standing at height `base`; sides carry local (x, 0, z)."""
        c, s = np.cos(turn), np.sin(turn)
        sx, sy, sz = size
        for across, out, width, depth in ((0, -1, sx, sy), (1, 1, sy, sx), (0, 1, sx, sy), (1, -1, sy, sx)):
            u = np.array([-width / 2, width / 2, width / 2, -width / 2])
            z = np.array([0.0, 0.0, sz, sz])
            if across == 0:
                flat = np.stack([u, np.full(4, out * depth / 2)], 1)
                normal = np.array([0.0, out, 0.0])
            else:
                flat = np.stack([np.full(4, out * depth / 2), u], 1)
                normal = np.array([out, 0.0, 0.0])
            turned = flat @ np.array([[c, s], [-s, c]]) + centre
            points = np.column_stack([turned, z + base])
            n = np.array([normal[0] * c - normal[1] * s, normal[0] * s + normal[1] * c, 0])
            self.add(
                points, np.array([[0, 1, 2, 3]]), material, tint, seed, np.column_stack([u + 50, np.zeros(4), z]), n
            )
        flat = np.array([[-sx, -sy], [sx, -sy], [sx, sy], [-sx, sy]]) / 2
        points = np.column_stack([flat @ np.array([[c, s], [-s, c]]) + centre, np.full(4, sz + base)])
        cap = PAINT if material in (FACADE, POSTER) else material
        self.add(
            points,
            np.array([[0, 1, 2, 3]]),
            cap,
            tint,
            seed,
            np.column_stack([flat, np.zeros(4)]),
            np.array([0, 0, 1.0]),
        )

    def solid(
        self,
        shape: tuple[np.ndarray, np.ndarray],
        at: tuple[float, float, float],
        material: int,
        tint: np.ndarray,
        seed: float,
    ) -> None:
        """A ready mesh moved to `at`."""
        self.add(shape[0] + np.array(at), shape[1], material, tint, seed, shape[0])


def _tint(rng: np.random.Generator, low: float, high: float, chroma: float) -> np.ndarray:
    value = rng.uniform(low, high)
    return np.clip(value * (1 + chroma * rng.uniform(-1, 1, 3)), 0.01, 0.95)


def _car(b: _Builder, rng: np.random.Generator, x: float, y: float, turn: float) -> None:
    tint = _tint(rng, 0.03, 0.7, 0.7)
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


def _tree(b: _Builder, rng: np.random.Generator, x: float, y: float) -> None:
    height = rng.uniform(2.2, 3.6)
    trunk = np.array([[x, y, 0], [x + rng.normal(0, 0.1), y, height * 0.5], [x + rng.normal(0, 0.15), y, height + 0.8]])
    b.add(*tube(trunk, np.array([0.16, 0.12, 0.08]) * rng.uniform(0.7, 1.5)), WOOD, _tint(rng, 0.06, 0.18, 0.25), 1.0)
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


def _post(b: _Builder, rng: np.random.Generator, x: float, y: float) -> None:
    tall = rng.uniform(2.5, 7)
    radius = rng.uniform(0.04, 0.11)
    tint = _tint(rng, 0.05, 0.5, 0.2)
    b.add(*tube(np.array([[x, y, 0.0], [x, y, tall / 2], [x, y, tall]]), radius, 8), PAINT, tint, 0.0)
    if rng.uniform() < 0.4:
        b.box(
            (x, y),
            (0.6, 0.04, 0.6),
            rng.uniform(0, 3),
            POSTER,
            _tint(rng, 0.2, 0.8, 0.8),
            float(rng.uniform(0, 50)),
            min(tall - 0.7, 2.2),
        )
    b.obstacles.append((x, y, 0.15))


def _furniture(b: _Builder, rng: np.random.Generator, x: float, y: float) -> None:
    """A pillar, kiosk, planter, bench, bin, bollard, hedge or railing at a place."""
    kind = str(rng.choice(["pillar", "kiosk", "planter", "bench", "bin", "bollard", "hedge", "railing", "board"]))
    turn, seed = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.05)), float(rng.uniform(0, 99))
    if kind == "pillar":
        r = rng.uniform(0.15, 0.35)
        b.add(*tube(np.array([[x, y, 0], [x, y, 2.0], [x, y, 6.0]]), r, 14), PAINT, _tint(rng, 0.25, 0.8, 0.15), seed)
    elif kind == "kiosk":
        b.box(
            (x, y),
            (rng.uniform(1.2, 2.4), rng.uniform(1, 1.8), rng.uniform(2.1, 2.7)),
            turn,
            POSTER,
            _tint(rng, 0.1, 0.7, 0.7),
            seed,
        )
    elif kind == "planter":
        w = rng.uniform(0.6, 1.6)
        b.box((x, y), (w, 0.6, 0.5), turn, PAINT, _tint(rng, 0.15, 0.6, 0.2), seed)
        b.solid(
            superellipsoid((w * 0.5, 0.45, rng.uniform(0.3, 0.7)), 2.2, 7, 12),
            (x, y, 0.7),
            FOLIAGE,
            np.array([0.15, 0.28, 0.07]),
            seed,
        )
    elif kind == "bench":
        tint = _tint(rng, 0.1, 0.35, 0.4)
        b.box((x, y), (1.6, 0.45, 0.08), turn, WOOD, tint, seed, 0.4)
        for end in (-0.65, 0.65):
            b.box(
                (x + end * np.cos(turn), y + end * np.sin(turn)), (0.08, 0.4, 0.4), turn, PAINT, np.full(3, 0.08), seed
            )
    elif kind == "bin":
        b.add(
            *tube(np.array([[x, y, 0], [x, y, 0.5], [x, y, 1.0]]), rng.uniform(0.2, 0.3), 10),
            PAINT,
            _tint(rng, 0.05, 0.5, 0.6),
            seed,
        )
    elif kind == "bollard":
        for i in range(int(rng.integers(1, 4))):
            p = np.array([x + i * 1.4 * np.cos(turn), y + i * 1.4 * np.sin(turn), 0])
            b.add(
                *tube(p + np.array([[0, 0, 0], [0, 0, 0.5], [0, 0, 0.95]]), 0.08, 8),
                PAINT,
                _tint(rng, 0.05, 0.7, 0.4),
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
        b.box((x, y), (rng.uniform(2, 4), 0.03, 1.05), turn, RAILING, _tint(rng, 0.03, 0.4, 0.3), seed)
    else:
        b.box(
            (x, y), (rng.uniform(0.7, 1.3), 0.1, rng.uniform(1.6, 2.1)), turn, POSTER, _tint(rng, 0.2, 0.85, 0.7), seed
        )
    b.obstacles.append((x, y, 0.9))


def build_world(rng: np.random.Generator, camera: Camera, light: Light, clear: float = 1.2) -> World:
    """A random place in front of a camera. clear: metres around the origin's walkway kept free of furniture."""
    b = _Builder()
    seed = float(rng.uniform(0, 90))
    far = 260.0
    plane = np.array([[-far, -60, 0], [far, -60, 0], [far, far, 0], [-far, far, 0]])
    b.add(plane, np.array([[0, 1, 2, 3]]), GROUND, np.ones(3), seed)
    depth = rng.uniform(5, 26)
    if rng.uniform() < 0.85:  # a row of houses across the view
        x = -70.0
        while x < 70:
            width = rng.uniform(6, 20)
            tint = _tint(rng, 0.12, 0.75, 0.3)
            b.box(
                (x + width / 2, depth + 6 + rng.uniform(-0.4, 0.6)),
                (width, 12, rng.uniform(5, 22)),
                0.0,
                FACADE,
                tint,
                float(rng.uniform(0, 99)),
            )
            x += width + (rng.uniform(2, 9) if rng.uniform() < 0.25 else 0.0)
    if rng.uniform() < 0.5:  # a wall along one side
        side = rng.choice([-1, 1])
        b.box(
            (side * rng.uniform(6, 14), 12),
            (5, 60, rng.uniform(3, 14)),
            0.0,
            FACADE,
            _tint(rng, 0.12, 0.7, 0.3),
            float(rng.uniform(0, 99)),
        )
    for _ in range(rng.integers(0, 6)):
        _tree(b, rng, rng.uniform(-22, 22), rng.uniform(3.5, depth + 2) * rng.choice([1, 1, 1.6]))
    for _ in range(rng.integers(0, 6)):
        x = rng.uniform(-20, 20)
        _car(
            b,
            rng,
            x,
            rng.uniform(3.5, max(4.0, depth - 1)),
            float(rng.choice([0, np.pi / 2, np.pi])) + rng.normal(0, 0.1),
        )
    for _ in range(rng.integers(1, 7)):
        _post(b, rng, rng.uniform(-14, 14), rng.uniform(1.5, depth) * rng.choice([1, -0.4]))
    for _ in range(rng.integers(2, 11)):
        y = rng.uniform(clear, depth) if rng.uniform() < 0.8 else rng.uniform(-5, -clear)
        _furniture(b, rng, rng.uniform(-12, 12), y)
    road = rng.uniform() < 0.4
    kind = float(rng.choice([0, 1, 2]))
    first = _tint(rng, 0.08, 0.55, 0.12)
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
