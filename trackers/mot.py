"""MOTChallenge text files and folders: detections, ground truth and results, one row a box."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FRAME, ID, LEFT, TOP, WIDTH, HEIGHT, SCORE, CLASS = range(8)
"""Columns of a MOT row; in ground truth SCORE is 0 where the box is not to be counted."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One clip of a benchmark. rate: frames per second; length: frames; truth: None where there is none."""

    name: str
    rate: float
    length: int
    detections: Path | None
    truth: Path | None


def read_mot(path: Path | str) -> np.ndarray:
    """The rows (R, 8) of a MOT file, sorted by frame; everybody is of class 1 where no classes are given.

    Raises ValueError that names the file where a line is not comma-separated numbers.
    """
    path = Path(path)
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2) if path.stat().st_size else np.zeros((0, CLASS))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except ValueError as error:
        raise ValueError(f"{path}: not a MOT file: {error}") from None
    if table.shape[1] < CLASS:
        raise ValueError(f"{path}: {table.shape[1]} columns; a MOT file has frame, id, x, y, w, h, score")
    rows = np.ones((len(table), CLASS + 1))
    # Only ground truth from MOT16 on, with nine columns, tells classes; elsewhere -1 or a place in metres follows.
    width = CLASS + 1 if table.shape[1] == CLASS + 2 else CLASS
    rows[:, :width] = table[:, :width]
    return rows[np.argsort(rows[:, FRAME], kind="stable")]


def write_mot(path: Path | str, rows: np.ndarray) -> None:
    """Write rows (R, 7 or more) as a result file."""
    lines = (
        f"{int(frame)},{int(track)},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f},-1,-1,-1\n"
        for frame, track, x, y, w, h, score in rows[:, :CLASS].tolist()
    )
    Path(path).write_text("".join(lines))


def corners(rows: np.ndarray) -> np.ndarray:
    """Boxes (R, 4) as x1 y1 x2 y2 of MOT rows, in pixels counted from 1 as the rows are."""
    boxes = rows[:, LEFT : HEIGHT + 1].copy()
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def pixel_corners(rows: np.ndarray) -> np.ndarray:
    """Boxes (R, 4) as x1 y1 x2 y2 of MOT rows, in pixels counted from 0 as in pictures."""
    return corners(rows) - 1.0


def read_sequences(detections: Path | str | None, truth: Path | str | None) -> list[Sequence]:
    """The clips that lie under `detections`, each with the truth of the same clip under `truth`.

    Both folders hold one folder a clip (`seqinfo.ini`, `det/det.txt`, `gt/gt.txt`) or are one themselves.
    Truth is shared between the detectors of a clip: MOT17-02-SDP finds that of MOT17-02-FRCNN.
    Raises ValueError where there is no clip.
    """
    folder = Path(detections or truth or "")
    clips = [folder] if (folder / "seqinfo.ini").is_file() else sorted(p.parent for p in folder.glob("*/seqinfo.ini"))
    found = [_sequence(clip, Path(truth) if truth else None) for clip in clips]
    if not found:
        raise ValueError(f"{folder}: no clip here; expected CLIP/seqinfo.ini and CLIP/det/det.txt")
    return found


def _sequence(clip: Path, truth: Path | None) -> Sequence:
    info = configparser.ConfigParser()
    info.read(clip / "seqinfo.ini")
    name = info.get("Sequence", "name", fallback=clip.name)
    found = sorted((clip / "det").glob("det*.txt"))
    return Sequence(
        name=clip.name if clip.name.startswith(name) else name,
        rate=info.getfloat("Sequence", "frameRate"),
        length=info.getint("Sequence", "seqLength"),
        detections=found[0] if found else None,
        truth=_truth(clip, truth),
    )


def _truth(clip: Path, folder: Path | None) -> Path | None:
    base = clip.name.rsplit("-", 1)[0]
    places = [clip]
    if folder is not None:
        places += [folder, folder / clip.name, *sorted(folder.glob(f"{base}-*"))]
    return next((place / "gt" / "gt.txt" for place in places if (place / "gt" / "gt.txt").is_file()), None)
