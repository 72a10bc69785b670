"""Geometry: collects the triangles of a street, with the local coordinates that its materials are painted in."""

from __future__ import annotations

import numpy as np

from par_model.synthesis.mesh import normals
from par_model.synthesis.world import FACADE, PAINT, POSTER, WORLD_VERTEX


class Builder:
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


def sample_tint(rng: np.random.Generator, low: float, high: float, chroma: float) -> np.ndarray:
    """A linear RGB albedo between `low` and `high`, tinted by up to `chroma`."""
    value = rng.uniform(low, high)
    return np.clip(value * (1 + chroma * rng.uniform(-1, 1, 3)), 0.01, 0.95)
