"""The native checkpoint: one safetensors file that holds weights, sizes, schema and how it was made."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from par_model.config import ModelConfig
from par_model.errors import CheckpointError, SchemaError
from par_model.model import VTFPAR, build
from par_model.schema import Schema

FORMAT = "sidewalk-vtfpar"
VERSION = "1"
LEFTOVER = "leftover."


def save(
    model: VTFPAR,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, object] | None = None,
    half: bool = False,
) -> None:
    """Write a model to one file, which appears whole or not at all.

    metadata: JSON values kept beside what the model carries, such as a training summary.
    half: store the weights in fp16, at half the size (batch statistics and text features stay fp32).
    """
    from safetensors.torch import save_file

    keep = ("text_features", "appearance_", "head.")
    tensors = {}
    for name, tensor in model.state_dict().items():
        narrow = half and tensor.is_floating_point() and not name.startswith(keep) and ".running_" not in name
        tensors[name] = tensor.detach().cpu().to(torch.float16 if narrow else tensor.dtype).contiguous()
    tensors |= {LEFTOVER + name: tensor.detach().cpu().contiguous() for name, tensor in model.leftovers.items()}
    model.fingerprint = f"{_crc32(tensors):08x}"
    header = describe(model)
    header["metadata"] = json.dumps(model.metadata | dict(metadata or {}))
    partial = Path(f"{os.fspath(path)}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, partial, metadata=header)
    partial.replace(path)


def describe(model: VTFPAR) -> dict[str, str]:
    """What a file made from a model says about it, as the strings its header holds."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": json.dumps(model.config.as_dict()),
        "schema": json.dumps(model.schema.as_dict()),
        "metadata": json.dumps(model.metadata),
        "crc32": model.fingerprint,
    }


def load(path: str | os.PathLike[str]) -> VTFPAR:
    """A model in evaluation mode from a native checkpoint, its tower frozen.

    Raises CheckpointError, one line, for a file that is missing, damaged, of another kind or version, or whose
    tensors do not fit its own description or are not finite.
    """
    header, tensors = read(path)
    try:
        return _assemble(header, tensors)
    except (CheckpointError, SchemaError, RecursionError) as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Checked header (see `parse_header`) and tensors of a native checkpoint."""
    name = os.fspath(path)
    header = read_header(path)
    with _opened(name) as file:
        try:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
        except Exception as error:  # the reader raises many kinds for a bad file
            raise CheckpointError(f"{name} is damaged ({_line(error)})") from error
    if header.get("crc32") != f"{_crc32(tensors):08x}":
        raise CheckpointError(f"{name} is damaged: its tensors do not match their checksum; fetch it again")
    return header, tensors


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Header of a native checkpoint, without its tensors."""
    name = os.fspath(path)
    if not Path(name).is_file():
        raise CheckpointError(f"{name}: there is no such checkpoint")
    with open(name, "rb") as raw:
        start = raw.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise CheckpointError(f"{name} is a PyTorch pickle; convert it once with tools/convert_openpar.py")
    with _opened(name) as file:
        return parse_header(file.metadata() or {}, name)


def parse_header(header: Mapping[str, str], name: str) -> dict[str, Any]:
    """Config, schema and metadata parsed from JSON, in a header of this format and version.

    name: of the file, for the error. Raises CheckpointError.
    """
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{name} is no attribute model of this project")
    if header.get("version") != VERSION:
        version = str(header.get("version"))[:20]
        raise CheckpointError(f"{name} has format version {version}; this release reads version {VERSION}")
    parsed: dict[str, Any] = dict(header)
    for part in ("config", "schema", "metadata"):
        try:
            parsed[part] = json.loads(header[part])
        except (KeyError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{name} is damaged: its {part} cannot be read") from error
    if not isinstance(parsed["metadata"], dict):
        raise CheckpointError(f"{name} is damaged: its metadata is not a mapping")
    return parsed


def _opened(name: str) -> Any:
    from safetensors import safe_open

    try:
        return safe_open(name, framework="pt")
    except Exception as error:  # the reader raises many kinds for a bad file
        raise CheckpointError(f"{name} is damaged or no safetensors file ({_line(error)})") from error


def _assemble(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> VTFPAR:
    config = ModelConfig.from_dict(header["config"])
    schema = Schema.from_dict(header["schema"])
    with torch.device("meta"):  # no memory is spent on sizes that the tensors may not bear out
        model = build(config, schema, torch.empty(config.attributes, config.text_width))
    expected = model.state_dict()
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith(LEFTOVER)}
    problem = misfit(expected, state)
    if problem:
        raise CheckpointError(problem)
    wide = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for name, tensor in wide.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"tensor {name} has values that are not finite")
    model.load_state_dict(wide, assign=True)
    model.backbone.freeze(True)
    model.metadata = dict(header["metadata"])
    model.fingerprint = header["crc32"]
    model.leftovers = {n.removeprefix(LEFTOVER): t for n, t in tensors.items() if n.startswith(LEFTOVER)}
    return model.eval()


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """One line on the first tensor that is missing, unknown or of another shape or kind; None if all fit."""
    for name, tensor in expected.items():
        if name not in found:
            return f"tensor {name} is missing"
        if tuple(found[name].shape) != tuple(tensor.shape):
            return f"tensor {name} is {tuple(found[name].shape)}; its description says {tuple(tensor.shape)}"
        if found[name].is_floating_point() != tensor.is_floating_point():
            return f"tensor {name} is {found[name].dtype}; expected {tensor.dtype}"
    unknown = [name for name in found if name not in expected]
    return f"tensor {unknown[0]} has no place in the model" if unknown else None


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.contiguous().view(-1).view(torch.uint8).numpy().data, total)
    return total


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
