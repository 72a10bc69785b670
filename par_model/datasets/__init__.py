"""Labelled tracklets from every format the model can be trained and judged on.

open_dataset("synth/train", schema)                                     generated shards (*.tar)
open_dataset("MARS", schema, labels="mars_attributes.csv")              MARS or Duke folders and their CSV
open_dataset("pad.pkl", schema, root="MARS")                            the public code's pickle
open_dataset("mine", schema)                                            folders of pictures and labels.csv
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from par_model.datasets.duke import read_duke
from par_model.datasets.folder import read_folder
from par_model.datasets.mars import read_mars
from par_model.datasets.openpar import read_openpar
from par_model.datasets.shards import read_shards
from par_model.datasets.tracklets import (
    UNKNOWN,
    DatasetError,
    Picture,
    Problems,
    Tracklet,
    TrackletSet,
    even_indices,
)
from par_model.schema import Schema

Format = Literal["auto", "shards", "mars", "duke", "openpar", "folder"]

__all__ = [
    "UNKNOWN",
    "DatasetError",
    "Format",
    "Picture",
    "Problems",
    "Tracklet",
    "TrackletSet",
    "even_indices",
    "open_dataset",
    "recognise",
]


def open_dataset(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    schema: Schema,
    *,
    kind: Format = "auto",
    labels: str | os.PathLike[str] | None = None,
    tracks: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    split: str | None = None,
    strict: bool = False,
) -> TrackletSet:
    """Read a data set, its format recognised from what lies there.

    source: a folder or file; several only of shards. labels: CSV of MARS, Duke or a user's folder; tracks:
    folder of MARS's .mat lists; root: where a pickle's pictures lie now; split: keep only this one; strict:
    the first problem is an error. Raises DatasetError where nothing can be read.
    """
    sources = [Path(part) for part in ([source] if isinstance(source, (str, os.PathLike)) else source)]
    if not sources:
        raise DatasetError("no data set given")
    for path in sources:
        if not path.exists():
            raise DatasetError(f"{path} does not exist")
    chosen = recognise(sources[0]) if kind == "auto" else kind
    if len(sources) > 1 and chosen != "shards":
        raise DatasetError(f"several sources can only be read as shards, and {sources[0]} is {chosen}")
    path, table = sources[0], None if labels is None else Path(labels)
    if chosen == "shards":
        found = read_shards(sources, schema, strict=strict)
    elif chosen == "openpar":
        found = read_openpar(path, schema, None if root is None else Path(root), strict=strict)
    elif chosen == "folder":
        found = read_folder(path, schema, table, strict=strict)
    elif table is None:
        raise DatasetError(f"{path} looks like {chosen}; give its label CSV (labels)")
    elif chosen == "mars":
        found = read_mars(path, schema, table, None if tracks is None else Path(tracks), strict=strict)
    else:
        found = read_duke(path, schema, table, strict=strict)
    return found if split is None else found.split(split)


def recognise(path: Path) -> Format:
    """Which reader fits a path; DatasetError where none does."""
    if path.suffix == ".tar" or (path.is_dir() and any(path.glob("*.tar"))):
        return "shards"
    if path.suffix in (".pkl", ".pickle"):
        return "openpar"
    if (path / "bbox_train").is_dir() or (path / "bbox_test").is_dir():
        return "mars"
    if (path / "gallery").is_dir():
        return "duke"
    if (path / "labels.csv").is_file():
        return "folder"
    raise DatasetError(
        f"{path} is no data set that is known: *.tar shards, a .pkl, bbox_train/, gallery/ or labels.csv with folders"
    )
