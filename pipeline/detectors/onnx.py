"""People by a plain ONNX graph of the YOLO or YOLOX families: no Ultralytics at run time."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from par_model.graph import Backend, Graph, Precision
from pipeline.detectors.base import person_classes
from pipeline.detectors.heads import END_TO_END, YOLO, Head, count_cells, recognise
from pipeline.detectors.letterbox import Letterbox
from pipeline.detectors.ultralytics import state_licence
from pipeline.types import Image, SidewalkError, user_errors

if TYPE_CHECKING:
    import supervision as sv

COMPILED_SHAPES = 4
"""Input shapes for which OpenVINO keeps a graph of its own; a folder of pictures may hold hundreds."""


class OnnxDetector:
    """Runs a graph with one image input and one output that `heads` knows.

    A graph with a fixed input takes pictures letterboxed into it. One with open height and width takes the
    smallest rectangle of whole strides with `image_size` on its long side, so a 4:3 picture costs a quarter
    less than a square.

    name: what the run record shows; None is the file's name. iou: overlap above which the weaker of two boxes
    is dropped. Raises SidewalkError for a graph it cannot read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        device: str = "auto",
        backend: Backend = "auto",
        confidence: float = 0.1,
        iou: float = 0.7,
        image_size: int = 640,
        threads: int | None = None,
        precision: Precision = "full",
    ) -> None:
        self._path = Path(path)
        self._threads, self._precision = threads, precision
        with user_errors("detector"):
            self._graph = Graph.load(path, device, backend, threads, precision=precision)
        self.name = name or self._path.stem
        if "AGPL" in self._graph.metadata.get("license", ""):
            state_licence(self.name)
        self.device = f"{self._graph.backend}:{self._graph.device}"
        self._confidence, self._iou, self.image_size = confidence, iou, image_size
        self._input, (batch, _, height, width) = self._image_input()
        self._fixed = (height, width) if height and width else None
        self._batched = batch is None and self._graph.device != "cpu"
        self._stride = int(self._graph.metadata.get("stride", 32))
        names = _class_names(self._graph.metadata)
        self._people = person_classes(names, self._path.name)
        self._classes = len(names)
        self._by_shape: dict[tuple[int, int], Graph] = {}
        self._head, self._least_cells = self._recognise_head()

    def detect(self, images: Sequence[Image]) -> list[sv.Detections]:
        """People of each picture: xyxy in float32 pixels, confidence, class_id 0; best first."""
        boxes = [self._letterbox(image.shape[:2]) for image in images]
        if not self._batched:
            return [self._read(self._infer([image], box)[0], box) for image, box in zip(images, boxes)]
        found: dict[int, sv.Detections] = {}
        for size in dict.fromkeys(box.input for box in boxes):
            together = [index for index, box in enumerate(boxes) if box.input == size]
            outputs = self._infer([images[index] for index in together], *(boxes[index] for index in together))
            found |= {index: self._read(output, boxes[index]) for index, output in zip(together, outputs)}
        return [found[index] for index in range(len(images))]

    def close(self) -> None:
        self._by_shape.clear()

    def _image_input(self) -> tuple[str, tuple[int | None, ...]]:
        """Name and shape (B, 3, H, W) of the graph's only input."""
        inputs = list(self._graph.inputs.items())
        if len(inputs) != 1 or len(inputs[0][1]) != 4 or inputs[0][1][1] not in (3, None):
            raise SidewalkError(
                f"{self._path}: takes {self._graph.inputs}, not one picture (B, 3, H, W); "
                "use a detector exported as YOLO or YOLOX"
            )
        return inputs[0]

    def _recognise_head(self) -> tuple[Head, int]:
        """The head, by what it gives for a small black picture, and the cells that its pictures must have.

        A NMS-free head takes its best 300 cells, as a rule, and fails where there are fewer.
        """
        size = self._fixed or (8 * self._stride, 10 * self._stride)
        blank = np.zeros((1, 3, *size), dtype=np.float32)
        try:
            output = next(iter(self._graph.run({self._input: blank}).values()))
            head = recognise(output, size)
        except (ValueError, SidewalkError) as error:
            raise SidewalkError(f"{self._path}: {error}") from error
        return head, output.shape[1] if head is END_TO_END else 0

    def _letterbox(self, picture: tuple[int, ...]) -> Letterbox:
        height, width = picture[:2]
        if self._fixed is not None:
            return Letterbox.fit((height, width), self._fixed, self._head.centred)
        box = Letterbox.rectangle((height, width), self.image_size, self._stride)
        while count_cells(box.input) < self._least_cells:
            box = Letterbox.rectangle((height, width), max(box.input) + self._stride, self._stride)
        return box

    def _infer(self, images: Sequence[Image], *boxes: Letterbox) -> np.ndarray:
        """The first output, (B, ...), for pictures whose letterboxes have one input size."""
        feed = [box.tensor(image, self._head.rgb, self._head.scale) for image, box in zip(images, boxes)]
        graph = self._graph_for(boxes[0].input)
        tensor = feed[0] if len(feed) == 1 else np.concatenate(feed)
        return graph.run({self._input: tensor})[graph.outputs[0]]

    def _graph_for(self, size: tuple[int, int]) -> Graph:
        """OpenVINO runs a graph compiled for one shape quicker; the first few shapes get theirs."""
        if self._fixed is not None or self._graph.backend != "openvino":
            return self._graph
        if size not in self._by_shape:
            if len(self._by_shape) >= COMPILED_SHAPES:
                return self._graph
            self._by_shape[size] = Graph.load(
                self._path,
                "cpu",
                "openvino",
                self._threads,
                shapes={self._input: (1, 3, *size)},
                precision=self._precision,
            )
        return self._by_shape[size]

    def _read(self, output: np.ndarray, box: Letterbox) -> sv.Detections:
        import supervision as sv

        if self._head is YOLO and self._classes:
            output = output[: 4 + self._classes]  # poses and masks follow the classes
        rows = self._head.decode(output, box.input, self._people, self._confidence)
        rows = rows[np.isfinite(rows).all(axis=1)]  # low precision overflows
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        if self._head.needs_nms or len(self._people) > 1:
            rows = rows[suppressed(rows, self._iou)]
        return sv.Detections(
            xyxy=box.to_picture(rows[:, :4]).astype(np.float32),
            confidence=rows[:, 4].astype(np.float32),
            class_id=np.zeros(len(rows), dtype=int),
        )


def suppressed(rows: np.ndarray, iou: float) -> np.ndarray:
    """Which of (K, 5) boxes with scores, best first, non-maximum suppression leaves; their numbers in order.

    By OpenCV, which is quick enough for all the cells that a crowd lights up.
    """
    import cv2

    if not len(rows):
        return np.zeros(0, dtype=int)
    corner_and_size: Any = np.hstack([rows[:, :2], rows[:, 2:4] - rows[:, :2]]).astype(np.float32)
    scores: Any = rows[:, 4].astype(np.float32)
    kept: Any = cv2.dnn.NMSBoxes(corner_and_size, scores, 0.0, iou)
    return np.sort(np.asarray(kept, dtype=int).ravel())


def _class_names(metadata: dict[str, str]) -> dict[int, str]:
    """The names of the classes as Ultralytics writes them into the file; empty where there are none."""
    try:
        names = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    if isinstance(names, (list, tuple)):
        return dict(enumerate(names))
    return names if isinstance(names, dict) else {}
