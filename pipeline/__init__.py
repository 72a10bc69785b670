"""The streaming application: cameras in, labelled people out.

`pipeline.run(config, sources, out)` does what `sidewalk run` does; `pipeline.Engine` is built from parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.build import run
    from pipeline.config import Config, load_config
    from pipeline.engine import Engine

__all__ = ["Config", "Engine", "load_config", "run"]

_HOMES = {"run": "build", "Engine": "engine", "Config": "config", "load_config": "config"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `sidewalk --help` does not wait for the models."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"pipeline.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
