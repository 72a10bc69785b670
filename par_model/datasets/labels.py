"""From what a label file says of a group to the schema's columns."""

from __future__ import annotations

import difflib
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from par_model.datasets.tracklets import UNKNOWN, DatasetError
from par_model.schema import Group, Schema, load_schema

YES = {"1", "yes", "true", "y"}
NO = {"0", "no", "false", "n"}

_Read = Callable[[Group, object], "int | None"]


class LabelCoder:
    """Encodes values by group as (A,) int8 rows of 1, 0 and UNKNOWN.

    positive: class index that stands for the word of a binary group, 1 unless named here.
    Every error is a ValueError that names group and value.
    """

    def __init__(self, schema: Schema, positive: Mapping[str, int] | None = None) -> None:
        self.schema = schema
        self.positive = dict(positive or {})

    def encode_indices(self, values: Mapping[str, str | int]) -> np.ndarray:
        """values: class index by group name; other keys are ignored, groups left out are unknown."""
        return self._encode(values, self._by_index)

    def encode_words(self, values: Mapping[str, object]) -> np.ndarray:
        """values: by group name a word or label of the group, its index, a yes or no, or nothing where unknown.

        Other keys are ignored, groups left out are unknown.
        """
        return self._encode(values, self._by_word)

    def check_order(self, original: str) -> None:
        """Raise DatasetError for a group whose words are not those by whose places a data set numbers its labels.

        original: name of the packaged schema that has them; groups it does not have may be of any kind.
        """
        for group in load_schema(original).groups:
            words = [attribute.word for attribute in group.attributes]
            if group.name in self.schema.group_names and words != [a.word for a in self.schema[group.name].attributes]:
                raise DatasetError(
                    f"schema {self.schema.name!r} has other words for {group.name!r} than schema {original!r}, whose "
                    f"places these labels give ({', '.join(words)}); use that schema"
                )

    def check_groups(self, names: Iterable[str], where: str) -> None:
        """Raise DatasetError for a name that is no group of the schema."""
        for name in names:
            if name not in self.schema.group_names:
                close = difflib.get_close_matches(name, self.schema.group_names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self.schema.group_names)}"
                raise DatasetError(f"{where}: schema {self.schema.name!r} has no group {name!r}; {hint}")

    def _encode(self, values: Mapping[str, object], read: _Read) -> np.ndarray:
        row = np.full(len(self.schema.words), UNKNOWN, dtype=np.int8)
        for group in self.schema.groups:
            value = values.get(group.name)
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            columns = self.schema.slices[group.name]
            row[columns] = 0
            choice = read(group, value)
            if choice is not None:
                row[columns.start + choice] = 1
        return row

    def _by_index(self, group: Group, value: object) -> int | None:
        classes = len(group.labels)
        try:
            index = int(str(value))
        except ValueError:
            index = -1
        if not 0 <= index < classes:
            raise ValueError(f"{group.name} is {value!r}; it must lie in 0 .. {classes - 1}")
        if group.kind == "one-of":
            return index
        return 0 if index == self.positive.get(group.name, 1) else None

    def _by_word(self, group: Group, value: object) -> int | None:
        text = str(value).strip().lower()
        for index, attribute in enumerate(group.attributes):
            if text in (attribute.word.lower(), attribute.label.lower()):
                return index
        if group.kind == "binary":
            if text in YES:
                return 0
            if text in NO or text == group.absent.lower():
                return None
        elif text.isdigit() and int(text) < len(group.attributes):
            return int(text)
        known = ", ".join(group.labels)
        raise ValueError(f"{group.name} is {value!r}; it must be one of {known}")


def read_table(path: Path, remedy: str) -> io.StringIO:
    """The text of a CSV, for `csv` to read. Raises DatasetError where it cannot be read, ending with `remedy`."""
    try:
        return io.StringIO(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}; {remedy}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 (byte {error.start}); save it as CSV in UTF-8") from error
