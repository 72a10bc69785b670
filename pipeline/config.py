"""The configuration a user writes in YAML, as typed models: unknown keys and wrong values are one-line errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from par_model.settings import Section, change, explain, read_yaml
from pipeline.resources import config_file
from pipeline.sources.url import redact_address
from pipeline.types import SidewalkError, user_errors

Share = Annotated[float, Field(ge=0, le=1)]
Backend = Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"]


class DetectorConfig(Section):
    model: str = "auto"
    """`auto` (yolov8n), a name of the zoo, or a path to a .pt, .onnx or .engine file."""
    backend: Literal["auto", "onnxruntime", "openvino", "tensorrt", "ultralytics"] = "auto"
    device: str = "auto"
    confidence: float = Field(0.1, ge=0, le=1)
    """Lowest score that reaches the tracker, whose second stage uses weak boxes of known people."""
    iou: float = Field(0.7, gt=0, le=1)
    image_size: int = Field(640, ge=64, multiple_of=32)
    precision: Literal["full", "fast"] = "full"
    """ONNX models: `fast` lets the hardware use bfloat16, TF32 or FP16; boxes and scores then differ slightly."""


class TrackerConfig(Section):
    name: str = "sidewalk"
    options: dict[str, Any] = {}


class ReattachConfig(Section):
    enabled: bool = True
    seconds: float = Field(10.0, gt=0)
    """How long somebody who left is remembered."""


class TrackletConfig(Section):
    capacity: int = Field(12, ge=1)
    """Crops kept for each person."""
    spacing: float = Field(0.4, ge=0)
    """Least seconds between two kept crops of one person."""
    min_height: int = Field(24, ge=1)
    """Smaller people, in pixels, are tracked but not recognised."""
    min_quality: float = Field(0.15, ge=0, le=1)


class RecognitionConfig(Section):
    enabled: bool = True
    model: str = "default"
    device: str = "auto"
    backend: Backend = "auto"
    mirror: bool = False
    """Read mirror images too: truer probabilities at twice the cost; not for attributes with a left and a right."""
    new_crops: int = Field(2, ge=1)
    """Fresh crops that make a person due for another reading."""
    interval: float = Field(0.8, ge=0)
    """Least seconds between two readings of a person about whom something is still uncertain."""
    settled_interval: float = Field(1.6, ge=0)
    """The same once every lasting attribute is settled."""
    without: list[str] = []
    """Attribute groups to switch off, e.g. [gender, age]: neither computed nor stored."""
    budget_ms: float = Field(60.0, gt=0)
    """Live: milliseconds a recognition round may take."""


class AttributeConfig(Section):
    margin: float = Field(0.15, ge=0, lt=1)
    """How much more probable another value must be to replace the shown one."""


class OverlayConfig(Section):
    enabled: bool = True
    groups: list[str] | None = None
    """Attribute groups on the picture; null shows those a person wants to read."""
    trace: bool = False
    blur: Literal["none", "face", "person"] = "none"
    crf: int = Field(23, ge=0, le=51)
    preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
    ] = "veryfast"
    """x264's: the slower, the smaller the file."""


class OutputConfig(Section):
    jsonl: bool = True
    tracks: bool = True
    mot: bool = True


class CameraConfig(Section):
    """One camera of `sidewalk run --config`; its keys override what is said for all."""

    url: str
    name: str | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    fps: float | None = Field(None, gt=0)
    """Process at most so many frames a second."""
    ignore: list[Annotated[list[tuple[Share, Share]], Field(min_length=3)]] = []
    """Polygons, in fractions of width and height, in which nobody is looked for."""
    transport: Literal["tcp", "udp"] | None = None
    policy: Literal["newest", "every_frame"] | None = None


class LiveConfig(Section):
    policy: Literal["newest", "every_frame"] = "newest"
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout: float = Field(5.0, gt=0)
    read_timeout: float = Field(5.0, gt=0)
    stall_timeout: float = Field(10.0, gt=0)
    """Seconds without a frame after which a camera that still answers is opened anew."""
    retry_first: float = Field(0.5, gt=0)
    retry_longest: float = Field(30.0, gt=0)
    retry_limit: int | None = Field(None, ge=0)
    """Attempts before a camera is given up; null is for ever."""
    batch_window_ms: float = Field(30.0, ge=0)
    max_delay: float = Field(1.0, gt=0)
    """Seconds from capture to output beyond which load is shed."""
    segment_minutes: float = Field(10.0, gt=0)
    """Length of one overlay file and of one JSONL file."""
    publish: str | None = None
    """RTSP address to which the overlay is published; `{camera}` becomes the camera's name."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Port on localhost for /metrics, /healthz and /readyz; null is off."""
    duration: float | None = Field(None, gt=0)
    """Seconds after which a run ends; each recording, after so many of its own."""


class Config(Section):
    """Everything a run is told. Build one with `load_config`."""

    cameras: list[CameraConfig] = []
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    reattach: ReattachConfig = ReattachConfig()
    tracklets: TrackletConfig = TrackletConfig()
    recognition: RecognitionConfig = RecognitionConfig()
    attributes: AttributeConfig = AttributeConfig()
    overlay: OverlayConfig = OverlayConfig()
    output: OutputConfig = OutputConfig()
    live: LiveConfig = LiveConfig()
    images_fps: float | None = Field(None, gt=0)
    """Frame rate of an image folder; null takes the folder's own or 25."""
    threads: int | None = Field(None, ge=1)
    """Threads of a model on a CPU; null is one for each core."""

    @field_validator("cameras")
    @classmethod
    def _names_differ(cls, cameras: list[CameraConfig]) -> list[CameraConfig]:
        names = [camera.name for camera in cameras if camera.name]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two cameras are named '{name}'")
        return cameras


def load_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file (None: the packaged defaults), then apply `key.sub=value` overrides.

    `${NAME}` in a value is taken from the environment, so that no camera password need stand in a file.
    Raises SidewalkError, one line that names the file, the key and the remedy.
    """
    file = Path(path) if path is not None else config_file("default.yaml")
    origin = str(path) if path is not None else "default configuration"
    with user_errors():
        tree = read_yaml(file)
        for override in overrides:
            change(tree, override)
    tree = _expand_environment(tree, origin)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise SidewalkError(f"{origin}: {explain(error, Config, redact_address)}") from None


def _expand_environment(value: Any, origin: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand_environment(item, origin) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand_environment(item, origin) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise SidewalkError(f"{origin}: ${{{name}}} is not set in the environment; export {name}=...")
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", look_up, value)


def redacted(config: Config) -> Mapping[str, Any]:
    """The resolved configuration as plain data, without passwords, for `--dry-run` and run.json."""
    tree = config.model_dump(mode="json")
    for camera in tree["cameras"]:
        camera["url"] = redact_address(camera["url"])
    if tree["live"]["publish"]:
        tree["live"]["publish"] = redact_address(tree["live"]["publish"])
    return tree
