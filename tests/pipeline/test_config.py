"""What a user may write in YAML and on the command line, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.config import Config, load_config, redacted
from pipeline.types import SidewalkError


def write(folder: Path, text: str) -> Path:
    path = folder / "sidewalk.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_packaged_defaults_say_what_the_code_says() -> None:
    assert load_config() == Config()


def test_what_dry_run_prints_can_be_read_back(tmp_path: Path) -> None:
    config = load_config(None, ["detector.confidence=0.3", "recognition.without=[gender]"])
    again = write(tmp_path, yaml.safe_dump(dict(redacted(config))))
    assert load_config(again) == config


def test_set_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "detector:\n  confidence: 0.2\n  iou: 0.5\n")
    config = load_config(path, ["detector.confidence=0.4"])
    assert (config.detector.confidence, config.detector.iou) == (0.4, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detektor: {}\n", "unknown key 'detektor'; did you mean 'detector'?"),
        ("detector:\n  confidnce: 0.2\n", "unknown key 'detector.confidnce'; did you mean 'confidence'?"),
        ("detector:\n  confidence: high\n", "detector.confidence is 'high'"),
        ("detector:\n  confidence: 1.5\n", "detector.confidence is 1.5"),
        ("overlay:\n  blur: faces\n", "overlay.blur is 'faces'"),
        ("cameras:\n- {url: a, nam: b}\n", "unknown key 'cameras.0.nam'; did you mean 'name'?"),
        ("cameras:\n- {url: a, name: x}\n- {url: b, name: x}\n", "two cameras are named 'x'"),
        ("detector: [\n", "is not valid YAML"),
        ("- 1\n", "expected 'key: value' lines"),
        ("cameras:\n- url: ${SIDEWALK_NO_SUCH}\n", "${SIDEWALK_NO_SUCH} is not set"),
        ("cameras:\n- {name: gate, uri: a}\n", "unknown key 'cameras.0.uri'; did you mean 'url'?"),
        ("cameras:\n- {url: a, ignore: [[[0, 0], [1920, 0], [1920, 200]]]}\n", "cameras.0.ignore.0.1.0 is 1920"),
        ("cameras:\n- {url: a, ignore: [[]]}\n", "cameras.0.ignore.0: list should have at least 3 items"),
        ("overlay:\n  preset: veryfst\n", "overlay.preset is 'veryfst'; input should be 'ultrafast'"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SidewalkError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert said in message
    assert "sidewalk.yaml" in message
    assert "\n" not in message


@pytest.mark.parametrize("override", ["detector", "=3", "threads.x.y=1"])
def test_a_bad_override_is_named(override: str) -> None:
    with pytest.raises(SidewalkError, match=r"--set|unknown|threads"):
        load_config(None, [override])


def test_a_setting_of_one_camera_can_be_changed(tmp_path: Path) -> None:
    path = write(tmp_path, "cameras:\n- {url: a}\n- {url: b}\n")
    assert load_config(path, ["cameras.1.fps=5"]).cameras[1].fps == 5
    with pytest.raises(SidewalkError, match="'2' is no index of a list of 2"):
        load_config(path, ["cameras.2.fps=5"])


@pytest.mark.parametrize(
    "text",
    [
        "cameras:\n- {name: entrance-north-gate, url: '@'}\n- {name: entrance-north-gate, url: b}\n",
        "cameras:\n- {name: gate, uri: '@'}\n",
        "cameras:\n- '@'\n",
        "cameras:\n- {url: ['@']}\n",
        "live:\n  publish: {url: '@'}\n",
    ],
)
def test_no_mistake_shows_a_password(tmp_path: Path, text: str) -> None:
    address = "rtsp://administrator:S3cret-With-Quite-Some-Length-1234567890@10.0.0.9/live"
    with pytest.raises(SidewalkError) as caught:
        load_config(write(tmp_path, text.replace("@", address)))
    assert "S3cr" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SidewalkError, match="cannot read the configuration"):
        load_config(tmp_path / "none.yaml")


def test_camera_passwords_come_from_the_environment_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATE_URL", "rtsp://guard:hunter2@10.0.0.9/live")
    config = load_config(write(tmp_path, "cameras:\n- {url: '${GATE_URL}', name: gate}\n"))
    assert config.cameras[0].url == "rtsp://guard:hunter2@10.0.0.9/live"
    assert "hunter2" not in str(redacted(config))
