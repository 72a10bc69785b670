"""People: somebody ready to be drawn, posed at any moment, and what the pictures tell about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from par_model.datasets.parts import PART_NAMES
from par_model.synthesis import accessories
from par_model.synthesis.bodies import JOINT_INDEX, Body
from par_model.synthesis.colours import (
    Material,
)
from par_model.synthesis.cycling import CRANK
from par_model.synthesis.kinematics import capsules, rotation
from par_model.synthesis.mesh import BONES, RIGID, Layer
from par_model.synthesis.motion import Style, pose_at
from par_model.synthesis.person import PersonMesh
from par_model.synthesis.render import MAX_MATERIALS, Look
from par_model.synthesis.sampling import Traits, folded

# Material numbers, the same for every person. Parts have their places in PART_NAMES less one, the surroundings.
(SKIN, TOP, BOTTOM, SHOES, HAIR, HAT, BRIM, SCARF, BACKPACK, STRAPS, SHOULDER_BAG, SHOULDER_STRAP, HAND_BAG, HANDLES,
 FRAME, TYRE, METAL, SOCKS, TIGHTS, HOOD) = range(len(PART_NAMES) - 2)  # fmt: skip
HELD, HEADPHONES, TIED = HOOD + 1, HOOD + 2, HOOD + 3  # of no part: maps leave them unknown
# What a detector's box encloses.
BOXED = (SKIN, TOP, BOTTOM, SHOES, HAIR, HAT, BRIM, SCARF, BACKPACK, SOCKS, TIGHTS, HOOD)
# What the label file calls a thing, and the materials that show it.
LABELLED = {
    "backpack": (BACKPACK, STRAPS),
    "shoulder bag": (SHOULDER_BAG, SHOULDER_STRAP),
    "hand bag": (HAND_BAG, HANDLES),
    "hat": (HAT, BRIM),
    "hair": (HAIR,),
    "top": (TOP,),
    "bottom": (BOTTOM,),
    "legs": (BOTTOM, TIGHTS, SOCKS, SHOES),
}


FRONTAL = 30.0
"""Degrees of turning up to which neck and shoulders hide what hangs down the back."""


@dataclass
class Fitting:
    """A person being dressed: what is known, the layers and materials so far, and which skin lies under them.

    hidden: (V,) bool; bulk: metres that the top adds; waist: canonical height of the top's hem, None when tucked in;
    notes: remarks for the label file.
    """

    rng: np.random.Generator
    traits: Traits
    body: Body
    hair_colour: tuple[float, float, float]
    hidden: np.ndarray
    materials: list[Material] = field(default_factory=lambda: [Material((0.5, 0.5, 0.5))] * MAX_MATERIALS)
    layers: list[Layer] = field(default_factory=list)
    bulk: float = 0.0
    waist: float | None = None
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def clothes(self) -> list[Layer]:
        """What lies on the torso, for straps and hair to lie on."""
        return [layer for layer in self.layers if layer.material in (TOP, HOOD)]


@dataclass(frozen=True)
class Person:
    """Somebody ready to be drawn: traits (corrected where something could not be worn), mesh, look and ways of moving.

    styles: one, or two when the motion changes; holds: side to whether the thing held hangs from the elbow; girth:
    how much wider than the naked body; worn: for the label file; hair_label: long, short or not to be told; tied: it
    hangs down the back in one strand.
    """

    traits: Traits
    body: Body
    mesh: PersonMesh
    look: Look
    styles: tuple[Style, ...]
    holds: dict[str, bool]
    girth: float
    worn: dict[str, object]
    hair_label: bool | None
    tied: bool = False

    def place(self, seconds: float, style: Style, position: np.ndarray, heading: float) -> np.ndarray:
        """(BONES, 4, 4) rest-to-world matrices of the body and of what it carries or rides."""
        pose = pose_at(style, self.body, seconds)
        bones = np.tile(np.eye(4), (BONES, 1, 1))
        bones[: len(JOINT_INDEX)] = pose.matrices(self.body.joints, position, heading)
        turn = rotation(2, heading)
        for side, elbow in self.holds.items():
            rest = accessories.hold_point(self.body, side, elbow)
            joint = bones[JOINT_INDEX[f"forearm.{side}" if elbow else f"hand.{side}"]]
            sway = 0.12 * np.sin(2 * np.pi * (style.phase + style.cadence * seconds))
            swung = turn @ rotation(0, sway)
            matrix = bones[RIGID[f"bag.{side}"]]
            matrix[:3, :3] = swung
            matrix[:3, 3] = joint[:3, :3] @ rest + joint[:3, 3] - swung @ rest
        if style.motion == "riding":
            size = self.body.height / accessories.REFERENCE_HEIGHT
            rolled = style.speed * seconds / (accessories.WHEEL_RADIUS * size)
            turned = 2 * np.pi * (style.phase + style.cadence * seconds)
            for name, centre, angle in (
                ("frame", np.zeros(3), 0.0),
                ("wheel.F", np.array([0, accessories.FRONT_AXLE, accessories.WHEEL_RADIUS]), rolled),
                ("wheel.R", np.array([0, accessories.REAR_AXLE, accessories.WHEEL_RADIUS]), rolled),
                ("crank", CRANK, turned),
            ):
                centre = centre * size
                spin = rotation(0, angle)
                matrix = bones[RIGID[name]]
                matrix[:3, :3] = turn @ spin
                matrix[:3, 3] = turn @ (centre - spin @ centre) + position
        return bones

    def limbs(self, bones: np.ndarray) -> np.ndarray:
        """(10, 2, 4) capsules of the posed body."""
        return capsules(self.body.joints, bones, self.girth)

    def outline(self, bones: np.ndarray, step: int = 9) -> np.ndarray:
        """(N, 3) world positions of every `step`-th vertex that a detector's box encloses."""
        vertices = self.mesh.vertices[::step]
        vertices = vertices[np.isin(vertices["material"].astype(int), BOXED)]
        weights = vertices["weights"].astype(np.float64)
        weights /= weights.sum(1, keepdims=True)
        rest = np.column_stack([vertices["position"], np.ones(len(vertices))])
        skin = np.einsum("nk,nkab->nab", weights, bones[vertices["joints"]][:, :, :3])
        moved: np.ndarray = np.einsum("nab,nb->na", skin, rest)
        return moved


