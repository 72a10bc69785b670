"""Scores: those of others reproduced from their files, and ours on public detections."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from trackers import create_tracker
from trackers.evaluation import follow, score, score_all, switches
from trackers.mot import FRAME, SCORE, read_mot, read_sequences, write_mot

pytest.importorskip("trackeval")


def test_the_published_scores_of_boosttrack_are_reproduced(shared: Path) -> None:
    folder = shared / "data" / "mot" / "evaluator"
    clips = {
        path.stem: (folder / "gt" / path.stem / "gt" / "gt.txt", path)
        for path in sorted((folder / "BoostTrack" / "data").glob("*.txt"))
    }
    scores = score_all(clips)
    with (folder / "BoostTrack" / "pedestrian_detailed.csv").open() as file:
        published = {row["seq"]: row for row in csv.DictReader(file)}
    for name in clips:
        for ours, column in (("HOTA", "HOTA___AUC"), ("MOTA", "MOTA"), ("IDF1", "IDF1"), ("AssA", "AssA___AUC")):
            assert scores[name][ours] == pytest.approx(100 * float(published[name][column]), abs=5e-4)
        assert scores[name]["IDSW"] == float(published[name]["IDSW"])
        assert len(switches(*clips[name])) == scores[name]["IDSW"]


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "hota", "idf1"), [("SDP", 57.0, 69.0), ("FRCNN", 49.5, 58.0)])
def test_the_default_tracker_beats_its_peers_on_public_detections(
    shared: Path, detector: str, hota: float, idf1: float
) -> None:
    folder = shared / "data" / "mot" / "MOT17"
    clips = {}
    for clip in read_sequences(folder, folder):
        if clip.name.endswith(detector) and clip.detections and clip.truth:
            times = {frame: (frame - 1) / clip.rate for frame in range(1, clip.length + 1)}
            found, _ = follow(create_tracker("sidewalk"), read_mot(clip.detections), times)
            clips[clip.name] = (clip.truth, found)
    assert len(clips) == 4
    pooled = score_all(clips)["pooled"]
    assert pooled["HOTA"] >= hota
    assert pooled["IDF1"] >= idf1


def test_a_perfect_result_scores_full_marks_and_a_swap_counts_as_switches(tmp_path: Path) -> None:
    frames = np.repeat(np.arange(1, 11), 2)
    rows = np.zeros((20, 8))
    rows[:, FRAME], rows[:, 1] = frames, np.tile([1, 2], 10)
    rows[:, 2:6] = np.tile([[0, 0, 40, 100], [200, 0, 40, 100]], (10, 1))
    rows[:, 6:] = 1
    write_mot(tmp_path / "mot.txt", rows)
    perfect = score(rows, tmp_path / "mot.txt")
    assert perfect["HOTA"] == pytest.approx(100)
    assert perfect["IDF1"] == pytest.approx(100)
    swapped = rows.copy()
    swapped[10:, 1] = np.tile([2, 1], 5)
    assert score(rows, swapped)["IDSW"] == 2
    assert switches(rows, swapped).tolist() == [6, 6]


def test_a_tracker_sees_boxes_in_picture_pixels_and_its_rows_count_from_1_again() -> None:
    seen = []

    class Echo:
        def update(self, people: sv.Detections, time: float, image: np.ndarray | None) -> sv.Detections:
            seen.append(people.xyxy.copy())
            people.tracker_id = np.arange(len(people))
            return people

    rows = np.array([[1, -1, 1, 1, 40, 100, 0.5, 1]], dtype=float)
    found, _ = follow(Echo(), rows, {1: 0.0})  # type: ignore[arg-type]
    assert seen[0].tolist() == [[0, 0, 40, 100]]
    assert found[:, 2:7].tolist() == rows[:, 2:7].tolist()


def test_a_result_on_a_distractor_is_neither_hit_nor_miss() -> None:
    truth = np.array([[1, 1, 0, 0, 40, 100, 1, 1], [1, 2, 200, 0, 40, 100, 0, 8]], dtype=float)
    result = truth.copy()
    result[:, SCORE:] = 1
    scores = score(truth, result)
    assert scores["FP"] == scores["FN"] == 0


def test_truth_may_be_given_frame_by_frame() -> None:
    boxes = np.array([[0, 0, 40, 100]], dtype=float)
    truth = {frame: (np.array([7]), boxes + frame) for frame in range(1, 6)}
    assert score(truth, truth)["IDF1"] == pytest.approx(100)


@pytest.mark.parametrize("text", ["1,2,3\n", "one,two\n"])
def test_a_file_that_is_not_mot_is_named_in_the_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mot.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mot\.txt"):
        read_mot(path)
    with pytest.raises(ValueError, match="no such file"):
        read_mot(tmp_path / "absent.txt")
