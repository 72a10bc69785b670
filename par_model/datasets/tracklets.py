"""What every reader returns: labelled tracklets in time order, and the problems met on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from par_model.schema import Schema

UNKNOWN = 2
"""Label of a column nobody annotated: above 1, as the losses expect; training and scores leave it out."""


class DatasetError(ValueError):
    """The data set cannot be read at all, or has a problem and the reader is strict."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture: a whole file, or `size` bytes of an archive from `offset`."""

    path: Path
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """The encoded bytes."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read() if self.size is None else file.read(self.size)

    def decode(self) -> np.ndarray:
        """BGR uint8 (H, W, 3). Raises DatasetError where the bytes are no picture."""
        import cv2

        image = decode_image(self.read(), cv2.IMREAD_COLOR)
        if image is None:
            raise DatasetError(f"{self.path} (byte {self.offset}) is not a readable picture")
        return image


def decode_image(content: bytes, mode: int) -> np.ndarray | None:
    """uint8 pixels by one of OpenCV's IMREAD modes, None where the bytes are no picture (OpenCV raises on none)."""
    import cv2

    image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), mode) if content else None
    return None if image is None else np.asarray(image, dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """Pictures of one person in time order.

    labels: (A,) int8 of 1, 0 and UNKNOWN; parts: their part maps (see par_model.datasets.parts), where there are any;
    person: whose it is, where the data set tells.
    """

    key: str
    pictures: tuple[Picture, ...]
    labels: np.ndarray
    split: str = ""
    parts: Picture | None = None
    person: str = ""

    def window(self, frames: int) -> list[Picture]:
        """At most so many of the pictures, evenly spread and in time order, none twice. DatasetError where none are."""
        return [self.pictures[place] for place in sorted(set(even_indices(len(self.pictures), frames).tolist()))]


@dataclass
class Problems:
    """Counts what a data set has wrong, keeps a line on each, and stops only where it is strict.

    kept: lines remembered per kind; all are counted. Threads may share one.
    """

    strict: bool = False
    kept: int = 20
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def add(self, kind: str, line: str) -> None:
        """kind: what sort of problem, e.g. 'missing picture'; line: which one and where."""
        if self.strict:
            raise DatasetError(f"{kind}: {line}")
        with self._lock:
            self.counts[kind] += 1
            if self.counts[kind] <= self.kept:
                self.lines.append(f"{kind}: {line}")

    def summary(self) -> str:
        """One line, or '' where nothing was wrong."""
        return ", ".join(f"{kind}: {count}" for kind, count in sorted(self.counts.items()))

    def told(self) -> str:
        """The summary and the first line, for an error that says what is left; '' where nothing was wrong."""
        return f"{self.summary()}; first {self.lines[0]}" if self.lines else self.summary()


@dataclass
class TrackletSet:
    """Labelled tracklets under one schema; `problems` says what was left out."""

    schema: Schema
    tracklets: list[Tracklet]
    problems: Problems = field(default_factory=Problems)

    def __len__(self) -> int:
        return len(self.tracklets)

    def __iter__(self) -> Iterator[Tracklet]:
        return iter(self.tracklets)

    @property
    def labels(self) -> np.ndarray:
        """(N, A) int8 of 1, 0 and UNKNOWN."""
        if not self.tracklets:
            return np.zeros((0, len(self.schema.words)), dtype=np.int8)
        return np.stack([tracklet.labels for tracklet in self.tracklets])

    def first(self, limit: int | None) -> TrackletSet:
        """At most so many of the tracklets; None is all."""
        return TrackletSet(self.schema, self.tracklets[:limit], self.problems)

    def split(self, name: str) -> TrackletSet:
        """The tracklets of one split ('train', 'test', ...)."""
        chosen = [tracklet for tracklet in self.tracklets if tracklet.split == name]
        if not chosen:
            known = ", ".join(sorted({tracklet.split or "(none)" for tracklet in self.tracklets}))
            raise DatasetError(f"no tracklet is in split {name!r}; the data set has: {known or 'no tracklets'}")
        return TrackletSet(self.schema, chosen, self.problems)


def even_indices(count: int, frames: int, jitter: np.random.Generator | None = None) -> np.ndarray:
    """Which pictures of a tracklet to take: ordered and evenly spread.

    count: pictures there are, at least 1; frames: how many to take (repeats where there are fewer).
    jitter: draws each picture from its own stretch of the tracklet, for training; None takes the middles.
    Returns (frames,) int64, non-decreasing.
    """
    if count < 1:
        raise DatasetError("a tracklet without pictures has none to take")
    edges = np.arange(frames + 1) * (count / frames)
    within = 0.5 if jitter is None else jitter.random(frames)
    return np.minimum((edges[:-1] + within * (count / frames)).astype(np.int64), count - 1)
