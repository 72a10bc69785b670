"""The attribute model: VTFPAR++ and everything that trains, exports and runs it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from par_model.checkpoint import load, save
    from par_model.config import ModelConfig, Preprocessing
    from par_model.errors import CheckpointError, ParityError, SchemaError
    from par_model.features import CropFeature
    from par_model.model import VTFPAR, build
    from par_model.openpar import from_openpar, to_openpar
    from par_model.recognizer import Recognizer
    from par_model.schema import Schema, load_schema

_HOMES = {
    "VTFPAR": "model",
    "build": "model",
    "ModelConfig": "config",
    "Preprocessing": "config",
    "load": "checkpoint",
    "save": "checkpoint",
    "Schema": "schema",
    "load_schema": "schema",
    "from_openpar": "openpar",
    "to_openpar": "openpar",
    "Recognizer": "recognizer",
    "CropFeature": "features",
    "ParityError": "errors",
    "CheckpointError": "errors",
    "SchemaError": "errors",
}

__all__ = [
    "VTFPAR",
    "CheckpointError",
    "CropFeature",
    "ModelConfig",
    "ParityError",
    "Preprocessing",
    "Recognizer",
    "Schema",
    "SchemaError",
    "build",
    "from_openpar",
    "load",
    "load_schema",
    "save",
    "to_openpar",
]


def __getattr__(name: str) -> object:
    """Names are imported on first use, so that `import par_model` does not wait for PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'par_model' has no attribute {name!r}")
    return getattr(importlib.import_module(f"par_model.{_HOMES[name]}"), name)
