"""Ultralytics models (AGPL-3.0): run by the package itself, or exported once to ONNX and run without it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from par_model.cache import sha256
from par_model.graph import Precision
from pipeline.detectors.base import person_classes
from pipeline.resources import cache_dir, locked
from pipeline.types import Image, SidewalkError, user_errors

if TYPE_CHECKING:
    import supervision as sv

log = logging.getLogger("sidewalk")

LICENCE = (
    "%s is an Ultralytics model under AGPL-3.0: whoever distributes or serves a program that uses it owes "
    "the users its whole source under that licence, or needs an Enterprise licence; "
    "`--set detector.model=yolox_tiny` does without"
)

MOST_PEOPLE = 1000
"""In a picture; the package's own limit is 300."""

_told: set[str] = set()


class UltralyticsDetector:
    """A `.pt`, `.engine` or `.onnx` file through the package ultralytics.

    precision: `fast` runs `.pt` weights in half precision on a GPU; an export has the one it was made with.
    A `.pt` file is a pickle: load only files you trust. Raises SidewalkError where the device cannot be had.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "auto",
        confidence: float = 0.1,
        iou: float = 0.7,
        image_size: int = 640,
        precision: Precision = "full",
    ) -> None:
        from par_model.runtimes import torch_device

        path = Path(path)
        state_licence(path.stem)
        self._model = _yolo(path)
        with user_errors("detector"):
            place = torch_device(device)
        if path.suffix == ".engine" and place == "cpu":
            raise SidewalkError(f"{path}: a TensorRT engine needs a GPU; use the .pt or .onnx file on a CPU")
        self.name = path.stem
        self.device = f"torch:{place}" if path.suffix == ".pt" else f"ultralytics:{place}"
        self.image_size = image_size
        # Exports are made for batches of one unless told otherwise.
        self._batched = path.suffix == ".pt"
        self._options = {
            "conf": confidence,
            "iou": iou,
            "classes": person_classes(self._model.names, path.name),
            "max_det": MOST_PEOPLE,
            "agnostic_nms": True,  # one who is of two classes is one person
            "device": place,
            "quantize": 16 if precision == "fast" and place.startswith("cuda") else None,
            "verbose": False,
        }

    def detect(self, images: Sequence[Image]) -> list[sv.Detections]:
        """People of each picture: xyxy in float32 pixels, confidence, class_id 0; best first."""
        found: dict[int, sv.Detections] = {}
        # Pictures of several sizes in one call would all be padded to a square, and give other boxes than alone.
        alike = {index: image.shape if self._batched else index for index, image in enumerate(images)}
        for kind in dict.fromkeys(alike.values()):
            together = [index for index in alike if alike[index] == kind]
            pictures = [images[index] for index in together]
            results = self._model.predict(pictures, imgsz=self.image_size, **self._options)
            found |= {index: _detections(result) for index, result in zip(together, results)}
        return [found[index] for index in range(len(images))]

    def close(self) -> None:
        self._model = None


def export_onnx(weights: Path) -> Path:
    """The weights as an ONNX graph with open batch, height and width, exported once into the user's cache.

    The cached name holds the weights' SHA-256 and the exporter's version, so later calls need neither
    ultralytics nor torch. Raises SidewalkError where the export is impossible.
    """
    state_licence(weights.stem)
    try:
        version = importlib.metadata.version("ultralytics")
    except importlib.metadata.PackageNotFoundError as error:
        raise _missing("ultralytics") from error
    folder = cache_dir("exports")
    target = folder / f"{weights.stem}-{sha256(weights)[:16]}-ultralytics-{version}.onnx"
    if target.is_file():
        return target
    with locked(target):
        if not target.is_file():
            log.info("exporting %s to ONNX, once", weights.name)
            with tempfile.TemporaryDirectory(dir=folder, prefix=f".{weights.stem}-") as scratch:
                # The exporter writes beside the weights, which may lie where nothing may be written.
                copy = Path(shutil.copy(weights, Path(scratch) / weights.name))
                os.replace(_export(copy), target)
    return target


def state_licence(name: str) -> None:
    """Tells what the licence means, once a process and model."""
    if name not in _told:
        _told.add(name)
        log.info(LICENCE, name)


def _export(weights: Path) -> Path:
    if importlib.util.find_spec("onnx") is None:
        raise _missing("onnx")
    model = _yolo(weights)
    from ultralytics.utils import LOGGER

    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            return Path(model.export(format="onnx", dynamic=True, simplify=False, device="cpu", verbose=False))
    except Exception as error:  # the exporter raises whatever its many back ends raise
        raise SidewalkError(
            f"{weights.name}: could not be exported to ONNX ({error}); set detector.backend: ultralytics"
        ) from error
    finally:
        LOGGER.setLevel(level)


def _yolo(path: Path) -> Any:
    """The model, with the package kept from installing others by itself."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    try:
        from ultralytics import YOLO  # type: ignore[attr-defined, unused-ignore]
    except ImportError as error:
        raise _missing("ultralytics") from error
    try:
        return YOLO(str(path), task="detect")
    except Exception as error:  # a broken file fails in torch, pickle or zipfile
        raise SidewalkError(f"{path}: not a model that ultralytics can load ({_first_line(error)})") from error


def _detections(result: Any) -> sv.Detections:
    import supervision as sv

    boxes = result.boxes.cpu().numpy()
    rows = np.column_stack([boxes.xyxy, boxes.conf]).astype(np.float32)
    rows = rows[np.isfinite(rows).all(axis=1)]  # low precision overflows
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return sv.Detections(xyxy=rows[:, :4], confidence=rows[:, 4], class_id=np.zeros(len(rows), dtype=int))


def _missing(package: str) -> SidewalkError:
    return SidewalkError(
        f"Ultralytics models need the package {package}, which is not installed; pip install {package}, "
        "or set detector.model to an ONNX model, e.g. yolox_tiny"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
