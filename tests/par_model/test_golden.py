"""Every stage of the model gives the numbers of the public VTFPAR++ code."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

import par_model
from par_model.backbone import PatchStem, VisionTower, clip_visual_state
from par_model.losses import weighted_bce
from par_model.model import VTFPAR
from par_model.openpar import from_openpar, to_openpar
from par_model.schedule import learning_rate
from par_model.text import encode_texts, text_tower

TINY = [
    ("tiny_mars_a_b1_f6", "mars", "a", 1, 6),
    ("tiny_mars_b_b2_f6", "mars", "b", 2, 6),
    ("tiny_duke_a_b1_f6", "duke", "a", 1, 6),
]
FULL = [("full_mars_a_b1_f6", "mars", "a", 1, 6)]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "golden"


@pytest.fixture(scope="module")
def recipe(golden: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_recipe", golden / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Weights:
    """Reference weights made by the recipe, once for each data set and size."""

    def __init__(self, golden: Path, recipe: ModuleType) -> None:
        self.golden, self.recipe = golden, recipe
        self.cache: dict[tuple[str, str], dict[str, Tensor]] = {}

    def __call__(self, size: str, dataset: str) -> dict[str, Tensor]:
        key = (size, dataset)
        if key not in self.cache:
            name = "tiny_weights_sha256.json" if size == "tiny" else "weights_sha256.json"
            listed = json.loads((self.golden / name).read_text())
            attributes = {"mars": 43, "duke": 36}[dataset]
            state = {}
            for name, entry in listed.items():
                shape = list(entry["shape"])
                if name.startswith("weight_layer.") and int(name.split(".")[1]) >= attributes:
                    continue
                if name.startswith("bn.") and shape:
                    shape = [attributes]
                value = self.recipe.value(name, shape)
                if dataset == "mars" and name.endswith(("frist_linear.weight", "conv1.weight")):
                    assert hashlib.sha256(value.tobytes()).hexdigest() == entry["sha256"]
                state[name] = torch.from_numpy(value)
            self.cache[key] = state
        return self.cache[key]


@pytest.fixture(scope="module")
def weights(golden: Path, recipe: ModuleType) -> Weights:
    return Weights(golden, recipe)


def split(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Classifier and text side of a recipe's weights."""
    text = {name.removeprefix("clip."): t for name, t in state.items() if name.startswith("clip.")}
    return {name: t for name, t in state.items() if not name.startswith("clip.")}, text


def reference_model(weights: Weights, size: str, dataset: str, text_features: np.ndarray) -> VTFPAR:
    classifier, _ = split(weights(size, dataset))
    return from_openpar(classifier, torch.from_numpy(text_features))


def gap(ours: Tensor, theirs: np.ndarray) -> float:
    return float((ours - torch.from_numpy(theirs)).abs().max())


