"""Cuts people out of video, to be labelled by hand: `python tools/cut_tracklets.py video.mp4 results/mot.txt mine`."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from par_model.datasets.folder import label_rows
from par_model.schema import Schema, load_schema
from par_model.synthesis.card import grid
from pipeline.sources import Source, open_source
from pipeline.tracklets import box_quality, crop_person, even_indices
from pipeline.types import SidewalkError, SourceInfo
from trackers.mot import FRAME, HEIGHT, ID, SCORE, pixel_corners, read_mot, write_mot

TILE = (100, 200)
"""Width and height in pixels of a picture on the contact sheets."""
SHEET_ROWS, SHEET_COLUMNS = 5, 5


@dataclass(frozen=True)
class Cut:
    """How tracks become tracklets.

    pictures: at most so many of a window, evenly spread; min_pictures: windows with fewer good boxes are left out;
    seconds: length of a window; windows: at most so many a track, evenly spread; min_height: pixels; min_quality: what
    `box_quality` must exceed, of which a cut by the picture's edge alone leaves 0.4.
    """

    pictures: int = 6
    seconds: float = 2.4
    windows: int = 2
    min_height: int = 40
    min_pictures: int = 3
    min_quality: float = 0.4


def choose(rows: np.ndarray, info: SourceInfo, cut: Cut) -> dict[str, np.ndarray]:
    """The boxes to cut: rows (K, 8) of each tracklet by its name, TRACK-FIRSTFRAME. rows: (R, 8) of a MOT file.

    A track is divided into windows from its first good box on. The choice made from the chosen rows, of the same video
    and by the same `cut`, is the same rows again, so that they and the labels can be kept, and given away, without the
    pictures. A video of unknown rate counts as 25 frames a second.
    """
    chosen: dict[str, np.ndarray] = {}
    frames = float(info.rate or 25) * cut.seconds
    rows = rows[(rows[:, HEIGHT] >= cut.min_height) & (_quality(rows, info) > cut.min_quality)]
    for track in np.unique(rows[:, ID]):
        windows = list(_windows(rows[rows[:, ID] == track], frames, cut.min_pictures))
        for window in (windows[place] for place in _spread(len(windows), cut.windows)):
            name = f"{int(track):04d}-{int(window[0, FRAME]):06d}"
            chosen[name] = window[_spread(len(window), cut.pictures)]
    return chosen


def _spread(available: int, most: int) -> list[int]:
    """At most so many indices, evenly spread and in order, none twice."""
    return even_indices(available, min(most, available))


def _quality(rows: np.ndarray, info: SourceInfo) -> np.ndarray:
    frames = np.split(rows, np.flatnonzero(np.diff(rows[:, FRAME])) + 1)
    return np.concatenate(
        [box_quality(pixel_corners(shown), shown[:, SCORE], info.width, info.height) for shown in frames]
    )


def _windows(rows: np.ndarray, frames: float, least: int) -> Iterator[np.ndarray]:
    start = 0
    while start < len(rows):
        end = int(np.searchsorted(rows[:, FRAME], rows[start, FRAME] + frames))
        if end - start >= least:
            yield rows[start:end]
        start = end


def write_pictures(source: Source, chosen: dict[str, np.ndarray], out: Path) -> None:
    """Write OUT/NAME/FRAME.jpg of every chosen box, or nothing: raises SidewalkError where a frame is missing."""
    import cv2

    wanted: dict[int, list[tuple[str, int, np.ndarray]]] = {}
    for name, rows in chosen.items():
        for number, (row, box) in enumerate(zip(rows, pixel_corners(rows), strict=True)):
            wanted.setdefault(int(row[FRAME]), []).append((name, number, box))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".cutting-") as folder:
        for name in chosen:
            (Path(folder) / name).mkdir()
        for frame in source:
            place = frame.index + 1
            for name, number, box in wanted.pop(place, []):
                crop = crop_person(frame.image, box, number)
                encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 98])[1]
                (Path(folder) / name / f"{place:06d}.jpg").write_bytes(encoded.tobytes())
            if not wanted:
                break
        if wanted:
            raise SidewalkError(f"{source.info.uri} has no frame {min(wanted)}; are the tracks of another video?")
        for name in chosen:
            (Path(folder) / name).rename(out / name)


def missing_rows(path: Path, names: Iterable[str], schema: Schema) -> str:
    """What to append to a table of labels for each tracklet to have a row; the whole table where there is none yet."""
    before = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    added = io.StringIO()
    if before and not before.endswith("\n"):
        added.write("\n")
    known: set[str] = set()
    if before.strip():
        reader = label_rows(io.StringIO(before), path)
        columns = list(reader.fieldnames or ())
        known = {(row["tracklet"] or "").strip() for row in reader}
        writer = csv.DictWriter(added, columns, lineterminator="\n")
    else:
        writer = csv.DictWriter(added, ["tracklet", *schema.group_names], lineterminator="\n")
        writer.writeheader()
    writer.writerows({"tracklet": name} for name in names if name not in known)
    return added.getvalue()


def draw_sheets(folders: list[Path], out: Path) -> list[Path]:
    """PNGs to label from: SHEET_COLUMNS tracklets a line, the name and three pictures each. Returns their paths."""
    import cv2

    cells = []
    for folder in folders:
        paths = sorted(folder.iterdir())
        images = [cv2.imread(str(paths[place])) for place in even_indices(len(paths), 3)]
        tiles = [cv2.resize(image, TILE, interpolation=cv2.INTER_AREA) for image in images if image is not None]
        cell = cv2.copyMakeBorder(np.hstack(tiles), 22, 4, 4, 4, cv2.BORDER_CONSTANT)
        cv2.putText(cell, folder.name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(cell)
    size, sheets = SHEET_ROWS * SHEET_COLUMNS, []
    for start in range(0, len(cells), size):
        sheets.append(out.with_name(f"{out.name}-{len(sheets) + 1}.png"))
        cv2.imwrite(str(sheets[-1]), grid(cells[start : start + size], SHEET_COLUMNS))
    return sheets


def main(
    video: Annotated[str, typer.Argument(help="A file, or a folder of pictures.")],
    tracks: Annotated[Path, typer.Argument(help="Its mot.txt, as `sidewalk run` writes it.")],
    out: Annotated[Path, typer.Argument(help="Data set to make or to add to.")],
    name: Annotated[str | None, typer.Option(help="Begins the tracklets' names; the video's unless given.")] = None,
    pictures: Annotated[int, typer.Option(min=3, help="Pictures of a tracklet at most.")] = Cut.pictures,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a tracklet.")] = Cut.seconds,
    windows: Annotated[int, typer.Option(min=1, help="Tracklets of a track at most.")] = Cut.windows,
    min_height: Annotated[int, typer.Option(min=1, help="Smaller people are left out; pixels.")] = Cut.min_height,
    attributes: Annotated[str, typer.Option(help="Schema whose groups the table of labels gets.")] = "mars",
) -> None:
    """Cut people out of a video by their tracks: a folder of pictures each, labels.csv to fill in, sheets to look at.

    OUT becomes a data set that tools/train.py and tools/evaluate.py read. OUT/NAME.txt keeps the boxes that were used.
    """
    name = name or Path(video).stem
    try:
        if (out / f"{name}.txt").exists():
            raise SidewalkError(f"{out} already holds tracklets of '{name}'; give another --name")
        cut = Cut(pictures, seconds, windows, min_height)
        with closing(open_source(video)) as source:
            chosen = {f"{name}-{key}": rows for key, rows in choose(read_mot(tracks), source.info, cut).items()}
            if not chosen:
                raise SidewalkError(
                    f"{tracks}: nobody is {min_height} pixels tall, surely detected and whole "
                    f"in {cut.min_pictures} frames"
                )
            added = missing_rows(out / "labels.csv", chosen, load_schema(attributes))
            write_pictures(source, chosen, out)
        write_mot(out / f"{name}.txt", np.concatenate(list(chosen.values())))
        with (out / "labels.csv").open("a", newline="", encoding="utf-8") as table:
            table.write(added)
        sheets = draw_sheets([out / key for key in chosen], out / name)
    except (SidewalkError, ValueError, OSError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{len(chosen)} tracklets; fill in {out / 'labels.csv'}, looking at {', '.join(map(str, sheets))}")


if __name__ == "__main__":
    typer.run(main)
