"""What runs the model: PyTorch, or exported graphs on ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from par_model.features import CropFeature
from par_model.graph import Backend as GraphBackend
from par_model.graph import DeviceError, Graph, parse_device
from par_model.model import VTFPAR
from par_model.preprocess import Normalise

Storage = Literal["auto", "fp32", "fp16"]
Window = Sequence[CropFeature]


class Runtime(Protocol):
    """The two halves of the model on some device."""

    device: str
    backend: str

    def encode(self, crops: np.ndarray) -> list[CropFeature]:
        """crops: (B, H, W, 3) uint8 BGR."""

    def decide(self, windows: Sequence[Window], columns: np.ndarray) -> np.ndarray:
        """windows: B of 1 to T features, oldest first; columns: (K,) int64. Returns logits (B, K) float32."""


class TorchRuntime:
    """PyTorch. On a GPU linears and convolutions run in half precision, norms and softmax in fp32."""

    backend = "torch"

    def __init__(self, model: VTFPAR, device: str = "auto", storage: Storage = "auto") -> None:
        self.device = torch_device(device)
        self._cuda = self.device.startswith("cuda")
        self._half = storage == "fp16" or (storage == "auto" and self._cuda)
        self._model = model.eval().to(self.device)
        self._normalise = Normalise(model.config).to(self.device)
        if self._cuda:
            for module in self._model.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    module.half()

    @torch.inference_mode()
    def encode(self, crops: np.ndarray) -> list[CropFeature]:
        images = torch.from_numpy(crops).to(self.device)
        with torch.autocast("cuda", torch.float16, enabled=self._cuda):
            encoded = self._model.encode(self._normalise(images))
            appearance = self._model.appearance(encoded.later).float().cpu().numpy()
        parts = [tensor.to(torch.float16 if self._half else torch.float32) for tensor in encoded]
        if self._cuda:
            # Copies, because a view of one crop would keep the whole batch in memory.
            rows = zip(*parts, appearance)
            return [CropFeature(t.clone(), f.clone(), s.clone(), vector.copy()) for t, f, s, vector in rows]
        return split_features([part.numpy() for part in parts], appearance)

    @torch.inference_mode()
    def decide(self, windows: Sequence[Window], columns: np.ndarray) -> np.ndarray:
        chosen = torch.from_numpy(columns).to(self.device)
        logits = np.empty((len(windows), len(columns)), dtype=np.float32)
        lengths = np.array([len(window) for window in windows])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            same = [windows[int(row)] for row in rows]
            tokens = self._stack([[f.tokens for f in window] for window in same])
            first = self._stack([[window[0].first] for window in same])[:, 0]
            if length > 1:
                later = self._stack([[f.later for f in window[1:]] for window in same])
            else:
                later = first.new_empty(len(same), 0, *first.shape[1:])
            with torch.autocast("cuda", torch.float16, enabled=self._cuda):
                logits[rows] = self._model.decide(tokens, first, later, columns=chosen).float().cpu().numpy()
        return logits

    def _stack(self, rows: Sequence[Sequence[object]]) -> Tensor:
        """(B, T, ...) float32 on the device."""
        flat = [part for row in rows for part in row]
        if isinstance(flat[0], Tensor):
            stacked = torch.stack(cast(list[Tensor], flat)).to(self.device)
        else:
            stacked = torch.from_numpy(np.stack(cast(list[np.ndarray], flat))).to(self.device)
        return stacked.float().view(len(rows), len(rows[0]), *stacked.shape[1:])


class GraphRuntime:
    """Exported graphs. Windows shorter than the graph's are padded and masked, so all lengths share a batch."""

    def __init__(self, encoder: Graph, head: Graph, storage: Storage = "auto") -> None:
        self.encoder, self.head = encoder, head
        self.device, self.backend = encoder.device, encoder.backend
        self._feeds = np.float16 if head.metadata.get("precision") == "fp16" else np.float32
        self._keeps = np.float16 if storage == "fp16" else self._feeds
        frames = head.inputs["tokens"][1]
        if frames is None:
            raise ValueError(f"{head.path.name}: its window has no fixed length; export it again")
        self.frames = frames

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str,
        backend: GraphBackend,
        threads: int | None,
        storage: Storage,
    ) -> GraphRuntime:
        encoder = Graph.load(folder / "frame_encoder.onnx", device, backend, threads)
        head = Graph.load(folder / "clip_head.onnx", device, backend, threads)
        return cls(encoder, head, storage)

    def encode(self, crops: np.ndarray) -> list[CropFeature]:
        out = self.encoder.run({"crops": crops})
        parts = [out[name].astype(self._keeps, copy=False) for name in ("tokens", "first", "later")]
        return split_features(parts, out["appearance"])

    def decide(self, windows: Sequence[Window], columns: np.ndarray) -> np.ndarray:
        lengths = np.array([len(window) for window in windows], dtype=np.int64)
        sample = windows[0][0]
        tokens = np.zeros((len(windows), self.frames, *sample.tokens.shape), dtype=self._feeds)
        first = np.empty((len(windows), *sample.first.shape), dtype=self._feeds)
        later = np.zeros((len(windows), self.frames - 1, *sample.later.shape), dtype=self._feeds)
        for i, window in enumerate(windows):
            first[i] = window[0].first
            for t, feature in enumerate(window):
                tokens[i, t] = feature.tokens
                if t > 0:
                    later[i, t - 1] = feature.later
        feeds = {"tokens": tokens, "first": first, "later": later, "lengths": lengths, "columns": columns}
        return self.head.run(feeds)["logits"].astype(np.float32, copy=False)


class MirrorRuntime:
    """Another runtime, asked twice: of every crop and of its mirror image, which has the same attributes.

    The two answers' logits are averaged, and their appearances: at twice the cost, what hung on chance counts less.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.device, self.backend = runtime.device, runtime.backend

    def encode(self, crops: np.ndarray) -> list[CropFeature]:
        straight = self._runtime.encode(crops)
        mirrored = self._runtime.encode(np.ascontiguousarray(crops[:, :, ::-1]))
        features = []
        for one, other in zip(straight, mirrored):
            both = one.appearance + other.appearance
            both /= max(float(np.linalg.norm(both)), 1e-12)
            features.append(replace(one, mirrored=other, appearance=both))
        return features

    def decide(self, windows: Sequence[Window], columns: np.ndarray) -> np.ndarray:
        mirrored = [[cast(CropFeature, feature.mirrored) for feature in window] for window in windows]
        logits: np.ndarray = (self._runtime.decide(windows, columns) + self._runtime.decide(mirrored, columns)) / 2
        return logits


def split_features(parts: Sequence[np.ndarray], appearance: np.ndarray) -> list[CropFeature]:
    """One feature a row of batched tokens, first, later and appearance; each owns its memory."""
    rows = zip(*parts, appearance)
    return [CropFeature(t.copy(), f.copy(), s.copy(), vector.copy()) for t, f, s, vector in rows]


def torch_device(device: str) -> str:
    """`cpu` or `cuda:N` for a request of auto, cpu, cuda or cuda:N; DeviceError where it cannot be had."""
    kind, number = parse_device(device)
    count = torch.cuda.device_count() if kind != "cpu" and torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and count == 0):
        return "cpu"
    if number >= count:
        raise DeviceError(f"device {device} cannot be had: PyTorch sees {count or 'no'} GPU; set device: cpu")
    return f"cuda:{number}"
