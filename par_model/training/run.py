"""A training run from beginning to end: data, stages one after the other, calibration, checkpoint."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from par_model.checkpoint import save
from par_model.errors import SchemaError
from par_model.runtimes import torch_device
from par_model.schema import load_schema
from par_model.training.calibrate import ABSTAINS, calibrate, check_marginals, taught_now
from par_model.training.config import ConfigError, Run
from par_model.training.objective import Objective
from par_model.training.pictures import PictureStore
from par_model.training.report import Report
from par_model.training.setup import build_model, cache_folder, judged, read_splits
from par_model.training.stage import Bench, StageRun
from par_model.training.state import KeptRows, Progress, read_state, write_state

ANYTIME = {"out", "cache", "device", "threads", "save_every", "compile", "half", "calibration"}
"""Settings that may change when a run goes on."""


def train(run: Run, *, report: Report | None = None) -> Path:
    """Train, calibrate and write `<out>/best.safetensors`, whose path is returned.

    report: what is told of it, to the terminal and into `out` by default.

    Everything random follows from the seed, the stage and the step. The state is written every `save_every`
    seconds; a run started again with the same `out` goes on from there, to the same weights; with other settings or
    data that decide them it is refused. Raises ConfigError, DatasetError, CheckpointError or DeviceError in one line.
    """
    if run.threads:
        torch.set_num_threads(run.threads)
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    state = out / "state.pt"
    settings = run.model_dump(mode="json", exclude=ANYTIME)
    found = read_state(state, settings, _completed)
    bench = set_up(run, report or Report(out))
    data = bench.digest()
    write = partial(write_state, state, settings=settings, data=data)
    progress, parts = found if found else (Progress(), {})
    if parts.pop("data", data) != data:
        raise ConfigError(
            f"{out} holds a run on other data: tracklets, labels or pictures have changed since; give another out, or "
            f"remove {state}"
        )
    if "model" in parts:
        bench.model.load_state_dict(parts["model"])
    bench.report.resume(progress.rows)
    while progress.stage < len(run.stages):
        stage = StageRun(bench, progress, parts)
        stage.run(write)
        parts = {}
        progress = Progress(stage=progress.stage + 1, rows=progress.rows)
        write(progress, model=bench.model.state_dict())
    return finish(bench, progress, out / "best.safetensors")


def _completed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that an earlier version left, with the defaults of those it did not know."""
    try:
        return Run.model_validate({**settings, "out": ""}).model_dump(mode="json", exclude=ANYTIME)
    except ValidationError:
        return settings


def set_up(run: Run, report: Report) -> Bench:
    """Open the data, build the model, decode the pictures."""
    device = torch.device(torch_device(run.device))
    schema = load_schema(run.attributes)
    try:
        check_marginals(schema, run.calibration.marginals)
    except SchemaError as error:
        raise ConfigError(f"calibration.marginals: {error}") from error
    splits = read_splits(run.data, schema)
    for number, stage in enumerate(run.stages):
        try:
            Objective(stage.loss, schema, splits.ratio)
        except SchemaError as error:
            raise ConfigError(f"stages.{number}.loss: {error}") from error
    model = build_model(run, schema, splits.ratio).to(device)
    size = model.config.image_size
    moves = any(stage.augment is not None and not stage.augment.independent_frames for stage in run.stages)
    margin = run.data.margin if moves else 1.0

    def pictures(name: str, factor: float) -> PictureStore:
        part = splits.train if name == "training" else splits.validation
        return PictureStore.open(
            part,
            cache_folder(run),
            size=(round(size[0] * factor), round(size[1] * factor)),
            pictures=run.data.pictures,
            preprocessing=model.config.preprocessing,
            parts=name == "training" and any(stage.loss.parts for stage in run.stages),
            workers=run.threads,
            progress=report.counter(f"pictures of the {name} set", len(part)),
        )

    stores = pictures("training", margin), pictures("validation", 1.0)
    splits = judged(splits.train, splits.validation)  # of whom no picture can be read nothing is known any more
    if device.type == "cuda" and 2 * sum(store.nbytes for store in stores) <= torch.cuda.mem_get_info(device)[0]:
        for store in stores:
            store.hold_on(device)
    begun = run.model.start is not None
    report.problems(splits, begun=begun)
    kept = np.zeros(len(schema.words), dtype=bool)
    for name in splits.untaught if begun else ():
        kept[schema.slices[name]] = True
    model.schema = model.schema.calibrated(taught_now(model.schema, schema, splits.untaught))
    return Bench(run, model, splits, *stores, device, report, KeptRows(model.head, kept))


def finish(bench: Bench, progress: Progress, path: Path) -> Path:
    """Fit temperatures and thresholds and write the checkpoint with a summary of the run.

    Groups that nothing taught, neither this run nor the model it began with, are never answered.
    """
    model, run = bench.model, bench.settings
    model.backbone.freeze(True)
    logits = bench.validate(model, model.config.frames)
    model.fit_appearance(bench.stripes())
    if run.calibration.fit:
        calibrate(model, logits, bench.splits.validation.labels, run.calibration)
    if run.model.start is None:
        model.schema = model.schema.calibrated(dict.fromkeys(bench.splits.untaught, ABSTAINS))
    last = [row for row in progress.rows if row["stage"] == run.stages[-1].name]
    best = max(last, key=lambda row: row["score"], default=None)
    summary: dict[str, Any] = {
        "run": run.name,
        "seed": run.seed,
        "training_tracklets": len(bench.splits.train),
        "validation_tracklets": len(bench.splits.validation),
        "stages": [stage.model_dump(exclude={"augment"}) for stage in run.stages],
        "marginals": run.calibration.marginals,
        "log": [] if best is None else [best],
    }
    save(model, path, metadata={"training": summary}, half=run.half)
    bench.report.finish()
    return path
