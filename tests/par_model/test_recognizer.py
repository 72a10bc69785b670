"""The recogniser: each crop encoded once, any number, any mixture of lengths, the numbers of the whole model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import par_model
from par_model import VTFPAR, CheckpointError, Recognizer, SchemaError
from par_model.graph import DeviceError
from par_model.parity import random_crops
from par_model.preprocess import CropBatch, Normalise
from par_model.schema import Calibration


@pytest.fixture
def checkpoint(small_model: VTFPAR, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    par_model.save(small_model, path)
    return path


@pytest.fixture
def recognizer(checkpoint: Path) -> Recognizer:
    return Recognizer.load(checkpoint, "cpu")


def whole(model: VTFPAR, crops: list[np.ndarray]) -> np.ndarray:
    """Logits of one window by the model itself."""
    batch = CropBatch(model.config.image_size, model.config.preprocessing, len(crops)).fill(crops)
    with torch.no_grad():
        return model(Normalise(model.config)(torch.from_numpy(batch))[None])[0].numpy()


def test_streaming_equals_the_whole_model(recognizer: Recognizer, small_model: VTFPAR) -> None:
    crops = random_crops(14)
    features = [recognizer.encode([crop])[0] for crop in crops]  # as they arrive
    windows = [slice(0, n) for n in range(1, 6)] + [slice(n, n + 6) for n in range(9)]
    logits = recognizer.logits([features[window] for window in windows])
    for window, row in zip(windows, logits):
        assert np.abs(row - whole(small_model, crops[window])).max() < 1e-5


def test_probabilities_are_those_of_the_logits_at_the_groups_temperature_and_prior(
    small_model: VTFPAR, checkpoint: Path
) -> None:
    calibration = {"pose": Calibration(2.0, 0.0, 0.5), "hat": Calibration(1.0, 0.4, 0.5, (-1.5,))}
    small_model.schema = small_model.schema.calibrated(calibration)
    par_model.save(small_model, checkpoint)
    recognizer = Recognizer.load(checkpoint, "cpu")
    hat = np.arange(43) == small_model.schema.words.index("hat")
    window = [recognizer.encode(random_crops(6))]
    scaled = recognizer.logits(window)[0] / np.where(np.isin(np.arange(43), range(9, 15)), 2.0, 1.0) - 1.5 * hat
    expected = 1 / (1 + np.exp(-scaled))
    probabilities = recognizer.recognize(window)
    assert probabilities.shape == (1, 43)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities[0], expected, atol=1e-6)
    labels = recognizer.labels(probabilities)
    assert labels[0].keys() == set(recognizer.schema.group_names)


def test_mirror_images_are_read_too_where_asked(checkpoint: Path, recognizer: Recognizer) -> None:
    mirroring = Recognizer.load(checkpoint, "cpu", mirror=True, batch=4)
    crops = random_crops(6)
    straight, turned = recognizer.encode(crops), recognizer.encode([crop[:, ::-1] for crop in crops])
    both = mirroring.encode(crops)
    windows = [slice(0, 6), slice(2, 4)]
    expected = (recognizer.logits([straight[w] for w in windows]) + recognizer.logits([turned[w] for w in windows])) / 2
    np.testing.assert_allclose(mirroring.logits([both[window] for window in windows]), expected, atol=1e-5)
    assert np.linalg.norm(both[0].appearance) == pytest.approx(1.0, abs=1e-5)
    assert both[0].appearance @ straight[0].appearance == pytest.approx(
        both[0].appearance @ turned[0].appearance, abs=1e-4
    )
    assert both[0].nbytes > 2 * straight[0].nbytes - straight[0].appearance.nbytes
    # Whoever looks in a mirror looks the same to it.
    again = mirroring.encode([crop[:, ::-1] for crop in crops])
    np.testing.assert_allclose(mirroring.logits([again]), mirroring.logits([both]), atol=1e-5)


def test_batches_of_any_size(checkpoint: Path) -> None:
    recognizer = Recognizer.load(checkpoint, "cpu", batch=4)
    assert recognizer.encode([]) == []
    assert recognizer.recognize([]).shape == (0, 43)
    assert recognizer.labels(recognizer.recognize([])) == []
    crops = random_crops(11)
    features = recognizer.encode(crops)
    assert len(features) == 11
    alone = recognizer.encode(crops[10:])[0]
    np.testing.assert_allclose(features[10].tokens, alone.tokens, atol=1e-5)
    assert recognizer.recognize([features[:k] for k in (1, 6, 3, 2, 6, 5, 1)]).shape == (7, 43)


def test_a_cpu_meets_few_sizes_of_batch_and_all_of_them_when_warming_up(checkpoint: Path) -> None:
    recognizer = Recognizer.load(checkpoint, "cpu", batch=4)
    sizes: list[int] = []
    plain = recognizer._runtime.encode
    recognizer._runtime.encode = lambda crops: (sizes.append(len(crops)), plain(crops))[1]  # type: ignore[method-assign]
    recognizer.warm_up()
    assert sizes == [4, 2, 1]
    for count in range(12):
        recognizer.encode(random_crops(count))
    assert set(sizes) == {4, 2, 1}
    assert sum(sizes) == 7 + sum(range(12))


def test_windows_of_no_or_too_many_crops_are_refused(recognizer: Recognizer) -> None:
    features = recognizer.encode(random_crops(7))
    for window in ([], features):
        with pytest.raises(ValueError, match="sequence 1"):
            recognizer.recognize([features[:2], window])


def test_a_crop_keeps_only_what_later_windows_need(recognizer: Recognizer, small_model: VTFPAR) -> None:
    config = small_model.config
    [feature] = recognizer.encode(random_crops(1))
    patches, taps = config.grid[0] * config.grid[1], len(config.taps)
    assert feature.tokens.shape == (1 + patches, config.side_width)
    assert feature.first.shape == feature.later.shape == (taps, patches, config.side_width)
    floats = (1 + patches) * config.side_width + 2 * taps * patches * config.side_width
    assert feature.nbytes == 4 * (floats + len(feature.appearance))
    assert isinstance(feature.appearance, np.ndarray)
    assert np.linalg.norm(feature.appearance) == pytest.approx(1.0, abs=1e-5)
    # Each owns its memory: forgetting the others frees theirs.
    assert all(part.base is None for part in (feature.tokens, feature.first, feature.later))


def test_half_precision_storage_halves_memory_and_hardly_moves_numbers(
    checkpoint: Path, recognizer: Recognizer
) -> None:
    halves = Recognizer.load(checkpoint, "cpu", storage="fp16")
    crops = random_crops(6)
    kept, full = halves.encode(crops), recognizer.encode(crops)
    assert kept[0].tokens.nbytes * 2 == full[0].tokens.nbytes
    assert np.abs(halves.recognize([kept]) - recognizer.recognize([full])).max() < 2e-3


def test_a_crop_of_the_published_size_keeps_at_most_1200_kilobytes() -> None:
    config = par_model.ModelConfig()
    patches, width, taps = 196, config.side_width, len(config.taps)
    halves = (1 + patches) * width + 2 * taps * patches * width
    assert 2 * halves + 4 * 2 * taps * width <= 1.2e6


def test_sensitive_groups_are_neither_computed_nor_returned(checkpoint: Path, recognizer: Recognizer) -> None:
    private = Recognizer.load(checkpoint, "cpu", without=["sensitive"])
    features = private.encode(random_crops(3))
    probabilities = private.recognize([features])
    assert probabilities.shape == (1, 38)
    assert not {"female", "adult"} & set(private.schema.words)
    assert not {"gender", "age"} & private.labels(probabilities)[0].keys()
    kept = recognizer.schema.columns(private.schema)
    np.testing.assert_allclose(probabilities, recognizer.recognize([features])[:, kept], atol=1e-5)
    with pytest.raises(SchemaError, match="did you mean 'gender'"):
        Recognizer.load(checkpoint, "cpu", without=["genders"])


def test_a_device_that_cannot_be_had_is_an_error(checkpoint: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(DeviceError, match="cannot be had"):
        Recognizer.load(checkpoint, "cuda")
    with pytest.raises(DeviceError, match="unknown"):
        Recognizer.load(checkpoint, "tpu")
    chosen = Recognizer.load(checkpoint, "auto")
    assert (chosen.device, chosen.backend) == ("cpu", "torch")


def test_graphs_that_are_not_there_are_an_error_when_asked_for(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tools/export_onnx\.py"):
        Recognizer.load(checkpoint, "cpu", backend="onnxruntime")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_numbers_of_the_cpu(checkpoint: Path, recognizer: Recognizer) -> None:
    crops = random_crops(12)
    fast = Recognizer.load(checkpoint, "cuda")
    assert fast.device == "cuda:0"
    features, slow = fast.encode(crops), recognizer.encode(crops)
    windows = [slice(0, n) for n in (1, 3, 6)] + [slice(6, 12)]
    gap = fast.recognize([features[w] for w in windows]) - recognizer.recognize([slow[w] for w in windows])
    assert np.abs(gap).max() < 2e-2
