"""Generated pedestrians: clothed, moving 3D people with known attributes, as tracklets and as street scenes."""

from __future__ import annotations

from typing import Any

__all__ = ["generate_scene", "generate_tracklets", "write_card"]


def __getattr__(name: str) -> Any:
    # Heavy packages load with the function that needs them.
    if name == "generate_tracklets":
        from par_model.synthesis.generate import generate_tracklets

        return generate_tracklets
    if name == "generate_scene":
        from par_model.synthesis.street import generate_scene

        return generate_scene
    if name == "write_card":
        from par_model.synthesis.card import write_card

        return write_card
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
