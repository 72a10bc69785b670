"""What the command loads before it knows what is asked of it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli import main
from pipeline.engine import CameraReport, RunReport
from pipeline.progress import RunProgress
from pipeline.types import SidewalkError, SourceInfo

HEAVY = ("torch", "ultralytics", "onnxruntime", "openvino", "supervision", "cv2", "av", "scipy", "matplotlib")


def imported_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name for name in output.split() if "." not in name}


def test_help_does_not_wait_for_the_models() -> None:
    assert not imported_by("import pipeline.cli") & set(HEAVY)


def test_importing_the_trackers_loads_nothing_heavy() -> None:
    assert not imported_by("import trackers") & set(HEAVY)


def test_importing_the_model_package_does_not_load_ultralytics() -> None:
    assert "ultralytics" not in imported_by("import par_model, pipeline, pipeline.build, pipeline.engine")


@pytest.mark.parametrize(("kind", "code"), [(RuntimeError, 1), (SidewalkError, 2)])
def test_debug_may_stand_anywhere_and_shows_the_fault_without_passwords(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[Exception], code: int
) -> None:
    def fail() -> bool:
        raise kind("broken") from OSError("refused: 'http://guard:hunter2@10.0.0.9/x'")

    monkeypatch.setattr("pipeline.doctor.examine", fail)
    monkeypatch.setattr(sys, "argv", ["sidewalk", "doctor", "--debug"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "broken" in shown
    assert "http://***@10.0.0.9/x" in shown
    assert "hunter2" not in shown


def test_no_command_shows_the_help_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sidewalk"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, 2)
    shown = capsys.readouterr()
    assert "run" in shown.out + shown.err
    assert "sidewalk: " not in shown.err


@pytest.mark.parametrize("name", ["/data/[gate]/clip.mp4", "/data/x[/old]/clip.mp4"])
def test_brackets_in_a_file_s_name_are_shown_as_they_are(name: str) -> None:
    shown = io.StringIO()
    report = CameraReport(SourceInfo("gate", name, 1, 1, live=False), warnings=[f"{name}: ends early"])
    RunProgress(Console(file=shown)).summarise(RunReport([report]), Path("out"))
    assert shown.getvalue() == f"warning: gate: {name}: ends early\n"
