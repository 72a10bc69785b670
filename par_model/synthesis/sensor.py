"""Sensor: what a camera and its codec do to a clean picture of a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from par_model.datasets.tracklets import decode_image


@dataclass(frozen=True)
class Sensor:
    """One camera's flaws, the same for all frames of a tracklet.

    height: pixels the crop spans on the sensor; gains: per RGB channel; gamma: contrast curve; blur, motion: in
    sensor pixels; noise: standard deviation in grey levels; sharpen: strength of the halo; quality: JPEG at sensor
    size; haze: lifted black level in grey levels; saturation: 1 keeps colours.
    """

    height: int
    gains: tuple[float, float, float]
    gamma: float
    blur: float
    motion: float
    noise: float
    sharpen: float
    quality: int
    haze: float
    saturation: float

    def describe(self) -> dict[str, object]:
        """For the label file."""
        rounded: dict[str, object] = {
            name: value if isinstance(value, int) else np.round(value, 3).tolist()
            for name, value in asdict(self).items()
        }
        return rounded


def sample_sensor(rng: np.random.Generator, available: float) -> Sensor:
    """A camera that sees the person `available` pixels tall at best."""
    height = float(np.exp(rng.uniform(np.log(52), np.log(280))))
    height = float(np.clip(height, 40, max(42.0, 1.3 * available)))
    cast = rng.normal(0, 0.05)  # warm to cold
    cold = 0.1 * rng.uniform() if rng.uniform() < 0.15 else 0.0
    gains = np.array([1 + cast - cold, 1 + rng.normal(0, 0.015), 1 - cast + cold])
    return Sensor(
        height=int(height),
        gains=tuple(float(g) for g in gains),  # type: ignore[arg-type]
        gamma=float(rng.lognormal(0, 0.14)),
        blur=float(abs(rng.normal(0, 0.55))) * (height / 120) ** 0.5,
        motion=float(min(rng.exponential(0.8), 0.03 * height)) if rng.uniform() < 0.35 else 0.0,
        noise=float(rng.gamma(1.3, 2.6)),
        sharpen=float(rng.uniform(0.2, 1.0)) if rng.uniform() < 0.3 else 0.0,
        quality=int(rng.integers(28, 93)),
        haze=float(rng.exponential(5.0)),
        saturation=float(np.clip(rng.normal(0.95, 0.17), 0.5, 1.4)),
    )


def expose(picture: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """A clean RGB picture as this camera would have stored it, (H, W, 3) uint8 at its own size."""
    import cv2

    image: np.ndarray = picture.astype(np.float32)
    image = 255 * (image / 255) ** sensor.gamma * np.array(sensor.gains, np.float32)
    grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
    image = grey[..., None] + sensor.saturation * (image - grey[..., None])
    image = image * (255 - sensor.haze) / 255 + sensor.haze
    if sensor.blur > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur)
    if sensor.motion > 0.7:
        length = round(sensor.motion) + 1
        image = cv2.blur(image, (length, 1))
    if sensor.sharpen:
        image = image + sensor.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    if sensor.noise > 0.4:
        image = image + rng.normal(0, sensor.noise, image.shape[:2])[..., None]
        image = image + rng.normal(0, sensor.noise * 0.4, image.shape)
    small = np.clip(image, 0, 255).astype(np.uint8)
    _, stored = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor.quality])
    return decode(bytes(stored))[..., ::-1]


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average down to (width, height)."""
    import cv2

    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode(picture: np.ndarray, size: tuple[int, int], quality: int, smooth: bool) -> bytes:
    """Stretch to (width, height) and write JPEG bytes."""
    import cv2

    bigger = picture.shape[0] < size[1]
    way = (cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR) if bigger else cv2.INTER_AREA
    stretched = cv2.resize(picture, size, interpolation=way)
    _, stored = cv2.imencode(".jpg", stretched[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(stored)


def decode(jpeg: bytes) -> np.ndarray:
    """The picture, (H, W, 3) uint8 BGR, that `encode` stored."""
    import cv2

    picture = decode_image(jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    return picture
