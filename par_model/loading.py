"""Which runtime a recogniser gets: a checkpoint in PyTorch, or proven graphs that lie beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from par_model.checkpoint import load, parse_header, read_header
from par_model.config import ModelConfig
from par_model.errors import CheckpointError, ParityError, SchemaError
from par_model.graph import Backend as GraphBackend
from par_model.graph import DeviceError, GraphError
from par_model.parity import check_parity
from par_model.runtimes import GraphRuntime, Runtime, Storage, TorchRuntime, torch_device
from par_model.schema import Schema

Backend = Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"]

log = logging.getLogger("sidewalk")


def checkpoint_path(path: str | os.PathLike[str]) -> Path:
    """The path itself; of `default`, where the weights that ship lie."""
    if os.fspath(path) == "default":
        return Path(__file__).resolve().parent / "weights" / "default.safetensors"
    return Path(path)


def load_runtime(
    path: str | os.PathLike[str],
    device: str,
    *,
    backend: Backend,
    threads: int | None,
    storage: Storage,
    unproven: bool,
) -> tuple[Runtime, ModelConfig, Schema]:
    """See `Recognizer.load`. Graphs of `NAME.safetensors` lie in the folder `NAME` beside it."""
    checkpoint = checkpoint_path(path)
    if checkpoint.is_dir():
        if backend == "torch":
            raise CheckpointError(f"{checkpoint} holds graphs; give the .safetensors checkpoint to run PyTorch")
        return load_graphs(checkpoint, device, backend, threads, storage, unproven)
    header = read_header(checkpoint)
    folder = checkpoint.with_suffix("")
    if backend != "auto" and backend != "torch":
        if not folder.is_dir():
            raise CheckpointError(
                f"{checkpoint} has no graphs beside it for {backend}; run tools/export_onnx.py {checkpoint} -o {folder}"
            )
        return load_graphs(folder, device, backend, threads, storage, unproven, header)
    if backend == "auto" and folder.is_dir() and torch_device(device) == "cpu":
        try:
            return load_graphs(folder, "cpu", "auto", threads, storage, unproven, header)
        except (CheckpointError, DeviceError, GraphError, ParityError, SchemaError) as error:
            log.warning("%s; PyTorch runs %s instead", error, checkpoint.name)
    model = load(checkpoint)
    if threads is not None and torch_device(device) == "cpu":
        import torch

        torch.set_num_threads(threads)
    return TorchRuntime(model, device, storage), model.config, model.schema


def load_graphs(
    folder: Path,
    device: str,
    backend: GraphBackend,
    threads: int | None,
    storage: Storage,
    unproven: bool,
    checkpoint: Mapping[str, Any] | None = None,
) -> tuple[Runtime, ModelConfig, Schema]:
    """checkpoint: header of the one that the graphs must come from; its schema counts, as its thresholds and priors may
    have been fitted anew.
    """
    runtime = GraphRuntime.load(folder, device, backend, threads, storage)
    encoder, head = runtime.encoder, runtime.head
    if not unproven:
        check_parity(folder, f"{runtime.backend}-{runtime.device.partition(':')[0]}")
    header = parse_header(encoder.metadata, str(encoder.path))
    wanted = checkpoint or header
    if not head.metadata.get("crc32") == header.get("crc32") == wanted.get("crc32"):
        raise CheckpointError(f"{folder} holds graphs of other weights; run tools/export_onnx.py again")
    config, schema = ModelConfig.from_dict(header["config"]), Schema.from_dict(wanted["schema"])
    if schema.words != Schema.from_dict(header["schema"]).words:
        raise CheckpointError(f"{folder} holds graphs for other attributes; run tools/export_onnx.py again")
    return runtime, config, schema
