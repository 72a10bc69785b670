"""Cuts people out of video, to be labelled by hand: `python tools/cut_tracklets.py video.mp4 results/mot.txt mine`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from par_model.schema import Schema, load_schema
from pipeline.sources import open_source
from pipeline.tracklets import box_quality, crop_person, even_indices
from pipeline.types import Image, SidewalkError, SourceInfo
from trackers.mot import FRAME, HEIGHT, ID, SCORE, corners, read_mot, write_mot

TILE = (100, 200)
"""Width and height in pixels of a picture on the contact sheets."""
SHEET_ROWS, SHEET_COLUMNS = 5, 5


@dataclass(frozen=True)
class Cut:
    """How tracks become tracklets. seconds: length of a window; windows: at most so many a track, evenly spread.

    min_quality: boxes worse than that by `box_quality` are left out; the picture's edge alone leaves 0.4.
    """

    pictures: int = 6
    seconds: float = 2.4
    windows: int = 2
    min_height: int = 40
    min_pictures: int = 3
    min_quality: float = 0.4


def choose(rows: np.ndarray, info: SourceInfo, cut: Cut) -> dict[str, np.ndarray]:
    """The boxes to cut, MOT rows of one tracklet by its name, TRACK-FIRSTFRAME.

    A track is divided into windows from its first good box on. The choice made from the chosen rows is the
    same rows again, so that they and the labels can be kept, and given away, without the pictures.
    """
    chosen: dict[str, np.ndarray] = {}
    frames = float(info.rate or 25) * cut.seconds
    rows = rows[(rows[:, HEIGHT] >= cut.min_height) & (_quality(rows, info) >= cut.min_quality)]
    for track in np.unique(rows[:, ID]):
        windows = list(_windows(rows[rows[:, ID] == track], frames, cut.min_pictures))
        places = sorted(set(even_indices(len(windows), min(cut.windows, len(windows)))))
        for window in (windows[place] for place in places):
            name = f"{int(track):04d}-{int(window[0, FRAME]):06d}"
            chosen[name] = window[sorted(set(even_indices(len(window), cut.pictures)))]
    return chosen


def _quality(rows: np.ndarray, info: SourceInfo) -> np.ndarray:
    quality = np.zeros(len(rows))
    for frame in np.unique(rows[:, FRAME]):
        shown = rows[:, FRAME] == frame
        quality[shown] = box_quality(corners(rows[shown]), rows[shown, SCORE], info.width, info.height)
    return quality


def _windows(rows: np.ndarray, frames: float, least: int) -> Iterator[np.ndarray]:
    start = 0
    while start < len(rows):
        end = int(np.searchsorted(rows[:, FRAME], rows[start, FRAME] + frames))
        if end - start >= least:
            yield rows[start:end]
        start = end


def write_pictures(video: str, chosen: dict[str, np.ndarray], out: Path) -> dict[str, list[Image]]:
    """Write OUT/NAME/FRAME.jpg of every chosen box. Returns the pictures, BGR, by name."""
    import cv2

    wanted: dict[int, list[tuple[str, np.ndarray]]] = {}
    for name, rows in chosen.items():
        for row, box in zip(rows, corners(rows), strict=True):
            wanted.setdefault(int(row[FRAME]), []).append((name, box))
    pictures: dict[str, list[Image]] = {name: [] for name in chosen}
    source = open_source(video)
    try:
        for frame in source:
            for name, box in wanted.pop(frame.index + 1, []):
                pictures[name].append(crop_person(frame.image, box))
                path = out / name / f"{frame.index + 1:06d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cv2.imencode(".jpg", pictures[name][-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())
            if not wanted:
                break
    finally:
        source.close()
    if wanted:
        raise SidewalkError(f"{video} has no frame {min(wanted)}; are the tracks of another video?")
    return pictures


def add_rows(path: Path, names: list[str], schema: Schema) -> None:
    """Append an empty row a tracklet to a table of labels, or begin it; rows that are there stay as they are."""
    known: set[str] = set()
    columns = ["tracklet", *schema.group_names]
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            known = {row["tracklet"] for row in reader}
            columns = list(reader.fieldnames or columns)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not known:
            writer.writeheader()
        writer.writerows({"tracklet": name} for name in names if name not in known)


def draw_sheets(pictures: dict[str, list[Image]], out: Path) -> list[Path]:
    """PNGs to label from: SHEET_COLUMNS tracklets a line, three pictures and the name each. Returns their paths."""
    import cv2

    cells = []
    for name, images in pictures.items():
        tiles = [
            cv2.resize(images[place], TILE, interpolation=cv2.INTER_AREA) for place in even_indices(len(images), 3)
        ]
        cell = cv2.copyMakeBorder(np.hstack(tiles), 22, 4, 4, 4, cv2.BORDER_CONSTANT)
        cv2.putText(cell, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(cell)
    size, paths = SHEET_ROWS * SHEET_COLUMNS, []
    for start in range(0, len(cells), size):
        page = cells[start : start + size]
        page += [np.zeros_like(page[0])] * (-len(page) % SHEET_COLUMNS)
        lines = [np.hstack(page[at : at + SHEET_COLUMNS]) for at in range(0, len(page), SHEET_COLUMNS)]
        paths.append(out.with_name(f"{out.name}-{len(paths) + 1}.png"))
        cv2.imwrite(str(paths[-1]), np.vstack(lines))
    return paths


def main(
    video: Annotated[str, typer.Argument(help="A file, or a folder of pictures.")],
    tracks: Annotated[Path, typer.Argument(help="Its mot.txt, as `sidewalk run` writes it.")],
    out: Annotated[Path, typer.Argument(help="Data set to make or to add to.")],
    name: Annotated[str | None, typer.Option(help="Begins the tracklets' names; the video's unless given.")] = None,
    pictures: Annotated[int, typer.Option(min=3, help="Pictures of a tracklet.")] = Cut.pictures,
    seconds: Annotated[float, typer.Option(help="Length of a tracklet.")] = Cut.seconds,
    windows: Annotated[int, typer.Option(help="Tracklets of a track at most.")] = Cut.windows,
    min_height: Annotated[int, typer.Option(help="Smaller people are left out; pixels.")] = Cut.min_height,
    attributes: Annotated[str, typer.Option(help="Schema whose groups the table of labels gets.")] = "mars",
) -> None:
    """Cut people out of a video by their tracks: a folder of pictures each, labels.csv to fill in, sheets to look at.

    OUT becomes a data set that tools/train.py and tools/evaluate.py read. OUT/NAME.txt keeps the boxes that were used.
    """
    name = name or Path(video).stem
    try:
        source = open_source(video)
        source.close()
        cut = Cut(pictures, seconds, windows, min_height)
        chosen = {f"{name}-{key}": rows for key, rows in choose(read_mot(tracks), source.info, cut).items()}
        if not chosen:
            raise SidewalkError(
                f"{tracks}: nobody is {min_height} pixels tall and well seen in {cut.min_pictures} frames or more"
            )
        shown = write_pictures(video, chosen, out)
        write_mot(out / f"{name}.txt", np.concatenate(list(chosen.values())))
        add_rows(out / "labels.csv", list(chosen), load_schema(attributes))
        sheets = draw_sheets(shown, out / name)
    except (SidewalkError, ValueError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{len(chosen)} tracklets; fill in {out / 'labels.csv'}, looking at {', '.join(map(str, sheets))}")


if __name__ == "__main__":
    typer.run(main)
