"""Sampling: which attributes a generated person has, rare ones often, with weak correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from par_model.synthesis.bodies import AGES
from par_model.synthesis.colours import BOTTOM_COLOURS, TOP_COLOURS
from par_model.synthesis.headwear import HATS

POSES = ("frontal", "lateral-frontal", "lateral", "lateral-back", "back")
POSE_VARIES, MOTION_VARIES = "pose varies", "motion varies"
HAND_BAGS = ("tote", "plastic", "briefcase", "handbag")
OUTER = ("none", "coat", "jacket", "open")

# Leanings, no rules. By age: how often people carry a backpack, a shoulder bag and a hand bag, wear a hood, what they
# wear outermost (as OUTER), whether their trousers are short (times a share).
_BAGS = {
    "young": (0.3, 0.2, 0.16), "teenager": (0.36, 0.27, 0.24), "adult": (0.26, 0.3, 0.34), "old": (0.15, 0.28, 0.36),
}  # fmt: skip
_HOODS = {"young": 0.26, "teenager": 0.34, "adult": 0.18, "old": 0.1}
_OUTER = {
    "young": (0.44, 0.14, 0.24, 0.18), "teenager": (0.42, 0.13, 0.27, 0.18), "adult": (0.31, 0.28, 0.2, 0.21),
    "old": (0.27, 0.34, 0.18, 0.21),
}  # fmt: skip
_SHORTS = {"young": 1.2, "teenager": 1.15, "adult": 0.95, "old": 0.65}
# By gender: long hair (less often than in life, lest nothing else tells women), how much more often such bags are
# carried, and which hand bags and hats (as HAND_BAGS and HATS).
_LONG_HAIR = {"female": 0.6, "male": 0.07}
_CARRIES = {"female": (0.95, 1.2, 1.25), "male": (1.05, 0.8, 0.75)}
_HAND_BAG = {"female": (0.31, 0.2, 0.07, 0.42), "male": (0.27, 0.31, 0.34, 0.08)}
_HAT = {"female": (0.28, 0.27, 0.12, 0.18, 0.15), "male": (0.46, 0.3, 0.1, 0.11, 0.03)}
_ROSY = {"female": 1.35, "male": 0.65}  # how much more often trousers and skirts are pink or purple


@dataclass(frozen=True)
class _Habits:
    """How often people of a kind are, wear and do things.

    ages: as AGES; tops, bottoms: of each colour, as TOP_COLOURS and BOTTOM_COLOURS; skirts: of women; carries: times
    what _BAGS says; runs: by age.
    """

    ages: tuple[float, ...]
    tops: tuple[float, ...]
    bottoms: tuple[float, ...]
    hats: float
    skirts: float
    carries: float
    rides: float
    runs: dict[str, float]


# Dark clothes are what streets are full of, and the hardest to read.
_VARIED = _Habits(
    ages=(0.24, 0.24, 0.3, 0.22),
    tops=(0.24, 0.08, 0.09, 0.11, 0.11, 0.115, 0.075, 0.085, 0.095),
    bottoms=(0.09, 0.07, 0.24, 0.08, 0.11, 0.07, 0.06, 0.15, 0.08, 0.06),
    hats=0.35,
    skirts=0.4,
    carries=1.0,
    rides=0.2,
    runs={"young": 0.25, "teenager": 0.22, "adult": 0.18, "old": 0.1},
)
# Half of the people are inconspicuous: adults mostly, on foot, in muted colours, seldom in a skirt or with a hat or a
# bag. Traits drawn one by one would make few of them, yet they are most of a crowd, and of its false alarms.
_INCONSPICUOUS = _Habits(
    ages=(0.06, 0.14, 0.6, 0.2),
    tops=(0.42, 0.02, 0.04, 0.17, 0.17, 0.09, 0.02, 0.04, 0.03),
    bottoms=(0.03, 0.01, 0.4, 0.02, 0.13, 0.01, 0.01, 0.31, 0.07, 0.01),
    hats=0.0875,
    skirts=0.12,
    carries=0.3,
    rides=0.05,
    runs=dict.fromkeys(AGES, 0.04),
)


@dataclass(frozen=True)
class Traits:
    """What is decided about a person before anything is built; words are MARS's where MARS has them.

    inconspicuous: one of a crowd. The last four are hard negatives: a raised hood (neither hat nor bare head),
    headphones, something held that is no bag, and a jacket tied around the waist, which is no skirt.
    """

    inconspicuous: bool
    gender: str
    age: str
    top_short: bool
    top_colour: str
    bottom: str  # trousers, shorts, skirt, dress
    bottom_short: bool
    bottom_colour: str
    outer: str
    long_hair: bool
    hat: str | None
    backpack: bool
    shoulder_bag: bool
    hand_bag: str | None
    hood: bool
    scarf: bool
    boots: bool
    beard: float
    hood_up: bool
    headphones: bool
    held: bool
    tied: bool


def sample_traits(rng: np.random.Generator) -> Traits:
    """Rare attributes far more often than in life, being worth more to a learner; dark clothes most often."""
    female = bool(rng.uniform() < 0.5)
    gender = "female" if female else "male"
    inconspicuous = bool(rng.uniform() < 0.5)
    habits = _INCONSPICUOUS if inconspicuous else _VARIED
    age = str(rng.choice(AGES, p=habits.ages))
    top_short = bool(rng.uniform() < 0.45)
    roll = rng.uniform()
    skirts = habits.skirts if female else 0.02
    if roll < skirts:
        bottom = "dress" if female and roll < skirts / 3 else "skirt"
        bottom_short = bool(rng.uniform() < 0.6)
    else:
        bottom_short = bool(rng.uniform() < (0.42 if top_short else 0.25) * _SHORTS[age])
        bottom = "shorts" if bottom_short else "trousers"
    outer = "none" if top_short else str(rng.choice(OUTER, p=_OUTER[age]))
    if top_short and rng.uniform() < 0.12:
        outer = "open"
    if bottom == "dress" and outer == "coat":
        outer = "none"
    top_colour = str(rng.choice(TOP_COLOURS, p=habits.tops))
    colours = np.array(habits.bottoms)
    colours[[BOTTOM_COLOURS.index("purple"), BOTTOM_COLOURS.index("pink")]] *= _ROSY[gender]
    bottom_colour = str(rng.choice(BOTTOM_COLOURS, p=colours / colours.sum()))
    if bottom == "dress":
        shares = np.array([share * (c in BOTTOM_COLOURS) for c, share in zip(TOP_COLOURS, habits.tops)])
        top_colour = bottom_colour = str(rng.choice(TOP_COLOURS, p=shares / shares.sum()))
    bags = rng.uniform(size=3) < np.multiply(_BAGS[age], _CARRIES[gender]) * habits.carries
    if bags.sum() == 3:
        bags[rng.integers(3)] = False
    hat = str(rng.choice(HATS, p=_HAT[gender])) if rng.uniform() < habits.hats else None
    hood_up = bool(hat is None and not top_short and rng.uniform() < 0.07)
    if outer == "open" and top_colour == "complex":  # a second colour would be one too many
        outer = "jacket"
    return Traits(
        inconspicuous=inconspicuous,
        gender=gender,
        age=age,
        top_short=top_short,
        top_colour=top_colour,
        bottom=bottom,
        bottom_short=bottom_short,
        bottom_colour=bottom_colour,
        outer=outer,
        long_hair=bool(rng.uniform() < _LONG_HAIR[gender]),
        hat=hat,
        backpack=bool(bags[0]),
        shoulder_bag=bool(bags[1]),
        hand_bag=str(rng.choice(HAND_BAGS, p=_HAND_BAG[gender])) if bags[2] else None,
        hood=bool(not top_short and not hood_up and rng.uniform() < _HOODS[age]),
        scarf=bool(rng.uniform() < (0.03 if top_short else 0.16)),
        boots=bool(rng.uniform() < (0.3 if female else 0.12)),
        beard=float(rng.choice([0.0, 0.5, 1.0], p=[0.6, 0.2, 0.2])) if not female and age in ("adult", "old") else 0.0,
        hood_up=hood_up,
        headphones=bool(hat is None and not hood_up and rng.uniform() < 0.05),
        held=bool(not bags[2] and rng.uniform() < 0.14),
        tied=bool(bottom in ("trousers", "shorts") and outer == "none" and rng.uniform() < 0.06),
    )  # fmt: skip


def sample_motions(rng: np.random.Generator, traits: Traits) -> tuple[str, ...]:
    """One gait, or the two that a motion changes between."""
    if rng.uniform() < 0.1:
        pairs = (("walking", "staying"), ("staying", "walking"), ("walking", "running"), ("running", "walking"))
        return pairs[rng.choice(4, p=[0.35, 0.35, 0.15, 0.15])]
    habits = _INCONSPICUOUS if traits.inconspicuous else _VARIED
    runs, rides = habits.runs[traits.age], habits.rides
    gaits = ["running", "walking", "riding", "staying"]
    return (str(rng.choice(gaits, p=[runs, 0.81 - runs - rides, rides, 0.19])),)


def folded(angles: np.ndarray) -> np.ndarray:
    """(T,) degrees between facing and camera, whichever side: 0 is from the front, 180 from behind."""
    away: np.ndarray = np.abs((np.asarray(angles) + 180) % 360 - 180)
    return away


def pose_word(angles: np.ndarray) -> str | None:
    """MARS's word for (T,) degrees between facing and camera; None between a steady and a varying pose."""
    turned_away = folded(angles)
    unwrapped = np.unwrap(np.radians(angles))
    turned = float(np.degrees(unwrapped.max() - unwrapped.min()))
    if turned > 75:
        return POSE_VARIES
    if turned > 45:
        return None
    return POSES[int(np.clip(np.round(turned_away.mean() / 45), 0, 4))]
