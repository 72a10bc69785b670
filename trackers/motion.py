"""Batched, time-aware Kalman filters for boxes.

With noise independent between centre, width and height, the constant-velocity filter falls apart into
four filters of two states (value and rate) for each track. All are written out in closed form, so one
predict or correct call for every track costs a few array operations and no matrix inverse. Tracks are
the last axis: planes lie together in memory, and a height (T,) meets all four coordinates of its track.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VALUE, RATE, VAR, COV, RATE_VAR = range(5)
"""Planes of states (5, 4, T): value, rate per second, and the variances of both with their covariance;
rows: centre x, centre y, width, height."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How people move and how detectors err, as fractions of the box height.

    measurement: standard deviation of a measured coordinate.
    drift: how far a coordinate wanders in a second without velocity (body pose, box jitter).
    acceleration: how much the velocity changes in a second, in heights per second.
    velocity: the spread of the velocity of someone just seen for the first time, in heights per second.
    """

    measurement: float = 0.08
    drift: float = 0.15
    acceleration: float = 0.3
    velocity: float = 1.9


def to_centre(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) as x1 y1 x2 y2 to rows (4, N) of centre x, centre y, width, height."""
    corner, opposite = boxes.T[:2], boxes.T[2:]
    size = opposite - corner
    return np.concatenate([corner + size * 0.5, size])


def to_corners(values: np.ndarray) -> np.ndarray:
    """Rows (4, N) of centre x, centre y, width, height to boxes (N, 4) as x1 y1 x2 y2."""
    centre, half = values[:2], values[2:] * 0.5
    return np.concatenate([centre - half, centre + half]).T


def start(measured: np.ndarray, noise: Noise) -> np.ndarray:
    """States (5, 4, N) of people seen for the first time at `measured` (4, N) centre, width, height."""
    states = np.zeros((5, *measured.shape))
    height = measured[3]
    states[VALUE] = measured
    states[VAR] = (2 * noise.measurement * height) ** 2
    states[RATE_VAR] = (noise.velocity * height) ** 2
    return states


def predict(states: np.ndarray, dt: float, noise: Noise) -> None:
    """Move `states` (5, 4, T) ahead by `dt` seconds, in place."""
    if dt <= 0:
        return
    value, rate, var, cov, rate_var = states
    square = np.maximum(value[3], 1.0) ** 2
    widening = dt * rate_var
    value += dt * rate
    var += dt * (2.0 * cov + widening) + (noise.drift**2 * dt) * square
    cov += widening
    rate_var += (noise.acceleration**2 * dt) * square


def correct(states: np.ndarray, measured: np.ndarray, noise: Noise, spread: np.ndarray | float = 1.0) -> None:
    """Pull `states` (5, 4, N) towards `measured` (4, N) centre, width, height, in place.

    spread: factor on the standard deviation of the measurement, a number or (N,).
    """
    value, _, var, cov, rate_var = states
    variance = (noise.measurement * spread * np.maximum(value[3], 1.0)) ** 2
    gain = states[VAR:RATE_VAR] / (var + variance)
    rate_var -= gain[1] * cov
    states[:VAR] += gain * (measured - value)
    states[VAR:RATE_VAR] = gain * variance


def warp(states: np.ndarray, affine: np.ndarray) -> None:
    """Move `states` (5, 4, T) by a camera motion (2, 3) in pixels, in place; turning and zooming included."""
    linear, offset = affine[:, :2], affine[:, 2:]
    states[VALUE, :2] = linear @ states[VALUE, :2] + offset
    states[RATE, :2] = linear @ states[RATE, :2]
    zoom = float(np.sqrt(abs(np.linalg.det(linear))))
    states[VALUE : RATE + 1, 2:] *= zoom


def median(values: np.ndarray) -> np.ndarray:
    """The median over the last axis; `np.median` costs ten times as much on a handful of values."""
    ordered, size = np.sort(values), values.shape[-1]
    middle: np.ndarray = (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2
    return middle
