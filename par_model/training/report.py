"""What a training run tells: a progress bar, log.csv, TensorBoard events and curves.png."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from par_model.training.config import Stage
from par_model.training.setup import Splits
from par_model.training.state import Progress as Standing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Report:
    """Writes into `folder`. quiet: nothing on the terminal."""

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.console = Console(quiet=quiet)
        self.rows: list[dict[str, Any]] = []
        self.writer = self._writer()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.batches = 0
        self.average_loss = 0.0

    def _writer(self) -> SummaryWriter | None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.folder / "tensorboard"))

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """A callback that shows how many of `total` are done."""
        self.bar.start()
        task = self.bar.add_task(what, total=total)

        def show(done: int) -> None:
            self.bar.update(task, completed=done, visible=done < total)

        return show

    def problems(self, splits: Splits, *, begun: bool) -> None:
        """Say how much data there is, what was wrong with it, and what nobody will learn from it.

        begun: whether the model knows something of groups already.
        """
        for name, part in (("training", splits.train), ("validation", splits.validation)):
            self.console.print(f"{name}: {len(part)} tracklets")
            for line in part.problems.lines[:5]:
                self.console.print(f"  {line}", markup=False)
            if part.problems.counts:
                self.console.print(f"  left out or mended: {part.problems.summary()}", markup=False)
        if splits.untaught:
            fate = "left as they are" if begun else "the model will abstain from them"
            self.console.print(f"no training label tells of {', '.join(splits.untaught)}: {fate}", markup=False)

    def resume(self, rows: list[dict[str, Any]]) -> None:
        """Start the log from what an earlier part of the run had written."""
        self.rows = list(rows)
        self._write_csv()

    def begin(self, stage: Stage, standing: Standing, batches: int) -> None:
        """A stage starts, or goes on."""
        self.bar.start()
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(stage.name, total=stage.epochs * batches)
        self.batches = batches
        if standing.step:
            self.console.print(f"{stage.name}: goes on at epoch {standing.epoch + 1}, batch {standing.batch + 1}")

    def advance(self, standing: Standing, loss: float) -> None:
        """One batch is done."""
        self.average_loss = loss if not self.average_loss else 0.98 * self.average_loss + 0.02 * loss
        if self.task is not None:
            done = standing.epoch * self.batches + standing.batch
            self.bar.update(self.task, completed=done)

    def validated(self, row: dict[str, Any]) -> None:
        """One line of the log: numbers by name, `stage`, `epoch` and `step` among them."""
        self.rows.append(row)
        self._write_csv()
        self.console.print(
            f"{row['stage']} epoch {row['epoch']}: loss {row['loss']:.3f}, "
            f"score {row['score']:.4f}, {row['seconds']:.0f} s"
        )
        if self.writer is not None:
            for name, value in row.items():
                if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                    self.writer.add_scalar(f"{row['stage']}/{name}", value, row["step"])

    def _write_csv(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with (self.folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows)

    def finish(self) -> None:
        """Draw the curves and close everything."""
        self.bar.stop()
        if self.writer is not None:
            self.writer.close()
        if self.rows and find_spec("matplotlib"):
            draw_curves(self.rows, self.folder / "curves.png")


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Loss, and score of each group, over the epochs of every stage."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(row["stage"] for row in rows))
    figure = Figure(figsize=(6.0 * len(stages), 8.0), layout="constrained")
    axes = figure.subplots(2, len(stages), squeeze=False)
    skipped = {"stage", "epoch", "step", "seconds", "rate", "loss", "score"}
    for column, stage in enumerate(stages):
        part = [row for row in rows if row["stage"] == stage]
        epochs = [row["epoch"] for row in part]
        axes[0][column].plot(epochs, [row["loss"] for row in part], color="black")
        axes[0][column].set(title=stage, ylabel="training loss")
        axes[1][column].set_prop_cycle(color=colormaps["tab20"].colors)  # type: ignore[attr-defined]
        for name in (name for name in part[0] if name not in skipped):
            axes[1][column].plot(epochs, [row.get(name) for row in part], linewidth=0.8, label=name)
        axes[1][column].plot(epochs, [row["score"] for row in part], color="black", linewidth=2.0, label="mean")
        axes[1][column].set(xlabel="epoch", ylabel="macro F1", ylim=(0.0, 1.0))
        axes[1][column].legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=110)
