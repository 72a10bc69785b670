"""Settings in YAML as typed models: single changes by `key.sub=value`, and mistakes told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

LONGEST_SHOWN = 60


class Section(BaseModel):
    """A block of settings; every key is declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one. Raises ValueError, one line that names the file."""
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot read the configuration ({error.strerror}); check the path") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ValueError(f"{path}:{where} is not valid YAML ({problem})") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: expected 'key: value' lines at the top level, found a {type(tree).__name__}")
    return tree


def change(tree: dict[str, Any], assignment: str) -> None:
    """Apply `key.sub=value` to a tree of settings. Raises ValueError, one line.

    The value is YAML, or text where it is not valid YAML; a number among the keys is an index of a list.
    """
    import yaml

    place, equals, text = assignment.partition("=")
    if not equals or not place.strip():
        raise ValueError(f"--set {assignment}: expected key.sub=value, e.g. detector.confidence=0.3")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # the latter for the thirtieth of February
        value = text
    node: Any = tree
    keys: list[Any] = place.strip().split(".")
    for depth, key in enumerate(keys):
        if isinstance(node, list):
            if not key.isdecimal() or int(key) >= len(node):
                raise ValueError(f"--set {assignment}: {key!r} is no index of a list of {len(node)}")
            key = int(key)
        elif not isinstance(node, dict):
            raise ValueError(f"--set {assignment}: '{'.'.join(keys[:depth])}' is a value, not a section")
        if depth == len(keys) - 1:
            node[key] = value
            return
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]


def explain(error: ValidationError, model: type[BaseModel], show: Callable[[str], str] = str) -> str:
    """One line for the first thing wrong: where it stands, what it is, what it might have meant.

    show: makes text of the file fit to be printed.
    """
    # A key that is unknown tells more than the one that is missing for it.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_did_you_mean(first, model)}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = first["input"]
    if isinstance(value, dict | list):
        return f"{key}: {message}"
    text = repr(show(value) if isinstance(value, str) else value)
    return f"{key} is {text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + '...'}; {message}"


def _did_you_mean(first: ErrorDetails, model: type[BaseModel]) -> str:
    known = _keys_at(model, first["loc"][:-1])
    close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known keys here: {', '.join(known)}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section behind an error's place: a field's, or that of a list's items."""
    for part in location:
        if part in model.model_fields:
            model = next(_sections(model.model_fields[str(part)].annotation), model)
    return list(model.model_fields)


def _sections(annotation: Any) -> Any:
    """The section classes an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _sections(inner)
