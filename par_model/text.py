"""Text features of the attributes: by CLIP's text tower, or by a hash where no weights are at hand.

From an attribute to its sentence there are three steps: the word is split (`top short`), expanded (`wearing a
short-sleeved top`) and put into a prompt (`a photo of a pedestrian wearing a short-sleeved top`). The table is the
schema's YAML. Checkpoints of the public code skip them: they were trained on the bare words.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from par_model.errors import CheckpointError

CONTEXT = 77
STOP_WORDS = frozenset(["a", "an", "the", "of", "in", "is", "and", "or", "to", "with", "photo", "pedestrian"])


def tokenize(sentences: Sequence[str]) -> Tensor:
    """CLIP's byte-pair tokens, (A, 77) int64, zero-padded."""
    from open_clip import tokenize as clip_tokenize

    tokens: Tensor = clip_tokenize(list(sentences), CONTEXT)
    return tokens


def text_tower(weights: Mapping[str, Tensor], *, heads: int | None = None, activation: str = "quick_gelu") -> nn.Module:
    """CLIP's text tower from OpenAI-named weights (`token_embedding.weight`, ...), all sizes read from the shapes.

    heads: of the attention; CLIP's are 64 wide. activation: OpenAI's `quick_gelu`, or `gelu`. The visual side's tensors
    are ignored.
    """
    from open_clip.transformer import QuickGELU, TextTransformer

    try:
        vocabulary, width = weights["token_embedding.weight"].shape
        context = weights["positional_embedding"].shape[0]
        output = weights["text_projection"].shape[1]
    except KeyError as error:
        raise CheckpointError(f"the CLIP weights hold no text tower ({error.args[0]} is missing)") from error
    layers = len({k.split(".")[2] for k in weights if k.startswith("transformer.resblocks.")})
    tower = TextTransformer(
        context_length=context,
        vocab_size=vocabulary,
        width=width,
        heads=heads or max(1, width // 64),
        layers=layers,
        output_dim=output,
        act_layer=QuickGELU if activation == "quick_gelu" else nn.GELU,
    )
    known = tower.state_dict().keys()
    state = {name: tensor.float() for name, tensor in weights.items() if name in known and name != "attn_mask"}
    missing = [name for name in known if name not in state and name != "attn_mask"]
    if missing:
        raise CheckpointError(f"the CLIP weights lack {missing[0]}")
    tower.load_state_dict(state, strict=False)
    return tower.eval().requires_grad_(False)  # type: ignore[no-any-return]


@torch.no_grad()
def encode_texts(tower: nn.Module, sentences: Sequence[str]) -> Tensor:
    """(A, output width) float32, not normalised, as the public code feeds them."""
    features: Tensor = tower(tokenize(sentences))
    return features.float()


def words_of(sentence: str) -> list[str]:
    """Its words in lower case, of any script: letters and digits with the marks that belong to them."""
    kept = (c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in sentence.lower())
    return "".join(kept).split()


def hashed_text_features(sentences: Sequence[str], width: int = 128) -> Tensor:
    """Text features without any text tower: each word is a fixed random direction, a sentence their normalised sum.

    Sentences that share words are alike (`top red` and `bottom red` share `red`), which is all the fusion needs to
    tell its questions apart. The same on every machine. Returns (A, width) float32 of length sqrt(width).
    """
    features = np.zeros((len(sentences), width))
    for row, sentence in zip(features, sentences):
        for word in words_of(sentence):
            if word not in STOP_WORDS:
                seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little")
                row += np.random.RandomState(seed).standard_normal(width)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return torch.from_numpy((features / np.maximum(length, 1e-9) * width**0.5).astype(np.float32))
