"""Duke-Attribute: the original label CSV and DukeMTMC-VideoReID's picture folders.

Pictures: ROOT/{train,query,gallery}/<person4>/<tracklet4>/<person4>_C<camera>_...jpg. The columns of the
CSV are read by position, as its headings differ between copies: person, camera, tracklet, motion (5), pose
(6), seven quality flags, backpack, shoulder bag, hand bag, boots, gender, hat, shoes, top length (two
each), bottom colour (8), top colour (9). One-of values are class indices in the schema's order and binary
values are 1 for the schema's word; no copy of the file was at hand to confirm the binary ones.
"""

from __future__ import annotations

import csv
from pathlib import Path

from par_model.datasets.labels import LabelCoder, read_table
from par_model.datasets.tracklets import DatasetError, Picture, Problems, Tracklet, TrackletSet
from par_model.schema import Schema

COLUMNS: tuple[str | None, ...] = (
    "person_id",
    "camera_id",
    "tracklets_id",
    "motion",
    "pose",
    *(None,) * 7,
    "backpack",
    "shoulder bag",
    "hand bag",
    "boots",
    "gender",
    "hat",
    "shoes",
    "top length",
    "bottom color",
    "top color",
)

SPLITS = {"train": "train", "query": "test", "gallery": "test"}


def read_duke(root: Path, schema: Schema, labels: Path, *, strict: bool = False) -> TrackletSet:
    """The labelled tracklets under a DukeMTMC-VideoReID folder. labels: the Duke-Attribute CSV.

    Raises DatasetError where neither folders nor CSV can be read, or a group has other words than in schema `duke`.
    """
    problems = Problems(strict)
    coder = LabelCoder(schema)
    coder.check_order("duke")
    folders = {
        (int(path.parent.name), int(path.name)): (SPLITS[path.parent.parent.name], path)
        for split in SPLITS
        for path in sorted((root / split).glob("*/*"))
        if path.is_dir() and path.name.isdigit() and path.parent.name.isdigit()
    }
    if not folders:
        raise DatasetError(f"{root}: no train|query|gallery/<person>/<tracklet>/ folders; give the Duke folder")
    found: list[Tracklet] = []
    reader = csv.reader(read_table(labels, "give the Duke-Attribute CSV"))
    next(reader, None)
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        if len(cells) != len(COLUMNS):
            problems.add("unknown value", f"{labels.name}:{number}: {len(cells)} columns, not {len(COLUMNS)}")
            continue
        row = {name: cell for name, cell in zip(COLUMNS, cells) if name}
        try:
            person, tracklet = int(row["person_id"]), int(row["tracklets_id"])
            values = coder.encode_indices(row)
        except ValueError as error:
            problems.add("unknown value", f"{labels.name}:{number}: {error}")
            continue
        split, folder = folders.pop((person, tracklet), ("", root))
        pictures = tuple(Picture(path) for path in sorted(folder.glob("*.jpg"))) if split else ()
        if not pictures:
            problems.add("label without tracklet", f"{labels.name}:{number}: no pictures of {person}/{tracklet}")
            continue
        name = f"{person:04d}"
        found.append(Tracklet(f"{name}/{tracklet:04d}", pictures, values, split, person=name))
    for person, tracklet in folders:
        problems.add("tracklet without label", f"{person:04d}/{tracklet:04d} is not in {labels.name}")
    return TrackletSet(schema, found, problems)
