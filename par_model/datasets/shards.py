"""Generated tracklets: tar shards of `<key>.<n>.jpg` pictures, `<key>.parts.png` maps and `<key>.json` labels."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from par_model.datasets.labels import LabelCoder
from par_model.datasets.tracklets import DatasetError, Picture, Problems, Tracklet, TrackletSet
from par_model.schema import Schema


def shard_paths(sources: Sequence[Path]) -> list[Path]:
    """The shards meant: files as given, every *.tar of a folder, in the order of their names."""
    found: list[Path] = []
    for source in sources:
        found += sorted(source.glob("*.tar")) if source.is_dir() else [source]
    if not found:
        raise DatasetError(f"no *.tar shards in {', '.join(map(str, sources))}; generate some with tools/synthesize.py")
    return found


def read_shards(sources: Sequence[Path], schema: Schema, *, strict: bool = False) -> TrackletSet:
    """Every tracklet of the shards. Pictures are not decoded: each is remembered by its place in the tar.

    Groups that the schema does not have are ignored. Raises DatasetError where no tracklet can be read.
    """
    problems = Problems(strict)
    coder = LabelCoder(schema)
    found: list[Tracklet] = []
    for path in shard_paths(sources):
        try:
            found += _read_shard(path, coder, problems)
        except (OSError, tarfile.TarError) as error:
            problems.add("unreadable shard", f"{path}: {error}")
    if not found:
        raise DatasetError(f"no readable tracklet in {', '.join(map(str, sources))} ({problems.told() or 'empty'})")
    return TrackletSet(schema, found, problems)


def _read_shard(path: Path, coder: LabelCoder, problems: Problems) -> list[Tracklet]:
    pictures: dict[str, dict[int, Picture]] = {}
    labels: dict[str, bytes] = {}
    parts: dict[str, Picture] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, rest = member.name.partition(".")
            number, _, suffix = rest.partition(".")
            if rest == "json":
                content = tar.extractfile(member)
                labels[key] = content.read() if content else b""
            elif rest == "parts.png":
                parts[key] = Picture(path, member.offset_data, member.size)
            elif suffix == "jpg" and number.isdigit():
                pictures.setdefault(key, {})[int(number)] = Picture(path, member.offset_data, member.size)
            else:
                problems.add("unknown file name", f"{path.name}: {member.name}")
    found: list[Tracklet] = []
    for key, text in labels.items():
        frames = pictures.pop(key, {})
        if not frames:
            problems.add("label without tracklet", f"{path.name}: {key} has no pictures")
            continue
        try:
            attributes = dict(json.loads(text)["attributes"])
            if attributes and not attributes.keys() & set(coder.schema.group_names):
                raise ValueError(f"schema {coder.schema.name!r} has none of its groups {', '.join(attributes)}")
            values = coder.encode_words(attributes)
        except (ValueError, KeyError, TypeError) as error:
            problems.add("unknown value", f"{path.name}: {key}.json: {error}")
            continue
        ordered = tuple(frames[number] for number in sorted(frames))
        found.append(Tracklet(key, ordered, values, parts=parts.get(key)))
    for key in pictures:
        problems.add("tracklet without label", f"{path.name}: {key} has no .json")
    return found
