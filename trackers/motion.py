"""Batched, time-aware Kalman filters for boxes.

With noise independent between centre, width and height, the constant-velocity filter falls apart into
four filters of two states (value and rate) for each track. All are written out in closed form, so one
predict or correct call for every track costs a few array operations and no matrix inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VALUE, RATE, VAR, COV, RATE_VAR = range(5)
"""Rows of a state (5, 4): value, rate per second, and the variances of both with their covariance;
columns: centre x, centre y, width, height."""


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
    """(N, 4) x1 y1 x2 y2 to centre x, centre y, width, height."""
    out = np.empty_like(boxes)
    size = boxes[:, 2:] - boxes[:, :2]
    out[:, 2:] = size
    out[:, :2] = boxes[:, :2] + size * 0.5
    return out


def to_corners(states: np.ndarray) -> np.ndarray:
    """(N, 4) centre x, centre y, width, height to x1 y1 x2 y2."""
    out = np.empty_like(states)
    half = states[:, 2:] * 0.5
    out[:, :2] = states[:, :2] - half
    out[:, 2:] = states[:, :2] + half
    return out


def start(measured: np.ndarray, noise: Noise) -> np.ndarray:
    """States (N, 5, 4) of people seen for the first time at `measured` (N, 4) centre, width, height."""
    states = np.zeros((len(measured), 5, 4))
    states[:, VALUE] = measured
    height = measured[:, 3:]
    states[:, VAR] = (2 * noise.measurement * height) ** 2
    states[:, RATE_VAR] = (noise.velocity * height) ** 2
    return states


def predict(states: np.ndarray, dt: float, noise: Noise) -> None:
    """Move `states` (N, 5, 4) ahead by `dt` seconds, in place."""
    if dt <= 0:
        return
    square = np.maximum(states[:, VALUE, 3:], 1.0) ** 2
    acceleration = (noise.acceleration**2 * dt) * square
    cov, rate_var = states[:, COV], states[:, RATE_VAR]
    states[:, VALUE] += dt * states[:, RATE]
    states[:, VAR] += dt * (2.0 * cov + dt * rate_var) + (noise.drift**2 * dt) * square
    cov += dt * rate_var
    rate_var += acceleration


def correct(states: np.ndarray, measured: np.ndarray, noise: Noise, spread: np.ndarray | float = 1.0) -> np.ndarray:
    """States (N, 5, 4) after seeing `measured` (N, 4) centre, width, height.

    spread: factor on the standard deviation of the measurement, a number or (N, 1).
    """
    variance = (noise.measurement * spread * np.maximum(states[:, VALUE, 3:], 1.0)) ** 2
    total = states[:, VAR] + variance
    gain = states[:, VAR:RATE_VAR] / total[:, None]
    out = np.empty_like(states)
    out[:, :VAR] = states[:, :VAR] + gain * (measured - states[:, VALUE])[:, None]
    out[:, VAR:RATE_VAR] = gain * variance[:, None]
    out[:, RATE_VAR] = states[:, RATE_VAR] - gain[:, 1] * states[:, COV]
    return out


def warp(states: np.ndarray, affine: np.ndarray) -> None:
    """Move `states` (N, 5, 4) by a camera motion (2, 3) in pixels, in place; turning and zooming included."""
    linear, offset = affine[:, :2], affine[:, 2]
    states[:, VALUE, :2] = states[:, VALUE, :2] @ linear.T + offset
    states[:, RATE, :2] = states[:, RATE, :2] @ linear.T
    zoom = float(np.sqrt(abs(np.linalg.det(linear))))
    states[:, VALUE : RATE + 1, 2:] *= zoom


def median(values: np.ndarray) -> np.ndarray:
    """The median over the first axis; `np.median` costs ten times as much on a handful of rows."""
    ordered = np.sort(values, axis=0)
    middle: np.ndarray = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return middle
