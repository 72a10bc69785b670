"""A person's attributes in the few words that a person wants to read on a picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from pipeline.types import Label

READ = (
    "gender",
    "age",
    "top color",
    "bottom color",
    "motion",
    "hat",
    "backpack",
    "shoulder bag",
    "hand bag",
    "boots",
)
"""Groups shown where the user names none, in this order; a schema that has none of them is shown whole."""

WHO = ("gender", "age")


def describe(known: Mapping[str, Label], groups: Sequence[str] | None = None, width: int = 26) -> list[str]:
    """Lines such as `female, adult`, `red top, blue trousers`, `walking, backpack`.

    Who it is, what colours, and the rest have lines of their own, so that words keep their places while labels
    come and go. Nothing is said of what is unknown or absent. known: labels by attribute group; groups: names of those
    to tell, None for those in `READ`; width: signs a line should not exceed.
    """
    if groups is None:
        groups = [group for group in READ if group in known] or list(known)
    kinds: dict[str, list[str]] = {"who": [], "colours": [], "rest": []}
    for group in groups:
        if phrase := _phrase(known, group):
            kinds["who" if group in WHO else "colours" if _is_colour(group) else "rest"].append(phrase)
    return [line for phrases in kinds.values() for line in wrap(phrases, width)]


def wrap(phrases: Sequence[str], width: int) -> list[str]:
    """Phrases joined by commas into lines of at most `width` signs, longer only where one phrase is."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(phrase) + 2 <= width:
            lines[-1] += f", {phrase}"
        else:
            lines.append(phrase)
    return lines


def ascii_only(text: str) -> str:
    """The text in the signs that OpenCV's fonts have: accents go, what has no Latin letter becomes `?`."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).encode("ascii", "replace").decode()


def _phrase(known: Mapping[str, Label], group: str) -> str:
    label = known.get(group)
    if label is None or label.value is None or label.value.startswith("no "):
        return ""
    if _is_colour(group):
        part = group.rpartition(" ")[0]
        worn = known.get(f"{part} type")
        return f"{label.value} {worn.value if worn is not None and worn.value else part}"
    return label.value


def _is_colour(group: str) -> bool:
    return group.endswith((" color", " colour"))
