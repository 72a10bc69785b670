"""A checkpoint says everything about its model, and what is no checkpoint is refused in one clear line."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import par_model
from par_model import VTFPAR, CheckpointError
from par_model.openpar import from_openpar, read_pth, to_openpar
from par_model.schema import Calibration


@pytest.fixture
def saved(small_model: VTFPAR, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    par_model.save(small_model, path, metadata={"training": {"epochs": 3}})
    return path


def rewritten(path: Path, header: dict[str, str] | None = None, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """The same file with some entries of its header or some tensors replaced."""
    with safe_open(path, framework="pt") as file:
        old = dict(file.metadata())
    out = path.with_name("changed.safetensors")
    save_file(load_file(path) | (tensors or {}), out, metadata=old | (header or {}))
    return out


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        par_model.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert path.name in message
    return message


def test_a_model_comes_back_whole(small_model: VTFPAR, tmp_path: Path) -> None:
    small_model.schema = small_model.schema.calibrated({"hat": Calibration(2.0, 0.3, 0.7)})
    small_model.leftovers = {"w_temporal": torch.ones(1)}
    small_model.metadata = {"text": {"kind": "hashed words"}}
    path = tmp_path / "deep" / "model.safetensors"
    par_model.save(small_model, path, metadata={"training": {"epochs": 3}})
    model = par_model.load(path)
    frames = torch.randn(2, 4, 3, *small_model.config.image_size)
    with torch.no_grad():
        assert torch.equal(model(frames), small_model(frames))
    assert (model.config, model.schema) == (small_model.config, small_model.schema)
    assert model.metadata == {"text": {"kind": "hashed words"}, "training": {"epochs": 3}}
    assert model.leftovers.keys() == {"w_temporal"}
    assert model.backbone.frozen
    assert not model.training
    assert not list(path.parent.glob("*.partial"))


def test_half_precision_files_are_half_as_big_and_nearly_equal(
    small_model: VTFPAR, saved: Path, tmp_path: Path
) -> None:
    par_model.save(small_model, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * saved.stat().st_size
    frames = torch.randn(1, 4, 3, *small_model.config.image_size)
    with torch.no_grad():
        gap = par_model.load(tmp_path / "half.safetensors")(frames) - small_model(frames)
    assert float(gap.abs().max()) < 2e-2


def test_missing_foreign_and_truncated_files(saved: Path, tmp_path: Path) -> None:
    assert "no such checkpoint" in refusal(tmp_path / "absent.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    assert "no attribute model" in refusal(foreign)
    whole = saved.read_bytes()
    for share in (0.0, 0.001, 0.5, 0.999):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert "damaged" in refusal(cut)


def test_another_format_version(saved: Path) -> None:
    assert "version 2" in refusal(rewritten(saved, {"version": "2"}))


def test_a_schema_of_another_size(saved: Path) -> None:
    duke = par_model.load_schema("duke")
    assert "36 attributes" in refusal(rewritten(saved, {"schema": json.dumps(duke.as_dict())}))


def test_tensors_that_do_not_fit_their_description(saved: Path, small_model: VTFPAR) -> None:
    config = small_model.config.as_dict() | {"side_width": 64}
    message = refusal(rewritten(saved, {"config": json.dumps(config)}))
    assert "its description says" in message


def test_sizes_beyond_reason_cost_no_memory(saved: Path, small_model: VTFPAR) -> None:
    for change in ({"width": 2**40}, {"depth": 10**9, "taps": [0, 2, 10**9]}, {"image_size": [2**20, 2**20]}):
        config = small_model.config.as_dict() | change
        assert "must" in refusal(rewritten(saved, {"config": json.dumps(config)}))


def test_values_that_are_not_finite(small_model: VTFPAR, tmp_path: Path) -> None:
    with torch.no_grad():
        small_model.fusion.word_embed.weight[0, 0] = float("nan")
    par_model.save(small_model, tmp_path / "nan.safetensors")
    assert "fusion.word_embed.weight has values that are not finite" in refusal(tmp_path / "nan.safetensors")


def test_changed_weights_do_not_match_their_checksum(saved: Path) -> None:
    assert "checksum" in refusal(rewritten(saved, tensors={"head.bias": torch.zeros(43)}))


class Intruder:
    """A pickle that would run a command."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    zipped, plain = tmp_path / "evil.pth", tmp_path / "plain.pth"
    torch.save({"model_state_dict": {"a": torch.zeros(1), "b": Intruder(trace)}}, zipped)
    plain.write_bytes(pickle.dumps(Intruder(trace)))
    for path in (zipped, plain):
        with pytest.raises(CheckpointError, match="refused"):
            read_pth(path)
        assert "pickle" in refusal(path)
    assert not trace.exists()


