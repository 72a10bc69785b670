"""Score a checkpoint on labelled tracklets: `python tools/evaluate.py CKPT DATA --protocol pooled`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Protocol(StrEnum):
    pooled = "pooled"
    argmax = "argmax"
    instance = "instance"


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A .safetensors, a folder of exported graphs, or 'default'.")],
    data: Annotated[list[Path], typer.Argument(help="A data set: see par_model.datasets; several only of shards.")],
    protocol: Annotated[
        Protocol, typer.Option(help="How groups are scored; never mix their numbers.")
    ] = Protocol.pooled,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="One threshold for all columns (the public code's: 0.45), not the checkpoint's."
        ),
    ] = None,
    priors: Annotated[
        bool | None,
        typer.Option(
            help="Expect bags, hats and ages to be as common as on streets, or as among the people the thresholds were "
            "fitted on. Without either: as on streets, but for generated shards."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of scores.json and the pictures.")] = Path(
        "evaluation"
    ),
    labels: Annotated[Path | None, typer.Option(help="Label CSV of MARS or Duke folders.")] = None,
    tracks: Annotated[Path | None, typer.Option(help="Folder of MARS's .mat track lists.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where the pictures of a public pickle lie.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the data set.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tracklets.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Read mirror images too, as recognition.mirror does.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first problem of the data.")] = False,
) -> None:
    """Print tables per group and attribute; write scores.json, calibration, confusions and the worst mistakes."""
    from rich.console import Console

    from par_model.datasets import open_dataset, recognise
    from par_model.evaluation import check_threshold, predict
    from par_model.evaluation import evaluate as score
    from par_model.evaluation_report import print_tables, write_report
    from par_model.recognizer import Recognizer

    console = Console()
    try:
        check_threshold(protocol.value, threshold)
        recognizer = Recognizer.load(checkpoint, device, threads=threads, mirror=mirror)
        schema = recognizer.schema
        found = open_dataset(data, schema, labels=labels, tracks=tracks, root=root, split=split, strict=strict)
        found = found.first(limit)
        if priors is None:
            priors = recognise(data[0]) != "shards"
        with console.status("reading tracklets") as status:
            predictions = predict(
                recognizer,
                found,
                priors=priors,
                progress=lambda done: status.update(f"{done} of {len(found)} tracklets"),
            )
        scores = score(predictions, protocol.value, threshold)
        print_tables(scores, console)
        paths = write_report(predictions, scores, out)
    except ValueError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(2) from error
    for line in found.problems.lines[:10]:
        console.print(line, markup=False)
    if found.problems.counts:
        console.print(f"left out or mended: {found.problems.summary()}", markup=False)
    console.print("wrote " + ", ".join(map(str, paths)), markup=False)


if __name__ == "__main__":
    typer.run(evaluate)
