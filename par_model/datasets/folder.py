"""A user's own data: one folder of pictures a tracklet and one CSV of labels.

    DATA/labels.csv                     tracklet,split,top length,top color,...
    DATA/<tracklet>/*.jpg|*.png         pictures in the order of their names

The CSV has a column `tracklet`, optionally `split` and `person` (whose tracklet it is), and one column an attribute
group. A one-of group holds one of its words; a binary group holds the word, yes/no, true/false or 1/0. An empty cell
and a group without a column are unknown, and left out of training and scores.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from par_model.datasets.labels import LabelCoder, read_table
from par_model.datasets.tracklets import DatasetError, Picture, Problems, Tracklet, TrackletSet
from par_model.schema import Schema

NO_GROUPS = ("tracklet", "split", "person")
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def read_folder(root: Path, schema: Schema, labels: Path | None = None, *, strict: bool = False) -> TrackletSet:
    """The labelled tracklets of a folder. labels: the CSV, ROOT/labels.csv unless given."""
    problems = Problems(strict)
    coder = LabelCoder(schema)
    table = labels or root / "labels.csv"
    found: list[Tracklet] = []
    folders = {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
    reader = label_rows(read_table(table, "give a folder with labels.csv"), table)
    coder.check_groups([name for name in reader.fieldnames or () if name not in NO_GROUPS], str(table))
    for number, row in enumerate(reader, start=2):
        name = (row["tracklet"] or "").strip()
        split, person = ((row.get(column) or "").strip() for column in ("split", "person"))
        try:
            values = coder.encode_words(row)
        except ValueError as error:
            problems.add("unknown value", f"{table.name}:{number}: {error}")
            continue
        pictures = tuple(
            Picture(path)
            for path in sorted((root / name).iterdir() if name in folders else ())
            if path.suffix.lower() in PICTURES
        )
        folders.discard(name)
        if not pictures:
            problems.add("label without tracklet", f"{table.name}:{number}: no pictures in {root / name}")
            continue
        found.append(Tracklet(name, pictures, values, split, person=person))
    for name in sorted(folders):
        problems.add("tracklet without label", f"{root / name} is not in {table.name}")
    return TrackletSet(schema, found, problems)


def label_rows(lines: Iterable[str], table: Path) -> csv.DictReader[str]:
    """The rows of a table of labels by column. Raises DatasetError that names `table` where no column is `tracklet`."""
    reader = csv.DictReader(lines)
    reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
    if "tracklet" not in names:
        raise DatasetError(f"{table}: no column 'tracklet'")
    return reader
