"""MARS-Attribute: the original label CSV (version 2 or 1), MARS's picture folders and track lists.

Pictures: ROOT/bbox_train and ROOT/bbox_test, `<person4>/<person4>C<camera>T<tracklet4>F<frame3>.jpg`. Track
lists, optional: `tracks_train_info.mat`, `tracks_test_info.mat` with rows (first picture, last picture,
person, camera), 1-based and inclusive; they give the split and how many pictures a tracklet should have.
The k-th tracklet of a person under a camera is the k-th such row.

One-of columns hold the class index in the order of the schema's words. Binary columns hold 1 for the
schema's word (top *short*, *long* hair, *female*, bottom *short*, each bag, hat) except `bottom type`,
where 0 is the skirt: in the released file 0 never occurs with gender 0, and 1 means trousers.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from par_model.datasets.labels import LabelCoder, read_table
from par_model.datasets.tracklets import DatasetError, Picture, Problems, Tracklet, TrackletSet
from par_model.schema import Schema

POSITIVE = {"bottom type": 0}
"""The CSV value that stands for a binary group's word, where it is not 1."""

VERSION_1 = {
    "person-id": "person_id",
    "camera": "camera_id",
    "tracklet": "tracklets_id",
    "tops.c": "top color",
    "bottoms.c": "bottom color",
    "tops.l": "top length",
    "bottoms.l": "bottom length",
    "handbag": "hand bag",
    "bottoms.t": "bottom type",
}
"""Headings of the first release (no pose, no motion) in the words of the second."""

NOT_IN_VERSION_1 = ("pose", "motion")

FOLDERS = {"train": "bbox_train", "test": "bbox_test"}


@dataclass(frozen=True, slots=True)
class MarsRow:
    """One line of the label file. labels: (A,) int8."""

    person: int
    camera: int
    tracklet: int
    labels: np.ndarray

    @property
    def name(self) -> str:
        """As MARS names the pictures of this tracklet, e.g. 0001C1T0001."""
        return f"{self.person:04d}C{self.camera}T{self.tracklet:04d}"


def read_labels(path: Path, schema: Schema, problems: Problems) -> list[MarsRow]:
    """Every row of a MARS-Attribute CSV whose values are known; the others go to `problems`.

    Raises DatasetError where it cannot be read or a group of the schema has other words than in schema `mars`.
    """
    coder = LabelCoder(schema, positive=POSITIVE)
    coder.check_order("mars")
    rows: list[MarsRow] = []
    reader = csv.reader(read_table(path, "give the MARS-Attribute CSV"))
    names = [name.strip().lower() for name in next(reader, [])]
    heading = [VERSION_1.get(name, name) for name in names]
    missing = [name for name in ("person_id", "camera_id", "tracklets_id") if name not in heading]
    if missing:
        raise DatasetError(f"{path}: no column {missing[0]!r}; this is not a MARS-Attribute CSV")
    for group in schema.group_names:
        if group not in heading and not (group in NOT_IN_VERSION_1 and "person-id" in names):
            problems.add("missing column", f"{path.name}: none is called {group!r}; it is left unknown")
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        row = dict(zip(heading, cells))
        try:
            person, camera, tracklet = (int(row[name]) for name in ("person_id", "camera_id", "tracklets_id"))
            labels = coder.encode_indices(row)
        except (KeyError, ValueError) as error:
            problems.add("unknown value", f"{path.name}:{number}: {error}")
            continue
        rows.append(MarsRow(person, camera, tracklet, labels))
    return rows


def read_tracks(path: Path) -> np.ndarray:
    """A MARS track list: (T, 4) int64 of first picture, last picture, person (-1 junk, 0 distractors), camera."""
    from scipy.io import loadmat

    try:
        tables = [value for key, value in loadmat(path).items() if not key.startswith("__")]
    except (OSError, ValueError, NotImplementedError) as error:
        raise DatasetError(f"{path}: not a readable MATLAB file ({error})") from error
    if len(tables) != 1 or tables[0].ndim != 2 or tables[0].shape[1] != 4:
        raise DatasetError(f"{path}: a track list has one table of four columns")
    return np.asarray(tables[0], dtype=np.int64)


def expected_pictures(rows: list[MarsRow], tracks: Mapping[str, np.ndarray]) -> dict[str, tuple[str, int]]:
    """Split and number of pictures of each labelled tracklet that the track lists know, by MARS name.

    tracks: per split the table of `read_tracks`.
    """
    counts: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    for split, table in tracks.items():
        for first, last, person, camera in table.tolist():
            counts[person, camera].append((split, last - first + 1))
    labelled: dict[tuple[int, int], list[MarsRow]] = defaultdict(list)
    for row in rows:
        labelled[row.person, row.camera].append(row)
    found: dict[str, tuple[str, int]] = {}
    for key, group in labelled.items():
        listed = counts.get(key, [])
        if len(listed) == len(group):
            group.sort(key=lambda row: row.tracklet)
            found.update((row.name, entry) for row, entry in zip(group, listed, strict=True))
    return found


def read_mars(
    root: Path, schema: Schema, labels: Path, tracks: Path | None = None, *, strict: bool = False
) -> TrackletSet:
    """The labelled tracklets under a MARS folder.

    root: holds bbox_train and bbox_test; labels: the CSV; tracks: folder of the two .mat lists (ROOT/info
    where it exists). Raises DatasetError where one of them is missing.
    """
    problems = Problems(strict)
    rows = read_labels(labels, schema, problems)
    folder = tracks or root / "info"
    lists = {split: list(folder.glob(f"*tracks_{split}_info.mat")) for split in FOLDERS}
    if tracks is not None and not any(lists.values()):
        raise DatasetError(f"{tracks}: no *tracks_train_info.mat or *tracks_test_info.mat; give tracks their folder")
    expected = expected_pictures(rows, {split: read_tracks(paths[0]) for split, paths in lists.items() if paths})
    pictures = _pictures(root, problems)
    found: list[Tracklet] = []
    for row in rows:
        split, frames = pictures.pop(row.name, ("", {}))
        if not frames:
            problems.add("label without tracklet", f"{row.name} of {labels.name} has no pictures under {root}")
            continue
        wanted = expected.get(row.name)
        if wanted and len(frames) < wanted[1]:
            problems.add("missing picture", f"{row.name} has {len(frames)} of the {wanted[1]} pictures listed")
        ordered = tuple(frames[number] for number in sorted(frames))
        split = wanted[0] if wanted else split
        found.append(Tracklet(row.name, ordered, row.labels, split, person=f"{row.person:04d}"))
    for name in pictures:
        if not name.startswith(("0000", "00-1")):
            problems.add("tracklet without label", f"{name} under {root} is not in {labels.name}")
    return TrackletSet(schema, found, problems)


def _pictures(root: Path, problems: Problems) -> dict[str, tuple[str, dict[int, Picture]]]:
    """Split and pictures by frame number of every tracklet under `root`."""
    found: dict[str, tuple[str, dict[int, Picture]]] = {}
    for split, folder in FOLDERS.items():
        for path in sorted((root / folder).glob("*/*.jpg")):
            name, mark, frame = path.stem.rpartition("F")
            if not mark or not frame.isdigit():
                problems.add("unknown file name", f"{path} is not <person>C<camera>T<tracklet>F<frame>.jpg")
                continue
            found.setdefault(name, (split, {}))[1][int(frame)] = Picture(path)
    if not found:
        raise DatasetError(f"{root}: no pictures in {' or '.join(FOLDERS.values())}/<person>/; give the MARS folder")
    return found
