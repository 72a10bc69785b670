"""Shards: tar files of tracklets that appear only when complete, so that a generation can be stopped and resumed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from par_model.datasets.parts import encode_maps
from par_model.synthesis.tracklets import Tracklet

SHARD_SIZE = 250


def shard_path(folder: Path, seed: int, number: int) -> Path:
    """Where shard `number` of a seed belongs."""
    return folder / f"tracklets-{seed}-{number:04d}.tar"


def write_shard(path: Path, tracklets: Iterable[Tracklet]) -> None:
    """Write a whole shard beside its place and move it there when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        for tracklet in tracklets:
            for number, frame in enumerate(tracklet.frames):
                _add(tar, f"{tracklet.key}.{number}.jpg", frame)
            _add(tar, f"{tracklet.key}.parts.png", encode_maps(tracklet.parts))
            _add(tar, f"{tracklet.key}.json", json.dumps(tracklet.label, separators=(",", ":")).encode())
    partial.replace(path)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # No time stamps or owners: the same seed gives the same bytes.
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def read_labels(path: Path) -> list[dict[str, object]]:
    """The label objects of a shard, in order."""
    with tarfile.open(path) as tar:
        found = []
        for member in tar:
            if member.name.endswith(".json"):
                content = tar.extractfile(member)
                assert content is not None
                found.append(json.loads(content.read()))
    return found


def read_frames(path: Path, frame: int, limit: int) -> list[tuple[str, bytes, dict[str, object]]]:
    """Up to `limit` tracklets of a shard: key, JPEG bytes of one frame, label object."""
    pictures: dict[str, bytes] = {}
    found = []
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            key, _, rest = member.name.partition(".")
            if rest == f"{frame}.jpg":
                pictures[key] = content.read()
            elif rest == "json":
                found.append((key, pictures[key], json.loads(content.read())))
                if len(found) >= limit:
                    break
    return found
