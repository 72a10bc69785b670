"""`sidewalk doctor`: what is installed, which devices and weights there are, and what would clash."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from pipeline.record import versions

OURS = ("pipeline", "par_model", "trackers")


class Finding(NamedTuple):
    """level: `ok`, `note` (works, but worth knowing) or `problem` (a run would fail)."""

    topic: str
    level: str
    text: str


def examine(console: Console | None = None) -> bool:
    """Print what was found; whether a run can be expected to work."""
    console = console or Console()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    styles = {"ok": "green", "note": "yellow", "problem": "bold red"}
    findings = list(_findings())
    for finding in findings:
        table.add_row(finding.topic, f"[{styles[finding.level]}]{finding.level}[/]", finding.text)
    console.print(table)
    return all(finding.level != "problem" for finding in findings)


def _findings() -> Iterator[Finding]:
    for package, version in versions().items():
        yield Finding(package, "ok", version)
    yield _devices()
    yield from _runtimes()
    yield from clashes()
    yield from _weights()
    yield _webcams()


def _devices() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("device", "ok", f"cuda: {names}")
    return Finding("device", "ok", f"cpu, {os.cpu_count()} cores; no CUDA device")


def _runtimes() -> Iterator[Finding]:
    try:
        import onnxruntime

        yield Finding("onnxruntime", "ok", ", ".join(onnxruntime.get_available_providers()))
    except (ImportError, AttributeError, OSError) as error:
        remedy = "pip uninstall onnxruntime onnxruntime-gpu, then install one of them"
        yield Finding("onnxruntime", "problem", f"broken ({error}); {remedy}")
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(both) == 2:
        yield Finding(
            "onnxruntime", "note", "onnxruntime and onnxruntime-gpu share one folder; uninstall both, then one anew"
        )
    if importlib.util.find_spec("openvino") is None:
        yield Finding("openvino", "note", "absent; on a CPU it doubles the speed: pip install openvino")


def clashes() -> Iterator[Finding]:
    """Other distributions that install a top-level package of the same name as one of ours."""
    homes = importlib.metadata.packages_distributions()
    for package in OURS:
        foreign = sorted({name for name in homes.get(package, []) if name != "sidewalk"})
        if foreign:
            yield Finding(
                package,
                "problem",
                f"the distribution '{foreign[0]}' installs a package called '{package}' too; "
                f"keep it in an environment of its own: pip uninstall {foreign[0]}, then reinstall sidewalk",
            )


def _weights() -> Iterator[Finding]:
    from pipeline.zoo import DEFAULT, find

    detector = find(DEFAULT)
    if detector.pulled:
        yield Finding("detector", "ok", str(detector.path))
    else:
        yield Finding("detector", "note", f"{detector.file} is not here yet; the first run fetches it")
    from par_model import Recognizer

    try:
        recognizer = Recognizer.load("default")
        yield Finding("attributes", "ok", f"the weights that ship, on {recognizer.backend} ({recognizer.device})")
    except (ValueError, OSError) as error:
        yield Finding("attributes", "problem", str(error))


def _webcams() -> Finding:
    devices = sorted(Path("/dev").glob("video*"))
    return Finding("webcams", "ok", ", ".join(str(device) for device in devices) or "none")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
