"""Detectors: people in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipeline.detectors.base import Detector
from pipeline.types import SidewalkError

__all__ = ["Detector", "create_detector"]

BackendName = Literal["auto", "onnxruntime", "openvino", "tensorrt", "ultralytics"]


def create_detector(
    model: str | Path = "auto",
    *,
    backend: BackendName = "auto",
    device: str = "auto",
    confidence: float = 0.1,
    iou: float = 0.7,
    image_size: int = 640,
    threads: int | None = None,
    precision: Literal["full", "fast"] = "full",
) -> Detector:
    """A detector by the name of its weights.

    model: `auto` (yolov8n), a name of the zoo, or a `.pt`, `.onnx` or `.engine` file.
    backend: `auto` runs `.pt` weights by PyTorch on a GPU, and exported once to ONNX on a CPU.
    device: `auto`, `cpu`, `cuda` or `cuda:N`.
    image_size: long side of the network's input in pixels, where the model leaves it open.
    threads: CPU threads of ONNX models; PyTorch's are the whole process's, and Ultralytics sets them by itself.
    precision: `fast` lets the hardware use bfloat16, TF32 or FP16; exports that Ultralytics runs keep their own.

    Raises SidewalkError for a model, device or backend that cannot be had.
    """
    from pipeline.zoo import resolve

    path = resolve(model)
    kind = path.suffix.lower()
    if kind not in (".pt", ".onnx", ".engine"):
        raise SidewalkError(f"{path}: detector models are .pt, .onnx or .engine files")
    if backend == "ultralytics" or kind == ".engine" or (kind == ".pt" and _torch_is_better(backend, device)):
        from pipeline.detectors.ultralytics import UltralyticsDetector

        return UltralyticsDetector(
            path, device=device, confidence=confidence, iou=iou, image_size=image_size, precision=precision
        )
    from pipeline.detectors.onnx import OnnxDetector
    from pipeline.detectors.ultralytics import export_onnx

    return OnnxDetector(
        export_onnx(path) if kind == ".pt" else path,
        name=path.stem,
        device=device,
        backend=backend,
        confidence=confidence,
        iou=iou,
        image_size=image_size,
        threads=threads,
        precision=precision,
    )


def _torch_is_better(backend: str, device: str) -> bool:
    """On a GPU PyTorch runs `.pt` weights as they are; on a CPU an exported graph takes half the time."""
    from par_model.graph import cuda_devices

    return backend == "auto" and (device.startswith("cuda") or (device == "auto" and cuda_devices() > 0))
