"""The output layouts of detection networks: recognised by what they give, decoded to scored boxes of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.types import SidewalkError

STRIDES = (8, 16, 32)
LARGEST_LOGARITHM = 10.0
"""Of a size in strides; e^10 strides are wider than any picture, and what is larger is a size in pixels."""

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


def recognise(output: np.ndarray, size: tuple[int, int]) -> Head:
    """The head that gives this output for a blank input of `size` (height, width).

    YOLOv8 and YOLO11 give (B, 4 + classes, cells), YOLO26 (B, 300, 6), YOLOX (B, cells, 5 + classes), the latter
    as logarithms of sizes, or in pixels where it was exported with `--decode_in_inference`.
    Raises SidewalkError for any other shape.
    """
    shape, cells = output.shape, count_cells(size)
    if len(shape) == 3:
        if shape[2] == cells and shape[1] > 4:
            return YOLO
        if shape[1] == cells and shape[2] > 5:
            return YOLOX_PIXELS if output[..., 2:4].max() > LARGEST_LOGARITHM else YOLOX
        if shape[2] == 6:
            return END_TO_END
    raise SidewalkError(
        f"output {shape} for an input of {size[1]}x{size[0]} is none of YOLOv8/11 (B, 4+classes, {cells}), "
        f"YOLO26 (B, N, 6) or YOLOX (B, {cells}, 5+classes); export the model without extra outputs"
    )


def count_cells(size: tuple[int, int]) -> int:
    """Places of an input of `size` (height, width) in pixels at each of which a network looks for a box."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)


def _decode_yolo(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are centre x, centre y, width, height, then a score a class; columns are cells."""
    classes = output[4:]
    columns = output[:, classes[people].max(axis=0) > confidence]
    columns = columns[:, np.isin(columns[4:].argmax(axis=0), people)]
    return _from_centre(columns[:4].T, columns[4:].max(axis=0))


def _decode_yolox(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are cells: offset of the centre and logarithm of the size in strides, objectness, class scores."""
    chosen, scores = _cells_of_people(output, people, confidence)
    cells = np.concatenate([_cells(size, stride) for stride in STRIDES])[chosen]
    corner, stride = cells[:, :2], cells[:, 2:]
    centres = (output[chosen, :2] + corner) * stride
    return _from_centre(np.hstack([centres, np.exp(output[chosen, 2:4]) * stride]), scores)


def _decode_yolox_pixels(output: np.ndarray, size: tuple[int, int], people: list[int], confidence: float) -> np.ndarray:
    """Rows are centre x, centre y, width, height, objectness, class scores."""
    chosen, scores = _cells_of_people(output, people, confidence)
    return _from_centre(output[chosen, :4], scores)


def _cells_of_people(output: np.ndarray, people: list[int], confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of YOLOX, (cells, 5 + classes), that are people, and their scores; (K,) both."""
    scores = output[:, 4] * output[:, 5:][:, people].max(axis=1)
    chosen = np.flatnonzero(scores > confidence)
    chosen = chosen[np.isin(output[chosen, 5:].argmax(axis=1), people)]
    return chosen, scores[chosen]


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
YOLOX_PIXELS = replace(YOLOX, name="yolox-pixels", decode=_decode_yolox_pixels)
