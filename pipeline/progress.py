"""What the terminal shows of a run: a progress bar, then where the results are; nothing if it is no terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.types import FrameResult, SourceInfo

if TYPE_CHECKING:
    from pipeline.engine import RunReport


class RunProgress:
    """A bar per source with frames, frames per second, people in view and the time left."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[people]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def advance(self, source: SourceInfo, result: FrameResult) -> None:
        """Count one processed frame of a recording; live cameras have a table of their own."""
        if source.live:
            return
        self._progress.start()
        task = self._tasks.get(source.camera)
        if task is None:
            task = self._tasks[source.camera] = self._progress.add_task(
                source.camera, total=source.frames, rate="", people=""
            )
        speed = self._progress.tasks[task].speed
        count = len(result.people)
        self._progress.update(
            task,
            advance=1,
            rate=f"{speed:.1f} frames/s" if speed else "",
            people=f"{count} {'person' if count == 1 else 'people'}",
        )

    def summarise(self, report: RunReport, out: Path) -> None:
        """One line per camera, and its warnings; the summary goes to a terminal, warnings always."""
        for camera in report.cameras:
            for warning in camera.warnings:
                self._console.print(
                    f"warning: {camera.info.camera}: {warning}", style="yellow", soft_wrap=True, markup=False
                )
            if self._console.is_terminal:
                self._console.print(
                    f"{camera.info.camera}: {camera.frames_processed} frames, {camera.tracks} people, "
                    f"{camera.readings} readings",
                    markup=False,
                )
        if self._console.is_terminal:
            self._console.print(f"results in {out}", markup=False)

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
