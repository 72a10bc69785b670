"""Four cameras and one set of models on a small machine, from the command line to the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 15.0


@pytest.mark.slow
def test_four_cameras_get_fair_shares_and_ctrl_c_leaves_every_file_playable(
    fake_camera: Any, frames_in: Any, shared: Path, tmp_path: Path
) -> None:
    clip = shared / "data" / "videos" / "vtest_pets09-s2l1_480x360.mp4"
    detector = shared / "data" / "detectors" / "yolox_nano.onnx"
    camera = fake_camera("--cameras", "4", "--source", str(clip))
    out = tmp_path / "live"
    command = [sys.executable, "-m", "pipeline", "run", *(camera.url(f"cam{index}") for index in range(4))]
    command += ["--out", str(out), "--set", f"detector.model={detector}"]
    recognised = (ROOT / "par_model" / "weights" / "default.safetensors").exists()
    command += [] if recognised else ["--set", "recognition.enabled=false"]
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        await_live(out / "events.jsonl", 4)
        time.sleep(SECONDS)
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = run.communicate(timeout=15)
        ending = time.monotonic() - began
    finally:
        run.kill()
    assert run.returncode == 130, errors
    assert ending < 6.0  # the engine gives its parts three seconds
    folders = sorted(path for path in out.iterdir() if path.is_dir())
    records = [json.loads((folder / "run.json").read_text()) for folder in folders]
    processed = [record["frames"]["processed"] for record in records]
    assert len(records) == 4
    # Files follow the clock: a run across a full ten minutes has two of each.
    frames = [
        [json.loads(line) for path in sorted(folder.glob("frames-*.jsonl")) for line in path.read_text().splitlines()]
        for folder in folders
    ]
    assert [len(lines) for lines in frames] == processed
    all_there = max(lines[0]["time"] for lines in frames)
    shares = [sum(line["time"] >= all_there for line in lines) for lines in frames]
    assert min(shares) >= 0.8 * max(shares)
    assert min(processed) > 10
    for folder, record in zip(folders, records):
        assert record["live"]["delay"]["p95_ms"] < 1500
        told = record["frames"]["processed"] + record["frames"]["dropped"]
        assert abs(record["frames"]["read"] - told) <= 15
        overlays = [frames_in(path) for path in folder.glob("overlay-*.mp4")]
        assert min(overlays) > 0
        assert sum(overlays) == record["live"]["sinks"]["overlay"]["written"]
        assert not list(folder.glob("*.partial"))
    assert not recognised or all(record["readings"] > 0 for record in records)
    print({record["camera"]: (record["frames"], record["live"]["delay"]) for record in records})


def await_live(events: Path, cameras: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not events.exists() or events.read_text().count('"event": "live"') < cameras:
        assert time.monotonic() < end, events.read_text() if events.exists() else "no log"
        time.sleep(0.2)


def test_a_configuration_takes_addresses_from_the_environment_and_check_probes_them(
    fake_camera: Any, tmp_path: Path
) -> None:
    camera = fake_camera("--user", "viewer", "--password", "h0rse-battery", "--codec", "h265")
    file = tmp_path / "cameras.yaml"
    file.write_text(
        "cameras:\n"
        "  - {name: entrance, url: '${ENTRANCE_URL}', rotate: 90}\n"
        "  - {name: yard, url: 'rtsp://127.0.0.1:1/cam0'}\n"
    )
    environment = {**os.environ, "ENTRANCE_URL": camera.url(user="viewer:h0rse-battery"), "COLUMNS": "200"}
    check = subprocess.run(
        [sys.executable, "-m", "pipeline", "check", str(file)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert check.returncode == 2
    lines = check.stdout.splitlines()
    entrance = next(line for line in lines if line.startswith("entrance"))
    assert "hevc" in entrance
    assert "360x640" in entrance
    assert " fps" in entrance
    assert any(line.startswith("yard: nothing listens") for line in lines)
    assert "h0rse-battery" not in check.stdout + check.stderr


@pytest.mark.slow
def test_a_published_overlay_arrives_and_no_file_holds_a_password(
    fake_camera: Any, shared: Path, tmp_path: Path
) -> None:
    secret = "h0rse-battery"
    protected = ("--user", "viewer", "--password", secret)
    camera, recording = fake_camera(*protected), tmp_path / "published.mkv"
    server = fake_camera(*protected, "--record", str(recording))
    out = tmp_path / "live"
    command = [sys.executable, "-m", "pipeline", "run", camera.url(user=f"viewer:{secret}"), "--out", str(out)]
    command += ["--publish", server.url("publish", user=f"viewer:{secret}"), "--duration", "15"]
    command += ["--set", f"detector.model={shared / 'data' / 'detectors' / 'yolox_nano.onnx'}"]
    command += ["--set", "recognition.enabled=false"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stderr
    record = json.loads((out / "run.json").read_text())
    assert record["live"]["sinks"]["publish"]["written"] > 10
    server.kill()
    with av.open(str(recording)) as container:
        assert next(container.decode(video=0)).width == 640
    texts = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert len(texts) >= 5
    assert not any(secret.encode() in text for text in [*texts, run.stdout.encode(), run.stderr.encode()])
