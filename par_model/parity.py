"""The parity gate: graphs are served only where they give the numbers of the model they were made from."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from par_model.cache import sha256
from par_model.errors import ParityError
from par_model.graph import DeviceError, Graph, cuda_devices
from par_model.model import VTFPAR
from par_model.preprocess import CropBatch, Normalise
from par_model.schema import Schema

log = logging.getLogger("sidewalk")

Precision = Literal["fp32", "fp16", "int8"]
GRAPHS = ("frame_encoder.onnx", "clip_head.onnx")
WHOLE = "vtfpar.onnx"


@dataclass(frozen=True, slots=True)
class Parity:
    """How one runtime's numbers compare with PyTorch's.

    difference: greatest difference of a probability; flipped: labels that differ although the reference is not within
    0.02 of a threshold or a tie; agreement: share of equal labels of each group.
    """

    difference: float
    flipped: int
    agreement: dict[str, float]
    passed: bool


LIMITS: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-2, "int8": 2e-2}
"""Greatest difference of a probability that is let through."""

MARGIN = 0.02


def prove(
    model: VTFPAR,
    folder: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    crops: Sequence[np.ndarray] = (),
    count: int = 24,
) -> dict[str, Parity]:
    """Compare the graphs of a folder with the model on every runtime this machine has, and write `parity.json`.

    Windows of all lengths go through the two streaming graphs, some whole ones through the third where it is there.

    count: random crops beside the real ones, more where two windows take more. Returns {`backend-device`: parity}.
    """
    from par_model.recognizer import Recognizer
    from par_model.runtimes import GraphRuntime, TorchRuntime

    folder = Path(folder)
    samples = proof_crops(crops, count, model.config.frames)
    reference = Recognizer(TorchRuntime(model, "cpu", "fp32"), model.config, model.schema)
    wanted, frames = _read_windows(reference, samples), _normalised_windows(model, samples)
    whole = (folder / WHOLE).is_file()
    if whole:
        with torch.inference_mode():
            logits = model(torch.from_numpy(frames)).numpy()
        wanted = np.concatenate([wanted, model.schema.probabilities(logits)])
    parities: dict[str, Parity] = {}
    for backend, device in _runtimes():
        try:
            runtime = GraphRuntime.load(folder, device, backend, None, "fp32")
        except DeviceError as error:
            log.warning("not proven on %s-%s: %s", backend, device, error)
            continue
        found = _read_windows(Recognizer(runtime, model.config, model.schema), samples)
        if whole:
            logits = Graph.load(folder / WHOLE, device, backend).run({"frames": frames})["logits"]
            found = np.concatenate([found, model.schema.probabilities(logits)])
        parities[f"{backend}-{device}"] = compare(model.schema, wanted, found, LIMITS[precision])
    report = {
        "precision": precision,
        "limit": LIMITS[precision],
        "crops": {"real": len(crops), "random": len(samples) - len(crops)},
        "graphs": {name: sha256(folder / name) for name in (*GRAPHS, *([WHOLE] if whole else []))},
        "runtimes": {name: asdict(parity) for name, parity in parities.items()},
    }
    (folder / "parity.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return parities


def check_parity(folder: Path, runtime: str) -> None:
    """Raise ParityError unless `parity.json` says that these very graphs passed on `runtime` (`backend-device`)."""
    remedy = f"run tools/export_onnx.py CHECKPOINT -o {folder} --check on this machine"
    try:
        report = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
        hashes, outcomes = dict(report["graphs"]), dict(report["runtimes"])
    except FileNotFoundError:
        raise ParityError(f"{folder} has no parity.json: its graphs are unproven; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{folder / 'parity.json'} cannot be read; {remedy}") from error
    for name in GRAPHS:
        if not (folder / name).is_file() or hashes.get(name) != sha256(folder / name):
            raise ParityError(f"{folder / name} is not the graph that parity.json speaks of; {remedy}")
    outcome = outcomes.get(runtime)
    if not isinstance(outcome, dict):
        raise ParityError(f"{folder}: its graphs were not proven on {runtime}; {remedy}")
    if outcome.get("passed") is not True:
        raise ParityError(
            f"{folder}: its graphs failed on {runtime} (probabilities differ by {outcome.get('difference')}, "
            f"{outcome.get('flipped')} labels flipped); use the checkpoint itself or another backend"
        )


def compare(schema: Schema, wanted: np.ndarray, found: np.ndarray, limit: float) -> Parity:
    """wanted, found: (N, A) probabilities of the reference and of the runtime under test."""
    difference = float(np.abs(wanted - found).max()) if np.isfinite(found).all() else float("inf")
    expected, labels = schema.labels(wanted), schema.labels(found)
    flipped, agreement = 0, {}
    for group in schema.groups:
        shares = schema.shares(wanted, group)
        clear = np.abs(group.clearance(shares)).min(axis=1) > MARGIN
        if group.kind == "one-of":
            first, second = np.sort(shares, axis=1)[:, :-3:-1].T
            clear = (np.abs(first - group.above) > MARGIN) & (first - second > MARGIN)
        equal = np.array([a[group.name].value == b[group.name].value for a, b in zip(expected, labels)])
        flipped += int((~equal & clear).sum())
        agreement[group.name] = round(float(equal.mean()), 4)
    return Parity(difference, flipped, agreement, difference <= limit and flipped == 0)


def proof_crops(crops: Sequence[np.ndarray], count: int, frames: int) -> list[np.ndarray]:
    """The real crops and `count` random ones, or as many as make two whole windows of `frames`: one of any length."""
    return [*crops, *random_crops(max(count, 2 * frames))]


def random_crops(count: int, seed: int = 0) -> list[np.ndarray]:
    """Crops of many shapes: blocks of colour under noise."""
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        height, width = int(rng.integers(40, 400)), int(rng.integers(20, 200))
        blocks = rng.integers(0, 256, (rng.integers(2, 9), rng.integers(2, 5), 3))
        rows = np.linspace(0, len(blocks) - 1e-6, height).astype(int)
        columns = np.linspace(0, blocks.shape[1] - 1e-6, width).astype(int)
        noise = rng.normal(0.0, 12.0, (height, width, 3))
        crops.append(np.clip(blocks[rows][:, columns] + noise, 0, 255).astype(np.uint8))
    return crops


def _read_windows(recognizer: Any, crops: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities of windows of all lengths over the crops."""
    features = recognizer.encode(crops)
    frames = recognizer.frames
    windows = [features[max(0, end - 1 - end % frames) : end] for end in range(1, len(features) + 1)]
    return np.asarray(recognizer.recognize(windows))


def _normalised_windows(model: VTFPAR, crops: Sequence[np.ndarray]) -> np.ndarray:
    """One to four windows of the last crops, as the whole graph takes them: (B, T, 3, H, W) float32.

    crops: enough for one window at least.
    """
    frames = model.config.frames
    chosen = crops[-4 * frames :][: len(crops) // frames * frames]
    batch = CropBatch(model.config.image_size, model.config.preprocessing, len(chosen)).fill(chosen)
    images = Normalise(model.config)(torch.from_numpy(batch))
    windows: np.ndarray = images.view(-1, frames, *images.shape[1:]).numpy()
    return windows


def _runtimes() -> Iterator[tuple[Any, str]]:
    """(backend, device) of all runtimes this machine has."""
    from importlib.util import find_spec

    yield "onnxruntime", "cpu"
    if find_spec("openvino") is not None:
        yield "openvino", "cpu"
    if cuda_devices():
        yield "onnxruntime", "cuda"
        yield "tensorrt", "cuda"
