"""run.json: what ran, on what, with which settings, and how it went."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Config, redacted
from pipeline.engine import CameraReport
from pipeline.sinks.output import finish, partial, set_aside, writing
from pipeline.sources.clock import wall_clock
from pipeline.sources.url import redact_address
from pipeline.types import SidewalkError

if TYPE_CHECKING:
    from pipeline.build import Models

PACKAGES = (
    "sidewalk",
    "torch",
    "onnxruntime-gpu",
    "onnxruntime",
    "openvino",
    "ultralytics",
    "supervision",
    "av",
)


def write_record(
    folder: Path,
    config: Config,
    models: Models,
    camera: CameraReport,
    started: float,
    live: Mapping[str, Any] | None = None,
) -> None:
    """Write `folder`/run.json for one camera. started: epoch seconds; live: what only a live run has to say."""
    record = {
        "source": redact_address(camera.info.uri),
        "camera": camera.info.camera,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(wall_clock() - started, 3),
        "completed": not camera.interrupted,
        "frames": {
            "read": camera.frames_read,
            "processed": camera.frames_processed,
            "dropped": camera.frames_dropped,
        },
        "tracks": camera.tracks,
        "readings": camera.readings,
        "warnings": camera.warnings,
        "stages": camera.times.summary(),
        "detector": {"name": models.detector.name, "device": models.detector.device},
        "recognizer": describe_recognizer(config, models),
        "video": {
            "width": camera.info.width,
            "height": camera.info.height,
            "rate": str(camera.info.rate) if camera.info.rate else None,
            "codec": camera.info.codec,
        },
        "versions": versions(),
        "configuration": redacted(config),
    }
    path = folder / "run.json"
    if live is not None:
        record["live"] = dict(live)
        set_aside(path)
    with writing(path):
        partial(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    finish(path, completed=True)


def write_records(
    reports: Iterable[tuple[Path, CameraReport, Mapping[str, Any] | None]],
    config: Config,
    models: Models,
    started: float,
) -> None:
    """Write every camera's record (folder, report, what only a live run has to say), also after one failed.

    Raises SidewalkError for the first that could not be written.
    """
    failure: SidewalkError | None = None
    for folder, camera, live in reports:
        try:
            write_record(folder, config, models, camera, started, live)
        except SidewalkError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def describe_recognizer(config: Config, models: Models) -> dict[str, Any] | None:
    """The attribute model's name and where it runs; None if attributes are switched off."""
    recognizer = models.recognizer
    if recognizer is None:
        return None
    return {"name": config.recognition.model, "backend": recognizer.backend, "device": recognizer.device}


@functools.cache
def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a run's numbers, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