@pytest.mark.parametrize(("name", "dataset", "tag", "batch", "frames"), TINY + FULL)
@torch.no_grad()
def test_every_stage_equals_the_public_code(
    golden: Path, recipe: ModuleType, weights: Weights, name: str, dataset: str, tag: str, batch: int, frames: int
) -> None:
    stored = np.load(golden / f"{name}.npz")
    size = name.split("_")[0]
    classifier, _ = split(weights(size, dataset))
    model = reference_model(weights, size, dataset, stored["text_features"])
    clip = recipe.frames(tag, batch, frames, model.config.image_size[0])
    assert hashlib.sha256(clip.tobytes()).hexdigest() == str(stored["input_sha256"])
    images = torch.from_numpy(clip).flatten(0, 1)

    visual = {n.removeprefix("clip_visual_extractor."): t for n, t in classifier.items() if "clip_visual" in n}
    config = model.config
    tower = VisionTower(
        grid=config.grid,
        stem=PatchStem(config.width, config.patch, bias=False),
        width=config.width,
        depth=12,
        heads=config.heads,
        taps=range(13),
    )
    tower.load_state_dict(clip_visual_state(visual, grid=config.grid, depth=12))
    for k, tokens in enumerate(tower.stages(images)):
        patches, count = tokens[:, 1:].double(), tokens.shape[1] - 1
        stats = np.array([patches.mean(), patches.std(correction=0), patches.abs().max(), patches.norm()])
        np.testing.assert_allclose(stats, stored["clip_stats"][k], rtol=1e-4, atol=1e-5)
        places = [0, 1, 2, count // 2, count]
        assert gap(tokens[:, places, :16], stored["clip_slices"][k]) < 1e-4
        if "clip_tokens" in stored:
            assert gap(tokens, stored["clip_tokens"][k]) < 1e-4

    taps = model.backbone(images)
    spatial = model.spatial(images, taps)
    assert gap(spatial, stored["ssn"]) < 1e-4
    windows = [tap.unflatten(0, (batch, frames)) for tap in taps]
    temporal = model.temporal(
        model.temporal.project_first([tap[:, 0] for tap in windows]),
        model.temporal.project_later([tap[:, 1:] for tap in windows]),
    )
    assert gap(temporal.transpose(0, 1), stored["tsn"]) < 1e-4
    fused = spatial.unflatten(0, (batch, frames)).mean(1) + temporal.mean(1)
    assert gap(fused, stored["fused_visual"]) < 1e-4
    assert gap(model.fusion.word_embed(model.text_features), stored["text_tokens"]) < 1e-4
    mixed = model.fusion.blocks[0](model.fusion.sequence(model.text_features, fused))
    assert gap(mixed, stored["fusion_block_out"]) < 1e-4
    normed = model.fusion.norm(mixed)
    assert gap(normed, stored["fusion_norm_out"]) < 1e-4
    assert gap(model.head.scores(normed[:, : config.attributes]), stored["logits_pre_bn"]) < 1e-4
    assert gap(model(torch.from_numpy(clip)), stored["logits"]) < 1e-5


def test_frames_one_to_eight_are_accepted_and_nine_are_not(golden: Path, recipe: ModuleType, weights: Weights) -> None:
    stored = np.load(golden / "tiny_mars_a_b1_f6.npz")
    model = reference_model(weights, "tiny", "mars", stored["text_features"])
    with torch.no_grad():
        for frames in range(1, 9):
            assert torch.isfinite(model(torch.from_numpy(recipe.frames("t", 1, frames, 64)))).all()
        with pytest.raises(ValueError, match="9 frames"):
            model(torch.from_numpy(recipe.frames("t", 1, 9, 64)))


@pytest.mark.parametrize(
    ("name", "size", "dataset", "heads"),
    [
        ("tiny_mars_a_b1_f6", "tiny", "mars", 4),
        ("tiny_duke_a_b1_f6", "tiny", "duke", 4),
        ("full_mars_a_b1_f6", "full", "mars", None),
    ],
)
def test_text_features_equal_the_public_code(
    golden: Path, weights: Weights, name: str, size: str, dataset: str, heads: int | None
) -> None:
    stored = np.load(golden / f"{name}.npz")
    _, text = split(weights(size, dataset))
    features = encode_texts(text_tower(text, heads=heads), par_model.load_schema(dataset).words)
    assert gap(features, stored["text_features"]) < 1e-4


def test_parameters_are_those_of_the_public_code(golden: Path, weights: Weights) -> None:
    stored = np.load(golden / "full_mars_a_b1_f6.npz")
    model = reference_model(weights, "full", "mars", stored["text_features"])
    unused_side = {n: t for n, t in model.leftovers.items() if not n.startswith("clip_visual_extractor.")}
    assert model.trainable() + sum(t.numel() for t in unused_side.values()) == 15_036_610
    beyond = sum(p.numel() for block in model.temporal.blocks[6:] for p in block.parameters())
    assert model.trainable() - beyond == 12_179_649


@pytest.mark.parametrize(("size", "dataset"), [("tiny", "mars"), ("tiny", "duke"), ("full", "mars")])
def test_a_public_checkpoint_is_written_back_as_it_was(
    golden: Path, weights: Weights, size: str, dataset: str, tmp_path: Path
) -> None:
    classifier, _ = split(weights(size, dataset))
    halved = {
        n: t.half()
        if (n.startswith("clip_visual") and t.ndim > 1 and ("attn" in n or "mlp" in n or "conv1" in n))
        or (n.startswith("clip_visual") and n.endswith("bias") and ("attn" in n or "mlp" in n))
        else t
        for n, t in classifier.items()
    }
    assert sum(t.dtype == torch.float16 for t in halved.values()) == 97
    text = torch.zeros(len(classifier["bn.weight"]), classifier["word_embed.weight"].shape[1])
    par_model.save(from_openpar(halved, text), tmp_path / "native.safetensors")
    back = to_openpar(par_model.load(tmp_path / "native.safetensors"))
    assert back.keys() == halved.keys()
    for name, tensor in halved.items():
        assert back[name].dtype == tensor.dtype, name
        assert torch.equal(back[name], tensor), name


def test_training_steps_equal_the_public_code(golden: Path, recipe: ModuleType, weights: Weights) -> None:
    stored = np.load(golden / "tiny_train.npz")
    text = np.load(golden / "tiny_mars_a_b1_f6.npz")["text_features"]
    model = reference_model(weights, "tiny", "mars", text).train()
    for block in model.fusion.blocks:
        block.drop_path = 0.0
    frames = torch.from_numpy(recipe.frames("train", 4, 6, 64))
    labels = torch.from_numpy(recipe.labels("train", 4, "mars"))
    ratio = torch.from_numpy(recipe.ratio("mars")).float()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for step in range(4):
        logits = model(frames)
        loss = weighted_bce(logits, labels, ratio)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            assert gap(logits.detach(), stored["logits_step0"]) < 1e-4
            _check_gradients(model, stored)
        if step == 0:
            np.testing.assert_allclose(model.head.norm.running_mean, stored["bn_running_mean_1"], atol=1e-4)
            np.testing.assert_allclose(model.head.norm.running_var, stored["bn_running_var_1"], atol=1e-4)
        optimiser.step()
        assert abs(loss.item() - stored["losses"][step]) < 1e-3
    with torch.no_grad():
        assert gap(model.eval()(frames), stored["logits_eval_after4"]) < 0.1


def _check_gradients(model: VTFPAR, stored: np.lib.npyio.NpzFile) -> None:
    """Under the public names: same tensors, same norms, same first values."""
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in model.named_parameters()}
    twin = par_model.build(model.config, model.schema, model.text_features, frozen=False)
    twin.load_state_dict(model.state_dict())
    twin.load_state_dict(gradients, strict=False)
    named = to_openpar(twin)
    ours_without = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    for name, norm, first in zip(stored["grad_names"], stored["grad_norms"], stored["grad_first4"]):
        ours = named[str(name)].flatten()
        if norm > 1e-4:
            assert abs(float(ours.norm()) - norm) < 1e-3 * norm, name
            np.testing.assert_allclose(ours[:4], first[: len(ours[:4])], rtol=1e-2, atol=1e-4, err_msg=str(name))
    assert all(n.startswith(("temporal.blocks.6", "temporal.blocks.7")) for n in ours_without)


def test_learning_rates_equal_the_public_schedule(golden: Path) -> None:
    stored = np.load(golden / "misc.npz")
    for epochs in (30, 20):
        rates = [learning_rate(epoch, epochs) for epoch in range(epochs + 1)]
        np.testing.assert_allclose(rates, stored[f"lr_e{epochs}"], rtol=1e-9)
