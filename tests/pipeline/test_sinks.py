"""What the data files promise: documented lines, the same bytes for the same results, no half file that looks whole."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.sinks import JsonlSink, MotSink, TracksSink
from pipeline.sinks.output import prepare_output, refuse_earlier, remove_earlier
from pipeline.types import Frame, FrameResult, Label, Person, SidewalkError, TrackSummary

FRAME = Frame("door", 0, 0.0, np.zeros((4, 4, 3), np.uint8))
PERSON = Person(
    7,
    tuple(np.float32([10.04, 20.06, 50.55, 99.96])),
    np.float32(0.87654),
    {"gender": Label("female", np.float32(0.91239)), "hat": Label(None, 0.5)},
)
RESULT = FrameResult("door", 12, 12 / 29.97, (PERSON,))
EMPTY = FrameResult("door", 13, 13 / 29.97, ())


def summary(track: int, **attributes: Label) -> TrackSummary:
    return TrackSummary("door", track, 0.4, 9.2, 88, attributes, 5, (10.0, 20.0, 50.04, 100.0), 3.2)


def test_a_line_of_frames_jsonl_reads_as_documented(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "frames.jsonl")
    sink.write(FRAME, RESULT)
    sink.write(FRAME, EMPTY)
    sink.close()
    first, second = (tmp_path / "frames.jsonl").read_text().splitlines()
    assert first == (
        '{"camera":"door","frame":12,"time":0.4004,"people":[{"track":7,"box":[10.0,20.1,50.5,100.0],"score":0.877,'
        '"attributes":{"gender":{"value":"female","probability":0.912},"hat":{"value":null,"probability":0.5}}}]}'
    )
    assert json.loads(second) == {"camera": "door", "frame": 13, "time": 0.433767, "people": []}


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sink = JsonlSink(tmp_path / name)
        for _ in range(3):
            sink.write(FRAME, RESULT)
        sink.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_lines_can_be_followed_while_they_are_written(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "frames.jsonl")
    sink.write(FRAME, RESULT)
    assert len((tmp_path / "frames.jsonl.partial").read_text().splitlines()) == 1
    sink.close()


def test_mot_counts_frames_and_pixels_from_one(tmp_path: Path) -> None:
    sink = MotSink(tmp_path / "mot.txt")
    sink.write(FRAME, RESULT)
    sink.write(FRAME, EMPTY)
    sink.close()
    assert (tmp_path / "mot.txt").read_text() == "13,7,11.0,21.1,40.5,79.9,0.877,-1,-1,-1\n"


def test_a_track_is_a_line_and_a_row(tmp_path: Path) -> None:
    sink = TracksSink(tmp_path)
    sink.end_track(summary(3, gender=Label("male", 0.8), hat=Label(None, 0.45)))
    sink.end_track(summary(1, gender=Label("female", 0.7), motion=Label("walking", 0.99)))
    sink.close()
    lines = [json.loads(text) for text in (tmp_path / "tracks.jsonl").read_text().splitlines()]
    assert [record["track"] for record in lines] == [3, 1]
    assert lines[0]["attributes"]["hat"] == {"value": None, "probability": 0.45}
    assert lines[0]["best_box"] == [10.0, 20.0, 50.0, 100.0]
    with (tmp_path / "tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["gender"] == "male"
    assert rows[0]["hat"] == ""
    assert rows[0]["hat probability"] == "0.45"
    assert rows[0]["motion"] == ""
    assert rows[1]["motion"] == "walking"
    assert rows[1]["frames"] == "88"


def test_a_run_without_tracks_has_a_table_without_rows(tmp_path: Path) -> None:
    TracksSink(tmp_path).close()
    assert (tmp_path / "tracks.jsonl").read_text() == ""
    head = "camera,track,first_time,last_time,frames,readings,best_time,best_x1,best_y1,best_x2,best_y2\n"
    assert (tmp_path / "tracks.csv").read_text() == head


@pytest.mark.parametrize("make", [JsonlSink, MotSink])
def test_a_failed_run_leaves_only_partial_files(tmp_path: Path, make) -> None:
    sink = make(tmp_path / "file")
    sink.write(FRAME, RESULT)
    assert [path.name for path in tmp_path.iterdir()] == ["file.partial"]
    sink.close(completed=False)
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file.partial"]


def test_tracks_of_a_failed_run_stay_partial(tmp_path: Path) -> None:
    sink = TracksSink(tmp_path)
    sink.end_track(summary(1))
    sink.close(completed=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.jsonl.partial"]


def test_an_earlier_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    for name in ("frames.jsonl", "overlay.mp4", "overlay-20261124T101500.mp4", "mot.txt.partial", "notes.txt"):
        (tmp_path / name).write_text("earlier")
    with pytest.raises(SidewalkError, match=r"holds the results of an earlier run .*--overwrite"):
        refuse_earlier(tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    prepare_output(tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    remove_earlier(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    refuse_earlier(tmp_path)
    prepare_output(tmp_path / "new" / "run")
    assert (tmp_path / "new" / "run").is_dir()


@pytest.mark.parametrize("place", ["file/run", "file", "/proc/sidewalk"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SidewalkError, match="cannot be written") as caught:
        prepare_output(tmp_path / place)
    assert place in str(caught.value)
    with pytest.raises(SidewalkError, match="cannot be written"):
        JsonlSink(tmp_path / place / "frames.jsonl")
