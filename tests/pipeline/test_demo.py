"""The demo's clips, and how its results are scored against the truth of the generated street."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from par_model.schema import load_schema
from pipeline.config import CameraConfig, Config, LiveConfig
from pipeline.demo import STREET, describe_track, photograph_clip, run_demo
from pipeline.demo_scores import attribute_score, tracking_scores, true_label, who_is_who
from pipeline.types import SidewalkError

TRUTH, ATTRIBUTES = STREET / "street_gt.txt", STREET / "street_attributes.json"


@pytest.fixture
def perfect(tmp_path: Path) -> Path:
    """The files of a run that found everybody and knew everything."""
    visible = [row for row in TRUTH.read_text(encoding="utf-8").splitlines() if row.split(",")[6] == "1"]
    (tmp_path / "mot.txt").write_text("\n".join(visible), encoding="utf-8")
    schema = load_schema("mars")
    people = json.loads(ATTRIBUTES.read_text(encoding="utf-8"))["people"]
    lines = []
    for person, facts in people.items():
        labels = {
            group.name: {"value": true_label(group, wanted), "probability": 1.0}
            for group in schema.groups
            if (wanted := facts["attributes"].get(group.name)) is not None
        }
        lines.append(json.dumps({"track": int(person), "first_time": 0.0, "last_time": 9.0, "attributes": labels}))
    (tmp_path / "tracks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_a_configurations_cameras_have_no_part_in_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: Config, sources: list[str], out: Path, **options: Any) -> None:
        assert (config.cameras, config.live.publish) == ([], None)
        raise SidewalkError(f"asked for {Path(sources[0]).name}")

    monkeypatch.setattr("pipeline.build.run", run)
    config = Config(cameras=[CameraConfig(url="rtsp://127.0.0.1/x")], live=LiveConfig(publish="rtsp://127.0.0.1/y"))
    with pytest.raises(SidewalkError, match=r"asked for street\.mp4"):
        run_demo(tmp_path, config)


def test_the_truth_scores_full_marks_against_itself(perfect: Path) -> None:
    score = attribute_score(TRUTH, ATTRIBUTES, perfect)
    assert score.asked > 80
    assert (score.accuracy, score.answered) == (1.0, 1.0)
    tracking = tracking_scores(TRUTH, perfect)
    assert tracking is not None
    assert tracking["HOTA"] == pytest.approx(100)
    assert who_is_who(TRUTH, perfect / "mot.txt")[2] == 2


def test_unknown_is_no_answer_and_a_wrong_answer_is_wrong(perfect: Path) -> None:
    lines = [json.loads(line) for line in (perfect / "tracks.jsonl").read_text(encoding="utf-8").splitlines()]
    whole = attribute_score(TRUTH, ATTRIBUTES, perfect)
    lines[0]["attributes"]["hat"]["value"] = None
    lines[0]["attributes"]["gender"]["value"] = "neither"
    (perfect / "tracks.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    score = attribute_score(TRUTH, ATTRIBUTES, perfect)
    assert (score.asked, score.given, score.right) == (whole.asked, whole.given - 1, whole.right - 2)


def test_the_photograph_clip_lasts_ten_seconds(tmp_path: Path) -> None:
    with av.open(str(photograph_clip(tmp_path / "clip.mp4"))) as clip:
        video = clip.streams.video[0]
        assert (video.frames, video.average_rate) == (250, 25)


def test_a_person_is_described_in_the_overlays_words() -> None:
    labels = {"top color": {"value": "red", "probability": 0.9}, "hat": {"value": None, "probability": 0.5}}
    assert describe_track({"track": 3, "attributes": labels}) == "person 3: red top"
    assert "too briefly" in describe_track({"track": 4, "attributes": {}})
