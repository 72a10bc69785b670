"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, labels and golden numbers that lies beside the project, where there is one."""
    path = Path(os.environ.get("SIDEWALK_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"needs the shared folder of real data ({path} is absent; set SIDEWALK_SHARED)")
    return path
