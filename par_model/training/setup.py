"""From a run's configuration to its model and data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from par_model.checkpoint import load, misfit
from par_model.clip_weights import clip_activation, fetch_clip
from par_model.config import ModelConfig
from par_model.datasets import UNKNOWN, DatasetError, Tracklet, TrackletSet, open_dataset
from par_model.errors import CheckpointError
from par_model.loading import checkpoint_path
from par_model.model import VTFPAR, build
from par_model.schema import Schema
from par_model.text import encode_texts, hashed_text_features, text_tower
from par_model.training.config import ConfigError, Data, Model, Run
from par_model.training.objective import log_odds

TEXT = {"hashed": "hashed prompts", "clip_words": "clip words", "clip_prompts": "clip prompts"}
"""What a run's `text` is called in a ModelConfig."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The two data sets of a run, and the positives' share of each column in the first. ratio: (A,) float32."""

    train: TrackletSet
    validation: TrackletSet
    ratio: Tensor

    @property
    def untaught(self) -> list[str]:
        """Names of the groups of which no training tracklet has a label."""
        labels = self.train.labels
        return [name for name, columns in self.train.schema.slices.items() if (labels[:, columns] == UNKNOWN).all()]


def read_splits(data: Data, schema: Schema) -> Splits:
    """Open training and validation data; raises DatasetError where one is missing or tells nothing."""
    train = _read(data, schema, data.train, data.train_split)
    if data.validation is None:
        assert data.held_out is not None
        train, validation = hold_out(train, data.held_out)
    else:
        validation = _read(data, schema, data.validation, data.validation_split)
    train, validation = train.first(data.limit), validation.first(data.validation_limit)
    both = _pictures(train) & _pictures(validation)
    if both:
        path, _ = min(both, key=str)
        raise DatasetError(f"{path} is in training and validation; give data.validation people of its own")
    return judged(train, validation)


def judged(train: TrackletSet, validation: TrackletSet) -> Splits:
    """The two sets with what their labels say. Raises DatasetError where one is too small or nothing of it is known."""
    for name, part in (("training", train), ("validation", validation)):
        why = f" ({part.problems.told()})" if part.problems.counts else ""
        if len(part) < 2:
            raise DatasetError(f"the {name} set has {len(part)} tracklets; give two at least{why}")
        if (part.labels == UNKNOWN).all():
            raise DatasetError(f"of the {name} set no label is known, or no picture can be read{why}")
    return Splits(train, validation, positive_ratio(train.labels))


def hold_out(found: TrackletSet, share: float) -> tuple[TrackletSet, TrackletSet]:
    """The tracklets of most persons, and of about `share` of them, which depends on their names alone.

    Raises DatasetError where a tracklet does not tell whose it is, or fewer than two of many would be held out.
    """
    parts: tuple[list[Tracklet], list[Tracklet]] = [], []
    for tracklet in found:
        if not tracklet.person:
            raise DatasetError(f"{tracklet.key} does not tell whose it is, as data.held_out must know; give validation")
        drawn = int.from_bytes(hashlib.blake2b(tracklet.person.encode(), digest_size=4).digest(), "big") / 2**32
        parts[drawn < share].append(tracklet)
    if len(parts[1]) < 2 <= len(parts[0]):
        persons = len({tracklet.person for tracklet in found})
        raise DatasetError(
            f"data.held_out: {share} of {persons} persons sets {len(parts[1])} tracklets aside, and two are needed at "
            "least; give a larger share, or validation"
        )
    return TrackletSet(found.schema, parts[0], found.problems), TrackletSet(found.schema, parts[1], found.problems)


def _pictures(found: TrackletSet) -> set[tuple[Path, int]]:
    return {(picture.path, picture.offset) for tracklet in found.tracklets for picture in tracklet.pictures}


def positive_ratio(labels: np.ndarray) -> Tensor:
    """labels: (N, A) of 0, 1 and 2 (unknown). Share of positives among the known, (A,) float32."""
    known = np.maximum((labels <= 1).sum(axis=0), 1)
    return torch.from_numpy(((labels == 1).sum(axis=0) / known).astype(np.float32))


def _read(data: Data, schema: Schema, source: str | list[str], split: str | None) -> TrackletSet:
    return open_dataset(
        source,
        schema,
        kind=data.format,
        labels=data.labels,
        tracks=data.tracks,
        root=data.root,
        split=split,
        strict=data.strict,
    )


def build_model(run: Run, schema: Schema, ratio: Tensor) -> VTFPAR:
    """The model a run starts from: fresh, on CLIP's tower, or a checkpoint.

    What was fitted stays a checkpoint's own; half-lives, labels and the like are the schema's.
    A fresh compact model's head starts at the odds of the training labels instead of learning them.
    """
    settings = run.model
    if settings.start is not None:
        model = load(checkpoint_path(settings.start))
        if _meaning(model.schema) != _meaning(schema):
            raise ConfigError(f"model.start: {settings.start} has other groups or sentences than {run.attributes!r}")
        model.schema = schema.calibrated(model.schema.calibration)
        return model
    config = _sizes(settings, schema)
    torch.manual_seed(run.seed)
    if settings.clip is None:
        if settings.text != "hashed":
            raise ConfigError(f"model.text is {settings.text!r}, which needs model.clip: {{name, pretrained}}")
        model = build(config, schema, hashed_text_features(schema.prompts, config.text_width))
        with torch.no_grad():
            model.head.norm.bias.copy_(log_odds(ratio))
        if settings.tower is not None:
            tower = load(checkpoint_path(settings.tower)).backbone.state_dict()
            problem = misfit(model.backbone.state_dict(), tower)
            if problem:
                raise ConfigError(f"model.tower: {settings.tower} has another tower than this model: {problem}")
            model.backbone.load_state_dict(tower)
        return model
    return _on_clip(settings, config, schema)


def _sizes(settings: Model, schema: Schema) -> ModelConfig:
    preset = (ModelConfig.compact() if settings.preset == "compact" else ModelConfig()).as_dict()
    own = {"attributes": len(schema.words), "text": TEXT[settings.text]}
    changes = {**settings.sizes, **own}
    if isinstance(changes.get("preprocessing"), dict):
        changes["preprocessing"] = preset["preprocessing"] | changes["preprocessing"]
    try:
        return ModelConfig.from_dict(preset | changes)
    except CheckpointError as error:
        raise ConfigError(f"model.sizes: {error}") from error


def _meaning(schema: Schema) -> tuple[object, ...]:
    """What a checkpoint's weights stand for."""
    return schema.prompts, [(group.name, group.kind, [a.word for a in group.attributes]) for group in schema.groups]


