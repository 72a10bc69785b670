"""What a killed run needs to go on: kept on disk whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from par_model.training.config import ConfigError


@dataclass
class Progress:
    """Where a run stands. batch: the next one of the epoch; seconds: spent in this stage; rows: what the log holds."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    rows: list[dict[str, Any]] = field(default_factory=list)


def write_state(path: Path, progress: Progress, **parts: Any) -> None:
    """parts: settings and data of the run, state dictionaries of model, averaged weights and optimizer."""
    partial = path.with_suffix(".partial")
    torch.save({"progress": asdict(progress), **parts}, partial)
    partial.replace(path)


def read_state(
    path: Path, settings: Mapping[str, Any], completed: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> tuple[Progress, dict[str, Any]] | None:
    """The state a run left, None where it left none.

    settings: of the run that wants to go on; completed: adds to settings what they left to defaults. Raises ConfigError
    where the state was left by a run of others, or is damaged.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        progress, left = Progress(**content.pop("progress")), content.pop("settings", settings)
    except Exception as error:  # a damaged file raises nearly anything
        raise ConfigError(f"{path} is damaged ({type(error).__name__}); remove it to begin the run anew") from error
    key = difference(completed(left), settings)
    if key is not None:
        raise ConfigError(f"{path.parent} holds a run with another {key}; give another out, or remove {path}")
    return progress, content


def difference(one: Any, other: Any, place: str = "") -> str | None:
    """The first place, as `stages.0.rate`, at which two trees of plain values differ; None where they do not."""
    if isinstance(one, (Mapping, list)) and type(one) is type(other):
        keys = range(max(len(one), len(other))) if isinstance(one, list) else dict.fromkeys([*one, *other])
        for key in keys:
            within = f"{place}.{key}".lstrip(".")
            try:
                found = difference(one[key], other[key], within)
            except (KeyError, IndexError):
                return within
            if found is not None:
                return found
        return None
    return None if one == other else place


class KeptRows:
    """The rows of a head that a run must leave as they are: those of attributes that none of its labels teaches.

    Batch statistics of the people it sees would move what the head says of these, and weight decay shrink it.
    head: each of its tensors has one row an attribute; columns: (A,) bool, the attributes meant.
    """

    def __init__(self, head: nn.Module, columns: np.ndarray) -> None:
        self.columns = torch.from_numpy(columns)
        self.rows = {name: tensor[self.columns] for name, tensor in head.state_dict().items() if tensor.ndim}

    @torch.no_grad()
    def restore(self, head: nn.Module) -> None:
        """Give the head its rows back."""
        tensors = head.state_dict()
        for name, rows in self.rows.items():
            tensors[name][self.columns] = rows


class Average:
    """Exponential moving average of a module's weights and batch statistics (Polyak and Juditsky 1992).

    The first steps count more than `decay` says, or the start would linger.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = deepcopy(module).eval() if decay else module

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """step: optimizer steps so far."""
        if not self.decay:
            return
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        current = module.state_dict()
        for name, kept in self.module.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(current[name], 1.0 - decay)
            else:
                kept.copy_(current[name])
