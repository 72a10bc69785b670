"""An evaluation for the eye: tables, calibration plot, confusion matrices and a sheet of the worst mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from par_model.evaluation import COLUMNS, Predictions, decisions, reliability


def write_report(predictions: Predictions, scores: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write scores.json, calibration.png, confusion.png and mistakes.png. Returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("scores.json", "calibration.png", "confusion.png", "mistakes.png")]
    paths[0].write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    draw_calibration(predictions, paths[1])
    draw_confusion(predictions, scores, paths[2])
    draw_mistakes(predictions, paths[3])
    return paths


def print_tables(scores: Mapping[str, Any], console: Console) -> None:
    """Groups with their mean, then single attributes."""
    names = COLUMNS[scores["protocol"]]
    extra = ("answered", "right_when_answered", "calibration_error")
    title = f"{scores['protocol']} protocol, threshold: {scores['threshold']}, {scores['tracklets']} tracklets"
    title += ", priors of the place it serves" if scores["priors"] else ", no priors"
    table = Table("group", "rows", *names, *extra, title=title)
    for group, row in scores["groups"].items():
        table.add_row(group, str(row["rows"]), *(f"{row[name]:.3f}" for name in (*names, *extra)))
    table.add_section()
    table.add_row("mean", "", *(f"{scores['mean'][name]:.3f}" for name in (*names, *extra)))
    console.print(table)
    for group, row in scores["groups"].items():
        if "within_one_step" in row:
            console.print(f"{group}: {row['within_one_step']:.3f} right or one step beside it")
    table = Table("attribute", "positives", "precision", "recall", "f1")
    for word, row in scores["attributes"].items():
        numbers = (f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        table.add_row(word, f"{row['positives']:.0f}", *numbers)
    console.print(table)


def draw_calibration(predictions: Predictions, path: Path) -> None:
    """Share right over confidence, one line a group; on the diagonal a probability means what it says."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    schema = predictions.schema
    figure = Figure(figsize=(7.0, 6.0), layout="constrained")
    axis = figure.subplots()
    axis.set_prop_cycle(color=colormaps["tab20"].colors)  # type: ignore[attr-defined]
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    for group in schema.groups:
        columns = schema.slices[group.name]
        labels, p = predictions.labels[:, columns], predictions.probabilities[:, columns]
        known = (labels <= 1).all(axis=1)
        if not known.any():
            continue
        table = reliability(p[known].ravel(), labels[known].ravel() == 1)
        filled = table[:, 2] >= 5
        axis.plot(table[filled, 0], table[filled, 1], marker=".", label=group.name)
    axis.set(xlabel="probability the model states", ylabel="share that holds", xlim=(0, 1), ylim=(0, 1))
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def draw_confusion(predictions: Predictions, scores: Mapping[str, Any], path: Path) -> None:
    """One matrix a one-of group, rows normalised: what it is down, what the model says across."""
    from matplotlib.figure import Figure

    shown = [g for g in predictions.schema.groups if g.kind == "one-of" and g.name in scores["groups"]]
    if not shown:
        shown = [g for g in predictions.schema.groups if g.name in scores["groups"]]
    figure = Figure(figsize=(4.6 * len(shown), 4.8), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, group in zip(axes, shown, strict=True):
        counts = np.array(scores["groups"][group.name]["confusion"], dtype=np.float64)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        axis.imshow(share, vmin=0.0, vmax=1.0, cmap="Blues")
        for row, column in np.argwhere(counts > 0):
            dark = share[row, column] > 0.6
            text = f"{counts[row, column]:.0f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        axis.set_xticks(range(len(group.labels)), group.labels, rotation=90, fontsize=7)
        axis.set_yticks(range(len(group.labels)), group.labels, fontsize=7)
        axis.set_title(group.name)
    figure.savefig(path, dpi=110)


def draw_mistakes(predictions: Predictions, path: Path, per_group: int = 12, height: int = 128) -> None:
    """The mistakes the model was surest of, a line a group; below each crop what it is and what the model says."""
    from matplotlib.figure import Figure

    schema = predictions.schema
    chosen = decisions(predictions)
    figure = Figure(figsize=(1.15 * per_group, 1.9 * len(schema.groups)))
    axes = figure.subplots(len(schema.groups), per_group, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for line, group in zip(axes, schema.groups, strict=True):
        columns = schema.slices[group.name]
        labels, p = predictions.labels[:, columns], predictions.probabilities[:, columns]
        wrong = (labels <= 1).all(axis=1) & (chosen[:, columns] != labels).any(axis=1)
        told = np.where(chosen[:, columns] == 1, p, 1.0 - p)
        sureness = told[:, 0] if group.kind == "binary" else p.max(axis=1)
        rows = np.flatnonzero(wrong)
        rows = rows[np.argsort(-sureness[rows])][:per_group]
        line[0].set_title(group.name, fontsize=8, loc="left")
        for axis, row in zip(line, rows):
            is_, said = (_label(group.labels, values[row, columns]) for values in (predictions.labels, chosen))
            crop = predictions.crops[row][..., ::-1]
            axis.imshow(crop, aspect="auto", extent=(0, 1, 0, 2))
            axis.text(0.5, -0.05, f"is {is_}\nsays {said}", ha="center", va="top", fontsize=5)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.98, bottom=0.03, hspace=0.35, wspace=0.05)
    figure.savefig(path, dpi=height)


def _label(labels: tuple[str, ...], values: np.ndarray) -> str:
    index = int(values[0]) if len(values) == 1 else int(values.argmax())
    return labels[index]
