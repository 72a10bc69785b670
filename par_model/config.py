"""The numbers of a model: everything needed to build it, stored with its weights."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from par_model.errors import CheckpointError

HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a BGR crop becomes the model's input.

    fit: `stretch` to the input's shape, or `letterbox`: centred on black, aspect ratio kept.
    resample: `antialias` is Pillow's bilinear filter; `fast` is OpenCV's (area when shrinking).
    mean, std: per RGB channel, of values in [0, 1].
    """

    fit: Literal["stretch", "letterbox"] = "letterbox"
    resample: Literal["antialias", "fast"] = "antialias"
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF

    def __post_init__(self) -> None:
        if self.fit not in ("stretch", "letterbox"):
            raise CheckpointError(f"preprocessing.fit is {self.fit!r}; it must be 'stretch' or 'letterbox'")
        if self.resample not in ("antialias", "fast"):
            raise CheckpointError(f"preprocessing.resample is {self.resample!r}; it must be 'antialias' or 'fast'")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(1e-3 < s < 1e3 for s in self.std):
            raise CheckpointError("preprocessing needs three means and three positive standard deviations")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of a VTFPAR model; the defaults are the published one (CLIP ViT-B/16, MARS).

    image_size: (height, width) in pixels, multiples of `patch`.
    depth: blocks of the visual tower that run, normally the last tap.
    stem: `patch`, one patch-sized convolution; `conv`, a few small ones, which learn more from little data.
    taps: layers of the tower that feed the side networks; 0 is the embedding, k is after block k.
    targets: for each tap, the spatial side network's block it is added before.
    spatial_depth: blocks of the spatial side network; temporal_depth: the longest window.
    frames: window the model is trained and served with.
    text: what the text features are: CLIP's of the bare words or of the prompts, or hashes of the prompts' words.
    """

    image_size: tuple[int, int] = (224, 224)
    patch: int = 16
    width: int = 768
    depth: int = 11
    heads: int = 12
    mlp_ratio: float = 4.0
    activation: Literal["gelu", "quick_gelu", "gelu_tanh"] = "quick_gelu"
    eps: float = 1e-5
    stem: Literal["patch", "conv"] = "patch"
    class_token: bool = True
    pre_norm: bool = True
    patch_bias: bool = False
    taps: tuple[int, ...] = (0, 3, 6, 9, 11)
    targets: tuple[int, ...] = (0, 1, 2, 3, 4)
    side_width: int = 240
    side_heads: int = 6
    side_mlp_ratio: float = 4.0
    side_eps: float = 1e-6
    inject_eps: float = 1e-5
    spatial_depth: int = 7
    temporal_depth: int = 8
    fusion_depth: int = 1
    drop_path: float = 0.1
    frames: int = 6
    text: Literal["clip words", "clip prompts", "hashed prompts"] = "clip words"
    text_width: int = 512
    attributes: int = 43
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise CheckpointError(f"model size {name} is {value}; it must lie between {low} and {high}")
        height, width = self.image_size
        if not (0 < height <= 4096 and 0 < width <= 4096) or height % self.patch or width % self.patch:
            raise CheckpointError(f"image_size {self.image_size} must be a multiple of the patch ({self.patch})")
        if self.activation not in ("gelu", "quick_gelu", "gelu_tanh") or self.stem not in ("patch", "conv"):
            raise CheckpointError(f"unknown activation {self.activation!r} or stem {self.stem!r}")
        if self.width % self.heads or self.side_width % self.side_heads:
            raise CheckpointError("a width must be a multiple of its number of heads")
        if self.stem == "conv" and self.patch & (self.patch - 1):
            raise CheckpointError(f"a convolutional stem needs a patch that is a power of two, not {self.patch}")
        if not self.taps or list(self.taps) != sorted(set(self.taps)) or not 0 <= self.taps[0] <= self.taps[-1]:
            raise CheckpointError(f"taps {self.taps} must be ascending layers of the visual tower")
        if self.taps[-1] > self.depth:
            raise CheckpointError(f"tap {self.taps[-1]} lies beyond the tower's {self.depth} blocks")
        if len(self.targets) != len(self.taps) or not all(0 <= t <= self.spatial_depth for t in self.targets):
            raise CheckpointError(f"targets {self.targets} must name one block of the spatial side network a tap")
        if len(set(self.targets)) != len(self.targets):
            raise CheckpointError(f"targets {self.targets} must be distinct")
        if self.frames > self.temporal_depth:
            raise CheckpointError(f"{self.frames} frames need as many temporal blocks, not {self.temporal_depth}")

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (down, across)."""
        return self.image_size[0] // self.patch, self.image_size[1] // self.patch

    @classmethod
    def compact(cls, **changes: Any) -> ModelConfig:
        """The small model for CPUs: tall input, convolutional stem, narrow side networks."""
        sizes: dict[str, Any] = {
            "image_size": (128, 64),
            "width": 192,
            "depth": 4,
            "heads": 6,
            "activation": "gelu",
            "stem": "conv",
            "taps": (0, 1, 2, 3, 4),
            "side_width": 96,
            "side_heads": 4,
            "spatial_depth": 4,
            "temporal_depth": 6,
            "text": "hashed prompts",
            "text_width": 128,
            "preprocessing": Preprocessing(fit="stretch", resample="fast"),
        }
        return cls(**(sizes | changes))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> ModelConfig:
        """The inverse of `as_dict`; raises CheckpointError for anything that is not a description of a model."""
        return typing.cast(ModelConfig, typed(cls, values, "config"))


_BOUNDS = (
    ("patch", 1, 256),
    ("width", 8, 4096),
    ("depth", 0, 64),
    ("heads", 1, 128),
    ("mlp_ratio", 0.1, 16.0),
    ("eps", 0.0, 1.0),
    ("side_width", 4, 4096),
    ("side_heads", 1, 128),
    ("side_mlp_ratio", 0.1, 16.0),
    ("side_eps", 0.0, 1.0),
    ("inject_eps", 0.0, 1.0),
    ("spatial_depth", 1, 64),
    ("temporal_depth", 1, 64),
    ("fusion_depth", 1, 64),
    ("drop_path", 0.0, 0.99),
    ("frames", 1, 64),
    ("text_width", 1, 8192),
    ("attributes", 1, 4096),
)


def typed(kind: Any, value: object, where: str, error: type[ValueError] = CheckpointError) -> object:
    """`value`, as JSON or YAML gives it, as the annotated type `kind`; `error` names the place that does not fit."""
    wrong = error(f"{where} is {str(value)[:60]!r}, which is not of type {getattr(kind, '__name__', kind)}")
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise wrong
        hints = typing.get_type_hints(kind)
        unknown = [str(name) for name in value if name not in hints]
        if unknown:
            raise error(f"{where} has the unknown entry {unknown[0][:60]!r}; it takes {', '.join(hints)}")
        parts = {name: typed(hints[name], item, f"{where}.{name}", error) for name, item in value.items()}
        try:
            return typing.cast(Any, kind)(**parts)
        except TypeError as problem:
            raise error(f"{where}: {str(problem).split('() ')[-1]}") from problem
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, (list, tuple)) and len(value) <= 4096:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) == len(value):
            return tuple(typed(part, item, f"{where}[{i}]", error) for i, (part, item) in enumerate(zip(kinds, value)))
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise wrong
