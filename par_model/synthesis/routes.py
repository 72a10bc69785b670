"""Routes: where the people of a street scene walk, stop, hide and turn back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TURN_RATE = 3.0  # radians a second at most


@dataclass(frozen=True)
class Route:
    """A polyline on the ground with a pause at every corner.

    points (N, 2) metres; pauses (N,) seconds; motion: the gait between corners; start: seconds already walked at 0.
    """

    points: np.ndarray
    pauses: np.ndarray
    motion: str
    start: float


@dataclass(frozen=True)
class Track:
    """A route walked at some speed: positions (T, 2), headings (T,) radians, moving (T,) bool, a row a frame."""

    positions: np.ndarray
    headings: np.ndarray
    moving: np.ndarray


def walk(route: Route, speed: float, frames: int, fps: float) -> Track:
    """Follow a route at `speed` metres a second; at its end people turn and go back the same way."""
    points, pauses = route.points, route.pauses
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    # One lap there and back as (time, position) corners; equal positions with a gap in time are pauses.
    there = [(points[0], 0.0)]
    order = [*range(1, len(points)), *range(len(points) - 2, -1, -1)]
    clock, at = float(pauses[0]), 0
    there.append((points[0], clock))
    for corner in order:
        clock += lengths[min(at, corner)] / speed
        there.append((points[corner], clock))
        clock += float(pauses[corner])
        there.append((points[corner], clock))
        at = corner
    times = np.array([t for _, t in there])
    corners = np.array([p for p, _ in there])
    moment = (route.start + np.arange(frames + 1) / fps) % times[-1]
    positions = np.stack([np.interp(moment, times, corners[:, axis]) for axis in range(2)], 1)
    step = np.diff(positions, axis=0) * fps
    moving = np.linalg.norm(step, axis=1) > 0.3 * speed
    wanted = np.arctan2(step[:, 0], -step[:, 1])
    first = corners[np.argmax(np.linalg.norm(np.diff(corners, axis=0), axis=1) > 0) + 1] - corners[0]
    heading = float(wanted[0] if moving[0] else np.arctan2(first[0], -first[1]))
    headings = np.zeros(frames)
    for frame in range(frames):
        if moving[frame]:
            off = (wanted[frame] - heading + np.pi) % (2 * np.pi) - np.pi
            heading += float(np.clip(off, -TURN_RATE / fps, TURN_RATE / fps))
        headings[frame] = heading
    return Track(positions[:frames], headings, moving)


def sample_routes(rng: np.random.Generator, count: int, hides: tuple[np.ndarray, ...], width: float) -> list[Route]:
    """Up to 15 routes over a square about `2 width` metres wide that keep clear of the obstacles in it.

    hides: (2,) places behind an obstacle where somebody may wait unseen for a few seconds.
    """
    w, side = width, float(rng.choice([-1, 1]))
    wait, short, late = rng.uniform(3, 4.5, 4), rng.uniform(0.5, 1.6, 3), rng.uniform(1.5, 4, 9)
    plans: list[tuple[list[tuple[float, float]], list[float], str, float]] = [
        # Waits behind the first obstacle, then goes on.
        ([(-w, hides[0][1]), (hides[0][0], hides[0][1]), (w, hides[0][1] - 1.4)], [0.2, wait[0], 2], "walking", 0.0),
        ([(w, -0.3), (-w, -0.9)], [1, 1], "walking", late[0]),
        # Goes behind the second obstacle, waits, comes back.
        ([(1.2 * w, hides[1][1]), (hides[1][0], hides[1][1])], [0.3, wait[1]], "walking", 0.0),
        ([(-0.6 * w, 9.5), (-0.1 * w, 0.3), (0.45 * w, -4.2)], [1, 0, 1], "walking", late[1]),
        # Leaves the picture and returns.
        ([(0.2 * w, -3.4), (0.9 * w, -2.6), (1.08 * w, -2.4)], [0, 0, short[2]], "walking", 0.3),
        ([(0.0, 11.0), (0.0, -0.2), (-0.1 * w, -4.5)], [1, 0, 1], "walking", late[2]),
        ([(-0.6 * w, -3.8), (-0.85 * w, 0.2), (-1.25 * w, 9.0)], [0, 0, 2], "walking", short[1]),
        ([(-side * 1.6 * w, 0.45), (side * 1.6 * w, 0.45)], [4, 4], "running", late[3]),
        ([(side * 2.6 * w, -2.3), (-side * 2.6 * w, -2.3)], [4, 3], "riding", late[4]),
        ([(0.72 * w, 0.9), (0.74 * w, 0.7)], [2 * wait[2], 8], "walking", 0.0),
        ([(w, 7.2), (-w, 7.6)], [0, 1], "walking", late[5]),
        ([(-w, -2.7), (w, -3.1)], [0, 2], "walking", late[6]),
        ([(0.8 * w, 0.1), (0.83 * w, 0.3)], [2 * wait[3], 6], "walking", 0.0),
        ([(-w, 9.0), (w, 8.4)], [0, 1], "walking", late[7]),
        ([(-0.03 * w, 9.0), (0.1 * w, -4.5)], [0, 2], "walking", late[8]),
    ]
    routes = []
    for points, pauses, motion, start in plans[:count]:
        shaken = np.array(points) + rng.normal(0, 0.12, (len(points), 2))
        routes.append(Route(shaken, np.array(pauses), motion, float(start)))
    return routes
