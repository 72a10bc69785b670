"""The weights that ship, on real people: how often they are right, lest a change of weights go unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from par_model.datasets import open_dataset
from par_model.evaluation import evaluate, predict
from par_model.recognizer import Recognizer
from par_model.schema import load_schema

LABELS = Path(__file__).resolve().parents[1] / "real_people" / "labels.csv"


@pytest.fixture(scope="module")
def scores(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    people = tmp_path_factory.mktemp("real") / "people"
    script = LABELS.with_name("cut.sh")
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["sh", str(script), str(shared / "data"), str(people)], check=True, env=environment, timeout=300)
    found = open_dataset([people], load_schema("mars"), labels=LABELS)
    assert len(found) == 135
    assert not found.problems.counts
    return evaluate(predict(Recognizer.load("default", "cpu", threads=1), found), "argmax")


@pytest.mark.parametrize(
    ("group", "least"),
    [("top color", 0.79), ("bottom color", 0.84), ("top length", 0.88), ("bottom length", 0.97), ("gender", 0.8),
     ("hair", 0.84), ("motion", 0.9)],
)  # fmt: skip
def test_what_real_people_wear_and_do_is_mostly_right(scores: dict[str, Any], group: str, least: float) -> None:
    assert scores["groups"][group]["accuracy"] >= least


@pytest.mark.parametrize(("word", "least"), [("top short", 0.5), ("bottom short", 0.6), ("long hair", 0.6)])
def test_the_rarer_answer_is_found_too(scores: dict[str, Any], word: str, least: float) -> None:
    assert scores["attributes"][word]["f1"] >= least


def test_the_pose_of_real_people_is_mostly_right_within_one_step(scores: dict[str, Any]) -> None:
    assert scores["groups"]["pose"]["within_one_step"] >= 0.87


@pytest.mark.parametrize(
    ("group", "most"), [("backpack", 0.08), ("hat", 0.03), ("hand bag", 0.06), ("shoulder bag", 0.1)]
)
def test_things_nobody_carries_are_seldom_claimed(scores: dict[str, Any], group: str, most: float) -> None:
    absent, _ = scores["groups"][group]["confusion"]
    assert absent[1] / sum(absent) <= most
