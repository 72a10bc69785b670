"""The tailor: builds a dressed person from sampled traits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from par_model.synthesis import hair, headwear
from par_model.synthesis.bodies import BodyBank, load_bodies
from par_model.synthesis.carrying import carry
from par_model.synthesis.colours import (
    BOTTOM_COLOURS,
    HOOPS,
    KNIT,
    OPEN_FRONT,
    PLAID,
    PLAIN,
    RAGLAN,
    TOP_COLOURS,
    YOKE,
    ZIP,
    Material,
    cloth,
    contrasting,
    dim,
    linear,
    shade,
)
from par_model.synthesis.garments import Wardrobe
from par_model.synthesis.mesh import pack, simplify
from par_model.synthesis.motion import sample_style
from par_model.synthesis.people import (
    BOTTOM,
    BRIM,
    HAIR,
    HAT,
    HEADPHONES,
    HOOD,
    SCARF,
    SHOES,
    SKIN,
    SOCKS,
    TIED,
    TIGHTS,
    TOP,
    Fitting,
    Person,
)
from par_model.synthesis.person import assemble
from par_model.synthesis.render import Look
from par_model.synthesis.sampling import Traits

_SKIN_TONES = (
    (0.95, 0.80, 0.69),
    (0.89, 0.69, 0.55),
    (0.80, 0.59, 0.44),
    (0.66, 0.45, 0.32),
    (0.45, 0.30, 0.22),
    (0.30, 0.20, 0.15),
)


class Tailor:
    """Builds people from the bodies of a bank and the assets of a folder."""

    def __init__(self, assets: Path, bank: BodyBank | None = None) -> None:
        self.bank = bank or load_bodies()
        self._skin = pack(self.bank.weights)
        self._faces = simplify(self.bank.mean, self.bank.faces, 0.017)
        self.wardrobe = Wardrobe(assets, self.bank)
        self.barber = hair.Barber(assets, self.bank)
        self.hatter = headwear.Hatter(assets, self.bank)

    def make(self, rng: np.random.Generator, traits: Traits, motions: tuple[str, ...]) -> Person:
        """Somebody with those traits who moves in those ways, in order."""
        riding = "riding" in motions
        if riding:
            traits = replace(traits, hand_bag=None, held=False)
        fitting = Fitting(
            rng, traits, self.bank.sample(rng, traits.age, traits.gender), hair.sample_hair_colour(rng, traits.age),
            np.zeros(len(self.bank.mean), bool),
        )  # fmt: skip
        red, green, blue = np.clip(np.array(rng.choice(_SKIN_TONES)) * rng.uniform(0.85, 1.08), 0, 1)
        fitting.materials[SKIN] = Material(linear((red, green, blue)), wrinkle=0.0)
        self._dress_top(fitting)
        self._dress_bottom(fitting)
        self._dress_feet(fitting)
        cut = hair.sample_cut(rng, traits.long_hair, traits.age, traits.gender)
        if traits.hood_up:
            cut = replace(cut, piece=None, bun=False, front=())
        self._dress_head(fitting, cut)
        hands, holds = carry(fitting, self.bank, riding)
        styles = tuple(sample_style(rng, motion, fitting.body, hands, fitting.bulk) for motion in motions)
        may_be_bald = cut.piece is None and traits.gender == "male" and traits.age in ("adult", "old")
        style = str(rng.choice(["bald", "balding", "shaved"], p=[0.3, 0.4, 0.3])) if may_be_bald else "shaved"
        scalp = (0.0 if style == "bald" else 1.0, 1.752, traits.beard, 1.0 if style == "balding" else 0.0)
        mesh = assemble(
            self.bank, self._faces, fitting.body, fitting.layers, fitting.hidden, tuple(fitting.materials),
            self.wardrobe.landmarks.arm, self._skin,
        )  # fmt: skip
        return Person(
            traits=traits,
            body=fitting.body,
            mesh=mesh,
            look=Look(fitting.hair_colour, scalp, float(rng.uniform(0, 50))),
            styles=styles,
            holds=holds,
            girth=1 + 4 * fitting.bulk,
            worn=_describe(fitting, "bun" if cut.bun else cut.piece or style),
            hair_label=None if traits.hood_up or cut.unclear else cut.long,
            tied=cut.tied,
        )

    def _dress_top(self, fitting: Fitting) -> None:
        rng, traits, body, materials = fitting.rng, fitting.traits, fitting.body, fitting.materials
        wardrobe = self.wardrobe
        stuff = cloth(rng, traits.top_colour, TOP_COLOURS)
        bulk = {"coat": rng.uniform(0.008, 0.02), "jacket": rng.uniform(0.006, 0.03)}.get(
            traits.outer, rng.uniform(0.0, 0.007)
        )
        if traits.outer == "open" and traits.top_colour != "complex":
            inner = shade(rng, contrasting(rng, traits.top_colour, TOP_COLOURS))
            stuff = replace(stuff, pattern=OPEN_FRONT, second=inner, share=float(rng.uniform(0, 1)))
        elif traits.top_colour == "complex" and rng.uniform() < 0.35 and not traits.top_short:
            stuff = replace(stuff, pattern=RAGLAN)
        if traits.bottom == "dress" and traits.top_colour == "complex" and stuff.pattern in (RAGLAN, YOKE):
            stuff = replace(stuff, pattern=PLAID, scale=0.12)  # the others would leave the skirt of one colour
        elif traits.bottom == "dress" and stuff.pattern == YOKE:
            stuff = replace(stuff, pattern=PLAIN)  # of what shows above a skirt it would be half
        coated = traits.outer != "none" and not traits.top_short and traits.bottom != "dress"
        hide = stuff.pattern in (PLAIN, OPEN_FRONT) and traits.top_colour in ("black", "gray", "red")
        fitting.notes["leather"] = bool(coated and hide and rng.uniform() < 0.4)
        if fitting.notes["leather"]:
            stuff = replace(stuff, gloss=float(rng.uniform(0.4, 0.9)), wrinkle=float(rng.uniform(0.7, 1.0)))
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
        if sleeve < 0.4 and traits.top_colour == "complex" and stuff.pattern == RAGLAN:
            stuff = replace(stuff, pattern=YOKE)  # there are no sleeves to show the second colour
        tucked = traits.bottom in ("trousers", "shorts") and traits.outer == "none" and rng.uniform() < 0.25
        materials[TOP] = replace(stuff, sleeve=sleeve, hem=0.97 if tucked else -9.0)
        fitting.layers.append(wardrobe.wear(piece, body, TOP, 0.003 + bulk, 0.0 if tucked else 0.012))
        fitting.hidden |= wardrobe.hidden(piece, sleeve)
        if traits.outer == "coat":
            hem = float(rng.uniform(0.42, 0.82))
            if traits.bottom_short:
                hem = float(rng.uniform(0.68, 0.82))
            gap = 0.0 if rng.uniform() < 0.6 else float(rng.uniform(0.2, 0.6))
            fitting.layers.append(wardrobe.loft(body, TOP, 1.1, hem, 0.012 + bulk, float(rng.uniform(0.0, 0.05)), gap))
        if traits.outer == "jacket" and traits.bottom in ("trousers", "shorts") and rng.uniform() < 0.6:
            # Cut straight, down to the hips.
            hem = float(rng.uniform(0.78, 0.92))
            fitting.layers.append(wardrobe.loft(body, TOP, 1.12, hem, 0.014 + bulk, float(rng.uniform(0.0, 0.02))))
        if traits.outer in ("jacket", "coat", "open") and not (traits.hood or traits.hood_up) and rng.uniform() < 0.6:
            materials[HOOD] = _lining(rng, materials[TOP])
            fitting.layers.append(headwear.collar(rng, body, self.bank, HOOD))
        if traits.outer in ("jacket", "coat") and stuff.pattern == PLAIN:
            if rng.uniform() < 0.7:
                materials[TOP] = replace(
                    materials[TOP], pattern=ZIP, second=dim(stuff.first, float(rng.choice([0.4, 0.55, 1.8])))
                )
            elif traits.outer == "jacket":  # quilted, the seams in shadow
                materials[TOP] = replace(
                    materials[TOP], pattern=HOOPS, second=dim(stuff.first, 0.5), scale=float(rng.uniform(0.05, 0.11)),
                    share=0.12,
                )  # fmt: skip
        if traits.tied:
            materials[TIED] = cloth(rng, str(rng.choice(TOP_COLOURS[:-1])), TOP_COLOURS)
            hem, ease = float(rng.uniform(0.72, 0.85)), 0.02 + bulk
            fitting.layers.append(wardrobe.loft(body, TIED, 1.04, hem, ease, 0.03, 1.3, 0.008))
        if traits.hood_up:
            materials[HOOD] = replace(materials[TOP], sleeve=9.0, hem=-9.0, pattern=PLAIN)
            fitting.layers.append(self.hatter.raise_hood(body, HOOD))
        if traits.hood:
            materials[HOOD] = _lining(rng, materials[TOP])
            fitting.layers.append(headwear.hood(rng, body, self.bank, HOOD))
        if traits.scarf:
            word = str(rng.choice([c for c in TOP_COLOURS if c != "complex"]))
            materials[SCARF] = cloth(rng, word, TOP_COLOURS)
            fitting.layers += headwear.scarf(rng, body, self.bank, SCARF)
        fitting.bulk, fitting.waist = float(bulk), None if tucked else wardrobe.lowest(piece)
        fitting.notes["top"] = note

    def _dress_bottom(self, fitting: Fitting) -> None:
        rng, traits, body, materials = fitting.rng, fitting.traits, fitting.body, fitting.materials
        wardrobe, bulk, waist = self.wardrobe, fitting.bulk, fitting.waist
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
            if traits.outer == "coat":  # which lies over it
                flare = gather = 0.0
            fitting.layers.append(
                wardrobe.loft(
                    body, BOTTOM, top, hem, 0.006 + (bulk if traits.bottom == "dress" else 0), flare, 0.0, gather
                )
            )
            if rng.uniform() < (0.35 if traits.bottom_short else 0.1):  # tights or leggings
                materials[TIGHTS] = Material(
                    shade(rng, str(rng.choice(["black", "gray", "brown"], p=[0.75, 0.15, 0.1]))), wrinkle=0.1
                )
                tights = wardrobe.trousers[0]
                fitting.layers.append(wardrobe.wear(tights, body, TIGHTS, -0.002))
                fitting.hidden |= wardrobe.hidden(tights)
            fitting.notes["hem"] = round(hem, 2)
            return
        piece = wardrobe.trousers[rng.integers(len(wardrobe.trousers))]
        hem = float(rng.uniform(0.53, 0.74)) if traits.bottom_short else -9.0
        loose = float(rng.choice([0.0, 0.006, 0.014, 0.026], p=[0.3, 0.3, 0.25, 0.15]))
        # Under a loose top the waistband is cut away, lest it shows through; a tucked-in top goes under it.
        materials[BOTTOM] = replace(stuff, hem=hem, top=9.0 if waist is None else waist + 0.05)
        fitting.layers.append(wardrobe.wear(piece, body, BOTTOM, 0.012 + bulk if waist is None else 0.002, loose))
        fitting.hidden |= wardrobe.hidden(piece, hem=hem)
        fitting.notes["hem"] = round(max(hem, 0.07), 2)

    def _dress_feet(self, fitting: Fitting) -> None:
        rng, traits, body, materials = fitting.rng, fitting.traits, fitting.body, fitting.materials
        wardrobe = self.wardrobe
        word = str(rng.choice(["black", "white", "brown", "gray", "blue", "red"], p=[0.4, 0.2, 0.18, 0.12, 0.06, 0.04]))
        materials[SHOES] = Material(dim(shade(rng, word), 0.8), gloss=float(rng.uniform(0.02, 0.3)), wrinkle=0.2)
        shoe, sock = wardrobe.shoes[rng.integers(len(wardrobe.shoes))]
        fitting.layers.append(wardrobe.wear(shoe, body, SHOES, 0.002))
        fitting.hidden |= wardrobe.hidden(shoe)
        bare = traits.bottom != "trousers"
        if traits.boots and bare:
            materials[SOCKS] = replace(materials[SHOES], top=float(rng.uniform(0.26, 0.44)))
            fitting.layers.append(wardrobe.wear(wardrobe.trousers[0], body, SOCKS, 0.012))
            fitting.notes["shoes"] = f"{word} boots"
            return
        if not bare or rng.uniform() < 0.6:
            materials[SOCKS] = Material(shade(rng, str(rng.choice(["black", "white", "gray"]))), wrinkle=0.2)
            fitting.layers.append(wardrobe.wear(sock, body, SOCKS, 0.002))
        fitting.notes["shoes"] = f"{word} shoes"

    def _dress_head(self, fitting: Fitting, cut: hair.HairCut) -> None:
        rng, traits, body, materials = fitting.rng, fitting.traits, fitting.body, fitting.materials
        colour = fitting.hair_colour
        top, slope = 9.0, 0.0
        shape = headwear.sample_hat(rng, traits.hat) if traits.hat else None
        if shape:
            top, slope = shape.front + 0.006, (shape.front - shape.nape) / 0.2
            cut = replace(cut, volume=0.0)  # pressed down, lest it stick out
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
        layer = self.barber.dress(cut, body, HAIR)
        if layer is not None:
            fitting.layers.append(layer)
        fitting.layers += hair.locks(rng, cut, body, self.bank, fitting.clothes, HAIR)
        if cut.bun:
            fitting.layers.append(hair.bun(rng, body, self.bank, HAIR))
        if traits.headphones:
            materials[HEADPHONES] = Material(
                shade(rng, str(rng.choice(["black", "white", "red"]))), gloss=0.3, wrinkle=0.0
            )
            fitting.layers += headwear.headphones(body, self.bank, HEADPHONES)
        if shape:
            muted = ("black", "gray", "blue")
            word = str(rng.choice(muted if rng.uniform() < 0.5 else [c for c in TOP_COLOURS if c != "complex"]))
            materials[HAT] = cloth(rng, word, TOP_COLOURS)
            materials[HAT] = replace(
                materials[HAT], pattern=materials[HAT].pattern if materials[HAT].pattern in (PLAIN, 9) else PLAIN
            )
            materials[BRIM] = (
                materials[HAT] if rng.uniform() < 0.75 else Material(shade(rng, contrasting(rng, word, TOP_COLOURS)))
            )
            fitting.layers += self.hatter.wear(shape, body, HAT, BRIM)


def _lining(rng: np.random.Generator, stuff: Material) -> Material:
    """What a collar or a hood that lies on the shoulders shows: the cloth, or something dark that is no long hair."""
    if rng.uniform() < 0.6:
        return replace(stuff, pattern=PLAIN)
    colour = shade(rng, "black") if rng.uniform() < 0.7 else dim(shade(rng, "brown"), 0.5)
    return Material(colour, gloss=0.02, wrinkle=float(rng.uniform(0.3, 1.0)))


def _describe(fitting: Fitting, hair_style: str) -> dict[str, object]:
    """What the label file says somebody has on, seen or not."""
    traits = fitting.traits
    return {
        "outer": traits.outer, "bottom": traits.bottom, **fitting.notes, "hair": hair_style, "hat": traits.hat,
        "hood": traits.hood, "hood up": traits.hood_up, "scarf": traits.scarf, "beard": traits.beard,
        "backpack": traits.backpack, "shoulder bag": traits.shoulder_bag, "hand bag": traits.hand_bag,
        "headphones": traits.headphones, "held object": traits.held, "tied jacket": traits.tied,
    }  # fmt: skip
