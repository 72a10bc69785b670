"""A folder, a glob or a single picture as a source: files in natural order at a stated rate."""

from __future__ import annotations

import configparser
import glob
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.types import Frame, Image, SidewalkError, SourceInfo

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

RATE = 25.0
"""Pictures per second where neither the user nor a seqinfo.ini tells."""


class ImageSource:
    """Pictures as frames. A MOTChallenge sequence (`img1/`, seqinfo.ini) brings its own frame rate.

    pattern: a folder, a glob or a file; fps: pictures per second, None takes the sequence's or 25.
    Unreadable files are skipped with a warning, and so are their numbers. Raises SidewalkError where no picture can
    be read.
    """

    def __init__(self, pattern: str, camera: str, fps: float | None = None) -> None:
        self.warnings: list[str] = []
        self._camera = camera
        folder = Path(pattern)
        if (folder / "img1").is_dir():
            folder = folder / "img1"
        if folder.is_dir():
            paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
            remedy = f"put pictures ({', '.join(sorted(SUFFIXES))}) into it"
        else:
            found = [pattern] if folder.is_file() else glob.glob(pattern)
            paths = [Path(path) for path in found if Path(path).suffix.lower() in SUFFIXES]
            remedy = "check the pattern, and quote it so that the shell leaves it alone"
        if not paths:
            raise SidewalkError(f"{pattern}: no pictures there; {remedy}")
        self._paths = sorted(paths, key=natural_order)
        rate = fps or sequence_rate(self._paths[0].parent) or RATE
        # Whichever is the larger number is rounded: a picture an hour has a rate of almost nothing.
        period = Fraction(1 / rate).limit_denominator(1001)
        self._base = period if rate < 1 else 1 / Fraction(rate).limit_denominator(1001)
        first = next((image for image in map(read_image, self._paths) if image is not None), None)
        if first is None:
            raise SidewalkError(f"{pattern}: none of its {len(paths)} pictures can be read; check the files")
        self.info = SourceInfo(
            camera=camera,
            uri=pattern,
            width=first.shape[1],
            height=first.shape[0],
            live=False,
            rate=1 / self._base,
            frames=len(paths),
            codec=self._paths[0].suffix.lower().lstrip("."),
        )

    def __iter__(self) -> Iterator[Frame]:
        for number, path in enumerate(self._paths):
            image = read_image(path)
            if image is None:
                self.warnings.append(f"{path}: not a readable picture; skipped")
                continue
            yield Frame(self._camera, number, float(number * self._base), image, number, self._base)

    def close(self) -> None:
        """Nothing is kept open between two pictures."""


def read_image(path: Path) -> Image | None:
    """A picture in BGR, turned as its EXIF data say; None where it cannot be read."""
    import cv2

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError:
        return None
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:  # larger than OpenCV allows
        return None


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Sorts `frame10.jpg` after `frame9.jpg`, folder by folder."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def sequence_rate(folder: Path) -> float | None:
    """The frame rate a MOTChallenge seqinfo.ini in or above the folder states."""
    for place in (folder, folder.parent):
        parser = configparser.ConfigParser()
        try:
            if parser.read(place / "seqinfo.ini"):
                return parser.getfloat("Sequence", "frameRate", fallback=None)
        except (configparser.Error, ValueError):
            continue
    return None
