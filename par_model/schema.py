"""What the model can say: groups of attributes, how each is decided, and the words it is asked with."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from par_model.config import typed
from par_model.errors import SchemaError


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column of the model.

    word: the text of the public code, its spelling included; label: what a person reads;
    phrase: the word spelt out, which the schema's template makes a sentence of.
    """

    word: str
    label: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Group:
    """Attributes that answer one question.

    kind: `one-of`, exactly one attribute holds; `binary`, the one attribute holds or does not.
    dynamics: `static`, what a person wears or is; `dynamic`, what they do. half_life: seconds old evidence counts half.
    absent: what to say when the attribute of a binary group does not hold.
    sensitive: a personal trait that can be switched off.
    ordinal: of a one-of group, how many of its attributes, the first ones, are steps of one scale; 0 for none.
    temperature: divides the logits (Guo et al. 2017).
    prior: added to the scaled logits where attributes are not as common as among the people the model was fitted on
    (Saerens et al. 2002): of a binary group the log ratio of the two odds, of a one-of group the log ratio of each
    attribute's two shares, up to a constant.
    below, above: a binary group says `absent` under the one, the attribute over the other, and abstains between;
    a one-of group names its best attribute from `above` on.
    """

    name: str
    kind: Literal["one-of", "binary"]
    dynamics: Literal["static", "dynamic"]
    attributes: tuple[Attribute, ...]
    absent: str = ""
    sensitive: bool = False
    ordinal: int = 0
    half_life: float = 30.0
    temperature: float = 1.0
    prior: tuple[float, ...] = ()
    below: float = 0.4
    above: float = 0.6

    def __post_init__(self) -> None:
        if self.kind not in ("one-of", "binary"):
            raise SchemaError(f"group {self.name!r}: kind is {self.kind!r}; it must be 'one-of' or 'binary'")
        if self.dynamics not in ("static", "dynamic"):
            raise SchemaError(f"group {self.name!r}: dynamics is {self.dynamics!r}; it must be 'static' or 'dynamic'")
        if self.kind == "binary" and (len(self.attributes) != 1 or not self.absent):
            raise SchemaError(f"group {self.name!r} is binary: it needs one attribute and a name for its absence")
        if self.kind == "one-of" and len(self.attributes) < 2:
            raise SchemaError(f"group {self.name!r} is one-of: it needs two attributes or more")
        if self.ordinal and (self.kind == "binary" or not 2 <= self.ordinal <= len(self.attributes)):
            raise SchemaError(f"group {self.name!r}: ordinal is 0, or of a one-of group 2 .. its number of attributes")
        if not (0.0 <= self.below <= self.above <= 1.0):
            raise SchemaError(f"group {self.name!r}: thresholds must satisfy 0 <= below <= above <= 1")
        if not (0.01 <= self.temperature <= 100.0) or not self.half_life > 0.0:
            raise SchemaError(f"group {self.name!r}: temperature must lie in 0.01 .. 100 and half_life be positive")
        if self.prior and (len(self.prior) != len(self.attributes) or not np.isfinite(self.prior).all()):
            raise SchemaError(f"group {self.name!r}: a prior is one finite number an attribute")

    @property
    def middle(self) -> float:
        """Where a binary group is cut when it must answer: the middle of its zone of abstention."""
        return (self.below + self.above) / 2.0

    def clearance(self, shares: np.ndarray) -> np.ndarray:
        """How far past the point from which it may be named each label's probability lies; negative is short of it.

        shares: (..., L) as `Schema.shares` gives them, L as many as `labels`. Returns (..., L).
        """
        if self.kind == "one-of":
            past: np.ndarray = shares - self.above
            return past
        return np.stack([self.below - shares[..., 1], shares[..., 1] - self.above], axis=-1)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the group can say; of a binary group the absence comes first."""
        present = tuple(attribute.label for attribute in self.attributes)
        return (self.absent, *present) if self.kind == "binary" else present


class Decision(NamedTuple):
    """value is None where the model abstains; probability is that of the likeliest value."""

    value: str | None
    probability: float


class Calibration(NamedTuple):
    """Numbers of a group that are fitted on held-out data (see Group)."""

    temperature: float
    below: float
    above: float
    prior: tuple[float, ...] = ()


@dataclass(frozen=True)
class Schema:
    """Groups in column order. template: sentence with `{}` where an attribute's phrase goes."""

    name: str
    groups: tuple[Group, ...]
    template: str = "a photo of a pedestrian {}"

    def __post_init__(self) -> None:
        for kind, names in (("group", self.group_names), ("word", self.words)):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise SchemaError(f"schema {self.name!r} has the {kind} {sorted(twice)[0]!r} twice")
        if not self.groups:
            raise SchemaError(f"schema {self.name!r} has no groups")
        if self.template.count("{}") != 1:
            raise SchemaError(f"schema {self.name!r}: the template must hold {{}} once")

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The A column names."""
        return tuple(attribute.word for group in self.groups for attribute in group.attributes)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """A sentence for each of the A columns."""
        return tuple(self.template.replace("{}", a.phrase) for group in self.groups for a in group.attributes)

    @cached_property
    def group_names(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Columns of each group."""
        result, start = {}, 0
        for group in self.groups:
            result[group.name] = slice(start, start + len(group.attributes))
            start += len(group.attributes)
        return result

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Where groups begin, and A at the end."""
        return (0, *(part.stop for part in self.slices.values()))

    @cached_property
    def temperatures(self) -> np.ndarray:
        """(A,) float32: the temperature of each column's group."""
        return np.array([g.temperature for g in self.groups for _ in g.attributes], dtype=np.float32)

    @cached_property
    def priors(self) -> np.ndarray:
        """(A,) float32: the prior of each column, 0 where its group has none."""
        return np.array([p for g in self.groups for p in g.prior or [0.0] * len(g.attributes)], dtype=np.float32)

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Names of the groups that describe a personal trait."""
        return tuple(group.name for group in self.groups if group.sensitive)

    def __getitem__(self, name: str) -> Group:
        for group in self.groups:
            if group.name == name:
                return group
        raise SchemaError(unknown_group(self, name))

    def without(self, names: Iterable[str]) -> Schema:
        """The schema less these groups; `sensitive` stands for all sensitive ones."""
        dropped = set(names)
        if "sensitive" in dropped:
            dropped = (dropped - {"sensitive"}) | set(self.sensitive)
        for name in sorted(dropped):
            if name not in self.group_names:
                raise SchemaError(unknown_group(self, name))
        return dataclasses.replace(self, groups=tuple(g for g in self.groups if g.name not in dropped))

    def without_priors(self) -> Schema:
        """The schema for people among whom attributes are as common as among those the model was fitted on."""
        return dataclasses.replace(self, groups=tuple(dataclasses.replace(g, prior=()) for g in self.groups))

    def columns(self, part: Schema) -> np.ndarray:
        """(K,) int64: where the columns of `part` lie in this schema."""
        index = {word: i for i, word in enumerate(self.words)}
        return np.array([index[word] for word in part.words], dtype=np.int64)

    @property
    def calibration(self) -> dict[str, Calibration]:
        """The fitted numbers of every group."""
        return {g.name: Calibration(g.temperature, g.below, g.above, g.prior) for g in self.groups}

    def calibrated(self, numbers: Mapping[str, Calibration]) -> Schema:
        """The schema with fitted temperatures, thresholds and priors; groups not named keep theirs."""
        for name in numbers:
            if name not in self.group_names:
                raise SchemaError(unknown_group(self, name))
        groups = (
            dataclasses.replace(group, **numbers[group.name]._asdict()) if group.name in numbers else group
            for group in self.groups
        )
        return dataclasses.replace(self, groups=tuple(groups))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (N, A) float32 of logits (N, A)."""
        scaled = np.clip(logits / self.temperatures + self.priors, -80.0, 80.0)
        return cast(np.ndarray, 1.0 / (1.0 + np.exp(-scaled))).astype(np.float32)

    def shares(self, probabilities: np.ndarray, group: Group) -> np.ndarray:
        """Probabilities of a group's labels, which sum to 1.

        probabilities: (N, A) calibrated. Returns (N, len(group.labels)): 1 - p and p of a binary group; of a one-of
        group the softmax over its logits, so that one choice excludes the others.
        """
        p = np.asarray(probabilities, dtype=np.float64)[:, self.slices[group.name]]
        if group.kind == "binary":
            return np.concatenate([1.0 - p, p], axis=1)
        p = np.clip(p, 1e-9, 1.0 - 1e-9)
        odds = p / (1.0 - p)
        return cast(np.ndarray, odds / odds.sum(axis=1, keepdims=True))

    def labels(self, probabilities: np.ndarray) -> list[dict[str, Decision]]:
        """probabilities: (N, A) as `Recognizer.recognize` returns them. One {group: decision} a row."""
        rows: list[dict[str, Decision]] = [{} for _ in range(len(probabilities))]
        if not rows:
            return rows
        if probabilities.shape[1] != len(self.words):
            raise SchemaError(f"probabilities have {probabilities.shape[1]} columns, the schema {len(self.words)}")
        for group in self.groups:
            shares = self.shares(probabilities, group)
            past = group.clearance(shares)
            named = past.max(axis=1) >= 0
            choices = shares.argmax(axis=1)
            if group.kind == "binary":
                choices = np.where(named, past[:, 1] >= 0, choices)
            for row, choice, clear, share in zip(rows, choices.tolist(), named.tolist(), shares):
                row[group.name] = Decision(group.labels[choice] if clear else None, float(share[choice]))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            "template": self.template,
            "groups": [dataclasses.asdict(g) for g in self.groups],
        }

    @classmethod
    def from_dict(cls, values: object) -> Schema:
        """The inverse of `as_dict`; raises SchemaError for anything else."""
        if not isinstance(values, dict) or not isinstance(values.get("groups"), list):
            raise SchemaError("a schema needs a name and a list of groups")
        return cast(Schema, typed(cls, values, "schema", SchemaError))


