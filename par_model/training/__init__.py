"""Training of the attribute model: `train(load_run(Path("configs/training/compact.yaml")))`."""

from __future__ import annotations

from par_model.training.config import ConfigError, Run, load_run
from par_model.training.report import Report
from par_model.training.run import train

__all__ = ["ConfigError", "Report", "Run", "load_run", "train"]
