"""Evaluation: the numbers of the three protocols, of calibration, and a report that can be looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from par_model.datasets import UNKNOWN, DatasetError
from par_model.evaluation import Predictions, calibration_error, confusion, decisions, evaluate, reliability
from par_model.evaluation_report import write_report
from par_model.metrics import pooled_scores
from par_model.schema import Calibration, Schema, load_schema

ROOT = Path(__file__).resolve().parents[2]
MARS = load_schema("mars")


def predictions(schema: Schema, probabilities: np.ndarray, labels: np.ndarray) -> Predictions:
    crops = [np.full((64, 32, 3), 10 * i % 255, dtype=np.uint8) for i in range(len(labels))]
    return Predictions(schema, [str(i) for i in range(len(labels))], probabilities, labels, crops, probabilities)


@pytest.fixture(scope="module")
def fixture(shared: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Golden labels and probabilities of MARS, and the public code's scores of them."""
    numbers = np.load(shared / "golden" / "misc.npz")
    names = {name: numbers[name] for name in numbers.files if name.startswith("metric_") and name.endswith("mars")}
    return names["metric_gt_mars"], names["metric_probs_mars"], names


def test_the_pooled_protocol_at_045_gives_the_public_codes_numbers(
    fixture: tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]],
) -> None:
    labels, probabilities, golden = fixture
    scores = evaluate(predictions(MARS, probabilities, labels), "pooled", 0.45)
    rows = [[row[name] for name in ("accuracy", "precision", "recall", "f1")] for row in scores["groups"].values()]
    assert np.allclose(rows, golden["metric_groups_mars"], atol=1e-5)
    assert scores["mean"]["f1"] == pytest.approx(float(golden["metric_avg_mars"][3]), abs=1e-5)


def test_the_argmax_and_instance_protocols_give_the_published_numbers(
    fixture: tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]],
) -> None:
    labels, probabilities, golden = fixture
    found = predictions(MARS, probabilities, labels)
    argmax = evaluate(found, "argmax")["groups"].values()
    rows = [[row[name] for name in ("accuracy", "macro_f1", "micro_f1")] for row in argmax]
    assert np.allclose(rows, golden["metric_argmax_mars"], atol=1e-5)
    instance = evaluate(found, "instance", 0.45)["groups"].values()
    names = ("mean_accuracy", "accuracy", "precision", "recall", "f1")
    rows = [[row[name] for name in names] for row in instance]
    assert np.allclose(rows, golden["metric_old_groups_mars"], atol=1e-5)


def test_a_fixed_threshold_cuts_every_attribute_by_itself_as_the_public_code_does() -> None:
    logits = np.full((1, len(MARS.words)), -4.0)
    columns = MARS.slices["top color"]
    logits[0, columns.start : columns.start + 3] = 1.0, 0.8, 0.7
    alone = 1 / (1 + np.exp(-logits))
    shares = np.concatenate([MARS.shares(alone, group)[:, -len(group.attributes) :] for group in MARS.groups], axis=1)
    labels = np.zeros_like(logits, dtype=np.int8)
    labels[0, columns.start : columns.start + 2] = 1
    given = replace(predictions(MARS, shares, labels), columns=alone)
    expected = pooled_scores(labels[:, columns], alone[:, columns], (0, columns.stop - columns.start), 0.45)[0]
    found = evaluate(given, "pooled", 0.45)["groups"]["top color"]
    assert [found[name] for name in ("accuracy", "precision", "recall", "f1")] == pytest.approx(
        list(expected), abs=1e-5
    )
    assert found["recall"] == 1.0
    assert found["precision"] == pytest.approx(2 / 3, abs=1e-5)


def test_stored_thresholds_decide_and_the_zone_between_them_is_unanswered() -> None:
    schema = MARS.calibrated({"hat": Calibration(1.0, 0.2, 0.4)})
    p = np.zeros((3, 43))
    p[:, schema.words.index("hat")] = [0.1, 0.31, 0.9]
    labels = np.zeros((3, 43), dtype=np.int8)
    labels[1:, schema.words.index("hat")] = 1
    found = predictions(schema, p, labels)
    assert decisions(found)[:, schema.words.index("hat")].tolist() == [0, 1, 1]
    row = evaluate(found)["groups"]["hat"]
    assert row["f1"] == 1.0
    assert row["answered"] == pytest.approx(2 / 3, abs=1e-5)


