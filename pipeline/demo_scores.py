"""How well the demo did: its files against the truth that the generated street comes with."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LONG_ENOUGH = 2.0
"""Seconds that somebody must have been followed for their attributes to count."""
SAME = 0.5
"""Intersection over union from which a box is taken for a person of the truth."""


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """Answers on lasting attributes of people followed long enough: how many right, given, and asked for."""

    right: int
    given: int
    asked: int

    @property
    def accuracy(self) -> float:
        return self.right / max(self.given, 1)

    @property
    def answered(self) -> float:
        return self.given / max(self.asked, 1)


def tracking_scores(truth: Path, out: Path) -> dict[str, float] | None:
    """HOTA, IDF1 and the like of `out`/mot.txt in percent; None where TrackEval is not installed."""
    import importlib.util

    if importlib.util.find_spec("trackeval") is None:
        return None
    from trackers.evaluation import score

    return score(truth, out / "mot.txt")


def attribute_score(truth_boxes: Path, truth_attributes: Path, out: Path) -> AttributeScore:
    """Compare `out`/tracks.jsonl with the truth, person by person; unknown is no answer."""
    from par_model.schema import load_schema

    truth = json.loads(truth_attributes.read_text(encoding="utf-8"))
    schema = load_schema(truth["schema"])
    persons = who_is_who(truth_boxes, out / "mot.txt")
    count: Counter[str] = Counter()
    for line in (out / "tracks.jsonl").read_text(encoding="utf-8").splitlines():
        track = json.loads(line)
        person = persons.get(track["track"])
        if person is None or track["last_time"] - track["first_time"] < LONG_ENOUGH:
            continue
        for group in schema.groups:
            wanted = truth["people"][str(person)]["attributes"].get(group.name)
            if group.dynamics != "static" or wanted is None or group.name not in track["attributes"]:
                continue
            value = track["attributes"][group.name]["value"]
            count["asked"] += 1
            count["given"] += value is not None
            count["right"] += value == true_label(group, wanted)
    return AttributeScore(count["right"], count["given"], count["asked"])


def true_label(group: Any, truth: bool | str) -> str:
    """What the group would have to say; truth: whether a binary attribute holds, or a one-of group's word."""
    if isinstance(truth, bool):
        return str(group.labels[int(truth)])
    return next(str(attribute.label) for attribute in group.attributes if attribute.word == truth)


def who_is_who(truth: Path, result: Path) -> dict[int, int]:
    """For each id of a MOT file the person of the truth that it lay on most often."""
    from trackers.association import iou
    from trackers.mot import FRAME, ID, corners, read_mot

    wanted, found = read_mot(truth), read_mot(result)
    votes: dict[int, Counter[int]] = {}
    for frame in np.unique(found[:, FRAME]):
        people, tracks = wanted[wanted[:, FRAME] == frame], found[found[:, FRAME] == frame]
        if not len(people):
            continue
        overlap = iou(corners(tracks), corners(people))
        for row, track in enumerate(tracks[:, ID].astype(int).tolist()):
            best = int(overlap[row].argmax())
            if overlap[row, best] >= SAME:
                votes.setdefault(track, Counter())[int(people[best, ID])] += 1
    return {track: count.most_common(1)[0][0] for track, count in votes.items()}