def _on_clip(settings: Model, config: ModelConfig, schema: Schema) -> VTFPAR:
    from par_model.backbone import clip_visual_state

    assert settings.clip is not None
    weights = fetch_clip(settings.clip.name, settings.clip.pretrained)
    activation = clip_activation(settings.clip.name, settings.clip.pretrained)
    if activation is not None and config.activation != activation:
        raise ConfigError(f"model.sizes.activation is {config.activation!r}; {settings.clip.name} has {activation!r}")
    if settings.text == "hashed":
        features = hashed_text_features(schema.prompts, config.text_width)
    else:
        sentences = schema.words if settings.text == "clip_words" else schema.prompts
        features = encode_texts(text_tower(weights, activation=activation or "gelu"), sentences)
        config = replace(config, text_width=features.shape[1])
    model = build(config, schema, features)
    tower = clip_visual_state(weights, grid=config.grid, depth=config.depth)
    problem = misfit(model.backbone.state_dict(), tower)
    if problem:
        raise ConfigError(f"model.clip: {settings.clip.name} has another tower than model.sizes say: {problem}")
    model.backbone.load_state_dict(tower)
    return model


def cache_folder(run: Run) -> Path:
    """Where decoded pictures and cached features are kept."""
    return Path(run.cache) if run.cache else Path(run.out) / "cache"


def parameter_groups(
    learner: nn.Module, backbone: nn.Module, *, rate: float, backbone_rate: float, decay: float
) -> list[dict[str, object]]:
    """Parameters that learn, apart by rate and by whether they decay.

    Matrices decay; biases, norms and embeddings do not.
    """
    tower = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not any(part in name for part in ("position", "token", "queries"))
            groups.setdefault((id(parameter) in tower, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": backbone_rate if in_tower else rate,
            "peak": backbone_rate if in_tower else rate,
            "weight_decay": decay if decays else 0.0,
        }
        for (in_tower, decays), parameters in groups.items()
    ]
