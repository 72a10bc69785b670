"""The scoring tool, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trackeval")
ROOT = Path(__file__).resolve().parents[2]


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "evaluate_tracking.py"), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_folder_gives_a_table_and_json_and_result_files(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "mot" / "MOT15"
    done = evaluate("--gt", folder, "--out", tmp_path, "--option", "lost_seconds=1", "--plot", tmp_path / "plot.png")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores) == {"TUD-Stadtmitte", "pooled"}
    assert scores["pooled"]["HOTA"] > 30
    assert scores["pooled"]["ms"] > 0
    assert "pooled" in done.stdout
    assert (tmp_path / "plot.png").stat().st_size > 1000
    again = evaluate("--gt", folder / "TUD-Stadtmitte", "--result", tmp_path / "TUD-Stadtmitte.txt")
    assert f"{scores['TUD-Stadtmitte']['HOTA']:.2f}" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tracker", "bytetrak"), "bytetrack"),
        (("--result", "mot.txt", "--drop", "half"), "--drop is for running a tracker"),
        (("--only", "MOT99*"), "no clip matches"),
        (("--drop", "2"), "--drop is 2"),
        (("--drop", "most"), "--drop is most"),
        (("--option", "lost_seconds"), "key=value"),
        (("--shake", "30", "--pictures"), "leave --pictures out"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(shared: Path, arguments: tuple[str, ...], message: str) -> None:
    done = evaluate("--gt", shared / "data" / "mot" / "MOT17-mini", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
