"""Meshes: the layers a person is built from, simple solids, and lofted tubes such as skirts and coat tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

RIGID = {"bag.L": 19, "bag.R": 20, "frame": 21, "wheel.F": 22, "wheel.R": 23, "crank": 24}
BONES = 25  # the body's 19 joints, then whatever is carried or ridden


class Skinning(NamedTuple):
    """The four strongest bones of every vertex: numbers (N, 4) uint8 and weights (N, 4) uint8 that sum to about 255."""

    bones: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One surface of a person at rest.

    positions (N, 3) metres; canon (N, 3) the same point on the average adult (for cuts and patterns); arm (N,)
    0 at the shoulder, 1 elbow, 2 wrist, negative off the arm; skin: which bones move it; faces (F, 4); material
    number; closed: seen from outside only, so that its far side need not be drawn.
    """

    positions: np.ndarray
    canon: np.ndarray
    arm: np.ndarray
    skin: Skinning
    faces: np.ndarray
    material: int
    closed: bool = False

    @classmethod
    def built(cls, points: np.ndarray, skin: Skinning, faces: np.ndarray, material: int, scale: float) -> Layer:
        """A surface off the arms, built at `points` (N, 3) on a body `scale` times as tall as the average adult."""
        return cls(points, points / scale, off_arms(len(points)), skin, faces, material)


def off_arms(count: int) -> np.ndarray:
    """(count,) the arm coordinate of what is not on an arm."""
    return np.full(count, -0.3, np.float32)


def normals(positions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N, 3) unit vertex normals, faces weighted by area."""
    a, b = positions[faces[:, 2]] - positions[faces[:, 0]], positions[faces[:, 3]] - positions[faces[:, 1]]
    across = np.cross(a, b)
    out = np.stack(
        [
            sum(np.bincount(faces[:, k], across[:, axis], minlength=len(positions)) for k in range(4))
            for axis in range(3)
        ],
        axis=1,
    )
    unit: np.ndarray = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return unit


def rigid(count: int, bone: int) -> Skinning:
    """Skinning of `count` vertices that follow one bone."""
    weights = np.zeros((count, 4), np.uint8)
    weights[:, 0] = 255
    return Skinning(np.full((count, 4), bone, np.uint8), weights)


def pack(weights: np.ndarray) -> Skinning:
    """Skinning from dense (N, bones) weights."""
    strongest = np.argpartition(-weights, 3, axis=1)[:, :4]
    values = np.take_along_axis(weights, strongest, axis=1)
    values = np.round(255 * values / np.maximum(values.sum(1, keepdims=True), 1e-6))
    return Skinning(strongest.astype(np.uint8), values.astype(np.uint8))


def unpack(skin: Skinning, bones: int) -> np.ndarray:
    """Dense (N, bones) weights of a skinning."""
    weights = np.zeros((len(skin.bones), bones), np.float32)
    np.add.at(weights, (np.arange(len(weights))[:, None], skin.bones), skin.weights / np.float32(255))
    return weights


def grid_faces(rows: int, columns: int, closed: bool = True) -> np.ndarray:
    """(F, 4) quads of a rows x columns sheet, row-major; `closed` joins last column to first."""
    last = columns if closed else columns - 1
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(last), indexing="ij")
    n = (c + 1) % columns
    quads: np.ndarray = np.stack(
        [r * columns + c, r * columns + n, (r + 1) * columns + n, (r + 1) * columns + c], -1
    ).reshape(-1, 4)
    return quads.astype(np.int32)


def simplify(canon: np.ndarray, faces: np.ndarray, cell: float = 0.013) -> np.ndarray:
    """(F', 4) faces after vertices that share a cell of `cell` metres are merged into the one nearest its middle.

    Faces, ears, fingers and laces have more triangles than a street camera has pixels.
    """
    used = np.unique(faces)
    points = canon[used]
    _, group = np.unique(np.floor(points / cell).astype(np.int64), axis=0, return_inverse=True)
    group = group.reshape(-1)
    count = np.bincount(group)
    middle = np.stack([np.bincount(group, points[:, axis]) / count for axis in range(3)], 1)
    away = ((points - middle[group]) ** 2).sum(1)
    order = np.lexsort((away, group))
    first = order[np.searchsorted(group[order], np.arange(len(count)))]
    target = np.arange(len(canon))
    target[used] = used[first[group]]
    merged = target[faces]
    a, b, c, d = merged.T
    # Triangles repeat their last corner; a quad whose corner vanished becomes one.
    merged = np.where((a == b)[:, None], np.stack([a, c, d, d], 1), merged)
    merged = np.where((merged[:, 1] == merged[:, 2])[:, None], merged[:, [0, 1, 3, 3]], merged)
    merged = np.where((merged[:, 3] == merged[:, 0])[:, None], merged[:, [0, 1, 2, 2]], merged)
    x, y, z = merged[:, 0], merged[:, 1], merged[:, 2]
    kept: np.ndarray = merged[(x != y) & (y != z) & (z != x)].astype(np.int32)
    return kept


def superellipsoid(
    radii: tuple[float, float, float], power: float = 4.0, rows: int = 9, columns: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) and faces of |x/a|^p + |y/b|^p + |z/c|^p = 1: 2 is an egg, 8 nearly a box."""
    v = np.linspace(-np.pi / 2, np.pi / 2, rows)
    u = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    v, u = np.meshgrid(v, u, indexing="ij")
    points = np.stack([np.cos(v), np.cos(v), np.sin(v)], -1)
    around = np.stack([np.cos(u), np.sin(u), np.ones_like(u)], -1)
    points, around = (np.sign(value) * np.abs(value) ** (2 / power) for value in (points, around))
    points = points * around
    return (points.reshape(-1, 3) * radii).astype(np.float32), grid_faces(rows, columns)


def tube(path: np.ndarray, radius: np.ndarray | float, sides: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Positions and faces of a pipe along (P, 3) `path`; `radius` in metres, one or one a point."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(tangent[:, :1]) > 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(tangent, side)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = side[:, None] * np.cos(angle)[None, :, None] + up[:, None] * np.sin(angle)[None, :, None]
    radii = np.broadcast_to(np.asarray(radius, np.float64), (len(path),))
    points = path[:, None] + ring * radii[:, None, None]
    return points.reshape(-1, 3).astype(np.float32), grid_faces(len(path), sides)


def strap(path: np.ndarray, outward: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """A flat ribbon of `width` metres along (P, 3) `path`, lying against surface normals (P, 3) `outward`."""
    tangent = np.gradient(path, axis=0)
    side = np.cross(tangent, outward)
    side *= width / 2 / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    points = np.stack([path - side, path + side], axis=1)
    return points.reshape(-1, 3).astype(np.float32), grid_faces(len(path), 2, closed=False)


def girth(cloud: np.ndarray, heights: np.ndarray, columns: int = 24, slab: float = 0.03) -> np.ndarray:
    """(R, columns, 3) rings around a point cloud (N, 3): its outline, seen from above, at each height in metres.

    The outline is the largest radius per direction, rounded so that the gap between two legs is bridged.
    """
    rings = np.zeros((len(heights), columns, 3))
    angle = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    for row, height in enumerate(heights):
        near = cloud[np.abs(cloud[:, 2] - height) < slab][:, :2]
        centre = (near.min(0) + near.max(0)) / 2
        reach = (near - centre) @ direction.T
        support = reach.max(0)  # convex support function, a little larger than the outline
        rings[row, :, :2] = centre + direction * support[:, None]
        rings[row, :, 2] = height
    return rings