def unknown_group(schema: Schema, name: str) -> str:
    close = difflib.get_close_matches(name, schema.group_names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(schema.group_names)}"
    return f"schema {schema.name!r} has no group {name!r}{hint}"


def schema_names() -> tuple[str, ...]:
    """The schemas that come with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def load_schema(source: str | os.PathLike[str]) -> Schema:
    """A schema by name (`mars`, `duke`) or from a YAML file."""
    import yaml

    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = _folder() / f"{source}.yaml"
    if not path.is_file():
        raise SchemaError(
            f"no attribute schema {str(source)!r}; there are {', '.join(schema_names())}, or give a .yaml"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Schema.from_dict(_expanded(values))
    except (SchemaError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path}: {' '.join(str(error).split())}") from error


def _folder() -> Path:
    here = Path(__file__).resolve().parent
    packaged = here / "configs" / "attributes"
    return packaged if packaged.is_dir() else here.parent / "configs" / "attributes"


def _expanded(values: object) -> object:
    """The YAML's short forms in full: a binary group's own word, dynamics' usual half-life."""
    if not isinstance(values, dict) or not isinstance(values.get("groups"), list):
        return values
    groups = []
    for entry in values["groups"]:
        if not isinstance(entry, dict):
            raise SchemaError(f"a group must be a mapping, not {entry!r}")
        group = dict(entry)
        if "present" in group:
            group["attributes"] = [group.pop("present")]
            group.setdefault("kind", "binary")
        group.setdefault("kind", "one-of")
        group.setdefault("half_life", 2.0 if group.get("dynamics") == "dynamic" else 30.0)
        group.setdefault("above", 0.6 if group["kind"] == "binary" else 0.45)
        groups.append(group)
    return {**values, "groups": groups}
