"""The YAML of a training run. Unknown keys are errors that suggest the key that was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from par_model.datasets import Format
from par_model.settings import Section, change, explain, read_yaml


class ConfigError(ValueError):
    """A training configuration that cannot be used; names the file, the key and the remedy."""


Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Chance = Annotated[float, Field(ge=0.0, le=1.0)]
Marginal = Share | dict[str, Share]


class Data(Section):
    """Where the tracklets lie (see par_model.datasets.open_dataset).

    train, validation: a folder or file, several only of shards. *_split: keep this split of the data set. held_out:
    instead of validation, this share of the training persons.
    pictures: at most so many a tracklet are kept, evenly spread. margin: pictures are stored this much
    larger than the input, for the box jitter to cut from. limit: use only the first tracklets.
    """

    train: str | list[str]
    validation: str | list[str] | None = None
    held_out: Share | None = None
    train_split: str | None = None
    validation_split: str | None = None
    format: Format = "auto"
    labels: str | None = None
    tracks: str | None = None
    root: str | None = None
    strict: bool = False
    pictures: Annotated[int, Field(ge=1, le=256)] = 6
    margin: Annotated[float, Field(ge=1.0, le=2.0)] = 1.25
    limit: Annotated[int, Field(ge=1)] | None = None
    validation_limit: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _somebody_judges(self) -> Data:
        if (self.validation is None) == (self.held_out is None):
            raise ValueError("give either validation or held_out")
        if self.held_out is not None and self.validation_split is not None:
            raise ValueError("validation_split is of validation; held_out needs none")
        return self


class Clip(Section):
    """Which CLIP the frozen tower starts from: an open_clip name and its weights, or a local file as `pretrained`."""

    name: str = "ViT-B-16-quickgelu"
    pretrained: str = "openai"


class Model(Section):
    """sizes: changes to the preset's par_model.config.ModelConfig.

    text: features of the attribute words, by CLIP's text tower or hashed. start: a checkpoint to go on from,
    `default` being the one that ships; tower: a checkpoint whose visual tower a fresh model takes over.
    """

    preset: Literal["compact", "paper"] = "compact"
    sizes: dict[str, Any] = {}
    text: Literal["hashed", "clip_words", "clip_prompts"] = "hashed"
    clip: Clip | None = None
    start: str | None = None
    tower: str | None = None


class Augmentation(Section):
    """Strengths of the random changes (see par_model.training.augment).

    scale, shift, aspect, rotation: another box round the same person, in fractions of the box and degrees;
    frame_shift: what of it differs between the frames. gamma, exposure, temperature, tint, dark, veil_tint: natural
    logarithms. Strengths that go both ways reach one and a half times as far, half as far on average. dark: by how much
    some are underexposed at most, as at night. cast: some have up to 1 + cast times the temperature and tint. haze:
    share of light that comes from a veil of a brightness of 0.25 to 0.95, its channels apart by veil_tint. crush: up to
    this brightness all turns black. shadows: what a channel is brighter or darker throughout, as where black levels are
    badly set. *_chance: probabilities. independent_frames: the published augmentation instead, a border of
    `shift_pixels`, random crop and mirroring per frame.
    """

    flip: Chance = 0.5
    scale: float = 0.12
    shift: float = 0.06
    frame_shift: float = 0.02
    aspect: float = 0.08
    rotation: float = 4.0
    low_resolution: Chance = 0.2
    max_shrink: float = 4.0
    gamma: float = 0.3
    exposure: float = 0.3
    dark_chance: Chance = 0.15
    dark: float = 1.0
    temperature: float = 0.15
    tint: float = 0.06
    cast_chance: Chance = 0.2
    cast: float = 1.5
    saturation: float = 0.3
    contrast: float = 0.3
    haze_chance: Chance = 0.25
    haze: float = 0.5
    veil_tint: float = 0.2
    crush_chance: Chance = 0.25
    crush: float = 0.16
    shadows: float = 0.06
    blur_chance: Chance = 0.2
    blur: float = 1.2
    noise: float = 0.04
    erase_chance: Chance = 0.15
    erase: float = 0.3
    independent_frames: bool = False
    shift_pixels: int = 10


class Loss(Section):
    """weighted_bce: the published loss, each label weighted by how rare it is.

    cross_entropy: one softmax a one-of group, one sigmoid a binary one.
    smoothing: share of a label given to the other classes; only of cross_entropy.
    group_weights: times a group's cross_entropy, 1 where not named.
    parts: what of a person each cell of a picture shows; only of a `backbone` stage, on data with part maps.
    consistency: each tracklet is seen twice, changed twice at random, and how far the two answers to a question lie
    apart (Jensen-Shannon divergence, as in AugMix, Hendrycks et al. 2020) counts so much.
    """

    weighted_bce: float = 0.0
    cross_entropy: float = 1.0
    smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    group_weights: dict[str, float] = {}
    parts: Annotated[float, Field(ge=0.0)] = 0.0
    consistency: Annotated[float, Field(ge=0.0)] = 0.0


class Stage(Section):
    """One part of the training.

    learns: `backbone`, the visual tower alone on single pictures, with a pooling head that is thrown away
    afterwards; `side`, the side networks, fusion and head on tracklets beside the frozen tower; `all`,
    everything on tracklets. minutes: end after this time whatever `epochs` says, the learning rate
    following the clock; such a run cannot be repeated exactly. accumulate: batches per step of the
    optimizer. schedule `paper`: the public code's, per epoch. ema: decay of the averaged weights that are
    validated and kept, 0 for none. short_windows: share of batches with fewer frames than the model's.
    cached_features: run the frozen tower once and keep its taps on disk; only where nothing changes them: learns
    `side`, without augmentation or short windows.
    """

    name: str
    learns: Literal["backbone", "side", "all"]
    epochs: Annotated[int, Field(ge=1)]
    minutes: Annotated[float, Field(gt=0.0)] | None = None
    batch: Annotated[int, Field(ge=2)] = 64
    accumulate: Annotated[int, Field(ge=1)] = 1
    optimizer: Literal["adamw", "adam"] = "adamw"
    rate: Annotated[float, Field(gt=0.0)] = 1e-3
    backbone_rate: Annotated[float, Field(gt=0.0)] | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    schedule: Literal["cosine", "paper", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    clip_norm: Annotated[float, Field(gt=0.0)] | None = 1.0
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.998
    loss: Loss = Loss()
    augment: Augmentation | None = Augmentation()
    short_windows: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    cached_features: bool = False
    validate_every: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _parts_have_pictures(self) -> Stage:
        plain_boxes = self.augment is not None and not self.augment.independent_frames
        if self.loss.parts and not (self.learns == "backbone" and plain_boxes):
            raise ValueError("loss.parts needs learns: backbone and augment without independent_frames")
        return self

    @model_validator(mode="after")
    def _views_differ(self) -> Stage:
        if self.loss.consistency and self.augment is None:
            raise ValueError("loss.consistency needs augment, or both views of a tracklet are the same")
        return self

    @model_validator(mode="after")
    def _kept_features_stay_true(self) -> Stage:
        if self.cached_features and (self.learns != "side" or self.augment is not None or self.short_windows):
            raise ValueError("cached_features needs learns: side, augment: null and no short_windows")
        return self


class Calibration(Section):
    """How temperatures, offsets, thresholds and priors are fitted on the validation tracklets once training is over.

    fit: false leaves the logits as they were trained, as the published protocol cuts them.
    marginals: how common a group's attributes are expected to be where the model will run, a share for a binary group,
    one for each word of a one-of group; they become its prior. Generated people carry bags and hats far more often than
    real ones, and more of them are children: without it too many would be found. band: half the width of the zone
    about the threshold in which the model abstains. least: no binary threshold lies lower, wherever F1 is best, so that
    nothing unlikely is claimed. one_of: the least probability at which a one-of group names its best attribute.
    """

    fit: bool = True
    marginals: dict[str, Marginal] = {}
    band: Annotated[float, Field(ge=0.0, lt=0.4)] = 0.05
    least: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.4
    one_of: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.4


class Run(Section):
    """A whole training run.

    out: folder of logs, plots, state and `best.safetensors`; half: store that in fp16. compile: translate the steps
    of `backbone` stages into machine code first, a minute that pays in long runs; needs a C++ compiler.
    """

    name: str
    attributes: str = "mars"
    seed: int = 12240321
    out: str
    cache: str | None = None
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Annotated[int, Field(ge=1)] | None = None
    compile: bool = False
    half: bool = False
    save_every: Annotated[float, Field(gt=0.0)] = 60.0
    data: Data
    model: Model = Model()
    stages: Annotated[list[Stage], Field(min_length=1)]
    calibration: Calibration = Calibration()


def load_run(path: Path, changes: Sequence[str] = ()) -> Run:
    """Read a run from YAML. changes: `key.sub=value` with the value in YAML; a number is an index of a list."""
    try:
        values = read_yaml(path)
        for assignment in changes:
            change(values, assignment)
        return Run.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Run)}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
