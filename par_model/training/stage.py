"""One stage of a training run: learner, optimizer, averaged weights, and the loop over its batches."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from par_model.datasets import DatasetError
from par_model.metrics import argmax_scores
from par_model.model import VTFPAR
from par_model.schedule import learning_rate
from par_model.training.augment import Augmenter, plain
from par_model.training.batches import Batch, Batches, in_order, load, load_maps
from par_model.training.config import Run, Stage
from par_model.training.features import FeatureStore
from par_model.training.objective import CELLS, FrameClassifier, Objective, log_odds, part_weights
from par_model.training.pictures import PictureStore
from par_model.training.report import Report
from par_model.training.setup import Splits, cache_folder, parameter_groups
from par_model.training.state import Average, KeptRows, Progress


@dataclass(frozen=True, slots=True)
class Bench:
    """What all stages of a run share. kept: what a run that goes on from a checkpoint leaves of its head."""

    settings: Run
    model: VTFPAR
    splits: Splits
    pictures: PictureStore
    held_out: PictureStore
    device: torch.device
    report: Report
    kept: KeptRows

    def digest(self) -> str:
        """Names the two data sets by their tracklets, labels and a line of each one's first picture."""
        name = hashlib.blake2b(digest_size=16)
        for part, store in ((self.splits.train, self.pictures), (self.splits.validation, self.held_out)):
            name.update("\n".join(tracklet.key for tracklet in part).encode())
            name.update(part.labels.tobytes())
            for chunk in store.chunks:
                name.update(chunk[:, 0, :, chunk.shape[3] // 2].tobytes())
        return name.hexdigest()

    def normalise(self, pictures: Tensor) -> Tensor:
        """(..., 3, H, W) RGB in [0, 1] as the model wants it."""
        preprocessing = self.model.config.preprocessing
        mean, std = (
            torch.tensor(values, device=pictures.device)[:, None, None]
            for values in (preprocessing.mean, preprocessing.std)
        )
        return (pictures - mean) / std

    @torch.no_grad()
    def validate(self, learner: nn.Module, frames: int, features: FeatureStore | None = None) -> np.ndarray:
        """Logits (N, A) of the validation tracklets, from `frames` evenly spread, unchanged pictures each."""
        learner.eval()
        rows = []
        for batch in in_order(self.splits.validation.labels, self.held_out.pictures, batch=64, frames=frames):
            images = self.normalise(plain(load(self.held_out, batch, self.device), self.model.config.image_size))
            if features is not None and isinstance(learner, VTFPAR):
                taps = features.load(batch, self.device)
                logits = learner.from_taps(images.flatten(0, 1), taps, images.shape[:2])
            else:
                logits = learner(images)
            rows.append(logits.float().cpu().numpy())
        return np.concatenate(rows)

    @torch.no_grad()
    def stripes(self) -> Tensor:
        """What each validation tracklet's middle picture looks like to the re-identification of people: (N, K)."""
        self.model.eval()
        rows = []
        for batch in in_order(self.splits.validation.labels, self.held_out.pictures, batch=64, frames=1):
            images = self.normalise(plain(load(self.held_out, batch, self.device), self.model.config.image_size))
            rows.append(self.model.stripes(self.model.encode(images[:, 0]).later))
        return torch.cat(rows)


class StageRun:
    """Trains one stage to its end. parts: state dictionaries a killed run left of this stage, or nothing."""

    def __init__(self, bench: Bench, progress: Progress, parts: dict[str, Any]) -> None:
        self.bench = bench
        self.progress = progress
        self.stage: Stage = bench.settings.stages[progress.stage]
        self.seed = bench.settings.seed + 7919 * progress.stage
        torch.manual_seed(self.seed)
        self.learner = self._learner()
        self.frames = 1 if self.stage.learns == "backbone" else bench.model.config.frames
        self.objective = Objective(self.stage.loss, bench.model.schema, bench.splits.ratio.to(bench.device))
        self.batches = self._batches()
        self.augment = (
            None if self.stage.augment is None else Augmenter(self.stage.augment, bench.model.config.image_size)
        )
        self.part_weights = self._part_weights()
        self.forward = self._forward()
        self.optimizer = self._optimizer()
        self.average = Average(self.learner, self.stage.ema)
        self.features, self.held_out_features = self._features()
        self.best_path = Path(bench.settings.out) / f"best-{progress.stage}.pt"
        if "learner" in parts:
            self.learner.load_state_dict(parts["learner"])
            self.optimizer.load_state_dict(parts["optimizer"])
            self.average.module.load_state_dict(parts["average"])

    def state(self) -> dict[str, Any]:
        """What another StageRun needs to go on from here."""
        return {
            "model": self.bench.model.state_dict(),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.module.state_dict(),
        }

    def run(self, keep: Callable[..., None]) -> None:
        """Train to the end and leave the best averaged weights in the bench's model.

        keep: writes a Progress and state dictionaries.
        """
        progress, stage = self.progress, self.stage
        began, saved = time.monotonic() - progress.seconds, time.monotonic()
        self.bench.report.begin(stage, progress, len(self.batches))
        # An epoch that was begun is judged, even where a run was killed between the end of its time and that.
        while progress.epoch < stage.epochs and (progress.batch or not self._out_of_time()):
            losses: list[float] = []
            for batch in self.batches.epoch(progress.epoch, progress.batch):
                if self._out_of_time():
                    break
                losses.append(self._step(batch))
                progress.batch += 1
                progress.seconds = time.monotonic() - began
                self.bench.report.advance(progress, losses[-1])
                at_step = progress.batch % stage.accumulate == 0
                if at_step and time.monotonic() - saved >= self.bench.settings.save_every:
                    keep(progress, **self.state())
                    saved = time.monotonic()
            progress.epoch, progress.batch = progress.epoch + 1, 0
            if progress.epoch % stage.validate_every == 0 or progress.epoch == stage.epochs or self._out_of_time():
                self._validate(float(np.mean(losses)) if losses else math.nan)
            keep(progress, **self.state())
        self.optimizer.zero_grad(set_to_none=True)  # the clock can end a stage between two steps of the optimizer
        self.learner.load_state_dict(torch.load(self.best_path, map_location=self.bench.device, weights_only=True))

    def _learner(self) -> nn.Module:
        model, stage = self.bench.model, self.stage
        model.backbone.freeze(stage.learns == "side")
        if stage.learns != "backbone":
            return model
        classifier = FrameClassifier(model.backbone, model.config.width, model.config.attributes)
        with torch.no_grad():
            classifier.bias.copy_(log_odds(self.bench.splits.ratio))
        return classifier.to(self.bench.device)

    def _part_weights(self) -> Tensor | None:
        if not self.stage.loss.parts:
            return None
        maps = self.bench.pictures.maps
        assert maps is not None
        return part_weights(maps).to(self.bench.device)

    def _forward(self) -> Callable[[Tensor], Any]:
        """What a step calls: the learner, or its scores of parts beside the logits."""
        learner = self.learner
        forward = (
            learner.with_parts if isinstance(learner, FrameClassifier) and self.part_weights is not None else learner
        )
        if self.bench.settings.compile and self.stage.learns == "backbone":
            return torch.compile(forward, dynamic=False)
        return forward

    def _batches(self) -> Batches:
        stage, splits = self.stage, self.bench.splits
        batches = Batches(
            splits.train.labels,
            self.bench.pictures.pictures,
            batch=stage.batch,
            frames=self.frames,
            seed=self.seed,
            jitter=not stage.cached_features,
            short=0.0 if self.frames == 1 else stage.short_windows,
        )
        if not len(batches):
            raise DatasetError(f"{len(splits.train)} training tracklets make no batch of {stage.batch}")
        return batches

    def _optimizer(self) -> torch.optim.Optimizer:
        stage = self.stage
        groups = parameter_groups(
            self.learner,
            self.bench.model.backbone,
            rate=stage.rate,
            backbone_rate=stage.backbone_rate or stage.rate,
            decay=stage.weight_decay if stage.optimizer == "adamw" else 0.0,
        )
        return torch.optim.AdamW(groups) if stage.optimizer == "adamw" else torch.optim.Adam(groups)

    def _features(self) -> tuple[FeatureStore | None, FeatureStore | None]:
        if not self.stage.cached_features:
            return None, None
        bench, folder = self.bench, cache_folder(self.bench.settings)
        counter = bench.report.counter
        return (
            FeatureStore.open(
                bench.model,
                bench.pictures,
                folder,
                bench.normalise,
                counter("taps of the training set", len(bench.pictures)),
            ),
            FeatureStore.open(
                bench.model,
                bench.held_out,
                folder,
                bench.normalise,
                counter("taps of the validation set", len(bench.held_out)),
            ),
        )

    def _step(self, batch: Batch) -> float:
        """Forward and backward of one batch, and a step of the optimizer where one is due. Returns the loss."""
        stage, progress = self.stage, self.progress
        seed = hash((self.seed, progress.epoch, progress.batch)) & 0x7FFFFFFF
        torch.manual_seed(seed)
        self.learner.train()
        loss = self._loss(batch, torch.Generator().manual_seed(seed))
        (loss / stage.accumulate).backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(
                f"stage {stage.name!r}, epoch {progress.epoch + 1}, batch {progress.batch + 1}: the loss is {value}; "
                "lower the stage's rate or set clip_norm"
            )
        if (progress.batch + 1) % stage.accumulate == 0 or progress.batch + 1 == len(self.batches):
            self._update()
        return value

    def _loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What the stage minimises, of one batch whose pictures `generator` changes."""
        bench, grid = self.bench, self.bench.model.config.grid
        if self.stage.loss.consistency:
            batch = batch.twice()
        pictures, maps = load(bench.pictures, batch, bench.device), None
        if self.augment is None:
            images = plain(pictures, bench.model.config.image_size)
        elif self.part_weights is None:
            images = self.augment(pictures, generator)
        else:
            maps = load_maps(bench.pictures, batch, bench.device)
            images, maps = self.augment.with_maps(pictures, maps, (CELLS * grid[0], CELLS * grid[1]), generator)
        images = bench.normalise(images)
        half = bench.settings.precision == "bf16"
        with attention_of(bench.device, half), torch.autocast(bench.device.type, torch.bfloat16, enabled=half):
            if self.features is None:
                output = self.forward(images)
            else:
                taps = self.features.load(batch, bench.device)
                output = bench.model.from_taps(images.flatten(0, 1), taps, images.shape[:2])
        targets = batch.targets.to(bench.device)
        if maps is None or self.part_weights is None:
            return self.objective(output, targets)
        logits, scores = output
        return self.objective(logits, targets) + self.objective.parts(scores, maps[:, 0], self.part_weights)

    def _update(self) -> None:
        factor = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        if self.stage.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.learner.parameters(), self.stage.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.average.update(self.learner, self.progress.step)

    def _rate(self) -> float:
        """The learning rate now, as a share of its peak."""
        stage, progress = self.stage, self.progress
        if stage.schedule == "constant":
            return 1.0
        if stage.schedule == "paper":
            return learning_rate(progress.epoch + 1, stage.epochs, 1.0)
        done = (progress.epoch + progress.batch / len(self.batches)) / stage.epochs
        if stage.minutes is not None:
            done = max(done, progress.seconds / (60.0 * stage.minutes))
        if done < stage.warmup:
            return 0.02 + 0.98 * done / stage.warmup
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (done - stage.warmup) / (1.0 - stage.warmup))))

    def _out_of_time(self) -> bool:
        return self.stage.minutes is not None and self.progress.seconds >= 60.0 * self.stage.minutes

    def _validate(self, loss: float) -> None:
        """Score the averaged weights and keep them if they are the best so far."""
        bench, progress = self.bench, self.progress
        if isinstance(self.average.module, VTFPAR):
            bench.kept.restore(self.average.module.head)
        logits = bench.validate(self.average.module, self.frames, self.held_out_features)
        scores = validation_scores(bench.model, logits, bench.splits.validation.labels)
        row = {
            "stage": self.stage.name,
            "epoch": progress.epoch,
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "rate": round(self.optimizer.param_groups[0]["lr"], 8),
            "loss": round(loss, 5),
            **scores,
        }
        progress.rows.append(row)
        bench.report.validated(row)
        if scores["score"] > progress.best:
            progress.best = scores["score"]
            partial = self.best_path.with_suffix(".partial")
            torch.save(self.average.module.state_dict(), partial)
            partial.replace(self.best_path)


def attention_of(device: torch.device, half: bool) -> AbstractContextManager[None]:
    """Attention as plain products in bf16 on a CPU, where the backward pass of PyTorch's fused one is slow."""
    return sdpa_kernel(SDPBackend.MATH) if half and device.type == "cpu" else nullcontext()


def validation_scores(model: VTFPAR, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Macro F1 of each group by its likeliest class, and `score`, their mean.

    logits: (N, A); labels: (N, A) of 0, 1 and 2 (unknown).
    """
    scores: dict[str, float] = {}
    probabilities = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    for group in model.schema.groups:
        columns = model.schema.slices[group.name]
        known = (labels[:, columns] <= 1).all(axis=1)
        if known.any():
            width = columns.stop - columns.start
            result = argmax_scores(labels[known, columns], probabilities[known, columns], (0, width))
            scores[group.name] = round(float(result[0, 1]), 4)
    return {"score": round(float(np.mean(list(scores.values()))), 5), **scores}
