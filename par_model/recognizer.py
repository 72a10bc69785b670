"""The recogniser for streams: every crop is encoded once, every window of crops is decided from what was kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from par_model.config import ModelConfig
from par_model.features import CropFeature
from par_model.loading import Backend, load_runtime
from par_model.preprocess import CropBatch
from par_model.runtimes import MirrorRuntime, Runtime, Storage, Window
from par_model.schema import Decision, Schema


class Recognizer:
    """Attributes of people from windows of 1 to `frames` crops, on any runtime.

    schema: what is asked, less what is switched off; frames: longest window; device: `cpu` or `cuda:N`;
    backend: `torch`, `onnxruntime`, `openvino` or `tensorrt`, as chosen.
    """

    def __init__(
        self,
        runtime: Runtime,
        config: ModelConfig,
        schema: Schema,
        *,
        without: Iterable[str] = (),
        batch: int = 32,
    ) -> None:
        """without: groups that are neither computed nor returned (`sensitive` for all sensitive ones).

        batch: crops or windows a run of the model; more are run in turn. A CPU takes as long for a batch as for its
        parts, but its libraries keep memory for every size they have met: there, `batch` is only ever halved.
        """
        self._runtime = runtime
        self.config = config
        self.schema = schema.without(without)
        self.frames = config.frames
        self.device, self.backend = runtime.device, runtime.backend
        self._columns = schema.columns(self.schema)
        self._batch = batch
        self._lock = threading.Lock()  # the buffer of crops is one
        self._crops = CropBatch(config.image_size, config.preprocessing, batch)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] = "default",
        device: str = "auto",
        *,
        backend: Backend = "auto",
        without: Iterable[str] = (),
        threads: int | None = None,
        storage: Storage = "auto",
        batch: int = 32,
        mirror: bool = False,
        unproven: bool = False,
    ) -> Recognizer:
        """A recogniser from a checkpoint, a folder of exported graphs, or `default`, the weights that ship.

        device: `auto`, `cpu`, `cuda` or `cuda:N`; what is asked for and cannot be had is an error.
        backend: `auto` takes, on a CPU, graphs that lie beside the checkpoint and pass their parity check
        (OpenVINO, else ONNX Runtime), and PyTorch otherwise.
        threads: CPU threads, None for the backend's choice. storage: `fp16` halves what a crop keeps; `auto` does so
        on a GPU. mirror: read every crop's mirror image too and average the logits, at twice the cost; not for
        attributes that have a left and a right. unproven: run graphs whose parity check failed or is missing.

        Raises CheckpointError, GraphError, ParityError or DeviceError, each one line.
        """
        runtime, config, schema = load_runtime(
            path, device, backend=backend, threads=threads, storage=storage, unproven=unproven
        )
        if mirror:
            runtime = MirrorRuntime(runtime)
        return cls(runtime, config, schema, without=without, batch=batch)

    def encode(self, crops: Sequence[np.ndarray]) -> list[CropFeature]:
        """crops: BGR uint8 (H, W, 3) of any sizes and number. One feature a crop."""
        features: list[CropFeature] = []
        for part in self._parts(len(crops)):
            with self._lock:
                features += self._runtime.encode(self._crops.fill(crops[part]))
        return features

    def logits(self, sequences: Sequence[Window]) -> np.ndarray:
        """sequences: N windows of 1 to `frames` features, oldest first. Returns (N, A) float32, not calibrated."""
        for i, window in enumerate(sequences):
            if not 1 <= len(window) <= self.frames:
                raise ValueError(f"sequence {i} has {len(window)} crops; this model takes 1 to {self.frames}")
        result = np.empty((len(sequences), len(self._columns)), dtype=np.float32)
        for part in self._parts(len(sequences)):
            result[part] = self._runtime.decide(sequences[part], self._columns)
        return result

    def warm_up(self) -> None:
        """Meet every size of batch there is, so that the first real ones are not slow and memory grows no more."""
        crop = np.zeros((*self.config.image_size, 3), dtype=np.uint8)
        size = self._batch
        while size:
            features = self.encode([crop] * size)
            self.recognize([[feature] * self.frames for feature in features])
            size //= 2

    def _parts(self, count: int) -> Iterator[slice]:
        """The runs of the model that `count` crops or windows take."""
        start, size = 0, self._batch
        while start < count:
            if self.device == "cpu":
                while size > count - start:
                    size //= 2
            yield slice(start, min(start + size, count))
            start += size

    def recognize(self, sequences: Sequence[Window]) -> np.ndarray:
        """sequences: N windows of 1 to `frames` features, oldest first. Returns calibrated probabilities (N, A)."""
        return self.schema.probabilities(self.logits(sequences))

    def labels(self, probabilities: np.ndarray) -> list[dict[str, Decision]]:
        """One {group: (value or None, probability)} a row, by the thresholds stored with the weights."""
        return self.schema.labels(probabilities)
