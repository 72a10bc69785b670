"""The pickle of the public code (OpenPAR): read without letting it run anything."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from par_model.datasets.tracklets import UNKNOWN, DatasetError, Picture, Problems, Tracklet, TrackletSet
from par_model.schema import Schema

SPLITS = {"trainval": "train", "test": "test"}

ARRAYS = ("numpy.core.multiarray", "numpy._core.multiarray")
"""Where numpy keeps the two functions that rebuild arrays and scalars, before and from version 2."""


class _Record(dict[str, Any]):
    """Stands in for EasyDict, whose pickles carry the items and the same once more as attributes."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.update(state)


class _Reader(pickle.Unpickler):
    """Rebuilds dictionaries, lists, numbers, text and numpy arrays; refuses everything else."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("easydict", "EasyDict"):
            return _Record
        if module in ARRAYS and name in ("_reconstruct", "scalar"):
            return super().find_class("numpy._core.multiarray", name)
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) in {("builtins", "dict"), ("builtins", "list"), ("builtins", "set")}:
            return super().find_class(module, name)
        raise DatasetError(f"{self.path} asks for {module}.{name}, which labels have no use for; it is not loaded")


def read_openpar(path: Path, schema: Schema, root: Path | None = None, *, strict: bool = False) -> TrackletSet:
    """The tracklets of an OpenPAR pickle (`track_name`, `result_dict`, `track_imgs_path`, `partition`).

    root: folder the picture paths are looked for under when they do not exist as stored:
    ROOT/<tracklet>/<file>. Labels come from `result_dict`; the pickle's own `label` repeats one row and is
    not read. A one-of group with no positive or several is unknown. Raises DatasetError where the file is no such
    pickle or has other words than the schema.
    """
    problems = Problems(strict)
    try:
        with path.open("rb") as file:
            table = _Reader(file, path).load()
        names = [str(name) for name in table["track_name"]]
        results, pictures = table["result_dict"], table["track_imgs_path"]
        partition = table["partition"]
        words = [str(word) for word in table.get("attr_name", [])]
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}; give the data set's pickle") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DatasetError(f"{path} is not a pickle of the public code ({type(error).__name__}: {error})") from error
    if len(words) not in (0, len(schema.words)):
        raise DatasetError(
            f"{path} has {len(words)} attributes, the schema {len(schema.words)}; choose the other schema"
        )
    for column, (theirs, ours) in enumerate(zip(words, schema.words)):
        if theirs != ours:
            raise DatasetError(
                f"{path}: column {column} is {theirs!r}, the schema's {ours!r}; which one its labels follow cannot be "
                "told from the file"
            )

    splits = {
        int(index): split
        for key, split in SPLITS.items()
        for index in np.asarray(partition.get(key, []), dtype=np.int64).ravel()
    }
    found: list[Tracklet] = []
    for index, name in enumerate(names):
        labels = np.asarray(results.get(name, ()))
        files = [_locate(Path(str(file)), name, root) for file in sorted(pictures.get(name, ()))]
        present = [file for file in files if file.is_file()]
        if labels.shape != (len(schema.words),) or not np.isin(labels, (UNKNOWN, 0, 1)).all():
            problems.add("unknown value", f"{name} has no row of {len(schema.words)} zeros and ones in {path.name}")
        elif not present:
            problems.add("label without tracklet", f"{name} has no pictures; give the folder that holds {name}/")
        else:
            if len(present) < len(files):
                problems.add("missing picture", f"{name} has {len(present)} of its {len(files)} pictures")
            labels = labels.astype(np.int8)
            for group in _ambiguous(labels, schema):
                problems.add("no single answer", f"{name}: {group} in {path.name}; it is left unknown")
                labels[schema.slices[group]] = UNKNOWN
            frames = tuple(Picture(file) for file in present)
            found.append(Tracklet(name, frames, labels, splits.get(index, ""), person=_person(name)))
    return TrackletSet(schema, found, problems)


def _ambiguous(labels: np.ndarray, schema: Schema) -> list[str]:
    """Names of the one-of groups that a row (A,) says something of, but not which one attribute holds."""
    answers = {group.name: labels[schema.slices[group.name]] for group in schema.groups if group.kind == "one-of"}
    return [name for name, row in answers.items() if (row == 1).sum() != 1 and (row != UNKNOWN).any()]


def _person(tracklet: str) -> str:
    """Whose tracklet it is, where it is named as MARS's are."""
    match = re.match(r"(\d{4})C\d", tracklet)
    return match[1] if match else ""


def _locate(stored: Path, tracklet: str, root: Path | None) -> Path:
    return stored if root is None or stored.is_file() else root / tracklet / stored.name
