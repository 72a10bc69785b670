"""People: turns sampled traits into a dressed, posed, drawable person, and poses one at any moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from par_model.synthesis import accessories, hair
from par_model.synthesis.bodies import JOINT_INDEX, Body, BodyBank, load_bodies
from par_model.synthesis.colours import (
    BOTTOM_COLOURS,
    KNIT,
    OPEN_FRONT,
    PLAIN,
    RAGLAN,
    TOP_COLOURS,
    ZIP,
    Material,
    cloth,
    contrasting,
    dim,
    linear,
    shade,
)
from par_model.synthesis.garments import Wardrobe
from par_model.synthesis.mesh import BONES, RIGID, Layer, pack, simplify
from par_model.synthesis.motion import CRANK, Style, pose_at, rotation, sample_style
from par_model.synthesis.person import PersonMesh, assemble
from par_model.synthesis.render import Look, capsules
from par_model.synthesis.sampling import Traits

# Material numbers, the same for every person.
(SKIN, TOP, BOTTOM, SHOES, HAIR, HAT, BRIM, SCARF, BACKPACK, STRAPS, SHOULDER_BAG, SHOULDER_STRAP, HAND_BAG, HANDLES,
 FRAME, TYRE, METAL, SOCKS, TIGHTS, HOOD) = range(20)  # fmt: skip
# What a detector's box encloses.
BOXED = (SKIN, TOP, BOTTOM, SHOES, HAIR, HAT, BRIM, SCARF, BACKPACK, SOCKS, TIGHTS, HOOD)
# Part of the person's pixels that a thing must cover to be called visible, and in how many frames.
VISIBLE = {
    "backpack": 0.012,
    "shoulder bag": 0.012,
    "hand bag": 0.008,
    "hat": 0.006,
    "hair": 0.002,
    "top": 0.06,
    "bottom": 0.05,
    "legs": 0.12,
}
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
_SKIN_TONES = (
    (0.95, 0.80, 0.69),
    (0.89, 0.69, 0.55),
    (0.80, 0.59, 0.44),
    (0.66, 0.45, 0.32),
    (0.45, 0.30, 0.22),
    (0.30, 0.20, 0.15),
)


@dataclass(frozen=True)
class Person:
    """Somebody ready to be drawn: traits (with what could not be built corrected), mesh, look and ways of moving.

    styles: one, or two when the motion changes; probes: a few (position, joints, weights) vertices for boxes.
    """

    traits: Traits
    body: Body
    mesh: PersonMesh
    look: Look
    styles: tuple[Style, ...]
    holds: dict[str, bool]
    bulk: float
    worn: dict[str, object]
    hair_label: bool | None

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
        return capsules(self.body.joints, bones, self.bulk)

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


def static_attributes(person: Person, shown: dict[str, bool]) -> dict[str, object]:
    """MARS's static groups as far as the pictures show them: None where they do not tell.

    shown: for every key of VISIBLE whether it covers enough of the person in enough frames.
    """
    traits = person.traits
    skirt = traits.bottom in ("skirt", "dress")
    hair_label = person.hair_label if shown["hair"] or not person.hair_label else None
    return {
        "top length": traits.top_short,
        "bottom type": skirt if shown["legs"] else None,
        "shoulder bag": traits.shoulder_bag and shown["shoulder bag"],
        "backpack": traits.backpack and shown["backpack"],
        "hat": None if traits.hood_up else traits.hat is not None and shown["hat"],
        "hand bag": traits.hand_bag is not None and shown["hand bag"],
        "hair": hair_label,
        "gender": traits.gender == "female",
        "bottom length": traits.bottom_short if shown["legs"] else None,
        "top color": f"top {traits.top_colour}" if shown["top"] else None,
        "bottom color": f"bottom {traits.bottom_colour}" if shown["bottom"] else None,
        "age": traits.age,
    }


class Tailor:
    """Builds people from the bodies of a bank and the assets of a folder."""

    def __init__(self, assets: Path, bank: BodyBank | None = None) -> None:
        self.bank = bank or load_bodies()
        self._skin = pack(self.bank.weights)
        self._faces = simplify(self.bank.mean, self.bank.faces, 0.017)
        self.wardrobe = Wardrobe(assets, self.bank)
        self.barber = hair.Barber(assets, self.bank)

    def make(self, rng: np.random.Generator, traits: Traits, motions: tuple[str, ...]) -> Person:
        """Somebody with those traits who moves in those ways, in order."""
        riding = "riding" in motions
        if riding and traits.hand_bag:
            traits = replace(traits, hand_bag=None)
        body = self.bank.sample(rng, traits.age, traits.gender)
        look_hair = hair.sample_hair_colour(rng, traits.age)
        materials = [Material((0.5, 0.5, 0.5))] * 20
        tone = np.array(_SKIN_TONES[rng.integers(len(_SKIN_TONES))]) * rng.uniform(0.85, 1.08)
        red, green, blue = np.clip(tone, 0, 1)
        materials[SKIN] = Material(linear((red, green, blue)), wrinkle=0.0)
        layers: list[Layer] = []
        hidden = np.zeros(len(self.bank.mean), bool)
        bulk, sleeve_note, waist = self._dress_top(rng, traits, body, materials, layers, hidden)
        hem = self._dress_bottom(rng, traits, body, materials, layers, hidden, bulk, waist)
        shoes = self._dress_feet(rng, traits, body, materials, layers, hidden)
        cut = hair.sample_cut(rng, traits.long_hair, traits.age, traits.gender)
        self._dress_head(rng, traits, body, materials, layers, cut, look_hair)
        hands, holds = self._carry(rng, traits, body, materials, layers, bulk, riding)
        styles = tuple(sample_style(rng, motion, body, hands, bulk) for motion in motions)
        if len(styles) > 1:
            styles = (styles[0], replace(styles[1], hands=styles[0].hands if "swing" not in hands else hands))
        if traits.outer == "open" and materials[TOP].pattern != OPEN_FRONT:
            traits = replace(traits, outer="jacket")
        bald = cut.piece is None and rng.uniform() < 0.5
        scalp = (0.0 if bald else 1.0, 1.752, traits.beard)
        mesh = assemble(
            self.bank, self._faces, body, layers, hidden, tuple(materials), self.wardrobe.landmarks.arm, self._skin
        )
        worn: dict[str, object] = {
            "outer": traits.outer, "top": sleeve_note, "bottom": traits.bottom, "hem": round(hem, 2), "shoes": shoes,
            "hair": cut.piece or ("bald" if bald else "shaved"), "hat": traits.hat, "hood": traits.hood,
            "scarf": traits.scarf, "backpack": traits.backpack, "shoulder bag": traits.shoulder_bag,
            "hand bag": traits.hand_bag, "beard": traits.beard,
            "hood up": traits.hood_up, "headphones": traits.headphones, "held object": traits.held,
            "tied jacket": traits.tied,
        }  # fmt: skip
        label: bool | None = cut.long
        if traits.hood_up or (cut.piece in hair.BOBS and not cut.long):
            label = None  # a chin-length bob is called either, a hood tells nothing
        return Person(
            traits,
            body,
            mesh,
            Look(look_hair, scalp, float(rng.uniform(0, 50))),
            styles,
            holds,
            1 + 4 * bulk,
            worn,
            label,
        )

    def _dress_top(
        self, rng: np.random.Generator, traits: Traits, body: Body, materials: list[Material], layers: list[Layer],
        hidden: np.ndarray,
    ) -> tuple[float, str, float | None]:  # fmt: skip
        wardrobe = self.wardrobe
        stuff = cloth(rng, traits.top_colour, TOP_COLOURS)
        bulk = {"coat": rng.uniform(0.008, 0.02), "jacket": rng.uniform(0.006, 0.03)}.get(
            traits.outer, rng.uniform(0.0, 0.007)
        )
        if traits.outer == "open" and traits.top_colour != "complex":
            inner = shade(rng, contrasting(rng, traits.top_colour, TOP_COLOURS))
            stuff = replace(stuff, pattern=OPEN_FRONT, second=inner, share=float(rng.uniform(0, 1)))
        elif traits.top_colour == "complex" and rng.uniform() < 0.12:
            stuff = replace(stuff, pattern=RAGLAN)
        if traits.top_short and rng.uniform() < 0.7:
            piece = wardrobe.short_tops[rng.integers(len(wardrobe.short_tops))]
            sleeve = float(rng.uniform(0.05, 0.3)) if rng.uniform() < 0.22 else 9.0
            note = "sleeveless" if sleeve < 1 else "short sleeves"
        elif traits.top_short:
            piece = wardrobe.long_tops[rng.integers(len(wardrobe.long_tops))]
            sleeve, note = float(rng.uniform(0.45, 0.95)), "short sleeves"
        else:
            piece = wardrobe.long_tops[rng.integers(len(wardrobe.long_tops))]
            sleeve, note = (
                (float(rng.uniform(1.65, 1.9)), "rolled sleeves") if rng.uniform() < 0.12 else (9.0, "long sleeves")
            )
        tucked = traits.bottom in ("trousers", "shorts") and traits.outer == "none" and rng.uniform() < 0.25
        materials[TOP] = replace(stuff, sleeve=sleeve, hem=0.97 if tucked else -9.0)
        layers.append(wardrobe.wear(piece, body, TOP, 0.003 + bulk, 0.0 if tucked else 0.012))
        hidden |= wardrobe.hidden(piece, sleeve)
        if traits.outer == "coat":
            hem = float(rng.uniform(0.42, 0.82))
            if traits.bottom_short:
                hem = float(rng.uniform(0.68, 0.82))
            gap = 0.0 if rng.uniform() < 0.6 else float(rng.uniform(0.2, 0.6))
            layers.append(wardrobe.loft(body, TOP, 1.1, hem, 0.012 + bulk, float(rng.uniform(0.0, 0.05)), gap))
        if traits.outer in ("jacket", "coat", "open") and not (traits.hood or traits.hood_up) and rng.uniform() < 0.6:
            materials[HOOD] = replace(materials[TOP], pattern=PLAIN)
            layers.append(hair.collar(rng, body, self.bank, HOOD))
        if traits.outer in ("jacket", "coat") and stuff.pattern == PLAIN and rng.uniform() < 0.7:
            materials[TOP] = replace(
                materials[TOP], pattern=ZIP, second=dim(stuff.first, float(rng.choice([0.4, 0.55, 1.8])))
            )
        if traits.tied:
            materials[TIGHTS] = cloth(rng, str(rng.choice(TOP_COLOURS[:-1])), TOP_COLOURS)
            hem, ease = float(rng.uniform(0.72, 0.85)), 0.02 + bulk
            layers.append(wardrobe.loft(body, TIGHTS, 1.04, hem, ease, 0.03, 1.3, 0.008))
        if traits.hood_up:
            materials[HOOD] = replace(materials[TOP], sleeve=9.0, hem=-9.0, pattern=PLAIN)
            layers.append(hair.raised_hood(body, self.bank, HOOD))
        if traits.hood:
            materials[HOOD] = materials[TOP] if rng.uniform() < 0.8 else Material(shade(rng, "gray"))
            layers.append(hair.hood(body, self.bank, HOOD))
        if traits.scarf:
            word = str(rng.choice([c for c in TOP_COLOURS if c != "complex"]))
            materials[SCARF] = cloth(rng, word, TOP_COLOURS)
            layers += hair.scarf(rng, body, self.bank, SCARF)
        return float(bulk), note, None if tucked else wardrobe.lowest(piece)

    def _dress_bottom(
        self, rng: np.random.Generator, traits: Traits, body: Body, materials: list[Material], layers: list[Layer],
        hidden: np.ndarray, bulk: float, waist: float | None,
    ) -> float:  # fmt: skip
        wardrobe = self.wardrobe
        stuff = cloth(rng, traits.bottom_colour, BOTTOM_COLOURS, trousers=True)
        if traits.bottom in ("skirt", "dress"):
            hem = float(rng.uniform(0.53, 0.72) if traits.bottom_short else rng.uniform(0.14, 0.38))
            materials[BOTTOM] = (
                materials[TOP]
                if traits.bottom == "dress"
                else replace(stuff, pattern=stuff.pattern if stuff.pattern < 7 else PLAIN)
            )
            materials[BOTTOM] = replace(materials[BOTTOM], sleeve=9.0)
            flare = float(rng.uniform(0.0, 0.14)) * (1.0 if traits.bottom_short else 0.8)
            top = 1.1 if traits.bottom == "dress" else float(rng.uniform(1.02, 1.07))
            gather = float(rng.choice([0.0, rng.uniform(0.004, 0.014)]))
            layers.append(
                wardrobe.loft(
                    body, BOTTOM, top, hem, 0.006 + (bulk if traits.bottom == "dress" else 0), flare, 0.0, gather
                )
            )
            if rng.uniform() < (0.35 if traits.bottom_short else 0.1):  # tights or leggings
                materials[TIGHTS] = Material(
                    shade(rng, str(rng.choice(["black", "gray", "brown"], p=[0.75, 0.15, 0.1]))), wrinkle=0.1
                )
                tights = wardrobe.trousers[0]
                layers.append(wardrobe.wear(tights, body, TIGHTS, -0.002))
                hidden |= wardrobe.hidden(tights)
            return hem
        piece = wardrobe.trousers[rng.integers(len(wardrobe.trousers))]
        hem = float(rng.uniform(0.44, 0.74)) if traits.bottom_short else -9.0
        loose = float(rng.choice([0.0, 0.006, 0.014, 0.026], p=[0.3, 0.3, 0.25, 0.15]))
        # Under a loose top the waistband is cut away, lest it shows through; a tucked-in top goes under it.
        materials[BOTTOM] = replace(stuff, hem=hem, top=9.0 if waist is None else waist + 0.05)
        layers.append(wardrobe.wear(piece, body, BOTTOM, 0.012 + bulk if waist is None else 0.002, loose))
        hidden |= wardrobe.hidden(piece, hem=hem)
        return max(hem, 0.07)

    def _dress_feet(
        self, rng: np.random.Generator, traits: Traits, body: Body, materials: list[Material], layers: list[Layer],
        hidden: np.ndarray,
    ) -> str:  # fmt: skip
        wardrobe = self.wardrobe
        word = str(rng.choice(["black", "white", "brown", "gray", "blue", "red"], p=[0.4, 0.2, 0.18, 0.12, 0.06, 0.04]))
        materials[SHOES] = Material(dim(shade(rng, word), 0.8), gloss=float(rng.uniform(0.02, 0.3)), wrinkle=0.2)
        shoe, sock = wardrobe.shoes[rng.integers(len(wardrobe.shoes))]
        layers.append(wardrobe.wear(shoe, body, SHOES, 0.002))
        hidden |= wardrobe.hidden(shoe)
        bare = traits.bottom != "trousers"
        if traits.boots and bare:
            materials[SOCKS] = replace(materials[SHOES], top=float(rng.uniform(0.26, 0.44)))
            layers.append(wardrobe.wear(wardrobe.trousers[0], body, SOCKS, 0.012))
            return f"{word} boots"
        if not bare or rng.uniform() < 0.6:
            materials[SOCKS] = Material(shade(rng, str(rng.choice(["black", "white", "gray"]))), wrinkle=0.2)
            layers.append(wardrobe.wear(sock, body, SOCKS, 0.002))
        return f"{word} shoes"

    def _dress_head(
        self, rng: np.random.Generator, traits: Traits, body: Body, materials: list[Material], layers: list[Layer],
        cut: hair.HairCut, colour: tuple[float, float, float],
    ) -> None:  # fmt: skip
        barber = self.barber
        top, slope = 9.0, 0.0
        if traits.hood_up:
            cut = replace(cut, piece=None)
        if traits.hat:
            front, nape = hair.HAT_RIM[traits.hat]
            top, slope = front + 0.006, (front - nape) / 0.2
        materials[HAIR] = Material(
            colour,
            dim(colour, 0.6),
            KNIT,
            0.012,
            gloss=0.25,
            wrinkle=0.4,
            hem=cut.hem,
            top=top,
            slope=slope,
            face=cut.long,
        )
        layer = barber.dress(cut, body, HAIR)
        if layer is not None:
            layers.append(layer)
        if traits.headphones:
            materials[BRIM] = Material(shade(rng, str(rng.choice(["black", "white", "red"]))), gloss=0.3, wrinkle=0.0)
            layers += hair.headphones(body, self.bank, BRIM)
        if traits.hat:
            word = str(rng.choice([c for c in TOP_COLOURS if c != "complex"]))
            materials[HAT] = cloth(rng, word, TOP_COLOURS)
            materials[HAT] = replace(
                materials[HAT], pattern=materials[HAT].pattern if materials[HAT].pattern in (PLAIN, 9) else PLAIN
            )
            materials[BRIM] = (
                materials[HAT] if rng.uniform() < 0.75 else Material(shade(rng, contrasting(rng, word, TOP_COLOURS)))
            )
            layers += barber.hat(traits.hat, body, HAT, BRIM)

    def _carry(
        self, rng: np.random.Generator, traits: Traits, body: Body, materials: list[Material], layers: list[Layer],
        bulk: float, riding: bool,
    ) -> tuple[tuple[str, str], dict[str, bool]]:  # fmt: skip
        def stuff(main: int, trim: int, words: tuple[str, ...]) -> None:
            word = str(rng.choice(words))
            materials[main] = Material(
                shade(rng, word),
                shade(rng, word),
                gloss=float(rng.uniform(0.02, 0.3)),
                wrinkle=float(rng.uniform(0.1, 0.9)),
            )
            other = (
                materials[main].first
                if rng.uniform() < 0.6
                else shade(rng, str(rng.choice(["black", "brown", "gray"])))
            )
            materials[trim] = Material(other, wrinkle=0.1)

        clothes = [layer for layer in layers if layer.material in (TOP, HOOD)]
        common = (
            "black",
            "black",
            "black",
            "gray",
            "blue",
            "red",
            "green",
            "brown",
            "pink",
            "purple",
            "yellow",
            "white",
        )
        if traits.backpack:
            stuff(BACKPACK, STRAPS, common)
            layers += accessories.backpack(rng, body, self.bank, (BACKPACK, STRAPS), clothes)
        if traits.shoulder_bag:
            stuff(SHOULDER_BAG, SHOULDER_STRAP, (*common, "brown", "brown", "white"))
            layers += accessories.shoulder_bag(rng, body, self.bank, (SHOULDER_BAG, SHOULDER_STRAP), clothes, bulk)
        holds: dict[str, bool] = {}
        hands = [str(rng.choice(["swing", "hang", "pocket", "phone"], p=[0.66, 0.16, 0.12, 0.06])) for _ in "LR"]
        if (traits.backpack or traits.shoulder_bag) and rng.uniform() < 0.15:
            hands[rng.integers(2)] = "strap"
        if traits.hand_bag and not riding:
            side = int(rng.integers(2))
            elbow = bool(traits.hand_bag in ("handbag", "tote") and rng.uniform() < 0.3)
            stuff(
                HAND_BAG,
                HANDLES,
                ("white", "white", "gray", "blue", "red", "green")
                if traits.hand_bag == "plastic"
                else (*common, "brown", "brown"),
            )
            layers += accessories.hand_bag(rng, body, traits.hand_bag, "LR"[side], (HAND_BAG, HANDLES), elbow)
            hands[side] = "elbow" if elbow else "carry"
            holds["LR"[side]] = elbow
        if traits.held and not riding and not holds:
            side = int(rng.integers(2))
            materials[HANDLES] = Material(shade(rng, str(rng.choice(common))), gloss=float(rng.uniform(0.0, 0.4)))
            layers += accessories.held_object(rng, body, "LR"[side], HANDLES)
            hands[side] = "carry"
            holds["LR"[side]] = False
        if riding:
            materials[FRAME] = Material(shade(rng, str(rng.choice(common))), gloss=0.3, wrinkle=0.0)
            materials[TYRE] = Material(linear((0.09, 0.09, 0.09)), wrinkle=0.0)
            materials[METAL] = Material(linear((0.5, 0.5, 0.5)), gloss=0.5, wrinkle=0.0)
            layers += accessories.bicycle(rng, body, (FRAME, TYRE, METAL))
        return (hands[0], hands[1]), holds
