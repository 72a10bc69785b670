"""`sidewalk synthesize`: pedestrians with known attributes, as tracklets to train on or a street with its truth."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.types import user_errors

app = typer.Typer(
    add_completion=False,
    help="Generate pedestrians with known attributes: tracklets to train on, or a street with its truth.",
    no_args_is_help=True,
)


def _bar(what: str) -> Progress:
    return Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@app.command()
def tracklets(
    out: Path = typer.Argument(..., help="folder for the shards, card.md and contact.png"),
    assets: Path = typer.Option(..., help="folder with MakeHuman's CC0 clothes/ and hair/"),
    count: int = typer.Option(12_000, min=1, help="tracklets, rounded up to shards of 250"),
    seed: int = typer.Option(1, min=0, help="the same seed makes the same people"),
    processes: int = typer.Option(1, min=1, help="each wants one core and 500 MB"),
    backgrounds: Path | None = typer.Option(None, help="folder of photographs to put behind half of the people"),
) -> None:
    """Fill OUT with tracklet shards; stopped runs go on where they stopped."""
    from par_model.synthesis import generate_tracklets, write_card

    with user_errors(), _bar("tracklets") as progress:
        task = progress.add_task("tracklets", total=count)
        shards = generate_tracklets(
            out, count, seed, assets, processes=processes, backgrounds=backgrounds,
            progress=lambda done, wanted: progress.update(task, completed=done, total=wanted),
        )  # fmt: skip
    typer.echo(f"{len(shards)} shards in {out}; {write_card(shards, out)}")


@app.command()
def scene(
    out: Path = typer.Argument(..., help="folder for street.mp4, street_gt.txt and street_attributes.json"),
    assets: Path = typer.Option(..., help="folder with MakeHuman's CC0 clothes/ and hair/"),
    seed: int = typer.Option(1, min=0),
    seconds: float = typer.Option(10.0, min=1.0),
    width: int = typer.Option(960, min=320),
    height: int = typer.Option(540, min=180),
    people: int = typer.Option(10, min=1, max=15),
    fps: float = typer.Option(25.0, min=5.0),
) -> None:
    """Render a street with a fixed camera, its MOT ground truth and everybody's attributes."""
    from par_model.synthesis import generate_scene

    with user_errors(), _bar("frames") as progress:
        task = progress.add_task("frames", total=None)
        paths = generate_scene(
            out, seed, seconds, (width, height), people, assets, fps=fps,
            progress=lambda done, wanted: progress.update(task, completed=done, total=wanted),
        )  # fmt: skip
    typer.echo(", ".join(str(path) for path in paths))
