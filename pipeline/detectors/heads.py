"""The output layouts of detection networks: recognised by shape, decoded to scored boxes of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.types import SidewalkError

STRIDES = (8, 16, 32)

Decode = Callable[[np.ndarray, tuple[int, int], list[int], float], np.ndarray]
"""(one picture's output, input height and width, numbers of the classes of people, least score) ->
(K, 5) as x1 y1 x2 y2 in input pixels and score, in no particular order."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a family of networks is fed and read.

    rgb, scale: colour order, and the factor on 0..255; centred: where the letterboxed picture lies;
    needs_nms: whether one person may be reported several times.
    """

    name: str
    decode: Decode
    rgb: bool
    scale: float
    centred: bool
    needs_nms: bool


def recognise(output: tuple[int, ...], size: tuple[int, int]) -> Head:
    """The head that gives an output of this shape for an input of `size` (height, width).

    YOLOv8 and YOLO11 give (B, 4 + classes, cells), YOLO26 (B, 300, 6), YOLOX (B, cells, 5 + classes).
    Raises SidewalkError for any other shape.
    """
    cells = sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)
    if len(output) == 3:
        if output[2] == cells and output[1] > 4:
            return YOLO
        if output[1] == cells and output[2] > 5:
            return YOLOX
        if output[2] == 6:
            return END_TO_END
    raise SidewalkError(
        f"output {output} for an input of {size[1]}x{size[0]} is none of YOLOv8/11 (B, 4+classes, {cells}), "
        f"YOLO26 (B, N, 6) or YOLOX (B, {cells}, 5+classes); export the model without extra outputs"
    )


def _decode_yolo(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are centre x, centre y, width, height, then a score a class; columns are cells."""
    classes = output[4:]
    columns = output[:, classes[people].max(axis=0) > confidence]
    columns = columns[:, np.isin(columns[4:].argmax(axis=0), people)]
    return _from_centre(columns[:4].T, columns[4:].max(axis=0))


def _decode_yolox(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are cells: offset of the centre and logarithm of the size in strides, objectness, class scores."""
    scores = output[:, 4] * output[:, 5:][:, people].max(axis=1)
    chosen = np.flatnonzero(scores > confidence)
    chosen = chosen[np.isin(output[chosen, 5:].argmax(axis=1), people)]
    cells = np.concatenate([_cells(size, stride) for stride in STRIDES])[chosen]
    corner, stride = cells[:, :2], cells[:, 2:]
    centres = (output[chosen, :2] + corner) * stride
    return _from_centre(np.hstack([centres, np.exp(output[chosen, 2:4]) * stride]), scores[chosen])


def _decode_end_to_end(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are x1 y1 x2 y2, score, class, one a person already."""
    chosen = (output[:, 4] > confidence) & np.isin(output[:, 5].astype(int), people)
    rows: np.ndarray = output[chosen, :5]
    return rows


def _cells(size: tuple[int, int], stride: int) -> np.ndarray:
    """(cells, 3): column, row and stride of each cell of one level, row by row."""
    rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
    return np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1).astype(np.float32)


def _from_centre(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(K, 4) as centre x, centre y, width, height and (K,) -> (K, 5) as x1 y1 x2 y2 score."""
    half = boxes[:, 2:] / 2
    return np.column_stack([boxes[:, :2] - half, boxes[:, :2] + half, scores])


YOLO = Head("yolo", _decode_yolo, rgb=True, scale=1 / 255, centred=True, needs_nms=True)
END_TO_END = Head("yolo-end2end", _decode_end_to_end, rgb=True, scale=1 / 255, centred=True, needs_nms=False)
YOLOX = Head("yolox", _decode_yolox, rgb=False, scale=1.0, centred=False, needs_nms=True)
