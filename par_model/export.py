"""ONNX graphs of a model: one a crop, one a window of encoded crops, one of both for whole windows."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from par_model.checkpoint import describe
from par_model.graph import GraphError
from par_model.model import VTFPAR
from par_model.parity import GRAPHS, WHOLE, Parity, Precision, prove
from par_model.preprocess import Normalise

OPSET = 20


class FrameEncoder(nn.Module):
    """uint8 BGR crops (B, H, W, 3) -> tokens, first, later in `dtype` and appearance (see CropFeature)."""

    def __init__(self, model: VTFPAR, dtype: torch.dtype) -> None:
        super().__init__()
        self.normalise, self.model, self.dtype = Normalise(model.config), model, dtype

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        encoded = self.model.encode(self.normalise(crops).to(self.dtype))
        return encoded.tokens, encoded.first, encoded.later, self.model.appearance(encoded.later)


class ClipHead(nn.Module):
    """Windows of encoded crops, padded to the model's frames -> logits of the columns asked for."""

    def __init__(self, model: VTFPAR) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, first: Tensor, later: Tensor, lengths: Tensor, columns: Tensor) -> Tensor:
        return self.model.decide(tokens, first, later, lengths, columns)


class WholeWindow(nn.Module):
    """Normalised frames (B, T, 3, H, W) -> logits (B, A)."""

    def __init__(self, model: VTFPAR, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, frames: Tensor) -> Tensor:
        return self.model(frames.to(self.dtype))  # type: ignore[no-any-return]


def export(
    model: VTFPAR,
    folder: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    crops: Sequence[np.ndarray] = (),
    whole: bool = True,
) -> dict[str, Parity]:
    """Write the graphs of a model to a folder, then prove them (see `prove`).

    Writes `frame_encoder.onnx` and `clip_head.onnx` for streams, `vtfpar.onnx` for whole windows where asked, all of
    dynamic batch, and `parity.json`. precision: fp16 keeps sums within norms and the head in fp32; int8 quantises the
    weights and inputs of matrix products. Graphs of int8 that fail the gate are removed again.
    crops: real BGR crops for the proof, which random ones join. Raises GraphError where the exporter is missing.
    """
    if find_spec("onnxscript") is None:
        raise GraphError("onnxscript is missing, which writes the graphs; pip install '.[export]' in Sidewalk's folder")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parity.json").unlink(missing_ok=True)
    model = model.eval().cpu()
    for name, module, inputs, outputs in _graphs(model, precision, whole):
        _write(module, inputs, outputs, folder / name, describe(model) | {"precision": precision})
        if precision == "int8" and name in GRAPHS:
            _quantise(folder / name)
    parities = prove(model, folder, precision=precision, crops=crops)
    if precision == "int8" and not any(parity.passed for parity in parities.values()):
        for path in folder.glob("*.onnx"):
            path.unlink()
    return parities


def _graphs(
    model: VTFPAR, precision: Precision, whole: bool
) -> Iterator[tuple[str, nn.Module, dict[str, Tensor], tuple[str, ...]]]:
    """(file name, module, example inputs by name, names of outputs)"""
    config, dtype = model.config, torch.float16 if precision == "fp16" else torch.float32
    model = prepared(model, dtype)
    crops = torch.zeros(2, *config.image_size, 3, dtype=torch.uint8)
    yield GRAPHS[0], FrameEncoder(model, dtype), {"crops": crops}, ("tokens", "first", "later", "appearance")
    tokens, taps = config.grid[0] * config.grid[1], len(config.taps)
    inputs = {
        "tokens": torch.zeros(2, config.frames, 1 + tokens, config.side_width, dtype=dtype),
        "first": torch.zeros(2, taps, tokens, config.side_width, dtype=dtype),
        "later": torch.zeros(2, config.frames - 1, taps, tokens, config.side_width, dtype=dtype),
        "lengths": torch.tensor([1, config.frames]),
        "columns": torch.arange(config.attributes),
    }
    yield GRAPHS[1], ClipHead(model), inputs, ("logits",)
    if whole:
        frames = torch.zeros(2, config.frames, 3, *config.image_size)
        yield WHOLE, WholeWindow(model, dtype), {"frames": frames}, ("logits",)


def _write(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: tuple[str, ...],
    path: Path,
    description: dict[str, str],
) -> None:
    import onnx

    batch = torch.export.Dim("batch", min=1, max=4096)
    chosen = torch.export.Dim("columns", min=1, max=4096)
    shapes = {name: {0: chosen if name == "columns" else batch} for name in inputs}
    with warnings.catch_warnings():
        # Two inputs share the axis `batch`, which the exporter thinks worth a warning.
        warnings.filterwarnings("ignore", message="# The axis name")
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes.values()),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    # The exporter notes the source lines, with their paths on this machine, beside every node and value.
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, graph.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in graph.functions:
        for node in function.node:
            node.ClearField("metadata_props")
    onnx.helper.set_model_props(graph, description)
    partial = path.with_suffix(".partial")
    onnx.save(graph, partial)
    partial.replace(path)


@torch.no_grad()
def prepared(model: VTFPAR, dtype: torch.dtype) -> VTFPAR:
    """A copy for export: words embedded once and for all, weights in `dtype` but for the head.

    ONNX sums up the norms of fp16 inputs in fp32.
    """
    ready = copy.deepcopy(model)
    words = ready.fusion.word_embed(ready.text_features)
    ready.fusion.word_embed = nn.Identity()  # type: ignore[assignment]
    ready.to(dtype).head.float()
    ready.text_features = words.to(dtype)
    ready.appearance_center, ready.appearance_scale = model.appearance_center, model.appearance_scale
    return ready


def _quantise(path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The exporter's shapes of values in between contradict those that the quantiser infers.
    graph = onnx.load(path)
    graph.graph.ClearField("value_info")
    onnx.save(graph, path)
    partial = path.with_suffix(".partial")
    products = ["MatMul", "Gemm"]
    quantize_dynamic(path, partial, op_types_to_quantize=products, weight_type=QuantType.QInt8, per_channel=True)
    partial.replace(path)
