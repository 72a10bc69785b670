"""Attribute benchmark: how often the model that ships is right beside OpenVINO's person-attributes model 0230."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from par_model.datasets import TrackletSet

PEER_COLUMNS = {
    "gender": (0, False),
    "backpack": (2, True),
    "hat": (3, True),
    "top length": (4, False),
    "bottom length": (5, False),
    "hair": (6, True),
}
"""By our group: the peer's output, and whether it means our word (female, short) or the opposite (male, long).

Open Model Zoo, person-attributes-recognition-crossroad-0230: is_male, has_bag, has_backpack, has_hat, has_longsleeves,
has_longpants, has_longhair, has_coat_jacket, in this order.
"""


def attributes(
    data: Annotated[Path, typer.Argument(help="A labelled data set, e.g. what tests/real_people/cut.sh makes.")],
    peer: Annotated[Path, typer.Option(help="person-attributes-recognition-crossroad-0230.xml of Open Model Zoo.")],
    labels: Annotated[Path | None, typer.Option(help="Its table of labels, where that lies elsewhere.")] = None,
    checkpoint: Annotated[str, typer.Option(help="A .safetensors, or 'default'.")] = "default",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Answers right of those that are known, the peer averaged over the same pictures."""
    from par_model.datasets import open_dataset
    from par_model.evaluation import decisions, predict
    from par_model.recognizer import Recognizer
    from par_model.schema import load_schema

    recognizer = Recognizer.load(checkpoint, "cpu", threads=threads)
    if recognizer.schema.name != "mars":
        raise typer.BadParameter(f"{checkpoint} has the attributes of {recognizer.schema.name!r}, not those of mars")
    found = open_dataset([data], load_schema("mars"), labels=labels, strict=True)
    predictions = predict(recognizer, found)
    ours, theirs = decisions(predictions), peer_probabilities(peer, found, recognizer.frames, threads)
    table = Table("attribute", "known", "Sidewalk", "OpenVINO 0230", "always the commoner answer")
    for group, (column, same) in PEER_COLUMNS.items():
        place = predictions.schema.slices[group].start
        truth = predictions.labels[:, place]
        known = truth <= 1
        said = (theirs[:, column] >= 0.5) == same
        right = [int((answer[known] == truth[known]).sum()) for answer in (ours[:, place], said)]
        commoner = max(int((truth[known] == value).sum()) for value in (0, 1))
        table.add_row(group, *map(str, (int(known.sum()), *right, commoner)))
    Console().print(table)


def peer_probabilities(path: Path, found: TrackletSet, frames: int, threads: int) -> np.ndarray:
    """(N, 8), means over the pictures that our model sees of each tracklet."""
    import cv2
    import openvino

    model: Any = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads})
    rows = []
    for tracklet in found:
        crops = [cv2.resize(picture.decode(), (80, 160)) for picture in tracklet.window(frames)]
        answers = [model(crop.transpose(2, 0, 1)[None].astype(np.float32)) for crop in crops]
        rows.append(np.mean([_attributes(answer) for answer in answers], axis=0))
    return np.stack(rows)


def _attributes(answer: Any) -> np.ndarray:
    """(8,) of the model's outputs; the others tell where the colours of top and bottom were taken."""
    values: np.ndarray = next(value for value in answer.values() if value.size == 8).reshape(-1)
    return values
