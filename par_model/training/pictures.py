"""Decoded pictures on disk: every JPEG is opened once, then read as rows of a memory-mapped array."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from par_model.config import Preprocessing
from par_model.datasets import UNKNOWN, DatasetError, Problems, Tracklet, TrackletSet, even_indices
from par_model.datasets.parts import MAP_SIZE, UNKNOWN_PART, decode_maps
from par_model.preprocess import CropBatch
from par_model.training.cache import cached_array

CHUNK = 512
"""Tracklets of one cache file, where they do not come from archives (one file an archive)."""


class PictureStore:
    """The same number of pictures of each tracklet, evenly spread over it, all of one size.

    Indexing with (rows, frames) index arrays gives RGB uint8 (..., 3, H, W). digest: names exactly these
    pictures. maps: their part maps as (N, pictures, *MAP_SIZE) uint8, where asked for. resident: all pictures as
    (N, pictures, 3, H, W) in the memory of a device, after `hold_on`.
    """

    def __init__(self, chunks: Sequence[np.ndarray], digest: str, maps: np.ndarray | None = None) -> None:
        self.chunks = list(chunks)
        self.digest = digest
        self.maps = maps
        self.starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])
        self.pictures = int(self.chunks[0].shape[1])
        self.resident: Tensor | None = None

    @classmethod
    def open(
        cls,
        tracklets: TrackletSet,
        folder: Path,
        *,
        size: tuple[int, int],
        pictures: int,
        preprocessing: Preprocessing,
        parts: bool = False,
        workers: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> PictureStore:
        """Find the pictures in `folder`, or decode what is missing there.

        size: (height, width); parts: read the part maps too, into memory; workers: threads that decode, one a core
        unless said; progress: told how many tracklets are ready. A picture that cannot be decoded is a problem of the
        data set, and its neighbour stands in for it; maps that cannot are one too, and stay unknown.
        """
        folder.mkdir(parents=True, exist_ok=True)
        chunks: list[np.ndarray] = []
        maps: list[np.ndarray] = []
        names: list[str] = []
        done = 0

        def read(part: list[Tracklet]) -> tuple[str, np.ndarray, np.ndarray | None]:
            name = _digest(part, size, pictures, preprocessing)
            shape = len(part), pictures, 3, *size
            note = folder / f"{name}.json"
            rows = cached_array(folder / f"{name}.npy", np.uint8, shape, partial(_decode, part, preprocessing, note))
            _tell(note, part, tracklets.problems)
            return name, rows, _maps(part, pictures, tracklets.problems) if parts else None

        # Decoding leaves the interpreter free, so that threads are enough.
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            for name, rows, found in pool.map(read, _files(tracklets.tracklets)):
                names.append(name)
                chunks.append(rows)
                if found is not None:
                    maps.append(found)
                done += len(rows)
                progress(done)
        if not chunks:
            raise DatasetError("the data set has no tracklets")
        return cls(chunks, " ".join(names), np.concatenate(maps) if maps else None)

    @property
    def nbytes(self) -> int:
        """Bytes of all pictures."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def hold_on(self, device: torch.device) -> None:
        """Copy all pictures to a device's memory, or every batch would wait for the disk."""
        shape = len(self), *self.chunks[0].shape[1:]
        self.resident = torch.empty(shape, dtype=torch.uint8, device=device)
        for start, chunk in zip(self.starts, self.chunks):
            self.resident[start : start + len(chunk)] = torch.from_numpy(np.array(chunk)).to(device)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        rows, frames = np.broadcast_arrays(*index)
        result = np.empty((*rows.shape, *self.chunks[0].shape[2:]), dtype=np.uint8)
        chunk = np.searchsorted(self.starts, rows, side="right") - 1
        for place in np.ndindex(rows.shape):
            c = chunk[place]
            result[place] = self.chunks[c][rows[place] - self.starts[c], frames[place]]
        return result


def _maps(part: Sequence[Tracklet], pictures: int, problems: Problems) -> np.ndarray:
    """(N, pictures, *MAP_SIZE) uint8, UNKNOWN_PART where a tracklet has none."""
    found = np.full((len(part), pictures, *MAP_SIZE), UNKNOWN_PART, dtype=np.uint8)
    for row, tracklet in zip(found, part):
        if tracklet.parts is None:
            continue
        count = len(tracklet.pictures)
        try:
            row[:] = decode_maps(tracklet.parts, count)[even_indices(count, pictures)]
        except (DatasetError, OSError) as error:
            problems.add("unreadable part maps", f"{tracklet.key}: {error}")
    return found


def _files(tracklets: Sequence[Tracklet]) -> list[list[Tracklet]]:
    def archive(item: tuple[int, Tracklet]) -> str:
        picture = item[1].pictures[0]
        return str(item[0] // CHUNK) if picture.size is None else str(picture.path)

    return [[tracklet for _, tracklet in part] for _, part in groupby(enumerate(tracklets), key=archive)]


def _digest(part: Sequence[Tracklet], size: tuple[int, int], pictures: int, preprocessing: Preprocessing) -> str:
    name = hashlib.blake2b(f"rgb 2 {size} {pictures} {preprocessing}".encode(), digest_size=16)
    for tracklet in part:
        for picture in tracklet.pictures:
            name.update(f"{picture.path} {picture.offset} {picture.size}\n".encode())
    stamps = sorted({picture.path for tracklet in part for picture in tracklet.pictures})
    for path in stamps:
        state = path.stat() if path.exists() else None
        name.update(f"{state and (state.st_size, state.st_mtime_ns)}".encode())
    return name.hexdigest()


def _decode(part: Sequence[Tracklet], preprocessing: Preprocessing, note: Path, table: np.ndarray) -> None:
    """Fill `table` (N, pictures, 3, H, W) with RGB uint8, and write down what could not be read."""
    unreadable: list[str] = []
    blank: list[int] = []
    pictures, size = table.shape[1], (table.shape[3], table.shape[4])
    resizer = CropBatch(size, preprocessing, 1)
    for number, (row, tracklet) in enumerate(zip(table, part)):
        previous: np.ndarray | None = None
        indices = even_indices(len(tracklet.pictures), pictures)
        for place, index in enumerate(indices):
            if place and index == indices[place - 1]:
                row[place] = row[place - 1]
                continue
            try:
                image = resizer.fill([tracklet.pictures[index].decode()])[0]
                if previous is None:
                    row[:place] = image[..., ::-1].transpose(2, 0, 1)
                previous = image[..., ::-1].transpose(2, 0, 1).copy()
            except (DatasetError, OSError) as error:
                unreadable.append(f"{tracklet.key}: {error}")
            row[place] = 0 if previous is None else previous
        if previous is None:
            blank.append(number)
    note.write_text(json.dumps({"unreadable": unreadable, "blank": blank}), encoding="utf-8")


def _tell(note: Path, part: Sequence[Tracklet], problems: Problems) -> None:
    """Count what could not be read when the pictures were; of whoever has none left, nothing is known."""
    found = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {"unreadable": [], "blank": []}
    for line in found["unreadable"]:
        problems.add("unreadable picture", line)
    for number in found["blank"]:
        part[number].labels[:] = UNKNOWN