def static_attributes(
    person: Person,
    shown: Mapping[str, bool | None],
    tones: Mapping[str, str | None],
    angles: np.ndarray,
    frames: float,
) -> dict[str, object]:
    """MARS's static groups as far as the pictures show them: None where they do not tell.

    shown, tones: see par_model.synthesis.visibility; angles: (T,) degrees between facing and camera; frames: in how
    many of them what hangs down the back must be in view.
    """
    traits = person.traits
    skirt = traits.bottom in ("skirt", "dress")
    aside = folded(angles) > FRONTAL
    hangs = shown["hair"] and (not person.tied or aside.sum() >= frames)
    hair_label = person.hair_label if hangs or not person.hair_label else None
    dressed = shown["legs"] and shown["bottom"]

    def colour(part: str, word: str) -> str | None:
        return f"{part} {word}" if shown[part] and tones[part] in (None, word) else None

    return {
        "top length": traits.top_short,
        "bottom type": skirt if dressed else None,
        "shoulder bag": _worn(traits.shoulder_bag, shown["shoulder bag"]),
        "backpack": _worn(traits.backpack, shown["backpack"]),
        "hat": None if traits.hood_up else _worn(traits.hat is not None, shown["hat"]),
        "hand bag": _worn(traits.hand_bag is not None, shown["hand bag"]),
        "hair": hair_label,
        "gender": traits.gender == "female",
        "bottom length": traits.bottom_short if dressed else None,
        "top color": colour("top", traits.top_colour),
        "bottom color": colour("bottom", traits.bottom_colour),
        "age": traits.age,
    }


def _worn(worn: bool, shown: bool | None) -> bool | None:
    return None if shown is None else worn and shown
