"""Walks: where, which way and how a tracklet's person moves through a street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from par_model.synthesis.people import Person
from par_model.synthesis.world import Camera, World


@dataclass(frozen=True)
class Walk:
    """A path over the ground: where and which way at any second, and which of the person's styles applies.

    start (3,) metres; heading radians at 0; turn radians a second; bend: extra turning, radians, spread around
    `bend_at` seconds; change_at: seconds when the second style begins.
    """

    start: np.ndarray
    heading: float
    turn: float
    bend: float
    bend_at: float
    change_at: float

    def heading_at(self, seconds: float) -> float:
        """Radians; 0 faces -y."""
        turned = self.turn * seconds + self.bend / (1 + np.exp(-(seconds - self.bend_at) * 5.0))
        return float(self.heading + turned)

    def position_at(self, seconds: float, speeds: tuple[float, ...]) -> np.ndarray:
        """(3,) metres, by summing small steps along the heading."""
        steps = np.linspace(0, seconds, max(2, int(abs(seconds) * 20) + 1))
        middle = (steps[1:] + steps[:-1]) / 2
        heading = self.heading + self.turn * middle + self.bend / (1 + np.exp(-(middle - self.bend_at) * 5.0))
        speed = np.where(middle < self.change_at, speeds[0], speeds[-1])
        advance = np.stack([np.sin(heading), -np.cos(heading), np.zeros_like(heading)], 1) * speed[:, None]
        moved: np.ndarray = self.start + (advance * np.diff(steps)[:, None]).sum(0)
        return moved


def sample_spot(rng: np.random.Generator, world: World) -> np.ndarray | None:
    """A free place on the ground where a person is between 60 and 600 frame pixels tall."""
    camera = world.camera
    width, height = camera.size
    for _ in range(30):
        spot = camera.ground_at((rng.uniform(0.12, 0.88) * width, rng.uniform(0.3, 1.3) * height))
        if np.linalg.norm(spot[:2] - camera.eye[:2]) > 60:
            continue
        ends, depth = camera.project(np.stack([spot, spot + np.array([0, 0, 1.7])]))
        tall = ends[0, 1] - ends[1, 1]
        inside = (ends > [10, 4]).all() and (ends < [width - 10, height - 2]).all()
        apart = np.linalg.norm(world.obstacles[:, :2] - spot[:2], axis=1) > world.obstacles[:, 2] + 0.3
        if inside and 60 < tall < 600 and depth.min() > 2.0 and apart.all():
            return spot
    return None


def sample_walk(rng: np.random.Generator, camera: Camera, spot: np.ndarray, person: Person, times: np.ndarray) -> Walk:
    """A walk that passes `spot` in the middle, seen from a direction drawn evenly over MARS's pose words."""
    towards = camera.eye[:2] - spot[:2]
    to_camera = np.arctan2(towards[0], -towards[1])
    middle = float(times[-1] / 2)
    varies = rng.uniform() < 0.13
    facing = to_camera + np.radians(rng.integers(0, 5) * 45 * rng.choice([-1, 1]) + rng.uniform(-20, 20))
    turn, bend = float(rng.normal(0, 0.06)), 0.0
    if varies:
        bend = float(np.radians(rng.uniform(85, 185)) * rng.choice([-1, 1]))
        facing -= bend / 2
    change = float(times[len(times) // 2] - 0.02 + rng.choice([-1, 0, 1]) * (times[1] - times[0]))
    speeds = tuple(style.speed for style in person.styles)
    centred = Walk(np.zeros(3), float(facing), turn, bend, middle, change if len(speeds) > 1 else 99.0)
    return Walk(spot - centred.position_at(middle, speeds), centred.heading, turn, bend, middle, centred.change_at)
