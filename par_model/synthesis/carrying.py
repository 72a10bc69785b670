"""Carrying: which bags, bicycles and other things a person gets, and what their hands do with them."""

from __future__ import annotations

from par_model.synthesis import accessories
from par_model.synthesis.bodies import BodyBank
from par_model.synthesis.colours import Material, linear, shade
from par_model.synthesis.people import (
    BACKPACK,
    FRAME,
    HAND_BAG,
    HANDLES,
    HELD,
    METAL,
    SHOULDER_BAG,
    SHOULDER_STRAP,
    STRAPS,
    TYRE,
    Fitting,
)

COMMON = ("black",) * 5 + ("gray", "blue", "red", "green", "brown", "pink", "purple", "yellow", "white")


def carry(fitting: Fitting, bank: BodyBank, riding: bool) -> tuple[tuple[str, str], dict[str, bool]]:
    """Add what the traits say is carried or ridden.

    Returns what the left and the right arm do, and per side ("L", "R") that holds something whether it hangs from
    the elbow.
    """
    rng, traits, body = fitting.rng, fitting.traits, fitting.body
    clothes = fitting.clothes
    if traits.backpack:
        _bag_cloth(fitting, BACKPACK, STRAPS, COMMON)
        fitting.layers += accessories.backpack(rng, body, bank, (BACKPACK, STRAPS), clothes)
    if traits.shoulder_bag:
        _bag_cloth(fitting, SHOULDER_BAG, SHOULDER_STRAP, (*COMMON, "brown", "brown", "white"))
        fitting.layers += accessories.shoulder_bag(
            rng, body, bank, (SHOULDER_BAG, SHOULDER_STRAP), clothes, fitting.bulk
        )
    holds: dict[str, bool] = {}
    hands = [str(rng.choice(["swing", "hang", "pocket", "phone"], p=[0.66, 0.16, 0.12, 0.06])) for _ in "LR"]
    if (traits.backpack or traits.shoulder_bag) and rng.uniform() < 0.15:
        hands[rng.integers(2)] = "strap"
    if traits.hand_bag and not riding:
        side = int(rng.integers(2))
        elbow = bool(traits.hand_bag in ("handbag", "tote") and rng.uniform() < 0.3)
        words = (
            ("white", "white", "gray", "blue", "red", "green")
            if traits.hand_bag == "plastic"
            else (*COMMON, "brown", "brown")
        )
        _bag_cloth(fitting, HAND_BAG, HANDLES, words)
        fitting.layers += accessories.hand_bag(rng, body, traits.hand_bag, "LR"[side], (HAND_BAG, HANDLES), elbow)
        hands[side] = "elbow" if elbow else "carry"
        holds["LR"[side]] = elbow
    if traits.held and not riding and not holds:
        side = int(rng.integers(2))
        fitting.materials[HELD] = Material(shade(rng, str(rng.choice(COMMON))), gloss=float(rng.uniform(0.0, 0.4)))
        fitting.layers += accessories.held_object(rng, body, "LR"[side], HELD)
        hands[side] = "carry"
        holds["LR"[side]] = False
    if riding:
        fitting.materials[FRAME] = Material(shade(rng, str(rng.choice(COMMON))), gloss=0.3, wrinkle=0.0)
        fitting.materials[TYRE] = Material(linear((0.09, 0.09, 0.09)), wrinkle=0.0)
        fitting.materials[METAL] = Material(linear((0.5, 0.5, 0.5)), gloss=0.5, wrinkle=0.0)
        fitting.layers += accessories.bicycle(rng, body, (FRAME, TYRE, METAL))
    return (hands[0], hands[1]), holds


def _bag_cloth(fitting: Fitting, main: int, trim: int, words: tuple[str, ...]) -> None:
    """Choose the materials of a bag and of its straps."""
    rng = fitting.rng
    word = str(rng.choice(words))
    gloss, wrinkle = float(rng.uniform(0.02, 0.3)), float(rng.uniform(0.1, 0.9))
    fitting.materials[main] = Material(shade(rng, word), shade(rng, word), gloss=gloss, wrinkle=wrinkle)
    other = str(rng.choice(["black", "brown", "gray"]))
    colour = fitting.materials[main].first if rng.uniform() < 0.6 else shade(rng, other)
    fitting.materials[trim] = Material(colour, wrinkle=0.1)