def test_unknown_labels_leave_a_group_out_row_by_row() -> None:
    labels = np.full((4, 43), UNKNOWN, dtype=np.int8)
    labels[:2, MARS.words.index("hat")] = [0, 1]
    p = np.tile(np.linspace(0.1, 0.9, 4)[:, None], (1, 43))
    p[1] = 0.9
    scores = evaluate(predictions(MARS, p, labels))
    assert list(scores["groups"]) == ["hat"]
    assert scores["groups"]["hat"]["rows"] == 2
    assert scores["groups"]["hat"]["confusion"] == [[1, 0], [0, 1]]


def test_a_table_that_nobody_filled_in_judges_nothing() -> None:
    labels = np.full((4, 43), UNKNOWN, dtype=np.int8)
    with pytest.raises(DatasetError, match="of 4 tracklets no label is known"):
        evaluate(predictions(MARS, np.full((4, 43), 0.5), labels))


def test_a_confusion_matrix_counts_what_it_is_down_and_what_is_said_across() -> None:
    assert confusion(np.array([0, 1, 1]), np.array([1, 1, 0]), 2).tolist() == [[0, 1], [1, 1]]


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.full(1000, 0.9)
    assert calibration_error(confidence, np.arange(1000) < 900) == pytest.approx(0.0, abs=1e-9)
    assert calibration_error(confidence, np.arange(1000) < 500) == pytest.approx(0.4)
    assert reliability(confidence, np.arange(1000) < 500)[9].tolist() == pytest.approx([0.9, 0.5, 1000])


def test_the_report_holds_every_picture_and_readable_json(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.zeros((20, 43), dtype=np.int8)
    for group in MARS.groups:
        columns = MARS.slices[group.name]
        if group.kind == "binary":
            labels[:, columns] = generator.random((20, 1)) < 0.5
        else:
            picks = generator.integers(columns.start, columns.stop, 20)
            labels[np.arange(20), picks] = 1
    found = predictions(MARS, generator.random((20, 43)), labels)
    paths = write_report(found, evaluate(found), tmp_path)
    for path in paths[1:]:
        assert cv2.imread(str(path)) is not None, path
    assert set(json.loads(paths[0].read_text())["groups"]) == set(MARS.group_names)


@pytest.mark.slow
def test_the_tool_scores_the_weights_that_ship_on_a_users_folder(tmp_path: Path) -> None:
    if not (ROOT / "par_model" / "weights" / "default.safetensors").is_file():
        pytest.skip("the weights that ship are not in this checkout")
    for name, colour in (("a", (30, 30, 200)), ("b", (200, 60, 30))):
        image = np.full((128, 64, 3), 110, dtype=np.uint8)
        image[20:70, 16:48] = colour
        (tmp_path / "data" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data" / name / "0.jpg"), image)
    (tmp_path / "data" / "labels.csv").write_text("tracklet,top color,hat\na,red,no\nb,blue,no\nc,red,no\n")
    command = [sys.executable, "tools/evaluate.py", "default", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "label without tracklet: 1" in done.stdout
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["tracklets"] == 2
    assert scores["priors"], "real people are judged as the pipeline serves them"


def test_a_neighbour_on_a_groups_scale_is_a_near_miss() -> None:
    columns = MARS.slices["pose"]
    front, oblique, side, varies = np.eye(6)[[0, 1, 2, 5]]
    labels = np.full((4, len(MARS.words)), UNKNOWN)
    labels[:, columns] = [front, front, front, side]
    labels[:, MARS.slices["hat"]] = 1
    probabilities = np.full((4, len(MARS.words)), 0.5)
    probabilities[:, columns] = [front, oblique, side, varies]
    scores = evaluate(predictions(MARS, probabilities, labels), "argmax")["groups"]
    assert scores["pose"]["within_one_step"] == 0.5
    assert scores["pose"]["accuracy"] == 0.25
    assert "within_one_step" not in scores["hat"]