def test_two_hundred_mutated_files_neither_crash_nor_pass_unnoticed(
    saved: Path, small_model: VTFPAR, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(saved.read_bytes(), dtype=np.uint8)
    header = 8 + int.from_bytes(whole[:8].tobytes(), "little")
    wanted = {name: tensor.clone() for name, tensor in small_model.state_dict().items()}
    path = tmp_path / "mutated.safetensors"
    refused, complaints = 0, set()
    for case in range(200):
        changed = whole.copy()
        end = len(whole) if case % 4 == 0 else (8 if case % 4 == 1 else header)
        for place in rng.integers(0, end, size=rng.integers(1, 6)):
            changed[place] = rng.integers(0, 256)
        if case % 10 == 9:
            changed = np.delete(changed, slice(int(rng.integers(0, len(whole))), int(rng.integers(0, len(whole)))))
        path.write_bytes(changed.tobytes())
        try:
            model = par_model.load(path)
        except CheckpointError as error:
            refused += 1
            complaints.add(str(error))
            continue
        state = model.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in wanted.items())
    assert not any("\n" in complaint for complaint in complaints)
    assert refused > 150


def public_state(small_model: VTFPAR) -> dict[str, torch.Tensor]:
    """A checkpoint as the public trainer writes it, of a small model with a patch stem."""
    config = par_model.ModelConfig(
        image_size=(64, 64),
        width=64,
        depth=11,
        heads=1,
        side_width=24,
        text_width=16,
        attributes=36,
    )
    schema = par_model.load_schema("duke")
    return to_openpar(par_model.build(config, schema, torch.zeros(36, 16)))


def test_public_checkpoints_that_do_not_fit_are_refused(small_model: VTFPAR) -> None:
    state, text = public_state(small_model), torch.zeros(36, 16)
    assert from_openpar(state, text).schema.name == "duke"
    for name, complaint in (("weight_layer.3.bias", "weight_layer.3.bias"), ("norm.weight", "norm.weight")):
        with pytest.raises(CheckpointError, match=complaint):
            from_openpar({n: t for n, t in state.items() if n != name}, text)
    with pytest.raises(CheckpointError, match="35 attributes"):
        from_openpar(state, text, par_model.load_schema("duke").without(["hat"]))
    with pytest.raises(CheckpointError, match="text_features"):
        from_openpar(state, torch.zeros(36, 17))
    with pytest.raises(CheckpointError, match="not finite"):
        from_openpar(state | {"norm.bias": torch.full((24,), float("inf"))}, text)
    with pytest.raises(CheckpointError, match="without a side network"):
        from_openpar({n: t for n, t in state.items() if not n.startswith("crossframe")}, text)
    with pytest.raises(CheckpointError, match="no checkpoint of VTFPAR"):
        from_openpar({}, text)


@torch.no_grad()
def test_a_public_checkpoint_can_be_fed_with_tall_pictures(small_model: VTFPAR) -> None:
    model = from_openpar(public_state(small_model), torch.zeros(36, 16), image_size=(96, 48))
    assert model.config.grid == (6, 3)
    assert torch.isfinite(model(torch.randn(1, 6, 3, 96, 48))).all()
