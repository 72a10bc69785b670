"""Training: reproducible, resumable, honest about its configuration, calibrated for where it will run."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from par_model import VTFPAR, load, save
from par_model.config import ModelConfig, Preprocessing
from par_model.datasets import DatasetError, Picture, TrackletSet, open_dataset
from par_model.datasets.parts import MAP_SIZE, PART_NAMES, UNKNOWN_PART, decode_maps, encode_maps
from par_model.loading import checkpoint_path
from par_model.losses import weighted_bce
from par_model.schema import Calibration, load_schema
from par_model.training import ConfigError, Report, Run, load_run, train
from par_model.training.augment import Augmenter, Draw, plain
from par_model.training.batches import Batches
from par_model.training.batches import load as load_batch
from par_model.training.calibrate import ABSTAINS, best_threshold, calibrate, fit_platt, fit_softmax, prior_shift
from par_model.training.config import Augmentation, Loss
from par_model.training.config import Calibration as Fit
from par_model.training.objective import Objective, part_weights
from par_model.training.pictures import PictureStore
from par_model.training.run import set_up
from par_model.training.setup import build_model, hold_out
from par_model.training.stage import StageRun
from par_model.training.state import Average, Progress

ROOT = Path(__file__).resolve().parents[2]
MARS = load_schema("mars")

TINY = {
    "image_size": [32, 16],
    "width": 16,
    "heads": 2,
    "depth": 2,
    "taps": [0, 2],
    "targets": [0, 1],
    "side_width": 8,
    "side_heads": 2,
    "spatial_depth": 2,
    "text_width": 8,
}


def write_shard(path: Path, count: int, seed: int, *, bright: bool = False) -> None:
    """People of 32 x 16 pixels: a red or blue top, with or without a bright hat; maps say where the top is.

    bright: each frame of everybody in other light.
    """
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        for index in range(count):
            red, hat = bool(generator.random() < 0.5), bool(generator.random() < 0.4)
            image = generator.integers(60, 90, (32, 16, 3)).astype(np.uint8)
            image[8:20, 3:13] = (30, 30, 200) if red else (200, 60, 30)
            if hat:
                image[1:6, 4:12] = 250
            for frame in range(3):
                if bright:
                    image = np.clip(image + generator.integers(1, 30), 0, 255).astype(np.uint8)
                add(f"p{index}.{frame}.jpg", cv2.imencode(".jpg", image)[1].tobytes())
            maps = np.zeros((3, *MAP_SIZE), np.uint8)
            maps[:, 12:30, 5:20] = PART_NAMES.index("top")
            add(f"p{index}.parts.png", encode_maps(maps))
            labels = {"top color": "top red" if red else "top blue", "hat": hat, "motion": "walking"}
            add(f"p{index}.json", json.dumps({"attributes": labels}).encode())


def blank(member: Picture) -> None:
    """Write zeros over one file of an archive."""
    with member.path.open("r+b") as archive:
        archive.seek(member.offset)
        archive.write(bytes(member.size or 0))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_shard(folder / "train" / "0.tar", 96, 0)
    write_shard(folder / "val" / "0.tar", 40, 1)
    return folder


def tiny_run(people: Path, out: Path, **changes: Any) -> Run:
    stage = {"batch": 16, "rate": 0.01, "ema": 0.9, "augment": {"erase_chance": 0.0}}
    values: dict[str, Any] = {
        "name": "tiny",
        "out": str(out),
        "cache": str(people / "cache"),
        "save_every": 1e-6,
        "data": {"train": str(people / "train"), "validation": str(people / "val"), "pictures": 3},
        "model": {"sizes": TINY},
        "stages": [
            {"name": "tower", "learns": "backbone", "epochs": 2, **stage},
            {"name": "side", "learns": "side", "epochs": 2, "short_windows": 0.5, "accumulate": 2, **stage},
        ],
    }
    return Run.model_validate({**values, **changes})


class Killed(Exception):
    pass


class Fuse(Report):
    """A report that ends the run after some batches, as a power cut would."""

    def __init__(self, folder: Path, batches_left: int) -> None:
        super().__init__(folder, quiet=True)
        self.batches_left = batches_left

    def advance(self, standing: Progress, loss: float) -> None:
        super().advance(standing, loss)
        self.batches_left -= 1
        if self.batches_left == 0:
            raise Killed


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load(path).state_dict())


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_run_killed_in_every_stage_ends_with_the_weights_of_one_left_alone(people: Path, tmp_path: Path) -> None:
    whole = weights(train(tiny_run(people, tmp_path / "whole"), report=Report(tmp_path / "whole", quiet=True)))
    again = tiny_run(people, tmp_path / "killed")
    for batches in (3, 7, 4):
        with pytest.raises(Killed):
            train(again, report=Fuse(tmp_path / "killed", batches))
    resumed = weights(train(again, report=Report(tmp_path / "killed", quiet=True)))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "killed")]
    assert len(logs[0]) == len(logs[1]) == 5, "a heading and one line an epoch, however often it was killed"


@pytest.mark.slow
def test_training_learns_what_is_there_and_leaves_the_frozen_tower_alone(people: Path, tmp_path: Path) -> None:
    run = tiny_run(people, tmp_path)
    stages = [stage.model_copy(update={"epochs": epochs}) for stage, epochs in zip(run.stages, (20, 20))]
    path = train(run.model_copy(update={"stages": stages}), report=Report(tmp_path, quiet=True))
    model = load(path)
    last = model.metadata["training"]["log"][0]  # type: ignore[index]
    assert last["top color"] > 0.9
    assert last["hat"] > 0.9
    tower = torch.load(tmp_path / "best-0.pt", weights_only=True)
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, tower[f"backbone.{name}"]), name
    for name in ("curves.png", "log.csv", "state.pt"):
        assert (tmp_path / name).stat().st_size > 0


def test_cached_taps_of_the_frozen_tower_train_like_computing_them(people: Path, tmp_path: Path) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1, "batch": 16, "augment": None, "validate_every": 1}
    logs = []
    for name, cached in (("computed", False), ("cached", True)):
        run = tiny_run(people, tmp_path / name, stages=[{**stage, "cached_features": cached}])
        model = load(train(run, report=Report(tmp_path / name, quiet=True)))
        logs.append(model.metadata["training"]["log"][0]["loss"])  # type: ignore[index]
    assert logs[0] == pytest.approx(logs[1], rel=5e-3), "half precision on disk is all that differs"


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_sizes_are_those_of_the_preset_but_for_what_is_given(people: Path, tmp_path: Path, preset: str) -> None:
    sizes = {**TINY, "preprocessing": {"fit": "letterbox"}}
    run = tiny_run(people, tmp_path, model={"preset": preset, "sizes": sizes})
    config = build_model(run, MARS, torch.full((43,), 0.5)).config
    usual = (ModelConfig.compact() if preset == "compact" else ModelConfig()).preprocessing
    assert config.preprocessing == replace(usual, fit="letterbox")
    assert config.image_size == tuple(TINY["image_size"])
    assert config.text == "hashed prompts"
    for wrong in ({"width": "192"}, {"withd": 64}, {"preprocessing": {"fit": "squash"}}):
        with pytest.raises(ConfigError, match=r"model\.sizes: "):
            build_model(tiny_run(people, tmp_path, model={"sizes": {**TINY, **wrong}}), MARS, torch.full((43,), 0.5))


def test_the_papers_stage_trains_a_small_model(people: Path, tmp_path: Path) -> None:
    paper = load_run(ROOT / "configs" / "training" / "paper.yaml")
    stage = paper.stages[0].model_copy(update={"epochs": 1})
    sizes = {**TINY, "preprocessing": paper.model.sizes["preprocessing"]}
    run = tiny_run(people, tmp_path, model={"preset": "paper", "sizes": sizes})
    path = train(run.model_copy(update={"stages": [stage]}), report=Report(tmp_path, quiet=True))
    assert load(path).config.preprocessing.fit == "letterbox"


def test_nothing_is_fitted_where_that_is_asked_for(people: Path, tmp_path: Path) -> None:
    path = train(tiny_run(people, tmp_path, calibration={"fit": False}), report=Report(tmp_path, quiet=True))
    trained = torch.load(tmp_path / "best-1.pt", weights_only=True)
    model = load(path)
    assert torch.equal(model.head.norm.bias, trained["head.norm.bias"])
    taught = [model.schema[name] for name in ("hat", "top color", "motion")]
    assert all(group.temperature == 1.0 and group.prior == () for group in taught)


def test_a_share_of_the_persons_can_be_held_out(people: Path, tmp_path: Path) -> None:
    shards = open_dataset(people / "train", MARS)
    named = TrackletSet(
        MARS, [replace(one, person=f"{number // 3:04d}") for number, one in enumerate(shards)], shards.problems
    )
    train_part, held_out = hold_out(named, 0.3)
    assert len(train_part) + len(held_out) == 96
    assert 10 < len(held_out) < 50
    assert not {one.person for one in train_part} & {one.person for one in held_out}
    again = hold_out(TrackletSet(MARS, named.tracklets[::-1], named.problems), 0.3)[1]
    assert {one.key for one in again} == {one.key for one in held_out}
    with pytest.raises(DatasetError, match=r"0\.01 of 32 persons sets 0 tracklets aside.* a larger share, or valid"):
        hold_out(named, 0.01)
    with pytest.raises(DatasetError, match=r"does not tell whose it is"):
        train(tiny_run(people, tmp_path, data={"train": str(people / "train"), "held_out": 0.1}))
    with pytest.raises(ValidationError, match="either validation or held_out"):
        tiny_run(people, tmp_path, data={"train": "a", "validation": "b", "held_out": 0.1})


def test_people_of_whom_nothing_is_known_do_not_judge(people: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "mine" / f"{number}").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "mine" / f"{number}" / "0.jpg"), np.zeros((32, 16, 3), np.uint8))
    table = tmp_path / "mine" / "labels.csv"
    table.write_text("tracklet,hat\n0,\n1,\n2,\n")
    data = {"train": str(people / "train"), "validation": str(tmp_path / "mine")}
    with pytest.raises(DatasetError, match="of the validation set no label is known"):
        train(tiny_run(people, tmp_path / "run", data=data), report=Report(tmp_path, quiet=True))
    table.write_text("tracklet,hat\n0,yes\n")
    with pytest.raises(DatasetError, match="validation set has 1 tracklets; give two"):
        train(tiny_run(people, tmp_path / "run", data=data), report=Report(tmp_path, quiet=True))
    table.write_text("tracklet,hat\n0,maybe\n1,perhaps\n2,\n")
    with pytest.raises(DatasetError, match=r"has 1 tracklets.*unknown value: 2; first .*labels\.csv:2: hat is 'maybe'"):
        train(tiny_run(people, tmp_path / "run", data=data), report=Report(tmp_path, quiet=True))


def test_what_could_not_be_read_is_told_each_time_and_teaches_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name in ("good", "half", "bad"):
        (folder / name).mkdir(parents=True)
        for picture in "01":
            cv2.imwrite(str(folder / name / f"{picture}.jpg"), np.full((32, 16, 3), 90, np.uint8))
    (folder / "half" / "1.jpg").write_bytes(b"broken")
    for picture in "01":
        (folder / "bad" / f"{picture}.jpg").write_bytes(b"broken")
    (folder / "labels.csv").write_text("tracklet,hat\ngood,yes\nhalf,no\nbad,yes\n")

    def opened(strict: bool = False) -> TrackletSet:
        found = open_dataset(folder, MARS, strict=strict)
        PictureStore.open(found, tmp_path / "cache", size=(32, 16), pictures=2, preprocessing=Preprocessing())
        return found

    column = MARS.slices["hat"].start
    for _ in range(2):
        found = opened()
        assert found.problems.counts == {"unreadable picture": 3}
        assert found.labels[:, column].tolist() == [1, 0, 2]
    with pytest.raises(DatasetError, match="unreadable picture: half"):
        opened(strict=True)


def test_pictures_of_which_none_can_be_read_do_not_judge(people: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "mine" / f"{number}").mkdir(parents=True)
        (tmp_path / "mine" / f"{number}" / "0.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    (tmp_path / "mine" / "labels.csv").write_text("tracklet,hat\n0,yes\n1,no\n2,no\n")
    data = {"train": str(people / "train"), "validation": str(tmp_path / "mine")}
    with pytest.raises(DatasetError, match="of the validation set no label is known, or no picture can be read"):
        train(tiny_run(people, tmp_path / "run", data=data), report=Report(tmp_path, quiet=True))


def test_a_run_of_an_earlier_version_goes_on(people: Path, tmp_path: Path) -> None:
    run = tiny_run(people, tmp_path)
    path = train(run, report=Report(tmp_path, quiet=True))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["settings"]["data"]["held_out"], state["settings"]["stages"][0]["cached_features"], state["data"]
    torch.save(state, tmp_path / "state.pt")
    assert train(run, report=Report(tmp_path, quiet=True)) == path


SHORT = {"name": "all", "learns": "all", "epochs": 1, "batch": 24, "rate": 0.01}


def test_a_run_does_not_go_on_with_other_data(people: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for number in range(4):
        (mine / f"{number}").mkdir(parents=True)
        cv2.imwrite(str(mine / f"{number}" / "0.jpg"), np.full((32, 16, 3), 40 * number, np.uint8))
    table = mine / "labels.csv"
    table.write_text("tracklet,hat\n0,yes\n1,no\n2,no\n3,yes\n")
    run = tiny_run(
        people, tmp_path / "run", data={"train": str(mine), "validation": str(people / "val")}, stages=[SHORT]
    )
    train(run, report=Report(tmp_path, quiet=True))
    os.utime(mine / "0" / "0.jpg", (0, 0))
    train(run, report=Report(tmp_path, quiet=True))
    labels = table.read_text()
    table.write_text(labels.replace("1,no", "1,yes"))
    with pytest.raises(ConfigError, match=r"run on other data: .* give another out, or remove .*state\.pt"):
        train(run, report=Report(tmp_path, quiet=True))
    table.write_text(labels)
    cv2.imwrite(str(mine / "0" / "0.jpg"), np.full((32, 16, 3), 200, np.uint8))
    with pytest.raises(ConfigError, match="run on other data"):
        train(run, report=Report(tmp_path, quiet=True))


def test_a_damaged_state_is_named(people: Path, tmp_path: Path) -> None:
    run = tiny_run(people, tmp_path, stages=[SHORT])
    train(run, report=Report(tmp_path, quiet=True))
    whole = (tmp_path / "state.pt").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nothing of ours"):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(ConfigError, match=r"state\.pt is damaged .*; remove it to begin the run anew"):
            train(run, report=Report(tmp_path, quiet=True))


class Cut(Report):
    """A report that ends the run after validation, before what it found is kept."""

    def validated(self, row: dict[str, Any]) -> None:
        raise Killed


def test_a_stage_killed_when_its_time_was_up_is_judged_when_it_goes_on(people: Path, tmp_path: Path) -> None:
    run = tiny_run(people, tmp_path, stages=[{**SHORT, "epochs": 50, "minutes": 1e-5}])
    with pytest.raises(Killed):
        train(run, report=Cut(tmp_path, quiet=True))
    assert not (tmp_path / "best-0.pt").exists()
    report = Report(tmp_path, quiet=True)
    train(run, report=report)
    assert [(row["epoch"], row["step"]) for row in report.rows] == [(1, 1)]


def test_a_stage_that_the_clock_ends_leaves_no_gradients_to_the_next(people: Path, tmp_path: Path) -> None:
    stage = {**SHORT, "learns": "backbone", "minutes": 1e-5, "accumulate": 4}
    bench = set_up(tiny_run(people, tmp_path, stages=[stage]), Report(tmp_path, quiet=True))
    stage_run = StageRun(bench, Progress(), {})
    stage_run.run(lambda *progress, **parts: None)
    assert stage_run.progress.step == 0
    assert all(parameter.grad is None for parameter in stage_run.learner.parameters())


def head_rows(model: VTFPAR, groups: list[str]) -> dict[str, Tensor]:
    columns = [c for name in groups for c in range(MARS.slices[name].start, MARS.slices[name].stop)]
    return {name: tensor[columns] for name, tensor in model.head.state_dict().items() if tensor.ndim}


TAUGHT = ["hat", "motion", "top color"]
UNTAUGHT = [name for name in MARS.group_names if name not in TAUGHT]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_no_label_teaches_stays_as_the_start_knew_it(people: Path, tmp_path: Path, ema: float) -> None:
    start = build_model(tiny_run(people, tmp_path), MARS, torch.full((43,), 0.3))
    assert start.head.norm.running_mean is not None
    torch.nn.init.normal_(start.head.norm.running_mean)
    save(start, tmp_path / "start.safetensors")
    stages = [{**SHORT, "ema": ema, "weight_decay": 0.5}, {**SHORT, "name": "again", "learns": "side", "ema": ema}]
    out = tmp_path / "run"
    run = tiny_run(people, out, model={"start": str(tmp_path / "start.safetensors")}, stages=stages)
    with pytest.raises(Killed):
        train(run, report=Fuse(out, 3))
    model = load(train(run, report=Report(out, quiet=True)))
    before = head_rows(start, UNTAUGHT)
    assert before.keys() == {"weight", "bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    for name, rows in head_rows(model, UNTAUGHT).items():
        assert torch.equal(rows, before[name]), name
    for name, rows in head_rows(model, TAUGHT).items():
        assert not torch.isclose(rows, head_rows(start, TAUGHT)[name], rtol=1e-6).all(), name
    assert [model.schema[name] for name in UNTAUGHT] == [MARS[name] for name in UNTAUGHT]


def test_a_fresh_model_never_answers_what_no_label_taught_it_and_says_so(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = load(train(tiny_run(people, tmp_path, stages=[SHORT]), report=Report(tmp_path))).schema
    told = " ".join(capsys.readouterr().out.split())
    assert f"no training label tells of {', '.join(UNTAUGHT)}: the model will abstain from them" in told
    for logit in (-1000.0, 0.0, 1000.0):
        logits = np.full((2, len(MARS.words)), -logit)
        logits[:, schema.edges[:-1]] = logit
        for answers in schema.labels(schema.probabilities(logits)):
            assert all(answers[name].value is None for name in UNTAUGHT)
            assert logit == 0.0 or answers["hat"].value is not None


def test_what_a_model_abstained_from_can_be_taught_later(people: Path, tmp_path: Path) -> None:
    start = build_model(tiny_run(people, tmp_path), MARS, torch.full((43,), 0.3))
    start.schema = MARS.calibrated({"hat": ABSTAINS, "gender": ABSTAINS})
    save(start, tmp_path / "start.safetensors")
    settings = {"model": {"start": str(tmp_path / "start.safetensors")}, "calibration": {"fit": False}}
    run = tiny_run(people, tmp_path / "run", stages=[SHORT], **settings)
    schema = load(train(run, report=Report(tmp_path, quiet=True))).schema
    assert schema["hat"] == MARS["hat"]
    assert (schema["gender"].below, schema["gender"].above) == (0.0, 1.0)


def test_a_run_goes_on_with_what_it_was_begun_with_or_not_at_all(people: Path, tmp_path: Path) -> None:
    run = tiny_run(people, tmp_path)
    train(run, report=Report(tmp_path, quiet=True))
    stages = [run.stages[0].model_dump(), {**run.stages[1].model_dump(), "epochs": 3}]
    for key, changes in (("stages.1.epochs", {"stages": stages}), ("seed", {"seed": 1})):
        with pytest.raises(ConfigError, match=f"another {key}; give another out"):
            train(tiny_run(people, tmp_path, **changes), report=Report(tmp_path, quiet=True))
    refitted = train(tiny_run(people, tmp_path, calibration={"least": 0.6}), report=Report(tmp_path, quiet=True))
    assert (load(refitted).schema["hat"].below + load(refitted).schema["hat"].above) / 2 >= 0.6


def test_kept_taps_are_those_of_the_layers_that_are_asked_for(people: Path, tmp_path: Path) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1, "batch": 16, "augment": None, "cached_features": True}
    cache = tmp_path / "cache"
    for taps in ([0, 1], [0, 2]):
        sizes = {**TINY, "taps": taps, "targets": [0, 1]}
        run = tiny_run(people, tmp_path / str(taps), stages=[stage], model={"sizes": sizes}, cache=str(cache))
        train(run, report=Report(tmp_path / str(taps), quiet=True))
    assert len(list(cache.glob("taps-*.npy"))) == 4, "training and validation, twice"


@pytest.mark.parametrize("wrong", [{"augment": {}}, {"learns": "all"}, {"short_windows": 0.5}])
def test_kept_taps_go_with_nothing_that_changes_them(people: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    stage = {"name": "s", "learns": "side", "epochs": 1, "augment": None, "cached_features": True, **wrong}
    with pytest.raises(ValueError, match="cached_features needs"):
        tiny_run(people, tmp_path, stages=[stage])


def test_nobody_is_judged_by_pictures_learnt_from(people: Path, tmp_path: Path) -> None:
    data = {"train": str(people / "train"), "validation": str(people / "train"), "pictures": 3}
    with pytest.raises(DatasetError, match="is in training and validation"):
        train(tiny_run(people, tmp_path, data=data), report=Report(tmp_path, quiet=True))


def test_a_full_disk_is_said_before_anything_is_written(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    run = tiny_run(people, tmp_path, cache=str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match=r"the cache needs .*No space left.* set cache to a folder on another disk"):
        train(run, report=Report(tmp_path, quiet=True))
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_every_configuration_that_ships_can_be_read() -> None:
    for path in sorted((ROOT / "configs" / "training").glob("*.yaml")):
        assert load_run(path).stages


def test_a_misspelt_key_names_its_place_and_the_key_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = "name: a\nout: b\ndata: {train: x, validation: y}\nstages: [{name: s, learns: side, epochs: 1, bach: 4}]\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown key 'stages\.0\.bach'; did you mean 'batch'"):
        load_run(path)


def test_settings_are_changed_from_the_command_line_by_place(tmp_path: Path) -> None:
    changes = ["data.train=[a, b]", "stages.0.rate=0.5", "model.sizes.width=64"]
    run = load_run(ROOT / "configs" / "training" / "compact.yaml", changes)
    assert run.data.train == ["a", "b"]
    assert run.stages[0].rate == 0.5
    assert run.model.sizes["width"] == 64
    with pytest.raises(ConfigError, match="no index of a list"):
        load_run(ROOT / "configs" / "training" / "compact.yaml", ["stages.9.rate=1"])


def test_the_paper_recipe_minimises_the_published_loss() -> None:
    run = load_run(ROOT / "configs" / "training" / "paper.yaml")
    stage = run.stages[0]
    assert (stage.optimizer, stage.rate, stage.batch, stage.epochs) == ("adam", 0.001, 16, 30)
    assert (stage.weight_decay, stage.clip_norm, stage.ema, stage.schedule) == (0.0, None, 0.0, "paper")
    ratio = torch.rand(43)
    logits, targets = torch.randn(5, 43), (torch.rand(5, 43) < 0.3).float()
    assert torch.equal(Objective(stage.loss, MARS, ratio)(logits, targets), weighted_bce(logits, targets, ratio))


def test_a_weight_of_no_group_is_refused_before_any_training(people: Path, tmp_path: Path) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1, "loss": {"group_weights": {"hats": 2.0}}}
    with pytest.raises(ConfigError, match=r"stages\.0\.loss: .*did you mean 'hat'"):
        train(tiny_run(people, tmp_path / "run", stages=[stage]))
    assert not (tmp_path / "run" / "state.pt").exists()


def test_unknown_labels_carry_no_gradient() -> None:
    logits = torch.randn(4, 43, requires_grad=True)
    targets = torch.full((4, 43), 2.0)
    targets[:, MARS.slices["hat"]] = 1.0
    Objective(Loss(weighted_bce=1.0), MARS, torch.full((43,), 0.2))(logits, targets).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=0) > 0
    assert touched.nonzero().flatten().tolist() == [MARS.words.index("hat")]


def test_augmentation_is_one_draw_a_tracklet_and_repeats_with_its_seed() -> None:
    generator = np.random.default_rng(0)
    still = torch.from_numpy(generator.integers(0, 255, (6, 1, 3, 160, 80), dtype=np.uint8)).expand(-1, 3, -1, -1, -1)
    augment = Augmenter(Augmentation(frame_shift=0.0, noise=0.0), (128, 64))
    first = augment(still, torch.Generator().manual_seed(3))
    assert first.shape == (6, 3, 3, 128, 64)
    assert torch.allclose(first[:, 0], first[:, 2]), "frames of one tracklet change alike"
    assert torch.equal(first, augment(still, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, augment(still, torch.Generator().manual_seed(4)))


UNCHANGED_LIGHT = dict.fromkeys(
    ("gamma", "exposure", "temperature", "tint", "saturation", "contrast", "shadows", "noise", "low_resolution",
     "dark_chance", "cast_chance", "haze_chance", "crush_chance", "blur_chance", "erase_chance"), 0.0,
)  # fmt: skip
STILL = dict.fromkeys(("flip", "scale", "shift", "frame_shift", "aspect", "rotation"), 0.0)


def test_lost_shadows_turn_black_and_leave_white_alone() -> None:
    pictures = torch.zeros((64, 2, 3, 48, 24), dtype=torch.uint8)
    pictures[:, :, :, :16], pictures[:, :, :, 32:] = 5, 255
    augment = Augmenter(Augmentation(**UNCHANGED_LIGHT | STILL | {"crush_chance": 1.0, "crush": 0.5}), (48, 24))
    changed = augment(pictures, torch.Generator().manual_seed(0))
    assert (changed[:, :, :, :15] == 0).float().mean() > 0.8
    assert torch.allclose(changed[:, :, :, 33:], torch.ones(()))


def test_the_dark_is_dark_and_a_veil_lifts_black() -> None:
    pictures = torch.zeros(64, 2, 3, 48, 24, dtype=torch.uint8)
    pictures[..., 24:, :] = 200

    def changed(**strengths: float) -> Tensor:
        augment = Augmenter(Augmentation(**UNCHANGED_LIGHT | STILL | strengths), (48, 24))
        return augment(pictures, torch.Generator().manual_seed(0))

    night = changed(dark_chance=1.0, dark=1.0)[..., 30:, :].flatten(1).mean(dim=1)
    assert 0.36 * 200 / 255 < night.min() < night.max() < 200 / 255
    veil = changed(haze_chance=1.0, haze=0.5, veil_tint=0.2)[..., :18, :].flatten(3).mean(dim=(1, 3))
    assert 0.05 < veil.mean() < 0.3
    assert (veil.amax(dim=1) / veil.amin(dim=1)).median() > 1.05, "veils have colours"


def test_the_cast_of_a_lamp_is_a_multiple_of_the_usual_one() -> None:
    pictures = torch.full((64, 1, 3, 48, 24), 120, dtype=torch.uint8)

    def casts(**strengths: float) -> Tensor:
        light = UNCHANGED_LIGHT | STILL | {"temperature": 0.1} | strengths
        red, _, blue = Augmenter(Augmentation(**light), (48, 24))(pictures, torch.Generator().manual_seed(0))[
            :, 0, :, 24, 12
        ].unbind(1)
        return (red / blue).log()

    usual, strong = casts(), casts(cast_chance=1.0, cast=1.5)
    assert usual.abs().max() > 0.1
    ratio = strong / usual
    assert 0.99 < ratio.min() < 1.2 < 2.2 < ratio.max() < 2.51


def test_what_is_drawn_after_the_noise_does_not_depend_on_how_much_of_it_there_is() -> None:
    after = []
    for size in (4, 400):
        draw = Draw(torch.Generator().manual_seed(0), 8, 2, torch.device("cpu"))
        assert draw.normal((size,)).std() > 0
        after.append(draw.uniform())
    assert torch.equal(*after)


def test_an_erased_patch_stays_at_its_place_in_every_frame() -> None:
    pictures = torch.zeros(32, 3, 3, 48, 24, dtype=torch.uint8)
    augment = Augmenter(Augmentation(**UNCHANGED_LIGHT | STILL | {"erase_chance": 1.0, "erase": 0.3}), (48, 24))
    covered = augment(pictures, torch.Generator().manual_seed(0)).amax(dim=2) > 0
    assert torch.equal(covered[:, 0], covered[:, 2])
    rows, columns = covered[:, 0].any(dim=2).sum(dim=1), covered[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(covered[:, 0].sum(dim=(1, 2)), rows * columns), "a patch is a rectangle"
    assert 1 <= rows.min() < rows.max() <= 0.36 * 48 + 1
    assert 1 <= columns.min() < columns.max() <= 0.36 * 24 + 1


def test_part_maps_are_cut_like_their_pictures() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (8, 2, 4, 2), dtype=np.uint8))
    maps = maps.repeat_interleave(12, dim=2).repeat_interleave(12, dim=3)
    pictures = (255 * maps)[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()
    augment = Augmenter(Augmentation(**UNCHANGED_LIGHT), (48, 24))
    changed, cut = augment.with_maps(pictures, maps, (48, 24), torch.Generator().manual_seed(0))
    assert cut.dtype == torch.uint8
    assert not torch.equal(cut, maps), "boxes moved"
    assert ((changed[:, :, 0] > 0.5) == cut.bool()).float().mean() > 0.97


def test_a_tower_learns_where_things_are_from_part_maps(people: Path, tmp_path: Path) -> None:
    stage = {"name": "tower", "learns": "backbone", "epochs": 6, "batch": 16, "rate": 0.01, "ema": 0.0}
    report = Report(tmp_path / "maps", quiet=True)
    run = tiny_run(people, tmp_path / "maps", stages=[{**stage, "loss": {"cross_entropy": 0.0, "parts": 1.0}}])
    train(run, report=report)
    losses = [row["loss"] for row in report.rows]
    assert losses[-1] < 0.5 * losses[0]


def test_pictures_without_part_maps_take_no_part_in_their_loss() -> None:
    objective = Objective(Loss(parts=1.0), MARS, torch.full((43,), 0.5))
    maps = torch.full((2, 8, 4), UNKNOWN_PART, dtype=torch.uint8)
    scores = torch.randn(2, len(PART_NAMES), 8, 4)
    assert float(objective.parts(scores, maps, torch.ones(len(PART_NAMES)))) == 0.0
    maps[0] = 2
    alone = objective.parts(scores[:1], maps[:1], torch.ones(len(PART_NAMES)))
    assert torch.allclose(objective.parts(scores, maps, torch.ones(len(PART_NAMES))), alone)
    with pytest.raises(ValueError, match="part maps"):
        part_weights(maps[1].numpy())


def test_answers_count_as_apart_by_how_far_two_views_of_a_person_are_told_apart() -> None:
    objective = Objective(Loss(consistency=2.0), MARS, torch.full((43,), 0.5))
    one = torch.randn(3, 43, generator=torch.Generator().manual_seed(0))
    other = torch.randn(3, 43, generator=torch.Generator().manual_seed(1))
    assert float(objective.consistency(torch.cat([one, one]))) == pytest.approx(0.0, abs=1e-5)
    apart = objective.consistency(torch.cat([one, other]))
    assert float(apart) == pytest.approx(float(objective.consistency(torch.cat([other, one]))), rel=1e-5)
    assert float(apart) > 0.1
    # Sure of the opposite: log 2 for a binary group, log 2 for a one-of group, whatever its number of words.
    hat, pose = MARS.slices["hat"].start, MARS.slices["pose"].start
    sure = torch.zeros(2, 43)
    sure[0, hat], sure[1, hat] = 90.0, -90.0
    sure[0, pose], sure[1, pose + 1] = 90.0, 90.0
    assert float(objective.consistency(sure)) == pytest.approx(2.0 * 2.0 * np.log(2.0), rel=1e-4)


@pytest.mark.parametrize("learns", ["backbone", "all"])
def test_a_stage_that_asks_for_consistency_sees_everybody_twice(people: Path, tmp_path: Path, learns: str) -> None:
    seen: list[Tensor] = []
    loss = {"consistency": 1.0, "parts": 1.0 if learns == "backbone" else 0.0}
    stage = {"name": "views", "learns": learns, "epochs": 1, "batch": 8, "loss": loss}
    bench = set_up(tiny_run(people, tmp_path / learns, stages=[stage]), Report(tmp_path / learns, quiet=True))
    stage_run = StageRun(bench, Progress(), {})
    forward = stage_run.forward

    def watched(images: Tensor) -> Any:
        seen.append(images)
        return forward(images)

    stage_run.forward = watched
    stage_run.run(lambda *progress, **parts: None)
    assert all(len(images) == 16 and not torch.equal(images[:8], images[8:]) for images in seen)


def test_consistency_needs_views_that_differ(people: Path, tmp_path: Path) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1, "augment": None, "loss": {"consistency": 1.0}}
    with pytest.raises(ValueError, match="needs augment"):
        tiny_run(people, tmp_path, stages=[stage])


def test_a_rare_part_counts_more_in_all_but_not_by_the_cell_alone() -> None:
    weights = part_weights(np.repeat([0, 1], [990, 10]).astype(np.uint8))
    assert weights[1] / weights[0] == pytest.approx(99**0.5, rel=1e-3)
    assert 0.99 * weights[0] + 0.01 * weights[1] == pytest.approx(1.0, rel=0.01)


def test_parts_need_a_stage_that_can_tell_them(people: Path, tmp_path: Path) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1, "loss": {"parts": 1.0}}
    with pytest.raises(ValueError, match="learns: backbone"):
        tiny_run(people, tmp_path, stages=[stage])


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_augmentation_never_makes_one_colour_another(colour: str) -> None:
    channel = ("red", "green", "blue").index(colour)
    picture = torch.full((64, 1, 3, 32, 16), 40, dtype=torch.uint8)
    picture[:, :, channel] = 180
    changed = Augmenter(Augmentation(erase_chance=0.0), (32, 16))(picture, torch.Generator().manual_seed(0))
    assert (changed.mean(dim=(1, 3, 4)).argmax(dim=1) == channel).all()


def test_a_chance_is_a_share() -> None:
    for chances in ({"erase_chance": 1.5}, {"blur_chance": -0.1}, {"flip": 2.0}):
        with pytest.raises(ValidationError, match="than or equal to"):
            Augmentation(**chances)


def test_a_clip_of_other_sizes_is_refused(people: Path, tmp_path: Path) -> None:
    import open_clip

    sizes = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16}
    words = {"context_length": 8, "vocab_size": 16, "width": 64, "heads": 1, "layers": 1}
    (tmp_path / "small-clip.json").write_text(json.dumps({"embed_dim": 8, "vision_cfg": sizes, "text_cfg": words}))
    open_clip.add_model_config(tmp_path / "small-clip.json")
    torch.save(open_clip.create_model("small-clip").state_dict(), tmp_path / "clip.pt")

    def built(**changes: Any) -> VTFPAR:
        fitting = {"width": 64, "heads": 1, "depth": 2, "taps": [0, 2], "targets": [0, 1], "activation": "gelu"}
        model = {
            "preset": "paper",
            "sizes": {**fitting, "image_size": [32, 32], **changes},
            "clip": {"name": "small-clip", "pretrained": str(tmp_path / "clip.pt")},
        }
        return build_model(tiny_run(people, tmp_path, model=model), MARS, torch.full((43,), 0.5))

    assert built().config.width == 64
    for changes in ({"width": 128}, {"depth": 3}, {"stem": "conv"}):
        with pytest.raises(
            ConfigError, match=r"model\.clip: small-clip has another tower than model\.sizes say: tensor"
        ):
            built(**changes)


def test_the_published_augmentation_moves_each_frame_by_itself_onto_black() -> None:
    picture = torch.full((4, 3, 3, 32, 16), 255, dtype=torch.uint8)
    settings = Augmentation(independent_frames=True, shift_pixels=4)
    changed = Augmenter(settings, (32, 16))(picture, torch.Generator().manual_seed(0))
    assert changed.shape == (4, 3, 3, 32, 16)
    assert set(changed.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(changed[0, 0], changed[0, 1])


def test_a_resumed_epoch_gives_the_batches_that_were_left() -> None:
    batches = Batches(np.zeros((50, 43)), 6, batch=8, frames=4, seed=1, short=0.5)
    whole = list(batches.epoch(3))
    rest = list(batches.epoch(3, 4))
    assert len(whole) == 7
    for a, b in zip(whole[4:], rest, strict=True):
        assert np.array_equal(a.rows, b.rows)
        assert np.array_equal(a.frames, b.frames)
    assert sorted(np.concatenate([batch.rows for batch in whole]).tolist()) == list(range(50))


def test_pictures_are_decoded_once_and_a_broken_one_is_replaced_by_its_neighbour(tmp_path: Path) -> None:
    write_shard(tmp_path / "data" / "0.tar", 4, 0)
    found = open_dataset(tmp_path / "data", MARS)
    blank(found.tracklets[0].pictures[1])
    sizes: dict[str, Any] = {"size": (32, 16), "pictures": 3, "preprocessing": load_preprocessing()}
    store = PictureStore.open(found, tmp_path / "cache", **sizes)
    assert found.problems.counts == {"unreadable picture": 1}
    rows, frames = np.array([[0, 0]]), np.array([[0, 1]])
    pictures = store[rows, frames]
    assert pictures.shape == (1, 2, 3, 32, 16)
    assert np.array_equal(pictures[0, 0], pictures[0, 1])
    stamp = next((tmp_path / "cache").iterdir()).stat().st_mtime_ns
    PictureStore.open(found, tmp_path / "cache", **sizes)
    assert next((tmp_path / "cache").iterdir()).stat().st_mtime_ns == stamp


def load_preprocessing() -> Any:
    from par_model.config import Preprocessing

    return Preprocessing(resample="fast")


def test_plain_pictures_are_rgb_between_zero_and_one() -> None:
    picture = torch.full((1, 1, 3, 40, 20), 51, dtype=torch.uint8)
    assert torch.allclose(plain(picture, (32, 16)), torch.tensor(0.2))


def test_platt_scaling_recovers_a_known_slope_and_offset() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(0.0, 3.0, 20000)
    positive = generator.random(20000) < 1.0 / (1.0 + np.exp(-(scores - 1.0) / 2.0))
    temperature, offset = fit_platt(scores, positive)
    assert temperature == pytest.approx(2.0, rel=0.05)
    assert offset == pytest.approx(-1.0, abs=0.1)


def test_few_answers_do_not_make_it_sure_of_itself() -> None:
    temperature, offset = fit_platt(np.array([-2.0, -1.5, -1, -0.8, -0.2, 0.3, 0.7, 1, 1.5, 2]), np.arange(10) > 4)
    assert temperature > 0.5
    assert 0.5 < 1 / (1 + np.exp(-(0.3 + offset) / temperature)) < 0.7


def test_logits_that_hardly_differ_are_calibrated_to_finite_numbers() -> None:
    for seed in (1, 18, 21, 24, 26):
        generator = np.random.default_rng(seed)
        wanted = np.eye(9)[np.where(generator.random(40) < 0.5, 3, 7)]
        scores = generator.uniform(-2.0, 0.5, 9) + 0.003 * (generator.normal(size=(40, 9)) + 3.0 * wanted)
        temperature, offsets = fit_softmax(scores, wanted)
        assert 0.1 <= temperature <= 10.0
        assert np.isfinite(offsets).all()
        assert np.isfinite(fit_platt(scores[:, 3], wanted[:, 3] == 1)).all()


def test_a_turned_picture_is_turned_and_not_slanted() -> None:
    augmenter = Augmenter(Augmentation(**{**STILL, "rotation": 20.0}), (128, 64))
    theta = augmenter._boxes(Draw(torch.Generator().manual_seed(0), 8, 1, torch.device("cpu")))[:, 0, :, :2]
    sides = torch.tensor([64.0, 128.0])
    in_pixels = sides[:, None] * theta / sides
    assert (in_pixels[:, 0, 1].abs() > 0.02).any()
    torch.testing.assert_close(in_pixels @ in_pixels.transpose(1, 2), torch.eye(2).expand(8, 2, 2))


def test_rarer_positives_where_the_model_runs_lower_its_probabilities() -> None:
    """Where one in twenty wears a hat, a model fitted where two in five do, and its prior, find one in twenty."""
    generator = np.random.default_rng(0)
    logits = np.zeros((40000, len(MARS.words)), dtype=np.float32)
    column = MARS.slices["hat"].start

    def hats(share: float) -> np.ndarray:
        logits[:, column] = generator.normal(np.where(generator.random(40000) < share, 1.5, -1.5), 1.5)
        return logits

    hats(0.4)  # as the log-odds of two normals: 4 / 3 of the score, and the log-odds of the shares
    offset = np.float32(np.log(0.4 / 0.6) * 0.75)
    prior = prior_shift(MARS["hat"], np.arange(40000)[:, None] < 16000, 0.05)
    fitted = MARS.calibrated({"hat": Calibration(0.75, 0.4, 0.5, prior)})
    assert fitted.probabilities(hats(0.05) + offset)[:, column].mean() == pytest.approx(0.05, abs=0.005)
    assert fitted.without_priors().probabilities(hats(0.4) + offset)[:, column].mean() == pytest.approx(0.4, abs=0.01)


def test_the_prior_of_a_one_of_group_names_every_word() -> None:
    ages = {"young": 0.1, "teenager": 0.1, "adult": 0.7, "old": 0.1}
    prior = prior_shift(MARS["age"], np.eye(4, dtype=bool).repeat(30, axis=0), ages)
    assert prior[2] - prior[0] == pytest.approx(np.log(7), abs=1e-3)
    assert prior_shift(MARS["age"], np.eye(4, dtype=bool), None) == ()
    unseen = prior_shift(MARS["age"], np.eye(4, dtype=bool)[[0, 1, 3]].repeat(30, axis=0), ages)
    assert unseen[2] - unseen[0] == pytest.approx(np.log(7 * 31), abs=1e-3), "no more than one answer could have shown"


@pytest.mark.parametrize(
    ("marginals", "complaint"),
    [
        ({"age": {"young": 0.1, "adults": 0.9}}, "a share for each of adult, old, teenager, young"),
        ({"age": {"young": 0.1, "teenager": 0.1, "adult": 0.07, "old": 0.1}}, "sum to 0.37"),
        ({"hat": {"hat": 0.1}}, "one share is expected"),
        ({"backpak": 0.2}, "did you mean 'backpack'"),
    ],
)
def test_impossible_marginals_are_refused_before_any_training(
    people: Path, tmp_path: Path, marginals: dict[str, Any], complaint: str
) -> None:
    stage = {"name": "side", "learns": "side", "epochs": 1}
    with pytest.raises(ConfigError, match=complaint):
        train(tiny_run(people, tmp_path / "run", stages=[stage], calibration={"marginals": marginals}))
    assert not (tmp_path / "run" / "state.pt").exists()


def test_a_group_with_one_answer_keeps_the_numbers_it_had(people: Path, tmp_path: Path) -> None:
    report = Report(tmp_path, quiet=True)
    stage = {"name": "side", "learns": "side", "epochs": 1, "batch": 32}
    first = load(train(tiny_run(people, tmp_path / "first", stages=[stage]), report=report))
    first.schema = first.schema.calibrated({"motion": Calibration(1.7, 0.0, 0.5, (1.0, 0.0, 0.0, 0.0, -1.0))})
    save(first, tmp_path / "start.safetensors")
    start = {"start": str(tmp_path / "start.safetensors")}
    again = load(train(tiny_run(people, tmp_path / "again", stages=[stage], model=start), report=report))
    assert again.schema["motion"] == first.schema["motion"], "everybody walks"
    assert again.schema["top color"].temperature != first.schema["top color"].temperature


@pytest.mark.parametrize(("share", "least"), [(0.99, 0.99), (0.004, 0.0)])
def test_a_threshold_without_a_zone_about_it_is_never_out_of_reach(
    small_model: VTFPAR, share: float, least: float
) -> None:
    labels = np.full((1000, 43), 2)
    labels[:, MARS.slices["hat"].start] = np.arange(1000) < 1000 * share
    calibrate(small_model, np.zeros((1000, 43), np.float32), labels, Fit(band=0.0, least=least))
    group = small_model.schema["hat"]
    assert 0.02 <= group.below == group.above <= 0.98


def test_a_start_brings_its_numbers_and_the_schema_what_groups_mean(people: Path, tmp_path: Path) -> None:
    shipped = load(checkpoint_path("default"))
    groups = [replace(group, half_life=77.0) for group in MARS.groups]
    changed = replace(MARS, groups=tuple(groups))
    run = tiny_run(people, tmp_path / "run", model={"start": "default"})
    started = build_model(run, changed, torch.ones(len(MARS.words)))
    assert started.schema.calibration == shipped.schema.calibration
    assert {group.half_life for group in started.schema.groups} == {77.0}
    renamed = replace(MARS, groups=(replace(MARS.groups[0], name="sleeves"), *MARS.groups[1:]))
    for other in (renamed, replace(MARS, template="a picture of somebody {}")):
        with pytest.raises(ConfigError, match="other groups or sentences"):
            build_model(run, other, torch.ones(len(MARS.words)))


def test_the_threshold_is_where_f1_is_best() -> None:
    probabilities = np.array([0.9, 0.8, 0.6, 0.4, 0.2, 0.1])
    positive = np.array([True, True, True, False, False, False])
    assert best_threshold(probabilities, positive) == pytest.approx(0.5)


def test_no_binary_threshold_lies_under_the_least_that_is_allowed(people: Path, tmp_path: Path) -> None:
    report = Report(tmp_path, quiet=True)
    stage = {"name": "side", "learns": "side", "epochs": 1, "batch": 32}
    thresholds = []
    for least in (0.0, 0.7):
        run = tiny_run(people, tmp_path, stages=[stage], calibration={"least": least, "marginals": {"hat": 0.05}})
        group = load(train(run, report=report)).schema["hat"]
        thresholds.append((group.below + group.above) / 2)
        labels = open_dataset(run.data.validation, MARS).labels[:, MARS.slices["hat"]]
        share = ((labels == 1).sum() + 1) / ((labels <= 1).sum() + 2)
        assert group.prior == pytest.approx((np.log(0.05 / 0.95) - np.log(share / (1 - share)),), abs=1e-3)
    assert thresholds[0] < 0.7
    assert thresholds[1] == pytest.approx(0.7, abs=1e-3)


def test_an_overconfident_softmax_that_favours_a_class_is_put_right() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(4000, 5))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wanted = np.eye(5)[[generator.choice(5, p=row) for row in p]]
    bias = np.array([2.0, -0.5, -0.5, -0.5, -0.5])
    temperature, offsets = fit_softmax(3.0 * scores + bias, wanted)
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert offsets == pytest.approx(-bias, abs=0.3)


def test_averaged_weights_follow_quickly_at_first_and_slowly_later() -> None:
    module = torch.nn.Linear(1, 1)
    average = Average(module, 0.99)
    with torch.no_grad():
        module.weight.fill_(5.0)
    average.update(module, 1)
    early = float(average.module.weight.detach())
    assert early > 3.0
    with torch.no_grad():
        module.weight.fill_(-100.0)
    average.update(module, 100000)
    assert early - float(average.module.weight.detach()) < 2.0


def test_unreadable_part_maps_are_counted_and_stay_unknown(tmp_path: Path) -> None:
    write_shard(tmp_path / "data" / "0.tar", 4, 0)
    found = open_dataset(tmp_path / "data", MARS)
    assert found.tracklets[2].parts is not None
    blank(found.tracklets[2].parts)
    sizes: dict[str, Any] = {"size": (32, 16), "pictures": 3, "preprocessing": load_preprocessing()}
    store = PictureStore.open(found, tmp_path / "cache", **sizes, parts=True)
    assert found.problems.counts == {"unreadable part maps": 1}
    assert store.maps is not None
    assert [bool((maps == UNKNOWN_PART).all()) for maps in store.maps] == [False, False, True, False]


def picture_stores(folder: Path, runs: int) -> tuple[TrackletSet, list[PictureStore]]:
    """Two shards of unlike length, whose pictures all differ, and what so many runs at once find of them."""
    for number, count in enumerate((5, 8)):
        write_shard(folder / "data" / f"{number}.tar", count, number, bright=True)
    found = open_dataset(folder / "data", MARS)
    sizes: dict[str, Any] = {"size": (32, 16), "pictures": 3, "preprocessing": load_preprocessing()}
    with ThreadPoolExecutor(runs) as pool:
        stores = pool.map(lambda _: PictureStore.open(found, folder / "cache", **sizes, workers=2), range(runs))
        return found, list(stores)


def test_the_weights_that_ship_expect_what_the_recipe_says() -> None:
    recipe = load_run(ROOT / "configs" / "training" / "compact.yaml").calibration.marginals
    assert load(checkpoint_path("default")).metadata["training"]["marginals"] == recipe


def test_runs_that_fill_one_cache_at_once_all_find_every_picture_in_order(tmp_path: Path) -> None:
    found, stores = picture_stores(tmp_path, 4)
    wanted = [[picture.decode()[..., ::-1].transpose(2, 0, 1) for picture in t.pictures] for t in found]
    assert len({picture.tobytes() for row in wanted for picture in row}) == 3 * 13
    for store in stores:
        assert np.array_equal(store[np.arange(13)[:, None], np.arange(3)[None]], np.array(wanted))
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_pictures_held_by_a_device_make_the_same_batches(tmp_path: Path) -> None:
    store = picture_stores(tmp_path, 1)[1][0]
    batches, device = list(Batches(np.zeros((13, 43)), 3, batch=4, frames=2, seed=0).epoch(0)), torch.device("cpu")
    read = [load_batch(store, batch, device) for batch in batches]
    assert store.nbytes == 13 * 3 * 3 * 32 * 16
    store.hold_on(device)
    assert store.resident is not None
    for batch, wanted in zip(batches, read, strict=True):
        assert torch.equal(load_batch(store, batch, device), wanted)


@pytest.mark.parametrize("content", [b"", b"no picture", encode_maps(np.full((3, *MAP_SIZE), 40, np.uint8))])
def test_what_is_no_part_map_is_an_error_of_the_data(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "parts.png"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="part maps"):
        decode_maps(Picture(path), 3)
