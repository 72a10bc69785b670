"""Places: a fixed camera, its light, and the static geometry of what it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

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
