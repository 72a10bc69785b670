"""The picture a person looks at: boxes, numbers and a few words, readable on a 360p camera and in 4K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.types import Box, FrameResult, Image, Person
from pipeline.wording import ascii_only, describe

if TYPE_CHECKING:
    import supervision as sv

COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#88CCEE",
    "#AA4499",
    "#DDCC77",
    "#44AA99",
    "#EE6677",
)
"""Told apart with most kinds of colour vision (Okabe and Ito; Tol)."""

LINES = 3
LINE_WIDTH = 26
"""Signs to a line of a label."""
CROWDED = 0.25
"""Share of the picture that labels may take before they lose lines."""

TRACE_FRAMES = 60
HEAD = 0.22
"""Share of a standing body's height, from the top, in which the face is."""
HEAD_WIDTHS = 0.6
"""The same in widths of the box, for bodies of which the picture or a counter cuts the legs off."""
HEAD_MARGIN = 0.05
"""How much further on each side a face is hidden, in widths of the box: boxes are not exact."""

STAY = 0.3
"""How much of a label's area another place must be freer by before the label moves there."""


class Overlay:
    """Draws one camera's results; keeps traces and the places of labels from frame to frame.

    groups: attribute groups to show, None for those a person wants to read. labels: lines for a person,
    instead of groups. trace: the way each came. blur: faces (the top of each box) or whole people, also those who
    have no number yet or were missed for a moment; whom the detector never finds stays as they are.
    """

    def __init__(
        self,
        groups: Sequence[str] | None = None,
        trace: bool = False,
        blur: Literal["none", "face", "person"] = "none",
    ) -> None:
        self._groups = groups
        self._with_trace = trace
        self._blur = blur
        self._styles: dict[int, _Style] = {}
        self._trace: Any = None
        self._sides: dict[int, int] = {}
        self._lines = LINES

    def draw(self, image: Image, result: FrameResult) -> Image:
        """A copy of the picture with everybody in it drawn."""
        scene = image.copy()
        people = sorted(result.people, key=lambda person: person.track)
        detections = FrameResult(result.camera, result.index, result.time, tuple(people)).detections()
        style = self._style(scene.shape[0])
        if self._blur != "none":
            scene = blur(scene, [*(person.box for person in people), *result.others], self._blur == "face")
            # Where in it their faces are is not known.
            scene = blur(scene, result.missed, faces_only=False)
        if self._with_trace:
            scene = self._trace_annotator(style).annotate(scene, detections)
        if not people:
            self._sides.clear()
            return scene
        scene = style.boxes.annotate(scene, detections)
        self._lines = style.lines(len(people), scene.shape, self._lines)
        texts = ["\n".join(style.fit(line, scene.shape[1]) for line in self._text(person)) for person in people]
        places = self._places(people, detections.xyxy, [style.size(text) for text in texts], scene.shape)
        # The annotator puts a label on top of its box's top left corner: it gets the lower edge of each place.
        detections.xyxy = places[:, [0, 3, 2, 3]]
        drawn: Image = style.labels.annotate(scene, detections, labels=texts)
        return drawn

    def _text(self, person: Person) -> list[str]:
        first, *others = [ascii_only(line) for line in describe(person.attributes, self._groups, LINE_WIDTH)] or [""]
        return [f"#{person.track} {first}".rstrip(), *others][: self._lines]

    def _style(self, height: int) -> _Style:
        """The line widths and letters for pictures of one height."""
        if height not in self._styles:
            self._styles[height] = _Style.of(height)
        return self._styles[height]

    def _trace_annotator(self, style: _Style) -> Any:
        import supervision as sv

        if self._trace is None:
            self._trace = sv.TraceAnnotator(
                color=_palette(),
                position=sv.Position.BOTTOM_CENTER,
                trace_length=TRACE_FRAMES,
                thickness=style.thickness,
                color_lookup=sv.ColorLookup.TRACK,
            )
        return self._trace

    def _places(
        self,
        people: Sequence[Person],
        boxes: np.ndarray,
        sizes: Sequence[tuple[int, int]],
        shape: tuple[int, ...],
    ) -> np.ndarray:
        """(N, 4) label rectangles inside the picture that hide as little as possible of labels and people.

        One after the other takes the freest side of its box, and stays there while that is nearly as free.
        """
        sides = {}
        places = np.zeros((0, 4), dtype=np.float32)
        for index, (person, size) in enumerate(zip(people, sizes)):
            candidates = around(boxes[index], size, shape)
            area = size[0] * size[1]
            cost = 6 * overlaps(candidates, places).sum(axis=1) + overlaps(candidates, boxes).sum(axis=1)
            cost = cost / area + 0.03 * np.arange(len(candidates))
            if person.track in self._sides:
                cost[self._sides[person.track]] -= STAY
            side = int(cost.argmin())
            sides[person.track] = side
            places = np.vstack([places, candidates[side]])
        self._sides = sides
        return places


