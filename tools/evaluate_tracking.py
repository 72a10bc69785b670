"""Scores a tracker, or a result file, against ground truth: HOTA, MOTA, IDF1, switches and time per update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from rich.console import Console
from rich.table import Table

from trackers import create_tracker
from trackers.evaluation import follow, score_all, switches, trackeval_metrics
from trackers.mot import FRAME, LEFT, TOP, Sequence, read_mot, read_sequences, write_mot

COLUMNS = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1", "IDSW", "FP", "FN", "ms")


def main(
    gt: Annotated[Path, typer.Option(help="MOTChallenge folder, one clip of it, or a gt.txt")],
    det: Annotated[Path | None, typer.Option(help="folder with CLIP/det/det.txt; default: that of --gt")] = None,
    tracker: Annotated[str, typer.Option(help="name, as in the configuration")] = "sidewalk",
    option: Annotated[list[str] | None, typer.Option(help="key=value for the tracker; repeatable")] = None,
    result: Annotated[Path | None, typer.Option(help="score this mot.txt instead of running a tracker")] = None,
    only: Annotated[str, typer.Option(help="clips whose name matches, e.g. '*-SDP'")] = "*",
    drop: Annotated[str, typer.Option(help="'half' of the frames, or a fraction at random, e.g. 0.3")] = "0",
    shake: Annotated[float, typer.Option(help="shake the camera by so many pixels (standard deviation)")] = 0.0,
    pictures: Annotated[bool, typer.Option(help="show CLIP/img1 to the tracker")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for scores.json and the result files")] = None,
    plot: Annotated[Path | None, typer.Option(help="picture of the switches over time")] = None,
) -> None:
    """Print a table of scores for each clip and for all together."""
    try:
        trackeval_metrics()  # before the trackers take their time
        if result is not None:
            given = {
                "--tracker": tracker != "sidewalk",
                "--only": only != "*",
                "--det": det,
                "--option": option,
                "--drop": drop != "0",
                "--shake": shake,
                "--pictures": pictures,
            }
            useless = [name for name, value in given.items() if value]
            if useless:
                raise ValueError(f"{useless[0]} is for running a tracker; --result scores a file as it is")
            truth_file = gt / "gt" / "gt.txt" if gt.is_dir() else gt
            clips = {result.resolve().parent.name: (read_mot(truth_file), read_mot(result))}
            cost: dict[str, float] = {}
        else:
            if shake and pictures:
                raise ValueError("--shake moves boxes and not pictures; leave --pictures out")
            options = parsed(option or [])
            clips, cost = run(read_sequences(det or gt, gt), tracker, options, only, drop, shake, pictures)
    except ValueError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(2) from None
    scores = score_all(clips)
    for name, value in cost.items():
        scores[name]["ms"] = value
    Console(width=120).print(table(scores))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
        for name, (_, found) in clips.items():
            write_mot(out / f"{name}.txt", found)
    if plot is not None:
        draw(plot, {name: switches(*clip) for name, clip in clips.items()})


def run(
    sequences: list[Sequence],
    name: str,
    options: dict[str, Any],
    only: str = "*",
    drop: str = "0",
    shake: float = 0.0,
    pictures: bool = False,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, float]]:
    """Truth and result rows by clip, and milliseconds per update by clip and `pooled`."""
    clips, cost, frames = {}, {}, {}
    for clip in sequences:
        if clip.detections is None or clip.truth is None or not Path(clip.name).match(only):
            continue
        shown = kept(clip.length, drop)
        truth, detections = read_mot(clip.truth), read_mot(clip.detections)
        if shake:
            offsets = shaken(clip.length, clip.rate, shake)
            for rows in (truth, detections):
                rows[:, LEFT : TOP + 1] += offsets[rows[:, FRAME].astype(int)]
        folder = clip.detections.parent.parent / "img1"
        found, spent = follow(
            create_tracker(name, **options),
            detections,
            {frame: (frame - 1) / clip.rate for frame in shown},
            (lambda frame, folder=folder: picture(folder, frame)) if pictures else lambda frame: None,
        )
        clips[clip.name] = (truth[np.isin(truth[:, FRAME], shown)], found)
        cost[clip.name], frames[clip.name] = 1e3 * spent / len(shown), len(shown)
    if not clips:
        raise ValueError(f"no clip matches '{only}' and has both det/det.txt and gt/gt.txt")
    cost["pooled"] = sum(cost[n] * frames[n] for n in frames) / sum(frames.values())
    return clips, cost


def parsed(pairs: list[str]) -> dict[str, Any]:
    """Options from key=value, values read as YAML."""
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--option is '{pair}'; give key=value")
    return {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in pairs)}


def kept(length: int, drop: str) -> list[int]:
    """Frame numbers that the tracker is shown."""
    frames = range(1, length + 1)
    if drop == "half":
        return list(frames[::2])
    try:
        fraction = float(drop)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction < 1:
        raise ValueError(f"--drop is {drop}; give 'half' or a fraction from 0 to 1")
    random = np.random.default_rng(0)
    return [frame for frame in frames if random.random() >= fraction]


def shaken(length: int, rate: float, pixels: float) -> np.ndarray:
    """Offsets (length + 1, 2) in pixels of a camera held by hand: a sum of slow and quick swings."""
    random = np.random.default_rng(1)
    times = np.arange(length + 1)[:, None] / rate
    swings = sum(
        random.normal(size=2) / hertz**0.7 * np.sin(2 * np.pi * (hertz * times + random.random(2)))
        for hertz in np.linspace(0.3, 3, 12)
    )
    offsets: np.ndarray = swings * pixels / np.std(swings)
    return offsets


def picture(folder: Path, frame: int) -> np.ndarray | None:
    """The picture of one frame, BGR."""
    import cv2

    path = folder / f"{frame:06d}.jpg"
    image: np.ndarray | None = cv2.imread(str(path))
    if image is None:
        raise ValueError(f"{path}: no such picture")
    return image


def table(scores: dict[str, dict[str, float]]) -> Table:
    """One row a clip, the last for all together."""
    grid = Table("clip", *COLUMNS)
    for name, row in scores.items():
        cells = [row.get(column) for column in COLUMNS]
        whole = ("IDSW", "FP", "FN")
        texts = [
            "" if cell is None else f"{cell:.0f}" if column in whole else f"{cell:.2f}"
            for column, cell in zip(COLUMNS, cells)
        ]
        grid.add_row(name, *texts, end_section=False)
    return grid


def draw(path: Path, moments: dict[str, np.ndarray]) -> None:
    """Cumulated switches over frames, one line a clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    for name, frames in moments.items():
        axes.step(np.sort(frames), np.arange(1, len(frames) + 1), where="post", label=name)
    axes.set_xlabel("frame")
    axes.set_ylabel("identity switches so far")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    typer.run(main)
