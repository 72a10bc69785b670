"""Crops become the model's input exactly as its training saw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from par_model import ModelConfig, Preprocessing
from par_model.preprocess import CropBatch, Normalise

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def normalised(config: ModelConfig, crop: np.ndarray) -> np.ndarray:
    batch = CropBatch(config.image_size, config.preprocessing, 1).fill([crop])
    return Normalise(config)(torch.from_numpy(batch))[0].numpy()


def test_input_equals_the_public_transform(shared: Path) -> None:
    stored = np.load(shared / "golden" / "misc.npz")
    config = ModelConfig(preprocessing=Preprocessing(fit="stretch"))
    pictures = [name for name in stored.files if name.startswith("tf_img_")]
    assert pictures
    for name in pictures:
        rgb = stored[name]
        ours = normalised(config, np.ascontiguousarray(rgb[..., ::-1]))[:, ::4, ::4]
        # One grey level of 255: Pillow rounds after each axis, PyTorch after both.
        assert np.abs(ours - stored[name.replace("img", "out")]).max() < 1.01 / 127.5


@pytest.mark.parametrize("resample", ["antialias", "fast"])
def test_letterbox_centres_on_black(resample: str) -> None:
    preprocessing = Preprocessing(fit="letterbox", resample=resample)  # type: ignore[arg-type]
    batch = CropBatch((64, 64), preprocessing, 2)
    tall, wide = batch.fill([np.full((200, 100, 3), 200, np.uint8), np.full((50, 100, 3), 90, np.uint8)])
    assert (tall[:, 16:48] == 200).all()
    assert (tall[:, :16] == 0).all()
    assert (tall[:, 48:] == 0).all()
    assert (wide[16:48] == 90).all()
    assert (wide[:16] == 0).all()
    # What an earlier crop left in the buffer does not show through.
    tall = batch.fill([np.full((200, 100, 3), 7, np.uint8)])[0]
    assert set(np.unique(tall)) == {0, 7}


def test_the_same_memory_serves_every_batch() -> None:
    batch = CropBatch((64, 32), Preprocessing(fit="stretch", resample="fast"), 4)
    first, second = batch.fill([np.zeros((9, 9, 3), np.uint8)]), batch.fill([np.ones((99, 9, 3), np.uint8)] * 4)
    assert np.shares_memory(first, second)
    assert second.shape == (4, 64, 32, 3)


def test_statistics_of_the_checkpoint_are_used() -> None:
    preprocessing = Preprocessing(fit="stretch", mean=CLIP_MEAN, std=CLIP_STD)
    config = ModelConfig.compact(image_size=(32, 16), preprocessing=preprocessing)
    out = normalised(config, np.full((8, 8, 3), (255, 0, 0), np.uint8))  # pure blue
    expected = (np.array([0.0, 0.0, 1.0]) - CLIP_MEAN) / CLIP_STD
    np.testing.assert_allclose(out.mean(axis=(1, 2)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((5, 5, 4), np.uint8),
    ],
)
def test_what_is_no_bgr_picture_is_refused(crop: np.ndarray) -> None:
    batch = CropBatch((64, 32), Preprocessing(), 2)
    with pytest.raises(ValueError, match="crop 1"):
        batch.fill([np.zeros((5, 5, 3), np.uint8), crop])