@dataclass(frozen=True, slots=True)
class _Style:
    """The annotators for pictures of one height."""

    thickness: int
    scale: float
    padding: int
    boxes: Any
    labels: Any

    @classmethod
    def of(cls, height: int) -> _Style:
        import supervision as sv

        thickness = max(1, round(height / 480))
        scale = max(0.36, 0.62 * height / 1080)
        padding = max(3, round(10 * scale))
        track = sv.ColorLookup.TRACK
        return cls(
            thickness=thickness,
            scale=scale,
            padding=padding,
            boxes=sv.BoxAnnotator(color=_palette(), thickness=thickness, color_lookup=track),
            labels=sv.LabelAnnotator(
                color=_palette(),
                text_color=_text_palette(),
                text_scale=scale,
                text_thickness=cls.stroke(scale),
                text_padding=padding,
                color_lookup=track,
            ),
        )

    def lines(self, people: int, shape: tuple[int, ...], before: int) -> int:
        """Lines of each label that leave enough of the picture free; more than `before` only with room to spare."""
        budget = CROWDED * shape[0] * shape[1]
        for lines in range(LINES, 1, -1):
            width, height = self.size("\n".join(["x" * LINE_WIDTH] * lines))
            if people * width * height <= budget * (0.7 if lines > before else 1.0):
                return lines
        return 1

    @staticmethod
    def stroke(scale: float) -> int:
        return max(1, round(1.6 * scale))

    def fit(self, line: str, width: int) -> str:
        """As much of a line as has room in a picture `width` pixels wide, at least one sign."""
        while len(line) > 1 and self.size(line)[0] > width:
            line = line[:-1]
        return line

    def size(self, text: str) -> tuple[int, int]:
        """Width and height in pixels of the label the annotator makes of a text."""
        import cv2

        sizes = [
            cv2.getTextSize(row, cv2.FONT_HERSHEY_SIMPLEX, self.scale, self.stroke(self.scale))[0]
            for row in text.splitlines()
        ]
        width = max(width for width, _ in sizes)
        height = sum(height for _, height in sizes) + (len(sizes) - 1) * self.padding
        return width + 2 * self.padding, height + 2 * self.padding


def blur(image: Image, boxes: Sequence[Box] | np.ndarray, faces_only: bool) -> Image:
    """The picture with people, or the top of each where the face is, made unrecognisable. boxes: (N, 4)."""
    import supervision as sv

    if not len(boxes):
        return image
    areas = np.array(boxes, dtype=np.float32)
    if faces_only:
        wide, tall = areas[:, 2] - areas[:, 0], areas[:, 3] - areas[:, 1]
        areas[:, 3] = areas[:, 1] + np.minimum(tall, np.maximum(HEAD * tall, HEAD_WIDTHS * wide))
        areas[:, :2] -= HEAD_MARGIN * wide[:, None]
        areas[:, 2] += HEAD_MARGIN * wide
    limits = np.array([image.shape[1], image.shape[0]] * 2, dtype=areas.dtype)
    areas = areas.clip(0, limits)
    sides = np.minimum(areas[:, 2] - areas[:, 0], areas[:, 3] - areas[:, 1])
    # A kernel as wide as the area leaves little more than its mean colour.
    kernel = max(int(sides.max() * (1.0 if faces_only else 0.5)), 3)
    blurred: Image = sv.BlurAnnotator(kernel_size=kernel).annotate(image, sv.Detections(xyxy=areas))
    return blurred


def around(box: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """(8, 4): where a label of `size` (width, height) may stand at a box, inside the picture, best first.

    Above and below it, flush left or right; to its right and left, flush with its top or its bottom.
    """
    x1, y1, x2, y2 = box
    width, height = size
    above_below = [(x, y) for y in (y1 - height, y2) for x in (x1, x2 - width)]
    beside = [(x, y) for y in (y1, y2 - height) for x in (x2, x1 - width)]
    limit = np.array([max(shape[1] - width, 0), max(shape[0] - height, 0)])
    corners = np.array(above_below + beside).clip(0, limit).round()
    return np.hstack([corners, corners + np.array(size)]).astype(np.float32)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area in pixels that each of (N, 4) shares with each of (M, 4): (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    areas: np.ndarray = (high - low).clip(0).prod(axis=2)
    return areas


def _palette() -> sv.ColorPalette:
    import supervision as sv

    return sv.ColorPalette.from_hex(list(COLOURS))


def _text_palette() -> sv.ColorPalette:
    """Black or white for each colour, whichever stands out (relative luminance of WCAG, without its gamma)."""
    import supervision as sv

    light = [
        0.2126 * int(colour[1:3], 16) + 0.7152 * int(colour[3:5], 16) + 0.0722 * int(colour[5:7], 16) > 115
        for colour in COLOURS
    ]
    return sv.ColorPalette.from_hex(["#000000" if each else "#FFFFFF" for each in light])
